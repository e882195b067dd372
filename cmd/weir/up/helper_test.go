package up_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

// patience bounds every wait; a passing test needs a fraction of it.
const patience = 2 * time.Minute

// weir is a running Weir with a client from outside, over TCP.
type weir struct {
	t      *testing.T
	system up.System
	client *client.Client
	stop   func() // waits for its end
}

// config is that of a Weir with everything embedded, on free ports.
func config(dir string) up.Config {
	cfg := up.DefaultConfig(dir)
	cfg.NatsAddr, cfg.Process.HTTPAddr, cfg.Gateway.Addr = "127.0.0.1:0", "", "127.0.0.1:0"
	return cfg
}

// start runs a Weir until the test ends or it is stopped.
func start(t *testing.T, cfg up.Config) *weir {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan up.System, 1), make(chan error, 1)
	go func() {
		done <- up.Run(ctx, cfg, slog.New(slog.DiscardHandler), func(s up.System) { ready <- s })
	}()
	w := &weir{t: t, stop: sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("weir ended with: %v", err)
		}
	})}
	select {
	case w.system = <-ready:
	case err := <-done:
		cancel()
		t.Fatalf("weir ended before it was ready: %v", err)
	}
	t.Cleanup(w.stop)
	w.client = w.connect(w.system.NatsURL)
	return w
}

// fails runs a Weir that must not start and returns why.
func fails(t *testing.T, cfg up.Config) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := up.Run(ctx, cfg, slog.New(slog.DiscardHandler), func(up.System) {
		t.Error("it came up")
		cancel()
	})
	if err == nil || ctx.Err() != nil {
		t.Fatalf("Run ended with %v (context: %v), want an error by itself", err, ctx.Err())
	}
	return err
}

// await waits for a job's result.
func (w *weir) await(job string) event.Result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	result, err := w.client.Await(ctx, "acme", job)
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

// submit sends a document of tenant acme to the collection docs.
func (w *weir) submit(id, text string) string {
	w.t.Helper()
	job, err := w.client.Ingest(w.t.Context(), "acme", event.IngestJob{
		Collection: "docs", Document: event.Document{ID: id, Source: id + ".md", Text: text}})
	if err != nil {
		w.t.Fatal(err)
	}
	return job
}

func (w *weir) ingest(id, text string) {
	w.t.Helper()
	if result := w.await(w.submit(id, text)); result.Status != event.StatusOK {
		w.t.Fatalf("ingesting %s: %+v, error %v", id, result, result.Error)
	}
}

// ask asks tenant acme's documents.
func (w *weir) ask(question string) event.Result {
	w.t.Helper()
	job, err := w.client.Generate(w.t.Context(), "acme", event.GenerateJob{
		Messages: []event.Message{{Role: "user", Content: question}}, RAG: &event.RAG{Collection: "docs"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.await(job)
}
