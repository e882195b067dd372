package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/telemetry"
)

type upCmd struct {
	DataDir    string `env:"WEIR_DATA_DIR" type:"path" help:"Where the embedded servers keep their data (default: the user's state directory)."`
	NatsAddr   string `default:"127.0.0.1:4222" help:"Where the embedded NATS listens for clients."`
	QdrantAddr string `default:"127.0.0.1:0" help:"Where the embedded store listens; port 0 is any."`
	Tenants    string `env:"WEIR_TENANTS" type:"path" placeholder:"FILE" help:"Tenants file: keys and NATS users (default: tenants.yaml in the data directory, if there is one)."`
	APIAddr    string `name:"api-addr" env:"WEIR_GATEWAY_ADDR" default:"127.0.0.1:8088" help:"Where the HTTP API listens."`
	HTTPAddr   string `name:"http-addr" env:"WEIR_HTTP_ADDR" default:"127.0.0.1:8080" help:"Where health and metrics are served."`
}

// Run runs Weir until a signal.
func (c *upCmd) Run(e *env) error {
	cfg, err := e.loadConfig(c.DataDir)
	if err != nil {
		return err
	}
	cfg.NatsAddr, cfg.QdrantAddr, cfg.Process.HTTPAddr, cfg.Gateway.Addr = c.NatsAddr, c.QdrantAddr, c.HTTPAddr, c.APIAddr
	if c.Tenants != "" {
		cfg.Process.Tenants = c.Tenants
	}
	log, err := telemetry.NewLogger(e.err, cfg.Process.LogFormat, cfg.Process.LogLevel)
	if err != nil {
		return err
	}
	err = up.Run(e.ctx, cfg, log, func(s up.System) { c.announce(e, cfg, s) })
	return startError(up.LockError(err, cfg.DataDir), "--nats-addr, --qdrant-addr, --api-addr and --http-addr")
}

// startError says which flags to use when an address is taken.
func startError(err error, flags string) error {
	if err != nil && strings.Contains(err.Error(), "address already in use") { // nats-server gives no more than the text
		return fmt.Errorf("%w; stop what listens there, or choose another address with %s", err, flags)
	}
	return err
}

func (c *upCmd) announce(e *env, cfg up.Config, s up.System) {
	address := platform.Redacted(s.NatsURL) // one's own server may be named with its password
	if e.JSON {
		facts := map[string]string{"nats_url": address, "http_addr": s.HTTPAddr, "api_addr": s.APIAddr, "qdrant_addr": s.QdrantAddr, "data_dir": cfg.DataDir}
		if s.OperatorFile != "" {
			facts["operator_file"] = s.OperatorFile
		}
		e.printJSON(facts) //nolint:errcheck // stdout may be closed
		return
	}
	fmt.Fprintf(e.out, "Weir is up.\n  API      http://%s/v1\n  NATS     %s\n  Qdrant   %s\n  health   http://%s/readyz\n  metrics  http://%s/metrics\n  data     %s\n"+
		"Try: weir ingest README.md docs/ && weir ask \"What is Weir?\"\n", s.APIAddr, address, s.QdrantAddr, s.HTTPAddr, s.HTTPAddr, cfg.DataDir)
	if s.OperatorFile != "" {
		fmt.Fprintf(e.out, "Keys are asked for (%s). Your own commands find the password in %s: set WEIR_DATA_DIR if that is not the default.\n", cfg.Process.Tenants, s.OperatorFile)
	}
}

// loadConfig is the effective configuration of `weir up`.
func (e *env) loadConfig(dataDir string) (up.Config, error) {
	dataDir, err := dataDirOf(dataDir)
	if err != nil {
		return up.Config{}, err
	}
	cfg := up.DefaultConfig(dataDir)
	cfg.Process.LogLevel, cfg.Process.LogFormat = "warn", "text"
	if err := cfg.Load(); err != nil {
		return cfg, coded(exitUsage, "%w", err)
	}
	cfg.Process.NatsURL, cfg.Process.NatsCreds = e.NatsURL, e.NatsCreds // flags, or the environment
	if own := filepath.Join(dataDir, up.TenantsFile); cfg.Process.Tenants == "" && exists(own) {
		cfg.Process.Tenants = own
	}
	return cfg, nil
}

// dataDirOf is the data directory that is named, or the default one.
func dataDirOf(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	return stateDir()
}

// exists reports whether there is a file; one that can't be looked at is there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// stateDir is the user's state directory for Weir: $XDG_STATE_HOME/weir, else
// ~/.local/state/weir (XDG Base Directory Specification).
func stateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "weir"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the state directory (set --data-dir): %w", err)
	}
	return filepath.Join(home, ".local", "state", "weir"), nil
}
