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
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/vector"
)

// staleTries is how often a search is made because a document it found got a new
// version meanwhile.
const staleTries = 3

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
	return r, nil
}

// query makes the vectors of a question and names the index to search.
func (s *Service) query(ctx context.Context, q *lookup, receipt *event.Receipt) (vector.Query, vector.Index, error) {
	query := vector.Query{
		Scope: q.scope(), Filter: vector.Filter{Readers: q.rag.Readers, Metadata: q.rag.Filter},
		Weights: weights(q.col.Weights), Fusion: vector.Fusion(cmp.Or(q.col.Fusion, catalog.FusionDBSF)), TopK: max(2*q.topK, rerank.Depth),
		Candidates: sparse.Candidates, Scores: true,
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

// weightDense is that of a real embedding model: as much as both lists of words.
const weightDense = sparse.WeightBM25 + sparse.WeightGrams

// weights are those that a collection sets, or the defaults.
func weights(w catalog.Weights) map[vector.List]float64 {
	return map[vector.List]float64{
		vector.Dense: cmp.Or(w.Dense, weightDense),
		vector.BM25:  cmp.Or(w.BM25, sparse.WeightBM25),
		vector.Grams: cmp.Or(w.Grams, sparse.WeightGrams),
	}
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

// search finds the chunks of current versions. It looks again when a document that
// was found got a new version meanwhile, and deeper when too many hits are of
// versions that are not current yet, or not for this reader.
func (s *Service) search(ctx context.Context, q *lookup, place vector.Index, query vector.Query) ([]manifest.Found, error) {
	searching, cancel := context.WithTimeout(ctx, s.cfg.RetrieveTimeout)
	defer cancel()
	want := query.TopK
	for try := 1; ; try++ {
		hits, err := s.store.Search(searching, place, query)
		if err != nil {
			return nil, s.storeDown(ctx, err)
		}
		found, stale, err := s.rows.Check(searching, query.Scope, q.rag.Readers, hits)
		if err != nil {
			return nil, fmt.Errorf("searching: %w", err)
		}
		if len(hits) == 0 {
			return nil, s.unknownCollection(searching, ctx, q, place)
		}
		found = slices.DeleteFunc(found, func(f manifest.Found) bool { return !matches(f.Chunk.Metadata, q.rag.Filter) })
		deeper := len(found) < want && len(hits) == query.TopK
		if try == staleTries || stale == 0 && !deeper {
			return found[:min(len(found), want)], nil
		}
		query.TopK += len(hits) - len(found)
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
// question and passage. It also says how much of the question the passages cover.
func (s *Service) order(ctx context.Context, q *lookup, r *retrieved, receipt *event.Receipt) error {
	top := r.passages[:min(len(r.passages), rerank.Depth)]
	reading := s.ranker.Read(q.text, candidates(top))
	r.coverage = reading.Coverage()
	if len(top) < 2 || q.col.Rerank == catalog.RerankNone {
		return nil
	}
	var scores []float64
	switch model := cmp.Or(q.col.Rerank, catalog.RerankLinear); {
	case model != catalog.RerankLinear:
		r.reranker = model
		var err error
		if scores, err = s.rerank(ctx, model, q.text, passageTexts(top), receipt); err != nil {
			return err
		}
	case reading.Question():
		r.reranker = catalog.RerankLinear
		scores = make([]float64, len(top))
		for _, ranked := range reading.Order() {
			scores[ranked.Index] = ranked.Score
		}
	default:
		return nil // what is no question keeps the store's order
	}
	for i := range top {
		top[i].rerank = &scores[i]
	}
	slices.SortStableFunc(top, func(a, b passage) int { return cmp.Compare(*b.rerank, *a.rerank) })
	return nil
}

func passageTexts(passages []passage) []string {
	out := make([]string, len(passages))
	for i, p := range passages {
		out[i] = p.Chunk.Prefix + p.Chunk.Text
	}
	return out
}

func candidates(passages []passage) []rerank.Candidate {
	out := make([]rerank.Candidate, len(passages))
	for i, p := range passages {
		out[i] = rerank.Candidate{
			Title: p.Chunk.Title, Section: p.Chunk.Section, Text: p.Chunk.Text, Score: float64(p.Score),
			BM25: float64(p.Lists[vector.BM25].Score), Grams: float64(p.Lists[vector.Grams].Score),
		}
	}
	return out
}
