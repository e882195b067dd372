package embedder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
)

// patience bounds every wait.
const patience = stagetest.Patience

// neverLinger is a Linger that no test waits for: a call happens because it is
// full, or not at all.
const neverLinger = time.Hour

var _ vector.Store = (*fakeStore)(nil)

// fakeStore records what it is told. Its functions, when set, decide the
// outcome of the writes.
type fakeStore struct {
	ensure      func() error
	upsert      func(points []vector.Point) error
	deleteStale func() error

	mu     sync.Mutex
	calls  []string // in order, such as "upsert acme/handbook 2"
	points []vector.Point
	index  vector.Index
}

func (s *fakeStore) record(call string, points ...vector.Point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
	s.points = append(s.points, points...)
}

func (s *fakeStore) written() (calls []string, points []vector.Point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls), slices.Clone(s.points)
}

func (s *fakeStore) Ensure(_ context.Context, idx vector.Index) error {
	s.mu.Lock()
	s.index = idx
	s.mu.Unlock()
	if s.ensure != nil {
		return s.ensure()
	}
	return nil
}

func (s *fakeStore) Upsert(_ context.Context, _ vector.Index, scope vector.Scope, points []vector.Point) error {
	s.record(fmt.Sprintf("upsert %s/%s %d", scope.Tenant, scope.Collection, len(points)), points...)
	if s.upsert != nil {
		return s.upsert(points)
	}
	return nil
}

func (s *fakeStore) DeleteStale(_ context.Context, _ vector.Index, doc vector.Document, version int64) error {
	s.record(fmt.Sprintf("delete %s/%s/%s before %d", doc.Scope.Tenant, doc.Scope.Collection, doc.ID, version))
	if s.deleteStale != nil {
		return s.deleteStale()
	}
	return nil
}

func (s *fakeStore) Search(context.Context, vector.Index, vector.Query) ([]vector.Hit, error) {
	return nil, errors.New("the embedder does not search")
}

func (s *fakeStore) Count(context.Context, vector.Index, vector.Scope) (int, error) {
	return 0, errors.New("the embedder does not count")
}

// rig is an embedder with what it talks to. It runs after start.
type rig struct {
	*stagetest.Kit
	store *fakeStore
	cfg   Config
	ahead time.Duration // of the embedder's clock
}

func setup(t *testing.T) *rig {
	t.Helper()
	cfg := DefaultConfig()
	return &rig{Kit: stagetest.New(t), store: &fakeStore{}, cfg: cfg}
}

// text is the catalog of the tests.
const text = `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models: [{id: embed, provider: sim, upstream: sim-embed, mode: embedding, dimensions: 4, shorten: true, price: [{input: 20}]}]
`

// endpoint is a provider that embeds only.
type endpoint struct{ embedder llm.Embedder }

func (e endpoint) Embed(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
	return e.embedder.Embed(ctx, req)
}

func (endpoint) Chat(context.Context, llm.ChatRequest) (llm.ChatResponse, error) {
	return llm.ChatResponse{}, errors.ErrUnsupported
}

func (endpoint) Close() {}

// direct calls a provider without a guard.
type direct struct{ llm.Embedder }

func (d direct) Embed(ctx context.Context, _ guard.Call, req llm.EmbedRequest) (llm.EmbedResponse, guard.Report, error) {
	req.Model, req.Dimensions = "sim-embed", 4
	resp, err := d.Embedder.Embed(ctx, req)
	return resp, guard.Report{}, err
}

func (r *rig) service(e llm.Embedder) *Service {
	r.T.Helper()
	now := func() time.Time { return time.Now().Add(r.ahead) }
	c, err := catalog.Parse([]byte(text), time.Now())
	if err != nil {
		r.T.Fatal(err)
	}
	models := catalog.NewWatcher(catalog.WatcherConfig{}, c)
	s, err := New(platform.Platform{NATS: r.Bus.Conn(), Now: now}, r.cfg, Ports{Catalog: models, Store: r.store,
		Dial: func(catalog.Provider, catalog.Model) (llm.Endpoint, error) { return endpoint{e}, nil }})
	if err != nil {
		r.T.Fatal(err)
	}
	return s
}

// start runs an embedder until the test ends or stop is called, which waits
// for its end.
func (r *rig) start(e llm.Embedder) (stop func()) {
	r.T.Helper()
	return r.Start(r.service(e))
}

// chunked is a batch of tenant acme with one chunk per text; its job id is
// that of the document.
func chunked(id string, texts ...string) event.ChunkBatch {
	b := event.ChunkBatch{
		Envelope:   event.Envelope{V: event.Version, ID: id, Tenant: "acme", Lane: event.LaneInteractive, SubmittedAt: time.Now().UTC()},
		Collection: "handbook", Document: event.Document{ID: id, Source: id + ".md", Title: "Title of " + id},
		DocumentVersion: 42, Model: "embed", Bytes: 1000,
	}
	for i, text := range texts {
		b.Chunks = append(b.Chunks, event.Chunk{ID: event.ChunkID("acme", "handbook", id, text, 0), Prefix: "P: ", Text: text,
			Section: []string{"S", text}, Start: 10 * i, End: 10*i + len(text), Tokens: 3})
	}
	return b
}

// publish sends batches to the embedder, all before the first is awaited.
func (r *rig) publish(batches ...event.ChunkBatch) {
	r.T.Helper()
	for _, b := range batches {
		r.Publish(event.EmbedSubject(b.Model, b.Lane, b.Tenant), b.ID, b)
	}
}

// ok is the result of a document's job, which must succeed.
func (r *rig) ok(job string) event.Result {
	r.T.Helper()
	return r.OK(event.KindIngest, job)
}
