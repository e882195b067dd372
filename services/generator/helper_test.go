package generator

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
)

// patience bounds every wait; a passing test needs a fraction of it.
const patience = 30 * time.Second

// clock is the generator's, moved by the fake provider.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().Add(time.Second)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// rig is a generator with what it talks to. It runs after start.
type rig struct {
	t      *testing.T
	bus    *bus.Bus
	client *client.Client
	clock  *clock
	cfg    Config
	tokens *nats.Subscription
	lives  *nats.Subscription
}

func setup(t *testing.T) *rig {
	t.Helper()
	b, _ := bustest.New(t)
	c, err := client.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, bus: b, client: c, clock: newClock(), cfg: DefaultConfig()}
	r.tokens, r.lives = r.subscribe("weir.tokens.>"), r.subscribe("weir.events.>")
	return r
}

func (r *rig) subscribe(subject string) *nats.Subscription {
	r.t.Helper()
	sub, err := r.bus.Conn().SubscribeSync(subject)
	if err != nil {
		r.t.Fatal(err)
	}
	return sub
}

// start runs a generator over chat until the test ends.
func (r *rig) start(chat llm.Chat) {
	r.t.Helper()
	s, err := New(platform.Platform{NATS: r.bus.Conn(), Now: r.clock.Now}, r.cfg, chat)
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(r.t.Context()) }()
	r.t.Cleanup(func() {
		if err := <-done; err != nil {
			r.t.Errorf("generator ended with: %v", err)
		}
	})
	select {
	case <-s.Ready():
	case <-time.After(patience):
		r.t.Fatal("the generator is not ready")
	}
}

// ask is a task of tenant acme with one message and sources 1 to 3.
func ask(id string) event.GenerateTask {
	return event.GenerateTask{
		Envelope: event.Envelope{V: event.Version, ID: id, Tenant: "acme", Lane: event.LaneInteractive, SubmittedAt: time.Now().UTC()},
		Model:    "small", Messages: []event.Message{{Role: "user", Content: "What?"}},
		Sources: []event.Source{{Number: 1, Document: "a"}, {Number: 2, Document: "b"}, {Number: 3, Document: "c"}},
	}
}

// publish sends a task to the generator.
func (r *rig) publish(task event.GenerateTask) {
	r.t.Helper()
	out, err := stage.JSONOut(event.GenerateSubject(task.Model, task.Lane, task.Tenant), task.ID, task)
	if err == nil {
		err = r.bus.Publish(r.t.Context(), out)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// result waits for the end of a job.
func (r *rig) result(job string) event.Result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	result, err := r.client.Await(ctx, "acme", job)
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

// ok is result for a job that must succeed.
func (r *rig) ok(job string) event.Result {
	r.t.Helper()
	result := r.result(job)
	if result.Status != event.StatusOK || result.Answer == nil {
		r.t.Fatalf("result %+v (error %v), want an answer", result, result.Error)
	}
	return result
}

// life is the next event of a type.
func (r *rig) life(kind string) event.Life {
	r.t.Helper()
	for {
		msg, err := r.lives.NextMsg(patience)
		if err != nil {
			r.t.Fatalf("waiting for a life event %q: %v", kind, err)
		}
		if life, err := event.Decode[event.Life](msg.Data); err == nil && life.Type == kind {
			return life
		}
	}
}

// stream is the job's token messages up to the end mark.
func (r *rig) stream() []event.Token {
	r.t.Helper()
	var tokens []event.Token
	for {
		msg, err := r.tokens.NextMsg(patience)
		if err != nil {
			r.t.Fatalf("waiting for tokens after %+v: %v", tokens, err)
		}
		token, err := event.Decode[event.Token](msg.Data)
		if err != nil {
			r.t.Fatal(err)
		}
		tokens = append(tokens, token)
		if token.Type == event.TokenDone {
			return tokens
		}
	}
}

// says makes a provider that answers with text.
func says(text string) func(context.Context, llm.ChatRequest) (llm.ChatResponse, error) {
	return func(_ context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
		if err := req.OnDelta(text); err != nil {
			return llm.ChatResponse{}, err
		}
		return llm.ChatResponse{Text: text, FinishReason: "stop", Model: "provider-7", Usage: llm.Usage{PromptTokens: 10, CompletionTokens: 3}}, nil
	}
}
