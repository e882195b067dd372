package up_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/file"
)

// The Go SDK against a whole Weir in this process. Against any other only the
// connection differs: client.New(nc) with nc of nats.Connect.
func Example() {
	err := withWeir(func(ctx context.Context, c *client.Client) error {
		const tenant = "acme"

		// Ingest a document and wait until it answers.
		job, err := c.Ingest(ctx, tenant, event.IngestJob{Collection: "docs",
			Document: event.Document{ID: "stages", Text: "A stage is a function from one message to messages."}})
		if err != nil {
			return err
		}
		result, err := c.Await(ctx, tenant, job)
		if err != nil {
			return err
		}
		if result.Status != event.StatusOK {
			return result.Error
		}

		// Query: what would an answer be made of?
		found, err := c.Query(ctx, tenant, event.QueryRequest{Text: "What is a stage?", RAG: event.RAG{Collection: "docs"}})
		if err != nil {
			return err
		}
		fmt.Println("found:", found.Hits[0].Text)

		// Submit a question; submitting its id again changes nothing.
		ask := event.GenerateJob{Envelope: event.Envelope{ID: "q1"}, Stream: true, RAG: &event.RAG{Collection: "docs"},
			Messages: []event.Message{{Role: "user", Content: "What is a stage?"}}}
		for range 2 {
			if job, err = c.Generate(ctx, tenant, ask); err != nil {
				return err
			}
		}

		// Stream the answer, from the beginning or from any event's ID on.
		var text strings.Builder
		err = c.Stream(ctx, tenant, job, client.StreamOptions{}, func(e client.StreamEvent) error {
			switch e.Type {
			case client.StreamDelta:
				text.WriteString(e.Text)
			case client.StreamRestart: // the answer begins anew
				text.Reset()
			}
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Println("streamed:", text.String())

		// The stored result is the truth.
		if result, err = c.Result(ctx, tenant, job); err != nil {
			return err
		}
		fmt.Println("stored:", result.Answer.Text, "from", result.Answer.Citations[0].Document)

		// A batch is a file of requests.
		lines := `{"custom_id":"one","method":"POST","url":"/v1/chat/completions","body":{"model":"weir/auto","messages":[{"role":"user","content":"hello"}]}}`
		input, err := c.Upload(ctx, tenant, file.Info{Name: "in.jsonl", Purpose: "batch"}, strings.NewReader(lines+"\n"))
		if err != nil {
			return err
		}
		if job, err = c.Batch(ctx, tenant, event.BatchJob{InputFile: input.ID, Endpoint: "/v1/chat/completions"}); err != nil {
			return err
		}
		if result, err = c.Await(ctx, tenant, job); err != nil {
			return err
		}
		output, _, err := c.Download(ctx, tenant, result.Batch.OutputFile)
		if err != nil {
			return err
		}
		defer output.Close()
		answers, err := io.ReadAll(output)
		fmt.Println("batch:", result.Batch.Completed, "of", result.Batch.Total, strings.Contains(string(answers), `"custom_id":"one"`))
		return err
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// found: A stage is a function from one message to messages.
	// streamed: A stage is a function from one message to messages. [1]
	// stored: A stage is a function from one message to messages. [1] from stages
	// batch: 1 of 1 true
}

// withWeir runs a whole Weir while use does.
func withWeir(use func(context.Context, *client.Client) error) error {
	dir, err := os.MkdirTemp("", "weir-example-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cfg := up.DefaultConfig(dir)
	cfg.NatsAddr, cfg.Process.HTTPAddr, cfg.Gateway.Addr = "", "", "127.0.0.1:0"
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan up.System, 1), make(chan error, 1)
	go func() { ended <- up.Run(ctx, cfg, slog.New(slog.DiscardHandler), func(s up.System) { ready <- s }) }()
	select {
	case err := <-ended:
		stop()
		return err
	case s := <-ready:
		c, err := client.New(s.Conn)
		if err == nil {
			err = use(ctx, c)
		}
		stop()
		if stopped := <-ended; err == nil {
			err = stopped
		}
		return err
	}
}
