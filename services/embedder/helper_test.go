package embedder

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
)

// rig is an embedder with what it talks to. It runs after start.
type rig struct {
	*stagetest.Kit
	store *memory
	rows  *manifest.Rows
	cfg   Config
	ahead time.Duration // of the embedder's clock
	// catalog of the embedder, in YAML
	catalog string
}

func setup(t *testing.T) *rig {
	t.Helper()
	cfg := DefaultConfig()
	k := stagetest.New(t)
	return &rig{Kit: k, store: &memory{}, rows: manifest.NewRows(k.Bus), cfg: cfg, catalog: text}
}

// text is the catalog of the tests.
const text = `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models:
  - {id: embed, provider: sim, upstream: sim-embed, mode: embedding, dimensions: 4, shorten: true, price: [{input: 20}]}
  - {id: next, provider: sim, upstream: sim-next, mode: embedding, dimensions: 4, shorten: true, price: [{input: 20}]}
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

func (r *rig) service(e llm.Embedder) *Service {
	r.T.Helper()
	now := func() time.Time { return time.Now().Add(r.ahead) }
	c, err := catalog.Parse([]byte(r.catalog), time.Now())
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

// scope is that of the tests' documents.
var scope = vector.Scope{Tenant: "acme", Collection: "handbook"}

// index is that of the tests' model.
var index = vector.Index{Name: vector.DefaultIndex, Model: "embed", Dimension: 4}

// next is the index of another model.
var next = vector.Index{Name: vector.DefaultIndex, Model: "next", Dimension: 4}

// version is one of a document's, as the ingestor makes it.
type version struct {
	document string
	number   int64
	texts    []string
	meta     vector.Meta
}

func (v version) job() string { return fmt.Sprintf("%s-%d", v.document, v.number) }

func (v version) chunks() []event.Chunk {
	var out []event.Chunk
	for _, text := range v.texts {
		out = append(out, event.Chunk{ID: event.ChunkID(scope.Tenant, scope.Collection, v.document, text, 0),
			Hash: event.ChunkHash("P: " + text), Prefix: "P: ", Text: text, Section: []string{"S", text}, Tokens: 3})
	}
	return out
}

// begin makes a version pending, as the ingestor does, and returns its batches for
// the embedder.
func (r *rig) begin(v version) []event.ChunkBatch {
	r.T.Helper()
	chunks := v.chunks()
	next := manifest.Pending{State: manifest.State{Version: v.number, Job: v.job(), Outcome: event.OutcomeStored,
		Content: fmt.Sprint(v.texts), Meta: v.meta, Bytes: 1000}}
	for i, c := range chunks {
		id, err := manifest.ParseID(c.ID)
		if err != nil {
			r.T.Fatal(err)
		}
		next.Chunks = append(next.Chunks, manifest.Ref{ID: id, Start: 10 * i, End: 10*i + len(c.Text)})
		next.Tokens += c.Tokens
	}
	row, err := r.rows.Change(r.T.Context(), vector.Document{Scope: scope, ID: v.document}, func(row *manifest.Row) error {
		next.Added = nil
		have := row.Chunks.Set()
		for i, c := range next.Chunks {
			if !have[c.ID] {
				next.Added = append(next.Added, i)
			}
		}
		row.Begin(next)
		return nil
	})
	if err != nil {
		r.T.Fatal(err)
	}
	var out []event.ChunkBatch
	for b := range row.Pending.Batches() {
		batch := r.settleOnly(v)
		batch.Batch = b
		for _, i := range row.Pending.BatchOf(b) {
			batch.Chunks = append(batch.Chunks, chunks[i])
		}
		out = append(out, batch)
	}
	return out
}

// settleOnly is a batch without chunks.
func (r *rig) settleOnly(v version) event.ChunkBatch {
	return event.ChunkBatch{
		Envelope: event.Envelope{V: event.Version, ID: v.job(), Tenant: scope.Tenant, Lane: event.LaneInteractive, SubmittedAt: time.Now().UTC()},
		Kind:     event.KindIngest, Collection: scope.Collection, DocumentVersion: v.number, Model: "embed", Batch: event.SettleOnly,
		Document: event.Document{ID: v.document, Source: v.meta.Source, Title: v.meta.Title, Metadata: v.meta.Metadata, ACL: v.meta.ACL},
	}
}

// row is a document's in the manifest.
func (r *rig) row(document string) manifest.Row {
	r.T.Helper()
	row, err := r.rows.Get(r.T.Context(), vector.Document{Scope: scope, ID: document})
	if err != nil {
		r.T.Fatal(err)
	}
	return row
}

// publish sends batches to the embedder, all before the first is awaited.
func (r *rig) publish(batches ...event.ChunkBatch) {
	r.T.Helper()
	for _, b := range batches {
		r.Publish(event.EmbedSubject(b.Model, b.Lane, b.Tenant), fmt.Sprint(b.ID, "/", b.Batch), b)
	}
}

// stores runs a version to its end.
func (r *rig) stores(v version) event.Result {
	r.T.Helper()
	r.publish(r.begin(v)...)
	return r.ok(v.job())
}

// ok is the result of a document's job, which must succeed.
func (r *rig) ok(job string) event.Result {
	r.T.Helper()
	return r.OK(event.KindIngest, job)
}
