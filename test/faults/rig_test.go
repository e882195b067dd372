// Package faults runs the pipeline with three generators against a provider with a
// fault, and asks the provider's own record for the verdict.
package faults

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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

const tenant = "acme"

// patience bounds every wait.
const patience = 2 * time.Minute

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
	// policies is the policies file; "" has none.
	policies string
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
	files := catalog.Files{Catalog: r.file}
	if o.policies != "" {
		files.Policies = filepath.Join(t.TempDir(), "policies.yaml")
		if err := os.WriteFile(files.Policies, []byte(o.policies), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := files.Load(nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r.models = catalog.NewWatcher(catalog.WatcherConfig{Files: files, Interval: 50 * time.Millisecond}, c)
	run(t, r.models)
	r.bus = r.nats.Bus()
	if r.client, err = client.New(r.bus.Conn()); err != nil {
		t.Fatal(err)
	}
	r.services(o)
	return r
}

// services starts two routers and three generators, each with a connection of its
// own.
func (r *rig) services(o options) {
	r.t.Helper()
	for range 2 {
		planner, err := router.New(platform.Platform{NATS: r.nats.Connect()}, router.DefaultConfig(), router.Ports{Catalog: r.models})
		if err != nil {
			r.t.Fatal(err)
		}
		run(r.t, planner)
	}
	cfg := generator.DefaultConfig()
	cfg.DrainTimeout = time.Second
	for _, off := range o.offsets {
		g, err := generator.New(platform.Platform{NATS: r.nats.Connect(), Now: func() time.Time { return time.Now().Add(off) }}, cfg,
			generator.Ports{Catalog: r.models, Dial: openai.NewDialer(func(string) string { return "" }).Dial})
		if err != nil {
			r.t.Fatal(err)
		}
		run(r.t, g)
	}
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

// change edits one part of the catalog and waits until that is in force.
func (r *rig) change(from, to string) {
	r.t.Helper()
	text, err := os.ReadFile(r.file)
	if err != nil {
		r.t.Fatal(err)
	}
	if !strings.Contains(string(text), from) {
		r.t.Fatalf("the catalog has no %q", from)
	}
	changed := r.models.Changed()
	r.edit(strings.Replace(string(text), from, to, 1))
	select {
	case <-changed:
	case <-time.After(patience):
		r.t.Fatal("the catalog was not taken")
	}
}

// submit publishes jobs and returns their ids.
func (r *rig) submit(name string, n int) []string {
	r.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = r.job(fmt.Sprint(name, "-", i), "")
	}
	return ids
}

// job publishes a job for a model, "" for the router's choice.
func (r *rig) job(id, model string) string {
	r.t.Helper()
	return r.publish(event.GenerateJob{Envelope: event.Envelope{ID: id}, Model: model})
}

func (r *rig) publish(job event.GenerateJob) string {
	r.t.Helper()
	job.Messages = []event.Message{{Role: "user", Content: question(job.ID)}}
	id, err := r.client.Generate(r.t.Context(), tenant, job)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// until waits until done, which something else brings about.
func (r *rig) until(what string, done func() bool) {
	r.t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	limit := time.After(patience)
	for !done() {
		select {
		case <-poll.C:
		case <-limit:
			r.t.Fatalf("waited in vain until %s", what)
		}
	}
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
			if results[i], err = r.client.Await(ctx, tenant, id); err != nil {
				r.t.Errorf("job %s: %v", id, err)
			}
		})
	}
	all.Wait()
	return results
}
