package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/openai"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/services/generator"
)

// models is the catalog of a worker.
func models(l load, sim string) (*catalog.Watcher, error) {
	text := fmt.Sprintf(`version: 1
providers:
  - {id: sim, base_url: %q, dialect: openai, override: {max_tokens_field: max_tokens}, max_conns: 512}
models:
  - {id: small, provider: sim, upstream: sim-small, mode: chat, price: [{input: 150, output: 600}], limits: {tpm: %d, rpm: %d}}
`, sim, l.tpm, l.tpm/500)
	c, err := catalog.Parse([]byte(text), time.Now())
	if err != nil {
		return nil, err
	}
	return catalog.NewWatcher(catalog.WatcherConfig{}, c), nil
}

// worker is one of Weir's generators with its own connection and metrics.
type worker struct {
	*generator.Service
	metrics *prometheus.Registry
	nc      *nats.Conn
}

func newWorker(l load, natsURL, sim string, dial func(catalog.Provider, catalog.Model) (llm.Endpoint, error)) (*worker, error) {
	w := &worker{metrics: prometheus.NewRegistry()}
	known, err := models(l, sim)
	if err != nil {
		return nil, err
	}
	if w.nc, err = nats.Connect(natsURL, platform.ConnOptions("worker")...); err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	if dial == nil {
		dial = openai.NewDialer(func(string) string { return "" }).Dial
	}
	cfg := generator.DefaultConfig()
	cfg.InteractiveSlots, cfg.BatchSlots, cfg.DrainTimeout = 8, l.slots, time.Second
	w.Service, err = generator.New(platform.Platform{NATS: w.nc, Registerer: w.metrics}, cfg, generator.Ports{Catalog: known, Dial: dial})
	return w, err
}

// stats is what a worker did.
type stats struct {
	Calls      float64 `json:"calls"`
	Operations float64 `json:"operations"`
}

func (w *worker) stats() stats {
	var s stats
	families, err := w.metrics.Gather()
	if err != nil {
		return s
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch f.GetName() {
			case "weir_stage_handled_total":
				for _, label := range m.GetLabel() {
					if label.GetName() == "class" && label.GetValue() == "ok" {
						s.Calls += m.GetCounter().GetValue()
					}
				}
			case "weir_budget_operations_total":
				s.Operations += m.GetCounter().GetValue()
			}
		}
	}
	return s
}

// work is a worker in a process of its own: it prints its stats at its end.
func work(ctx context.Context, l load, natsURL, sim string) error {
	w, err := newWorker(l, natsURL, sim, nil)
	if err != nil {
		return err
	}
	defer w.nc.Close()
	end, err := background(context.WithoutCancel(ctx), lifecycle.Member{Name: "generator", Service: w})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	counted := w.stats()
	end()
	return json.NewEncoder(os.Stdout).Encode(counted)
}

// noisy is an endpoint that asks for up to a tenth more or less than was estimated,
// so that the estimate is off by that much.
type noisy struct{ llm.Endpoint }

// Chat implements llm.Chat.
func (n noisy) Chat(ctx context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
	h := fnv.New32a()
	h.Write([]byte(req.IdempotencyKey)) //nolint:errcheck // never fails
	off := (float64(h.Sum32()%2001)/1000 - 1) * 0.1
	estimate := float64(len(req.Messages[0].Content)/4 + 2 + req.MaxTokens)
	req.MaxTokens = max(1, req.MaxTokens+int(off*estimate))
	return n.Endpoint.Chat(ctx, req)
}

func dialNoisy() func(catalog.Provider, catalog.Model) (llm.Endpoint, error) {
	dialer := openai.NewDialer(func(string) string { return "" })
	return func(p catalog.Provider, m catalog.Model) (llm.Endpoint, error) {
		e, err := dialer.Dial(p, m)
		return noisy{e}, err
	}
}
