package up_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-dev/weir/cmd/weir/up"
)

// TestWrongConfigEndsRun: it is told, by the variable, and nothing hangs.
func TestWrongConfigEndsRun(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		variable string
		change   func(*up.Config)
	}{
		{"WEIR_INGESTOR_BATCH_SLOTS", func(c *up.Config) { c.Ingestor.BatchSlots = 0 }},
		{"WEIR_EMBEDDER_MODEL", func(c *up.Config) { c.Embedder.Model = "small" }},
		{"WEIR_ROUTER_TOP_K", func(c *up.Config) { c.Router.TopK = 0 }},
		{"WEIR_GENERATOR_WAITING", func(c *up.Config) { c.Generator.Waiting = -1 }},
		{"WEIR_CATALOG", func(c *up.Config) { c.Process.Catalog = "no such file" }},
	} {
		cfg := config(t.TempDir())
		tc.change(&cfg)
		if err := fails(t, cfg); !strings.Contains(err.Error(), tc.variable) {
			t.Errorf("error %v, want one with %s", err, tc.variable)
		}
	}
}

// TestDimensionsOfTheIndex: a data directory made for another model is refused.
func TestDimensionsOfTheIndex(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, config(dir)).stop()
	cfg := config(dir)
	cfg.Process.Catalog = filepath.Join(dir, "catalog.yaml")
	text := `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models:
  - {id: small, provider: sim, upstream: sim-small, mode: chat, price: [{input: 0, output: 0}]}
  - {id: embed, provider: sim, upstream: sim-embed, mode: embedding, dimensions: 512, price: [{input: 0}]}
`
	if err := os.WriteFile(cfg.Process.Catalog, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fails(t, cfg); !strings.Contains(err.Error(), "embedder") || !strings.Contains(err.Error(), "dimension") {
		t.Errorf("error %v, want the embedder's about the dimension", err)
	}
}

// TestLoad sets the environment, so it is not parallel.
func TestLoad(t *testing.T) {
	t.Setenv("WEIR_LOG_LEVEL", "debug")
	t.Setenv("WEIR_INGESTOR_CHUNK_TOKENS", "99")
	t.Setenv("WEIR_EMBEDDER_LINGER", "9ms")
	t.Setenv("WEIR_ROUTER_TOP_K", "3")
	t.Setenv("WEIR_GENERATOR_MODELS", "small,large")
	cfg := up.DefaultConfig("dir")
	if err := cfg.Load(); err != nil {
		t.Fatal(err)
	}
	if cfg.Process.LogLevel != "debug" || cfg.Ingestor.ChunkTokens != 99 || cfg.Embedder.Linger.String() != "9ms" ||
		cfg.Router.TopK != 3 || len(cfg.Generator.Models) != 2 {
		t.Errorf("config %+v does not follow the environment", cfg)
	}
	// All mistakes are told at once.
	t.Setenv("WEIR_ROUTER_TOP_K", "0")
	t.Setenv("WEIR_EMBEDDER_LINGER", "soon")
	err := cfg.Load()
	if err == nil || !strings.Contains(err.Error(), "WEIR_ROUTER_TOP_K") || !strings.Contains(err.Error(), "WEIR_EMBEDDER_LINGER") {
		t.Errorf("error %v, want one that names both variables", err)
	}
}
