package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/openai"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
)

// rival is a worker on the same queue and with the same client that does not share
// the limit: naive calls and, when it is refused, waits as long as it is told or,
// exponentially, longer; static has a limiter of its part of the limit, local one
// of the whole.
type rival struct {
	*stage.Runner
	nc     *nats.Conn
	client *openai.Client
	pace   *pacer // nil for naive
	calls  atomic.Int64
}

func newRival(kind string, n int, r *rig) (*rival, error) {
	w := &rival{}
	var err error
	if w.nc, err = nats.Connect(r.server.URL(), platform.ConnOptions("rival")...); err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	b, err := bus.New(w.nc)
	if err != nil {
		return nil, err
	}
	if w.client, err = openai.New(openai.Config{BaseURL: r.sim.URL(), MaxConnsPerHost: 512}); err != nil {
		return nil, err
	}
	switch rate := float64(r.l.tpm) / float64(time.Minute); kind {
	case "static":
		w.pace = &pacer{rate: rate / float64(n)}
	case "local":
		w.pace = &pacer{rate: rate}
	}
	w.Runner, err = stage.New(stage.Config{Name: "generator", Timeout: time.Hour, DrainTimeout: time.Second, Sources: []stage.Source{
		{Consumer: bus.GenerateConsumer("small", event.LaneBatch, 1024), Slots: r.l.slots, Waiting: 4},
	}}, b, stage.HandlerFunc(w.handle), platform.Platform{NATS: w.nc})
	return w, err
}

// handle calls until it is answered.
func (w *rival) handle(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	task, err := event.Decode[event.GenerateTask](in.Data)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	for try := 0; ; try++ {
		if w.pace != nil {
			if err := wait(ctx, w.pace.next(len(task.Messages[0].Content)/4+2+task.MaxTokens)); err != nil {
				return nil, err
			}
		}
		stage.Admitted(ctx)
		waited := time.Since(began)
		resp, err := w.client.Chat(ctx, llm.ChatRequest{Model: "sim-small", Messages: task.Messages, MaxTokens: task.MaxTokens})
		if err != nil {
			cause := event.AsError(err)
			if !cause.Class.Retryable() {
				return nil, err
			}
			backoff := min(30*time.Second, time.Second<<min(try, 5))
			if err := wait(ctx, max(cause.RetryAfter, rand.N(backoff))); err != nil { //nolint:gosec // jitter
				return nil, err
			}
			continue
		}
		w.calls.Add(1)
		receipt := event.Receipt{}
		receipt.Add(event.Attempt{Model: "small", PromptTokens: resp.Usage.PromptTokens, CompletionTokens: resp.Usage.CompletionTokens,
			WaitedMS: event.Milliseconds(waited)})
		out, err := stage.ResultOut(event.Result{V: event.Version, ID: task.ID, Tenant: task.Tenant, Kind: event.KindGenerate,
			Status: event.StatusOK, Answer: &event.Answer{Text: resp.Text}, Receipt: receipt, FinishedAt: time.Now().UTC()})
		return []bus.Out{out}, err
	}
}

// pacer is a limiter of one process.
type pacer struct {
	rate float64 // tokens per nanosecond
	mu   sync.Mutex
	at   time.Time
}

// next reserves n tokens and says how long to wait for them.
func (p *pacer) next(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.at.Before(now) {
		p.at = now
	}
	start := p.at
	p.at = p.at.Add(time.Duration(float64(n) / p.rate))
	return start.Sub(now)
}

// rivals is a fleet of n workers of a kind.
func rivals(kind string, n int) fleet {
	return func(ctx context.Context, r *rig) (func() []stats, error) {
		var workers []*rival
		var members []lifecycle.Member
		for i := range n {
			w, err := newRival(kind, n, r)
			if err != nil {
				return nil, err
			}
			workers = append(workers, w)
			members = append(members, lifecycle.Member{Name: fmt.Sprint("rival ", i), Service: w})
		}
		end, err := background(ctx, members...)
		return func() (did []stats) {
			for _, w := range workers {
				did = append(did, stats{Calls: float64(w.calls.Load())})
			}
			end()
			for _, w := range workers {
				w.nc.Close()
			}
			return did
		}, err
	}
}
