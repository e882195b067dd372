package up_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/event"
)

// simulator runs a provider until the test ends and returns its address.
func simulator(t *testing.T) string {
	t.Helper()
	cfg := llmsim.DefaultConfig()
	cfg.Addr = "127.0.0.1:0"
	sim, err := llmsim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sim.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the simulator ended with: %v", err)
		}
	})
	select {
	case <-sim.Ready():
	case <-time.After(patience):
		t.Fatal("no simulator")
	}
	return sim.URL()
}

// TestOwnCatalog: a model whose provider is not to be had is replaced by its
// fallback, and is back as soon as an edit of the file mends its address.
func TestOwnCatalog(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	cfg := config(t.TempDir())
	cfg.Process.Catalog = filepath.Join(t.TempDir(), "catalog.yaml")
	write := func(home string) {
		t.Helper()
		text := fmt.Sprintf(`
version: 1
providers:
  - {id: home, base_url: %q, dialect: sim}
  - {id: spare, base_url: %q, dialect: sim}
models:
  - {id: small, provider: home, upstream: sim-small, mode: chat, price: [{input: 150, output: 600}], fallback: [large]}
  - {id: large, provider: spare, upstream: sim-large, mode: chat, price: [{input: 2500, output: 10000}]}
  - {id: embed, provider: spare, upstream: sim-embed, mode: embedding, dimensions: 1024, price: [{input: 20}]}
`, home, sim)
		if err := os.WriteFile(cfg.Process.Catalog, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("http://127.0.0.1:1/v1")
	w := start(t, cfg)
	w.ingest("bridge", bridge)
	result := w.ask(known)
	if result.Status != event.StatusOK || result.Answer.Model != "large" {
		t.Fatalf("result %+v, error %v; want large's answer", result, result.Error)
	}
	var models []string
	for _, a := range result.Receipt.Attempts {
		models = append(models, a.Model)
	}
	if got := fmt.Sprint(models); got != "[embed small small large]" {
		t.Errorf("attempts %s, want two of small before large's", got)
	}
	write(sim)
	for deadline := time.Now().Add(patience); result.Answer.Model != "small"; result = w.ask(known) {
		if result.Status != event.StatusOK || time.Now().After(deadline) {
			t.Fatalf("result %+v, error %v; want small's answer", result, result.Error)
		}
	}
}
