package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/embedded/natsd"
	"github.com/weir-dev/weir/embedded/qdrantd"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/tokens"
)

type devCmd struct {
	Nats   devNatsCmd   `cmd:"" help:"Run the embedded NATS server."`
	Qdrant devQdrantCmd `cmd:"" help:"Run the embedded Qdrant-compatible store."`
	Llmsim devSimCmd    `cmd:"" help:"Run the provider simulator (OpenAI-compatible)."`
}

type devNatsCmd struct {
	Addr    string `default:"127.0.0.1:4222" help:"Address to listen on."`
	DataDir string `type:"path" help:"Where the streams are kept (default: the user's state directory)."`
}

// Run runs NATS until a signal.
func (c *devNatsCmd) Run(e *env) error {
	dir, err := devDir(c.DataDir, "nats")
	if err != nil {
		return err
	}
	server, err := natsd.New(natsd.Config{Dir: dir, Addr: c.Addr})
	if err != nil {
		return err
	}
	return e.serve("nats", server, server.URL)
}

type devQdrantCmd struct {
	Addr    string `default:"127.0.0.1:6334" help:"Address to listen on."`
	DataDir string `type:"path" help:"Where the collections are kept (default: the user's state directory)."`
}

// Run runs the store until a signal.
func (c *devQdrantCmd) Run(e *env) error {
	dir, err := devDir(c.DataDir, "qdrant")
	if err != nil {
		return err
	}
	server, err := qdrantd.New(qdrantd.Config{Dir: dir, Addr: c.Addr})
	if err != nil {
		return err
	}
	return e.serve("qdrant", server, server.Addr)
}

type devSimCmd struct {
	Addr        string        `default:"127.0.0.1:8087" help:"Address to listen on."`
	Admin       string        `placeholder:"ADDR" help:"Address of the admin API: its record, faults, limits and asserts."`
	Profile     string        `default:"openai" help:"Provider to be like: openai, azure, azure_ptu, anthropic, gemini, groq, mistral, openrouter, vllm, ollama, tei."`
	Preset      string        `placeholder:"NAME" help:"Faults to play: calm, bursty-429, brownout, blackout-60s, flaky-stream, bad-json, quota-out, slow-provider, chaos."`
	RPM         int64         `name:"rpm" help:"Requests per minute and model; 0 is no limit."`
	TPM         int64         `name:"tpm" help:"Tokens per minute and model; 0 is no limit."`
	Concurrency int64         `help:"Calls at once per model; 0 is no limit."`
	TimeScale   float64       `default:"1" help:"Factor of all durations: at 0.1 ten minutes take one."`
	Hosted      bool          `help:"Take as long as hosted models do."`
	TTFT        time.Duration `name:"ttft" default:"0" help:"Wait before the first token of a completion and before an embeddings answer."`
	PerToken    time.Duration `default:"0" help:"Wait for each token after the first."`
}

// config is the simulator's.
func (c *devSimCmd) config() llmsim.Config {
	cfg := llmsim.DefaultConfig()
	cfg.Addr, cfg.AdminAddr, cfg.TTFT, cfg.PerToken = c.Addr, c.Admin, c.TTFT, c.PerToken
	cfg.Profile, cfg.Faults, cfg.TimeScale = c.Profile, llmsim.Faults{Preset: c.Preset}, c.TimeScale
	for _, l := range []llmsim.Limit{
		{Dim: llmsim.DimRPM, Cap: c.RPM}, {Dim: llmsim.DimTPM, Cap: c.TPM}, {Dim: llmsim.DimConcurrency, Cap: c.Concurrency},
	} {
		if l.Cap > 0 {
			cfg.Limits = append(cfg.Limits, l)
		}
	}
	if c.Hosted {
		cfg.Latency = map[string]llmsim.Latency{"sim-small": llmsim.SmallLatency(), "sim-large": llmsim.LargeLatency()}
	}
	return cfg
}

// Run runs the simulator until a signal.
func (c *devSimCmd) Run(e *env) error {
	cfg := c.config()
	if err := cfg.Validate(); err != nil {
		return coded(exitUsage, "%w", err)
	}
	counter, err := tokens.New("o200k_base")
	if err != nil {
		return err
	}
	cfg.CountTokens = counter.Count
	server, err := llmsim.New(cfg)
	if err != nil {
		return err
	}
	return e.serve("llmsim", server, func() string {
		if admin := server.AdminAddr(); admin != "" && !e.JSON {
			return server.URL() + ", its admin API on http://" + admin + "/_sim/"
		}
		return server.URL()
	})
}

// serve runs one server and says where it listens.
func (e *env) serve(name string, server lifecycle.Service, addr func() string) error {
	layer := func(context.Context) ([]lifecycle.Member, error) {
		return []lifecycle.Member{{Name: name, Service: server}}, nil
	}
	err := lifecycle.Run(e.ctx, func(on bool) {
		switch {
		case !on:
		case e.JSON:
			e.printJSON(map[string]string{"server": name, "addr": addr()}) //nolint:errcheck // stdout may be closed
		default:
			fmt.Fprintf(e.out, "%s listens on %s\n", name, addr())
		}
	}, layer)
	return startError(err, "--addr")
}

func devDir(dir, name string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	state, err := stateDir()
	return filepath.Join(state, name), err
}
