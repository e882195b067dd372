package router

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
)

// fakeStore finds what its functions say; without them, nothing in a collection
// that exists. The writes of the port are not there: the router never writes.
type fakeStore struct {
	vector.Store
	search func(ctx context.Context, q vector.Query) ([]vector.Hit, error)
	count  func(scope vector.Scope) (int, error)

	mu       sync.Mutex
	searched []vector.Query
	indexes  []vector.Index
}

func (s *fakeStore) Search(ctx context.Context, idx vector.Index, q vector.Query) ([]vector.Hit, error) {
	s.mu.Lock()
	s.searched, s.indexes = append(s.searched, q), append(s.indexes, idx)
	s.mu.Unlock()
	if s.search != nil {
		return s.search(ctx, q)
	}
	return nil, nil
}

func (s *fakeStore) Count(_ context.Context, _ vector.Index, scope vector.Scope) (int, error) {
	if s.count != nil {
		return s.count(scope)
	}
	return 1, nil
}

func (s *fakeStore) queries() []vector.Query {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.searched)
}

// finds makes a store that always finds these chunks.
func finds(chunks ...vector.Chunk) *fakeStore {
	hits := make([]vector.Hit, len(chunks))
	for i, c := range chunks {
		hits[i] = vector.Hit{ID: fmt.Sprint(i), Score: 1 - float32(i)/10, Chunk: c}
	}
	return &fakeStore{search: func(context.Context, vector.Query) ([]vector.Hit, error) { return hits, nil }}
}

// text is the catalog of the tests: a chain of three models, and one of its own.
const text = `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models:
  - {id: small, provider: sim, upstream: s, mode: chat, aliases: [cheap], price: [{input: 1, output: 1}], fallback: [medium]}
  - {id: medium, provider: sim, upstream: m, mode: chat, price: [{input: 1, output: 1}], fallback: [large]}
  - {id: large, provider: sim, upstream: l, mode: chat, price: [{input: 1, output: 1}]}
  - {id: embed, provider: sim, upstream: e, mode: embedding, dimensions: 2, price: [{input: 20}]}
`

// models is the catalog of the tests.
func models(t *testing.T) *catalog.Watcher {
	t.Helper()
	c, err := catalog.Parse([]byte(text), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return catalog.NewWatcher(catalog.WatcherConfig{}, c)
}

// rig is a running router on a NATS server of its own.
type rig struct {
	*stagetest.Kit
	store *fakeStore
	tasks *nats.Subscription
}

// setup runs a router over store. It has no embedder: see rig.embedder.
func setup(t *testing.T, store *fakeStore, change ...func(*Config)) *rig {
	t.Helper()
	cfg := DefaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	k := stagetest.New(t)
	r := &rig{Kit: k, store: store, tasks: k.Subscribe("weir.steps.generate.>")}
	s, err := New(platform.Platform{NATS: k.Bus.Conn()}, cfg, Ports{Store: store, Catalog: models(t)})
	if err != nil {
		t.Fatal(err)
	}
	k.Start(s)
	return r
}

// embedder answers requests for query vectors with reply until the test ends.
func (r *rig) embedder(reply event.EmbedReply) *rig {
	r.T.Helper()
	reply.V = event.Version
	data, err := json.Marshal(reply)
	if err != nil {
		r.T.Fatal(err)
	}
	_, err = r.Bus.Conn().Subscribe(event.EmbedRPC("embed"), func(m *nats.Msg) {
		m.Respond(data) //nolint:errcheck // the test's wait tells it
	})
	if err != nil {
		r.T.Fatal(err)
	}
	return r
}

// vectors is an embedder's usual answer.
var vectors = event.EmbedReply{Vectors: [][]float32{{0.6, 0.8}}, Tokens: 4, CostNanoUSD: 80}

// question is a grounded job about the collection handbook.
func question(text string) event.GenerateJob {
	return event.GenerateJob{Messages: []event.Message{{Role: "user", Content: text}}, RAG: &event.RAG{Collection: "handbook"}}
}

// submit sends a job of tenant acme and returns its id.
func (r *rig) submit(job event.GenerateJob) string {
	r.T.Helper()
	id, err := r.Client.Generate(r.T.Context(), "acme", job)
	if err != nil {
		r.T.Fatal(err)
	}
	return id
}

// task is the next message to a generator.
func (r *rig) task() (event.GenerateTask, string) {
	r.T.Helper()
	task, msg := stagetest.Next(r.Kit, r.tasks, event.Decode[event.GenerateTask])
	return task, msg.Subject
}

// failure is the error of a job that must fail.
func (r *rig) failure(id string) *event.Error {
	r.T.Helper()
	return r.Failure(event.KindGenerate, id)
}
