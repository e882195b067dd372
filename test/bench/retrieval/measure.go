package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/rerank"
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/vector"
)

// asked is a question with what the store found.
type asked struct {
	question    dataset.Question
	hits        []vector.Hit // fused
	bm25, grams []vector.Hit // each list's first
}

// depth is how many hits are wanted: the reranker's depth, more than the
// deepest rank that is measured.
const depth = rerank.Depth

// ask searches for every question of the set.
func ask(ctx context.Context, s store, encoder *sparse.Encoder, set dataset.Set) ([]asked, error) {
	found := make([]asked, len(set.Questions))
	err := parallel(len(found), func(i int) (err error) {
		found[i], err = askOne(ctx, s, encoder, set.Name, set.Questions[i])
		return err
	})
	return found, err
}

// parallel calls do for 0 to n-1, as many at once as there are cores.
func parallel(n int, do func(i int) error) error {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
}

func askOne(ctx context.Context, s store, encoder *sparse.Encoder, name string, q dataset.Question) (asked, error) {
	bm25, grams := encoder.Query(q.Text)
	a := asked{question: q}
	for _, search := range []struct {
		to    *[]vector.Hit
		query vector.Query
	}{
		{&a.hits, vector.Query{TopK: depth, Candidates: sparse.Candidates, Scores: true, BM25: bm25, Grams: grams,
			Weights: map[vector.List]float64{vector.BM25: sparse.WeightBM25, vector.Grams: sparse.WeightGrams}}},
		{&a.bm25, vector.Query{TopK: 1, BM25: bm25}},
		{&a.grams, vector.Query{TopK: 1, Grams: grams}},
	} {
		if len(search.query.BM25.Indices)+len(search.query.Grams.Indices) == 0 {
			continue
		}
		search.query.Scope = scope(name)
		var err error
		if *search.to, err = s.Search(ctx, index(name), search.query); err != nil {
			return a, fmt.Errorf("%s: searching %q: %w", name, q.Text, err)
		}
	}
	return a, nil
}

// candidates are the hits as the reranker takes them.
func candidates(hits []vector.Hit) []rerank.Candidate {
	var out []rerank.Candidate
	for _, h := range hits {
		out = append(out, rerank.Candidate{Title: h.Chunk.Title, Section: h.Chunk.Section, Text: h.Chunk.Text,
			Score: float64(h.Score), BM25: float64(h.Lists[vector.BM25].Score), Grams: float64(h.Lists[vector.Grams].Score)})
	}
	return out
}

// textsRead is how many passages a prompt has.
const textsRead = 5

// verdict is what the reranker makes of a question.
type verdict struct {
	order    []vector.Hit
	coverage float64 // with the scores of the store
	texts    float64 // coverage by the texts of the first few alone
	cited    bool    // one of the sentences cited has a right answer
}

// judge reads the hits of every question.
func judge(ranker *rerank.Ranker, found []asked) []verdict {
	verdicts := make([]verdict, len(found))
	parallel(len(found), func(i int) error { //nolint:errcheck // returns none
		a := found[i]
		reading := ranker.Read(a.question.Text, candidates(a.hits))
		v := verdict{coverage: reading.Coverage()}
		for _, r := range reading.Order() {
			v.order = append(v.order, a.hits[r.Index])
		}
		var texts []string
		for _, h := range v.order[:min(textsRead, len(v.order))] {
			texts = append(texts, h.Chunk.Prefix+h.Chunk.Text)
		}
		v.texts = rerank.Coverage(a.question.Text, texts)
		v.cited = slices.ContainsFunc(reading.Sentences(citations), func(s rerank.Sentence) bool { return answered(a, s) })
		verdicts[i] = v
		return nil
	})
	return verdicts
}

// quality sums up the ranks of right passages.
type quality struct{ questions, r1, r5, r10, ndcg float64 }

// add counts one question. Recall at k is success: any right passage among the
// first k (most questions have one).
func (q *quality) add(hits []vector.Hit, gold map[string]bool) {
	q.questions++
	gain, ideal := 0.0, 0.0
	first := math.MaxInt
	for i, h := range hits[:min(10, len(hits))] {
		if gold[h.Chunk.Document] {
			first = min(first, i)
			gain += 1 / math.Log2(float64(i)+2)
		}
	}
	for i := range min(10, len(gold)) {
		ideal += 1 / math.Log2(float64(i)+2)
	}
	q.ndcg += gain / ideal
	for k, sum := range map[int]*float64{1: &q.r1, 5: &q.r5, 10: &q.r10} {
		if first < k {
			*sum++
		}
	}
}
