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
	Addr     string        `default:"127.0.0.1:8087" help:"Address to listen on."`
	TTFT     time.Duration `name:"ttft" default:"0" help:"Wait before the first token of a completion and before an embeddings answer."`
	PerToken time.Duration `default:"0" help:"Wait for each token after the first."`
}

// Run runs the simulator until a signal.
func (c *devSimCmd) Run(e *env) error {
	cfg := llmsim.DefaultConfig()
	cfg.Addr, cfg.TTFT, cfg.PerToken = c.Addr, c.TTFT, c.PerToken
	server, err := llmsim.New(cfg)
	if err != nil {
		return err
	}
	return e.serve("llmsim", server, server.URL)
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
