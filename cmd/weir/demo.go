package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/telemetry"
)

type demoCmd struct {
	Paths    []string `arg:"" optional:"" name:"path" help:"Documents (default: README.md and docs/ of the working directory)."`
	Question []string `sep:"none" help:"Questions to ask (default: two the documents answer, one they don't)." placeholder:"TEXT"`
}

// questions are the demo's own: two that Weir's documents answer and one that
// they do not.
func questions() []string {
	return []string{
		"How is nothing lost when a process dies?",
		"What does the receipt of a job say?",
		"What is the capital of Mongolia?",
	}
}

// demoPerToken slows the simulator down to a fast model's pace, so that one sees
// the answer stream.
const demoPerToken = 15 * time.Millisecond

// Run starts everything on a temporary directory, runs the main job through the
// queues, and stops it again.
func (c *demoCmd) Run(e *env) error {
	if len(c.Paths) == 0 {
		c.Paths = []string{"README.md", "docs"}
	}
	if len(c.Question) == 0 {
		c.Question = questions()
	}
	found, err := collect(e, c.Paths)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "weir-demo-")
	if err != nil {
		return fmt.Errorf("making a temporary directory: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	cfg := up.DefaultConfig(dir)
	cfg.NatsAddr, cfg.Process.HTTPAddr, cfg.Gateway.Addr = "", "", ""
	cfg.Sim.PerToken = demoPerToken
	log, err := telemetry.NewLogger(e.err, "text", "warn")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	done := make(chan error, 1)
	running := *e
	running.ctx = ctx
	err = up.Run(ctx, cfg, log, func(s up.System) {
		go func() {
			defer stop()
			done <- c.play(&running, s, found.names)
		}()
	})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	default:
		return coded(exitError, "interrupted")
	}
}

// play is the main job: documents in, cited answers out.
func (c *demoCmd) play(e *env, s up.System, files []string) error {
	cl, err := client.New(s.Conn)
	if err != nil {
		return err
	}
	const collection = "demo"
	say := func(format string, args ...any) {
		if !e.JSON {
			fmt.Fprintf(e.out, format, args...)
		}
	}
	say("Ingesting %d documents through the queue\n", len(files))
	if err := ingest(e, cl, &ingestCmd{Collection: collection, Lane: "batch", InFlight: 64, Timeout: time.Minute}, files); err != nil {
		return err
	}
	for _, question := range c.Question {
		say("\nQ: %s\nA: ", question)
		result, err := ask(e, cl, &askCmd{Question: question, Collection: collection, Timeout: 30 * time.Second})
		if err != nil {
			return err
		}
		if err := jobError(result); err != nil {
			return err
		}
	}
	return nil
}
