package generator

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// patience bounds every wait.
const patience = stagetest.Patience

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
	*stagetest.Kit
	t      *testing.T
	bus    *bus.Bus
	clock  *clock
	cfg    Config
	tokens *nats.Subscription
	models *models
	log    *slog.Logger // nil logs nothing
}

// free is a catalog of one model whose calls cost nothing.
const free = `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models:
  - {id: small, provider: sim, upstream: sim-small, mode: chat, price: [{input: 0, output: 0}]}
  - {id: embed, provider: sim, upstream: sim-embed, mode: embedding, dimensions: 8, price: [{input: 20}]}
`

// priced is the same with prices.
var priced = strings.Replace(free, "{input: 0, output: 0}", "{input: 150, output: 600}", 1)

// models is a catalog that tests may replace.
type models struct {
	t       *testing.T
	mu      sync.Mutex
	current *catalog.Catalog
	changed chan struct{}
}

func (m *models) Current() *catalog.Catalog {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current
}

func (m *models) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func (m *models) set(text string) {
	m.t.Helper()
	c, err := catalog.Parse([]byte(text), time.Now())
	if err != nil {
		m.t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current = c
	if m.changed != nil {
		close(m.changed)
	}
	m.changed = make(chan struct{})
}

// endpoint is a provider that chats only.
type endpoint struct{ chat llm.Chat }

func (e endpoint) Chat(ctx context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
	return e.chat.Chat(ctx, req)
}

func (endpoint) Embed(context.Context, llm.EmbedRequest) (llm.EmbedResponse, error) {
	return llm.EmbedResponse{}, errors.ErrUnsupported
}

func (endpoint) Close() {}

func setup(t *testing.T) *rig {
	t.Helper()
	k := stagetest.New(t)
	r := &rig{Kit: k, t: t, bus: k.Bus, clock: newClock(), cfg: DefaultConfig(), tokens: k.Subscribe("weir.tokens.>"), models: &models{t: t}}
	r.models.set(free)
	return r
}

// start runs a generator over chat until the test ends.
func (r *rig) start(chat llm.Chat) {
	r.t.Helper()
	s, err := New(platform.Platform{NATS: r.bus.Conn(), Now: r.clock.Now, Logger: r.log}, r.cfg, Ports{Catalog: r.models,
		Dial: func(catalog.Provider, catalog.Model) (llm.Endpoint, error) { return endpoint{chat}, nil }})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Start(s)
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
	r.Publish(event.GenerateSubject(task.Model, task.Lane, task.Tenant), task.ID, task)
}

// result waits for the end of a job.
func (r *rig) result(job string) event.Result {
	r.t.Helper()
	return r.Result(job)
}

// ok is result for a job that must succeed.
func (r *rig) ok(job string) event.Result {
	r.t.Helper()
	return r.OK(event.KindGenerate, job)
}

// stream is the job's token messages up to the end mark.
func (r *rig) stream() []event.Token {
	r.t.Helper()
	var tokens []event.Token
	for {
		token, _ := stagetest.Next(r.Kit, r.tokens, event.Decode[event.Token])
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
