// Package faults runs the pipeline with three generators against a provider with a
// fault, and asks the provider's own record for the verdict.
package faults

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm/openai"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/services/generator"
	"github.com/weir-dev/weir/services/router"
)

// patience bounds every wait.
const patience = 90 * time.Second

// text is the catalog: a primary that has the faults, and a fallback that has not.
const text = `version: 1
providers:
  - {id: first, base_url: %q, dialect: sim}
  - {id: second, base_url: %q, dialect: sim}
models:
  - {id: small, provider: first, upstream: sim-small, mode: chat, price: [{input: 150, output: 600}],
     limits: {rpm: 60000, tpm: 60000000}, timeouts: {ttft: 5s, idle: 5s, total: 20s}, fallback: [large]}
  - {id: large, provider: second, upstream: sim-large, mode: chat, price: [{input: 2500, output: 10000}]}
`

// rig is the pipeline and its two providers.
type rig struct {
	t              *testing.T
	nats           *bustest.Server
	bus            *bus.Bus
	client         *client.Client
	primary, other *llmsim.Server
	models         *catalog.Watcher
	file           string
}

// options changes a rig before it starts.
type options struct {
	faults  llmsim.Faults
	sim     func(*llmsim.Config)
	catalog func(string) string
	// offsets are those of the generators' clocks.
	offsets [3]time.Duration
}

func start(t *testing.T, o options) *rig {
	t.Helper()
	r := &rig{t: t, nats: bustest.Start(t)}
	var url, otherURL string
	r.primary, url = provider(t, func(c *llmsim.Config) {
		c.Faults = o.faults
		if o.sim != nil {
			o.sim(c)
		}
	})
	r.other, otherURL = provider(t, func(*llmsim.Config) {})
	content := fmt.Sprintf(text, url, otherURL)
	if o.catalog != nil {
		content = o.catalog(content)
	}
	r.file = filepath.Join(t.TempDir(), "catalog.yaml")
	r.edit(content)
	c, err := catalog.Load(r.file, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r.models = catalog.NewWatcher(catalog.WatcherConfig{Path: r.file, Interval: 50 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}, c)
	run(t, r.models)
	nc := r.nats.Connect()
	if r.bus, err = bus.New(nc); err != nil {
		t.Fatal(err)
	}
	if err := r.bus.Ensure(t.Context(), bus.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	if r.client, err = client.New(nc); err != nil {
		t.Fatal(err)
	}
	planner, err := router.New(platform.Platform{NATS: r.nats.Connect()}, router.DefaultConfig(), router.Ports{Catalog: r.models})
	if err != nil {
		t.Fatal(err)
	}
	run(t, planner)
	for _, off := range o.offsets {
		cfg := generator.DefaultConfig()
		cfg.DrainTimeout = time.Second
		now := func() time.Time { return time.Now().Add(off) }
		g, err := generator.New(platform.Platform{NATS: r.nats.Connect(), Now: now}, cfg,
			generator.Ports{Catalog: r.models, Dial: openai.NewDialer(func(string) string { return "" }).Dial})
		if err != nil {
			t.Fatal(err)
		}
		run(t, g)
	}
	return r
}

func provider(t *testing.T, change func(*llmsim.Config)) (*llmsim.Server, string) {
	t.Helper()
	cfg := llmsim.DefaultConfig()
	cfg.LedgerSize = 10_000
	change(&cfg)
	s, err := llmsim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return s, server.URL + "/v1"
}

// run runs a service until the test ends.
func run(t *testing.T, s lifecycle.Service) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatalf("ended early: %v", err)
	case <-time.After(patience):
		t.Fatal("not ready")
	}
}

// edit replaces the catalog file.
func (r *rig) edit(content string) {
	r.t.Helper()
	if err := os.WriteFile(r.file+".new", []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(r.file+".new", r.file); err != nil {
		r.t.Fatal(err)
	}
}

// submit publishes jobs and returns their ids.
func (r *rig) submit(name string, n int) []string {
	r.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = r.job(event.GenerateJob{Envelope: event.Envelope{ID: fmt.Sprint(name, "-", i)}, MaxAttempts: 12})
	}
	return ids
}

func (r *rig) job(job event.GenerateJob) string {
	r.t.Helper()
	job.Messages = []event.Message{{Role: "user", Content: question(job.ID)}}
	id, err := r.client.Generate(r.t.Context(), "acme", job)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func question(id string) string { return "Please repeat these words about " + id }

// await returns the results of jobs.
func (r *rig) await(ids []string) []event.Result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	results := make([]event.Result, len(ids))
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() {
			var err error
			if results[i], err = r.client.Await(ctx, "acme", id); err != nil {
				r.t.Errorf("job %s: %v", id, err)
			}
		})
	}
	all.Wait()
	return results
}

// whole checks that jobs were answered, and wholly, within their attempts.
func (r *rig) whole(results []event.Result) {
	r.t.Helper()
	for _, got := range results {
		switch {
		case got.Status != event.StatusOK:
			r.t.Errorf("job %s failed: %v (%+v)", got.ID, got.Error, got.Receipt.Attempts)
		case !strings.Contains(got.Answer.Text, question(got.ID)):
			r.t.Errorf("job %s: answer %q is not whole", got.ID, got.Answer.Text)
		case len(got.Receipt.Attempts) > 12:
			r.t.Errorf("job %s took %d attempts", got.ID, len(got.Receipt.Attempts))
		}
	}
}

// holds asserts on the primary's record.
func (r *rig) holds(spec llmsim.AssertSpec) {
	r.t.Helper()
	for _, failed := range r.primary.Assert(spec) {
		r.t.Errorf("the provider's record: %s", failed)
	}
}

func at(x float64) *float64 { return &x }
