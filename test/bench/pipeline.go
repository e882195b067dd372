package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/weir-dev/weir/embedded/natsd"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/services/generator"
	"github.com/weir-dev/weir/services/router"
	"github.com/weir-dev/weir/test/internal/figures"
)

// system is a set of workers under measurement.
type system struct {
	client *bus.Bus
	stop   func()
}

// benchPipeline measures Weir and bare JetStream in turns, each on a server of
// its own, and records the medians.
func benchPipeline(ctx context.Context, found figures.Figures, jobs, rounds int) error {
	var ours, bare, ratios []float64
	var latency, bareLatency []float64
	for round := range rounds {
		name := fmt.Sprint("r", round)
		sizes := sizes{}
		rate, times, err := measure(ctx, startWeir, name, jobs, &sizes)
		if err != nil {
			return err
		}
		start := func(ctx context.Context, server *natsd.Server) (*system, error) { return startBare(ctx, server, sizes) }
		bareRate, bareTimes, err := measure(ctx, start, name, jobs, nil)
		if err != nil {
			return fmt.Errorf("bare JetStream: %w", err)
		}
		fmt.Printf("round %d: %.0f jobs/s, bare JetStream %.0f jobs/s, ratio %.2f (job %d, task %d, result %d bytes)\n",
			round+1, rate, bareRate, rate/bareRate, sizes.job, sizes.task, sizes.result)
		ours, bare, ratios = append(ours, rate), append(bare, bareRate), append(ratios, rate/bareRate)
		latency, bareLatency = append(latency, times...), append(bareLatency, bareTimes...)
	}
	slices.Sort(latency)
	slices.Sort(bareLatency)
	found["jobs_per_s"], found["bare_jobs_per_s"], found["ratio"] = figures.Median(ours), figures.Median(bare), figures.Median(ratios)
	found["added_p50_ms"], found["added_p99_ms"] = figures.Quantile(latency, 0.5), figures.Quantile(latency, 0.99)
	found["bare_p50_ms"], found["bare_p99_ms"] = figures.Quantile(bareLatency, 0.5), figures.Quantile(bareLatency, 0.99)
	return nil
}

// measure runs one system on a fresh server: throughput, then latency with one
// job at a time. With sizes it records the size of each hop's message.
func measure(ctx context.Context, start func(context.Context, *natsd.Server) (*system, error), name string, jobs int, found *sizes) (float64, []float64, error) {
	server, stopServer, err := startNATS(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer stopServer()
	s, err := start(ctx, server)
	if err != nil {
		return 0, nil, err
	}
	defer s.stop()
	if _, err := throughput(ctx, s.client, name+"-warm", jobs/10); err != nil {
		return 0, nil, err
	}
	rate, err := throughput(ctx, s.client, name, jobs)
	if err != nil {
		return 0, nil, err
	}
	times, err := latencies(ctx, s.client, name+"-latency", 300)
	if err != nil {
		return 0, nil, err
	}
	if found != nil {
		return rate, times, found.read(ctx, s.client, name+"-latency-0")
	}
	return rate, times, nil
}

// instant is a provider without any latency.
type instant struct{}

const answer = "The report shows revenue up nine percent and costs flat; the board should note the currency risk in Q3."

// Chat implements llm.Chat.
func (instant) Chat(_ context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
	if req.OnDelta != nil {
		if err := req.OnDelta(answer); err != nil {
			return llm.ChatResponse{}, err
		}
	}
	return llm.ChatResponse{Text: answer, FinishReason: "stop", Model: req.Model,
		Usage: llm.Usage{PromptTokens: 200, CompletionTokens: 22}}, nil
}

// Embed and Close make it an llm.Endpoint.
func (instant) Embed(context.Context, llm.EmbedRequest) (llm.EmbedResponse, error) {
	return llm.EmbedResponse{}, errors.ErrUnsupported
}

// Close implements llm.Endpoint.
func (instant) Close() {}

func dialInstant(catalog.Provider, catalog.Model) (llm.Endpoint, error) { return instant{}, nil }

// freeModels is the default catalog: models without limits.
func freeModels() (*catalog.Watcher, error) {
	c, err := catalog.Default(func(string) string { return "" }, "http://127.0.0.1:1/v1") // not called
	if err != nil {
		return nil, err
	}
	return catalog.NewWatcher(catalog.WatcherConfig{}, c), nil
}

// startWeir runs a router and a generator, each on a connection of its own.
func startWeir(ctx context.Context, server *natsd.Server) (*system, error) {
	client, err := connectBus(ctx, server)
	if err != nil {
		return nil, err
	}
	rcfg, gcfg := router.DefaultConfig(), generator.DefaultConfig()
	rcfg.BatchSlots, gcfg.BatchSlots = 256, 256
	store, err := router.Dial(rcfg) // not called: the jobs need no documents
	if err != nil {
		return nil, err
	}
	models, err := freeModels()
	if err != nil {
		return nil, err
	}
	build := func(create func(platform.Platform) (lifecycle.Service, error)) (lifecycle.Service, error) {
		nc, err := server.Conn()
		if err != nil {
			return nil, err
		}
		return create(platform.Platform{NATS: nc})
	}
	r, err := build(func(p platform.Platform) (lifecycle.Service, error) {
		return router.New(p, rcfg, router.Ports{Catalog: models, Store: store})
	})
	if err != nil {
		return nil, err
	}
	g, err := build(func(p platform.Platform) (lifecycle.Service, error) {
		return generator.New(p, gcfg, generator.Ports{Catalog: models, Dial: dialInstant})
	})
	if err != nil {
		return nil, err
	}
	stop, err := runMembers(ctx, lifecycle.Member{Name: "router", Service: r}, lifecycle.Member{Name: "generator", Service: g})
	return &system{client: client, stop: stop}, err
}

// runMembers runs services until stop; it returns when they are ready.
func runMembers(ctx context.Context, members ...lifecycle.Member) (stop func(), err error) {
	running, cancel := context.WithCancel(ctx)
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- lifecycle.Run(running, func(on bool) {
			if on {
				close(ready)
			}
		}, func(context.Context) ([]lifecycle.Member, error) { return members, nil })
	}()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			fmt.Fprintln(os.Stderr, "stopping:", err)
		}
	}
	select {
	case <-ready:
		return stop, nil
	case err := <-done:
		cancel()
		return nil, err
	}
}

// sizes are the bytes of a hop's messages.
type sizes struct{ job, task, result, intent, line int }

// read takes the sizes from a job that was run: the job from its source, the
// result from its stream, and the task, which is gone, from its definition.
func (s *sizes) read(ctx context.Context, b *bus.Bus, id string) error {
	out, err := jobOut(id, 0)
	if err != nil {
		return err
	}
	msg, err := b.Result(ctx, tenant, id)
	if err != nil || msg == nil {
		return fmt.Errorf("reading a result: %w", err)
	}
	task := event.GenerateTask{Model: "small", Messages: []event.Message{{Role: "user", Content: prompt}}}
	s.job, s.result = len(out.Data), len(msg.Data)
	s.task = len(out.Data) + taskOverhead(task)
	return s.readLedger(ctx, b, id)
}

// readLedger takes the sizes of what the ledger keeps of the job.
func (s *sizes) readLedger(ctx context.Context, b *bus.Bus, id string) error {
	intent, err := b.Last(ctx, "KV_"+bus.BucketLedger, "$KV."+bus.BucketLedger+"."+tenant+"."+id+".generate-0")
	if err != nil || intent == nil {
		return fmt.Errorf("reading an intent: %w", err)
	}
	var of struct {
		Epoch int64 `json:"epoch"`
	}
	if err := json.Unmarshal(intent.Data, &of); err != nil {
		return fmt.Errorf("reading an intent: %w", err)
	}
	line, err := b.Last(ctx, bus.StreamLedger, event.LedgerSubject(tenant, id, "generate-0", of.Epoch, 1))
	if err != nil || line == nil {
		return fmt.Errorf("reading a line of the ledger: %w", err)
	}
	s.intent, s.line = len(intent.Data), len(line.Data)+len(line.Header.Get(ledger.HeaderLine))
	return nil
}
