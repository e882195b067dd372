package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/rerank"
	"github.com/weir-dev/weir/pkg/vector"
)

const (
	// rerankTop is how many passages a reranker sees: 50 are no better than 20.
	rerankTop = 20
	// staleTries is how often a search is repeated because a document it found got
	// a new version meanwhile.
	staleTries = 3
)

// lookup is what is looked up.
type lookup struct {
	tenant string
	text   string
	rag    *event.RAG
	col    catalog.Collection
	topK   int
}

func (s *Service) lookup(tenant, text string, rag *event.RAG) lookup {
	q := lookup{tenant: tenant, text: text, rag: rag, col: s.ports.Catalog.Current().Collection(tenant, rag.Collection)}
	for _, k := range []int{rag.TopK, q.col.TopK, s.cfg.TopK} {
		if q.topK == 0 {
			q.topK = k
		}
	}
	return q
}

func (q *lookup) scope() vector.Scope {
	return vector.Scope{Tenant: q.tenant, Collection: q.rag.Collection}
}

// passage is a chunk that was found, with what each step thought of it.
type passage struct {
	manifest.Found
	fused  int // rank after the fusion, from 1
	rerank *float64
}

// retrieved is what was found, the best first.
type retrieved struct {
	passages []passage
	lists    []vector.List
	fusion   vector.Fusion // "" of one list
	reranker string        // "" none
	coverage float64
}

// retrieve finds the passages for a question: by meaning, unless the embedding
// model is only a stand-in, and by words; fused by the store, checked against the
// manifest, and reranked.
func (s *Service) retrieve(ctx context.Context, q *lookup, receipt *event.Receipt) (*retrieved, error) {
	query, place, err := s.query(ctx, q, receipt)
	if err != nil {
		return nil, err
	}
	found, err := s.search(ctx, q, place, query)
	if err != nil {
		return nil, err
	}
	r := &retrieved{fusion: query.Fusion}
	for list, searched := range map[vector.List]bool{
		vector.Dense: len(query.Dense) > 0, vector.BM25: len(query.BM25.Indices) > 0, vector.Grams: len(query.Grams.Indices) > 0} {
		if searched {
			r.lists = append(r.lists, list)
		}
	}
	slices.Sort(r.lists)
	if len(r.lists) < 2 {
		r.fusion = "" // nothing to join
	}
	for i, f := range found {
		r.passages = append(r.passages, passage{Found: f, fused: i + 1})
	}
	if err := s.order(ctx, q, r, receipt); err != nil {
		return nil, err
	}
	r.passages = r.passages[:min(len(r.passages), q.topK)]
	texts := make([]string, len(r.passages))
	for i, p := range r.passages {
		texts[i] = p.Chunk.Prefix + p.Chunk.Text
	}
	r.coverage = rerank.Coverage(q.text, texts)
	return r, nil
}

// query makes the vectors of a question and names the index to search.
func (s *Service) query(ctx context.Context, q *lookup, receipt *event.Receipt) (vector.Query, vector.Index, error) {
	query := vector.Query{
		Scope: q.scope(), Filter: vector.Filter{Readers: q.rag.Readers, Metadata: q.rag.Filter},
		Weights: weights(q.col.Weights), Fusion: vector.Fusion(cmp.Or(q.col.Fusion, catalog.FusionDBSF)), TopK: max(2*q.topK, rerankTop), Scores: true,
	}
	query.BM25, query.Grams = s.sparse.Query(q.text)
	place, model, err := s.place(ctx)
	if err != nil {
		return query, place, err
	}
	if model.StandIn && len(query.Grams.Indices)+len(query.BM25.Indices) > 0 {
		return query, place, nil
	}
	reply, err := s.embed(ctx, q.text, receipt)
	if err != nil {
		return query, place, err
	}
	query.Dense = reply.Vectors[0]
	if reply.Model != place.Model { // another model is taking over
		if place, err = s.placeOf(reply.Model); err != nil {
			return query, place, err
		}
	}
	return query, place, nil
}

// weights are those that a collection sets.
func weights(w catalog.Weights) map[vector.List]float64 {
	out := map[vector.List]float64{}
	for list, weight := range map[vector.List]float64{vector.Dense: w.Dense, vector.BM25: w.BM25, vector.Grams: w.Grams} {
		if weight > 0 {
			out[list] = weight
		}
	}
	return out
}

// place is the index that answers, and its model.
func (s *Service) place(ctx context.Context) (vector.Index, catalog.Model, error) {
	asking, cancel := context.WithTimeout(ctx, s.cfg.RetrieveTimeout)
	defer cancel()
	place, ok, err := s.store.Current(asking, vector.DefaultIndex)
	if err != nil {
		return place, catalog.Model{}, s.storeDown(ctx, err)
	}
	if !ok { // before the first document
		place.Model = s.cfg.EmbeddingModel
	}
	m, err := s.ports.Catalog.Current().Embedding("WEIR_ROUTER_EMBEDDING_MODEL", place.Model)
	return vector.Index{Name: vector.DefaultIndex, Model: m.ID, Dimension: m.Dimensions}, m, err
}

func (s *Service) placeOf(model string) (vector.Index, error) {
	m, err := s.ports.Catalog.Current().Embedding("WEIR_ROUTER_EMBEDDING_MODEL", model)
	return vector.Index{Name: vector.DefaultIndex, Model: m.ID, Dimension: m.Dimensions}, err
}

// search finds the chunks of current versions that the manifest lets the reader
// see. When it drops some, because a document got a new version meanwhile, or is
// about to, or the store has yet to learn of an access list, it looks again, and
// deeper.
func (s *Service) search(ctx context.Context, q *lookup, place vector.Index, query vector.Query) ([]manifest.Found, error) {
	searching, cancel := context.WithTimeout(ctx, s.cfg.RetrieveTimeout)
	defer cancel()
	want := query.TopK
	for try := 1; ; try++ {
		hits, err := s.store.Search(searching, place, query)
		if err != nil {
			return nil, s.storeDown(ctx, err)
		}
		found, _, err := s.rows.Check(searching, query.Scope, q.rag.Readers, hits)
		if err != nil {
			return nil, fmt.Errorf("searching: %w", err)
		}
		if len(hits) == 0 {
			return nil, s.unknownCollection(searching, ctx, q, place)
		}
		found = slices.DeleteFunc(found, func(f manifest.Found) bool { return !matches(f.Chunk.Metadata, q.rag.Filter) })
		dropped := len(hits) - len(found)
		if dropped == 0 || try == staleTries {
			return found[:min(len(found), want)], nil
		}
		query.TopK += dropped
	}
}

// matches reports whether metadata has all that filter asks for: the store filters
// by what it holds, which the manifest may have newer.
func matches(metadata, filter map[string]string) bool {
	for key, want := range filter {
		if got, ok := metadata[key]; !ok || got != want {
			return false
		}
	}
	return true
}

// unknownCollection tells a collection that has nothing to say from one that is
// not there.
func (s *Service) unknownCollection(searching, ctx context.Context, q *lookup, place vector.Index) error {
	n, err := s.store.Count(searching, place, q.scope())
	if err != nil {
		return s.storeDown(ctx, err)
	}
	if n == 0 {
		return event.Invalid("rag.collection", "ingest documents into it first, or check the name and the tenant",
			"tenant %q has no collection %q", q.tenant, q.rag.Collection)
	}
	return nil
}

// storeDown tells the search's own time limit from the job's.
func (s *Service) storeDown(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return event.Errorf(event.ClassUnavailable, "searching %s: no answer after %s: %w", s.cfg.QdrantAddr, s.cfg.RetrieveTimeout, err)
	}
	return fmt.Errorf("searching: %w", err)
}

// order reranks: by the model that the collection names, or by features of
// question and passage.
func (s *Service) order(ctx context.Context, q *lookup, r *retrieved, receipt *event.Receipt) error {
	if len(r.passages) < 2 || q.col.Rerank == catalog.RerankNone {
		return nil
	}
	top := r.passages[:min(len(r.passages), rerankTop)]
	var scores []float64
	var err error
	if model := q.col.Rerank; model != "" && model != catalog.RerankLinear {
		texts := make([]string, len(top))
		for i, p := range top {
			texts[i] = p.Chunk.Prefix + p.Chunk.Text
		}
		r.reranker = model
		if scores, err = s.rerank(ctx, model, q.text, texts, receipt); err != nil {
			return err
		}
	} else if scores = linear(q.text, top); scores != nil {
		r.reranker = catalog.RerankLinear
	}
	if scores == nil {
		return nil
	}
	for i := range top {
		top[i].rerank = &scores[i]
	}
	slices.SortStableFunc(top, func(a, b passage) int { return cmp.Compare(*b.rerank, *a.rerank) })
	return nil
}

func linear(string, []passage) []float64 { return nil }
