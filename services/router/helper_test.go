package router

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
)

// scope is where the questions of the tests look.
var scope = vector.Scope{Tenant: "acme", Collection: "handbook"}

// fakeStore finds what its functions say; without them, nothing in a collection
// that exists. The writes of the port are not there: the router never writes.
type fakeStore struct {
	vector.Store
	search  func(ctx context.Context, q vector.Query) ([]vector.Hit, error)
	count   func(scope vector.Scope) (int, error)
	current func(ctx context.Context) (vector.Index, bool, error)
	chunks  []vector.Chunk // that it always finds

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

func (s *fakeStore) Current(ctx context.Context, name string) (vector.Index, bool, error) {
	if s.current != nil {
		return s.current(ctx)
	}
	return vector.Index{Name: name, Model: "embed", Dimension: 2}, true, nil
}

func (s *fakeStore) queries() []vector.Query {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.searched)
}

// point is the id of chunk n of a version of a document.
func point(document string, version int64, n int) manifest.ID {
	var id manifest.ID
	copy(id[:], fmt.Sprintf("%s/%d/%d", document, version, n))
	return id
}

// hit is chunk n of a version of a document, as the store has it.
func hit(document string, version int64, n int, text string) vector.Hit {
	return vector.Hit{ID: point(document, version, n).String(), Score: 1,
		Chunk: vector.Chunk{Document: document, Version: version, Text: text, Hash: document + text, Tokens: 4}}
}

// row is a version of a document with chunks of a hundred bytes each.
func row(document string, version int64, chunks int) manifest.State {
	state := manifest.State{Version: version, Job: fmt.Sprint("j", version)}
	for n := range chunks {
		state.Chunks = append(state.Chunks, manifest.Ref{ID: point(document, version, n), Start: 200 * n, End: 200*n + 100})
	}
	return state
}

// finds makes a store that always finds these chunks, the best first; setup gives
// them their documents' rows. Chunks of one document are no neighbours.
func finds(chunks ...vector.Chunk) *fakeStore {
	hits := make([]vector.Hit, len(chunks))
	seen := map[string]int{}
	for i := range chunks {
		c := &chunks[i]
		c.Document, c.Version, c.Tokens = cmp.Or(c.Document, "d"), 1, max(c.Tokens, 4)
		hits[i] = vector.Hit{ID: point(c.Document, 1, seen[c.Document]).String(), Score: 1 - float32(i)/10, Chunk: *c}
		seen[c.Document] += 2
	}
	return &fakeStore{chunks: chunks, search: func(_ context.Context, q vector.Query) ([]vector.Hit, error) {
		return hits[:min(len(hits), q.TopK)], nil
	}}
}

// text is the catalog of the tests: a chain of three models, one of its own, and
// what finds sources.
const text = `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models:
  - {id: small, provider: sim, upstream: s, mode: chat, aliases: [cheap], price: [{input: 1, output: 1}], fallback: [medium]}
  - {id: medium, provider: sim, upstream: m, mode: chat, price: [{input: 1, output: 1}], fallback: [large]}
  - {id: large, provider: sim, upstream: l, mode: chat, price: [{input: 1, output: 1}]}
  - {id: narrow, provider: sim, upstream: n, mode: chat, price: [{input: 2, output: 10}], context: {input: 1000}, max_tokens: 500}
  - {id: embed, provider: sim, upstream: e, mode: embedding, dimensions: 2, price: [{input: 20}]}
  - {id: embed-next, provider: sim, upstream: f, mode: embedding, dimensions: 3, price: [{input: 20}]}
  - {id: judge, provider: sim, upstream: j, mode: rerank, price: [{input: 5}]}
collections:
  - {id: "*", rerank: none}
`

// standIn is the same with an embedding model that only imitates one.
var standIn = strings.Replace(text, "id: embed,", "id: embed, stand_in: true,", 1)

// models makes a catalog.
func models(t testing.TB, text string) *catalog.Watcher {
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
	rows  *manifest.Rows
	tasks *nats.Subscription
	stop  func()
}

// setup runs a router over store. It has no embedder: see rig.embedder.
func setup(t *testing.T, store *fakeStore, change ...func(*Config)) *rig {
	t.Helper()
	return setupWith(t, text, store, change...)
}

// setupWith is setup with another catalog.
func setupWith(t *testing.T, text string, store *fakeStore, change ...func(*Config)) *rig {
	t.Helper()
	cfg := DefaultConfig()
	cfg.InteractiveDepth, cfg.BatchDepth = 10_000, 10_000 // there are no generators
	for _, f := range change {
		f(&cfg)
	}
	k := stagetest.New(t)
	r := &rig{Kit: k, store: store, rows: manifest.NewRows(k.Bus), tasks: k.Subscribe("weir.steps.generate.>")}
	r.writeRows()
	s, err := New(platform.Platform{NATS: k.Bus.Conn()}, cfg, Ports{Store: store, Catalog: models(t, text)})
	if err != nil {
		t.Fatal(err)
	}
	r.stop = k.Start(s)
	return r
}

// writeRows writes the rows of the chunks that the store always finds.
func (r *rig) writeRows() {
	r.T.Helper()
	states := map[string]manifest.State{}
	for _, c := range r.store.chunks {
		state, ok := states[c.Document]
		if !ok {
			state = row(c.Document, 1, 2*len(r.store.chunks))
			state.Meta = c.Meta
		}
		states[c.Document] = state
	}
	for document, state := range states {
		r.becomes(document, state)
	}
}

// becomes makes a version of a document the current one.
func (r *rig) becomes(document string, state manifest.State) {
	r.T.Helper()
	r.change(document, func(row *manifest.Row) error { row.State, row.Pending = state, nil; return nil })
}

// change changes the row of a document.
func (r *rig) change(document string, change func(*manifest.Row) error) {
	if _, err := r.rows.Change(r.T.Context(), vector.Document{Scope: scope, ID: document}, change); err != nil {
		r.T.Error(err)
	}
}

// answers replies to requests on subject with reply until the test ends.
func (r *rig) answers(subject string, reply any) *rig {
	r.T.Helper()
	data, err := json.Marshal(reply)
	if err == nil {
		_, err = r.Bus.Conn().Subscribe(subject, func(m *nats.Msg) {
			m.Respond(data) //nolint:errcheck // the test's wait tells it
		})
	}
	if err != nil {
		r.T.Fatal(err)
	}
	return r
}

// embedder answers requests for query vectors with reply until the test ends.
func (r *rig) embedder(reply event.EmbedReply) *rig {
	r.T.Helper()
	reply.V = event.Version
	return r.answers(event.EmbedRPC("embed"), reply)
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

// asked is the task that a job becomes.
func (r *rig) asked(job event.GenerateJob) event.GenerateTask {
	r.T.Helper()
	r.submit(job)
	task, _ := r.task()
	return task
}

// line is the next line of the ledger.
func (r *rig) line(lines *nats.Subscription) (ledger.Line, *nats.Msg) {
	r.T.Helper()
	return stagetest.Next(r.Kit, lines, func(data []byte) (line ledger.Line, err error) {
		err = json.Unmarshal(data, &line)
		return line, err
	})
}

// failure is the error of a job that must fail.
func (r *rig) failure(id string) *event.Error {
	r.T.Helper()
	return r.Failure(event.KindGenerate, id)
}

// documents lists the documents of sources, in order.
func documents(sources []event.Source) []string {
	out := make([]string, len(sources))
	for i, s := range sources {
		out[i] = s.Document
	}
	return out
}
