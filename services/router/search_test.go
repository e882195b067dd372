package router

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
)

// always is a store that always finds hits, however many are wanted.
func always(hits ...vector.Hit) *fakeStore {
	return &fakeStore{search: func(context.Context, vector.Query) ([]vector.Hit, error) { return hits, nil }}
}

// look asks what retrieval finds.
func (r *rig) look(text string, rag event.RAG) (event.QueryReply, error) {
	r.T.Helper()
	ctx, cancel := context.WithTimeout(r.T.Context(), stagetest.Patience)
	defer cancel()
	return r.Client.Query(ctx, "acme", event.QueryRequest{Text: text, RAG: rag})
}

// found is look, which must find something: documents and versions.
func (r *rig) found(text string, rag event.RAG) (event.QueryReply, []string) {
	r.T.Helper()
	reply, err := r.look(text, rag)
	if err != nil {
		r.T.Fatal(err)
	}
	var names []string
	for _, h := range reply.Hits {
		names = append(names, fmt.Sprint(h.Document, h.Version))
	}
	return reply, names
}

var handbook = event.RAG{Collection: "handbook"}

// TestStaleHitsAreDropped: after the third search, each deeper, what is left is
// used. Stale is what an older version had, a pending one has, and what is gone.
func TestStaleHitsAreDropped(t *testing.T) {
	t.Parallel()
	r := setup(t, always(hit("a", 1, 0, "old"), hit("p", 1, 0, "pending"), hit("gone", 1, 0, "gone"), hit("never", 1, 0, "never"), hit("b", 1, 0, "now"))).embedder(vectors)
	r.becomes("a", row("a", 2, 1))
	r.becomes("b", row("b", 1, 1))
	r.change("p", func(row *manifest.Row) error {
		row.Pending = &manifest.Pending{State: manifest.State{Version: 1, Chunks: manifest.Refs{{ID: point("p", 1, 0)}}}}
		return nil
	})
	r.change("gone", func(g *manifest.Row) error { g.State, g.Deleted = row("gone", 1, 1), true; return nil })
	task := r.asked(question("What is now?"))
	if got := documents(task.Sources); !slices.Equal(got, []string{"b"}) || strings.Contains(task.Messages[1].Content, "old") {
		t.Errorf("sources %q, want b alone", got)
	}
	var wanted []int
	for _, q := range r.store.queries() {
		wanted = append(wanted, q.TopK)
	}
	if !slices.Equal(wanted, []int{20, 24, 28}) {
		t.Errorf("searched for %v, want 20, 24 and 28", wanted)
	}
	if n := len(task.Receipt.Attempts); n != 1 {
		t.Errorf("%d calls, want the question embedded once", n)
	}
}

// TestSearchFindsTheNewVersion: the second time.
func TestSearchFindsTheNewVersion(t *testing.T) {
	t.Parallel()
	var searches atomic.Int64
	store := &fakeStore{search: func(context.Context, vector.Query) ([]vector.Hit, error) {
		return []vector.Hit{hit("a", searches.Add(1), 0, "text")}, nil
	}}
	r := setup(t, store).embedder(vectors)
	r.becomes("a", row("a", 2, 1))
	task := r.asked(question("What?"))
	if len(task.Sources) != 1 || task.Sources[0].Version != 2 || searches.Load() != 2 {
		t.Errorf("%d searches, sources %+v; want version 2 after two", searches.Load(), task.Sources)
	}
	want := []event.SourceVersion{{Document: "a", Version: 2, Chunks: []string{point("a", 2, 0).String()}}}
	if got := task.Receipt.Retrieval; got == nil || !reflect.DeepEqual(got.Sources, want) {
		t.Errorf("receipt %+v, want %+v", got, want)
	}
}

// TestOneVersionPerAnswer: whatever happens to the row between and during the
// searches, an answer never has two versions of a document, and always one.
func TestOneVersionPerAnswer(t *testing.T) {
	t.Parallel()
	store := always(hit("a", 1, 0, "one"), hit("a", 2, 0, "two"), hit("a", 1, 1, "three"), hit("a", 2, 1, "four"))
	r := setup(t, store).embedder(vectors)
	r.becomes("a", row("a", 1, 2))
	var flips atomic.Int64
	find := store.search
	store.search = func(ctx context.Context, q vector.Query) ([]vector.Hit, error) {
		r.becomes("a", row("a", 1+flips.Add(1)%2, 2))
		return find(ctx, q)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			r.becomes("a", row("a", 1+flips.Add(1)%2, 2))
		}
	}()
	for range 30 {
		_, got := r.found("What?", handbook)
		if !slices.Equal(got, []string{"a1", "a1"}) && !slices.Equal(got, []string{"a2", "a2"}) {
			t.Errorf("found %q, want both chunks of one version", got)
		}
	}
	<-done
}

// TestTheRowDecidesWhoMayRead: not the store, which may have yet to learn of an
// access list or of metadata.
func TestTheRowDecidesWhoMayRead(t *testing.T) {
	t.Parallel()
	open, closed := hit("open", 1, 0, "was closed"), hit("closed", 1, 0, "was open")
	open.Chunk.ACL, open.Chunk.Metadata = []string{"bob"}, map[string]string{"team": "blue"}
	closed.Chunk.Metadata = map[string]string{"team": "blue"}
	r := setup(t, always(open, closed)).embedder(vectors)
	r.becomes("open", row("open", 1, 1))
	state := row("closed", 1, 1)
	state.Meta = vector.Meta{ACL: []string{"bob", "staff"}, Source: "new.md", Metadata: map[string]string{"team": "red"}}
	r.becomes("closed", state)
	for _, tc := range []struct {
		name string
		rag  event.RAG
		want []string
	}{
		{"nobody", event.RAG{}, []string{"open1"}},
		{"another", event.RAG{Readers: []string{"alice"}}, []string{"open1"}},
		{"a name on the list", event.RAG{Readers: []string{"alice", "staff"}}, []string{"open1", "closed1"}},
		{"metadata it had", event.RAG{Readers: []string{"bob"}, Filter: map[string]string{"team": "blue"}}, nil},
		{"metadata it has", event.RAG{Readers: []string{"bob"}, Filter: map[string]string{"team": "red"}}, []string{"closed1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.rag.Collection = "handbook"
			reply, got := r.found("Who may read?", tc.rag)
			if !slices.Equal(got, tc.want) {
				t.Errorf("found %q, want %q", got, tc.want)
			}
			for _, h := range reply.Hits {
				if h.Document == "closed" && (h.Source.Source != "new.md" || h.Metadata["team"] != "red") {
					t.Errorf("hit %+v, want the row's source and metadata", h)
				}
			}
		})
	}
}

// TestFilterReachesTheStore: with the tenant and the collection.
func TestFilterReachesTheStore(t *testing.T) {
	t.Parallel()
	r := setup(t, always(hit("d", 1, 0, "text"))).embedder(vectors)
	job := question("What?")
	job.RAG.Readers, job.RAG.Filter = []string{"bob", "staff"}, map[string]string{"team": "blue"}
	r.OK(event.KindGenerate, r.submit(job))
	for _, q := range r.store.queries() {
		if q.Scope != scope || !slices.Equal(q.Filter.Readers, job.RAG.Readers) || q.Filter.Metadata["team"] != "blue" || len(q.Filter.Metadata) != 1 {
			t.Errorf("query %+v, want the job's readers and filter", q)
		}
	}
}

// TestCollectionSaysHowToSearch: the tenant's own entry, alone.
func TestCollectionSaysHowToSearch(t *testing.T) {
	t.Parallel()
	r := setupWith(t, text+`
  - {id: handbook, fusion: dbsf, weights: {bm25: 3}, top_k: 2}
  - {id: handbook, tenant: acme, rerank: none, fusion: rrf, weights: {dense: 0.5, grams: 2}, top_k: 1}
`, finds(vector.Chunk{Document: "a", Text: "a"}, vector.Chunk{Document: "b", Text: "b"})).embedder(vectors)
	task := r.asked(question("What is said of a and b?"))
	q := r.store.queries()[0]
	if q.Fusion != vector.RRF || q.Weights[vector.BM25] != sparse.WeightBM25 || q.Weights[vector.Dense] != 0.5 || q.Weights[vector.Grams] != 2 {
		t.Errorf("query %+v, want the collection's fusion and weights", q)
	}
	if len(task.Sources) != 1 {
		t.Errorf("sources %q, want the collection's one", documents(task.Sources))
	}
	got := task.Receipt.Retrieval
	if got == nil || got.Fusion != "rrf" || got.Reranker != "" || !slices.Equal(got.Lists, []string{"bm25", "dense", "grams"}) {
		t.Errorf("receipt %+v, want the three lists by rrf", got)
	}
}

// TestStandInIsNotAsked: only words are searched; what has none is embedded.
func TestStandInIsNotAsked(t *testing.T) {
	t.Parallel()
	r := setupWith(t, standIn, finds(vector.Chunk{Document: "d", Text: "A weir raises the river."})).embedder(vectors)
	task := r.asked(question("Which river does a weir raise?"))
	q := r.store.queries()[0]
	if len(q.Dense) != 0 || len(q.BM25.Indices) == 0 || len(q.Grams.Indices) == 0 {
		t.Errorf("query %+v, want words alone", q)
	}
	if got := task.Receipt; len(got.Attempts) != 0 || got.CostNanoUSD != 0 || !slices.Equal(got.Retrieval.Lists, []string{"bm25", "grams"}) || got.Retrieval.Fusion != "dbsf" {
		t.Errorf("receipt %+v of %+v, want no call and two lists", got, got.Retrieval)
	}
	task = r.asked(question("?!"))
	if q := r.store.queries()[1]; len(q.Dense) == 0 {
		t.Errorf("query %+v, want a vector: there are no words", q)
	}
	if got := task.Receipt; len(got.Attempts) != 1 || !slices.Equal(got.Retrieval.Lists, []string{"dense"}) || got.Retrieval.Fusion != "" {
		t.Errorf("receipt %+v of %+v, want one list, fused with nothing", got, got.Retrieval)
	}
}

// TestAnotherModelsIndex: the embedder says whose vectors it gives; vectors and
// index are of one model, whatever the alias leads to.
func TestAnotherModelsIndex(t *testing.T) {
	t.Parallel()
	index := func(model string, dimension int) vector.Index {
		return vector.Index{Name: vector.DefaultIndex, Model: model, Dimension: dimension}
	}
	for _, tc := range []struct {
		name, alias, model string
		want               vector.Index
	}{
		{"the alias's", "embed", "embed", index("embed", 2)},
		{"unsaid", "embed", "", index("embed", 2)},
		{"the next one is ready", "embed", "embed-next", index("embed-next", 3)},
		{"the alias was switched", "embed-next", "embed-next", index("embed-next", 3)},
		{"the embedder has yet to see that", "embed-next", "embed", index("embed", 2)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			store := finds(vector.Chunk{Document: "d", Text: "x"})
			store.current = func(context.Context) (vector.Index, bool, error) { return vector.Index{Model: tc.alias}, true, nil }
			reply := vectors
			reply.Model = tc.model
			r := setup(t, store).embedder(reply)
			task := r.asked(question("What?"))
			if got := store.indexes[0]; got != tc.want {
				t.Errorf("searched %+v, want %+v", got, tc.want)
			}
			if got := task.Receipt.Attempts[0].Model; got != tc.want.Model {
				t.Errorf("the call is of %s, want %s", got, tc.want.Model)
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		t.Parallel()
		reply := vectors
		reply.Model = "later"
		r := setup(t, &fakeStore{}).embedder(reply)
		if got := r.failure(r.submit(question("What?"))); !strings.Contains(got.Message, `"later"`) {
			t.Errorf("error %+v, want the model named", got)
		}
	})
}

// TestHangingAliasIsGivenUp: it is a call of the store like the search.
func TestHangingAliasIsGivenUp(t *testing.T) {
	t.Parallel()
	store := &fakeStore{current: func(ctx context.Context) (vector.Index, bool, error) {
		<-ctx.Done()
		return vector.Index{}, false, ctx.Err()
	}}
	r := setup(t, store, func(c *Config) { c.RetrieveTimeout, c.MaxDeliveries = 50*time.Millisecond, 1 })
	if got := r.failure(r.submit(question("What?"))); got.Class != event.ClassUnavailable || !strings.Contains(got.Message, "no answer after 50ms") {
		t.Errorf("error %+v, want unavailable after 50 ms", got)
	}
}
