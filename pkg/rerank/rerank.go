// Package rerank puts the passages that a store found for a question into a
// better order, says how much of the question they speak of, and picks the
// sentences worth citing. It reads words, it has no model of meaning: one linear
// function of features that can be looked up in the text, trained once
// (test/bench/retrieval -train). It is pure.
package rerank

import (
	"cmp"
	"slices"

	"github.com/weir-dev/weir/pkg/sparse"
)

// Depth is how many candidates a reranking should get; more were not better.
const Depth = 20

// Candidate is a passage the store found.
type Candidate struct {
	// Title and Section (the heading path) are not in Text.
	Title   string
	Section []string
	Text    string
	// Score is that of the fused list. Candidates come in its order.
	Score float64
	// BM25 and Grams are the scores in those lists, 0 when the list does not
	// have it. Without any of BM25, how rare a word is is guessed from the
	// candidates alone.
	BM25, Grams float64
}

// Weights are what training finds: one for each of [FeatureNames] and of
// [SentenceFeatureNames].
type Weights struct{ Passage, Sentence []float64 }

// Ranker reads candidates. It is safe for concurrent use.
type Ranker struct {
	encoder *sparse.Encoder
	weights Weights
}

// New returns a Ranker with [Trained] weights.
func New() *Ranker { return Weighted(Trained()) }

// Weighted returns a Ranker with weights of one's own.
func Weighted(w Weights) *Ranker { return &Ranker{encoder: sparse.New(), weights: w} }

// Reading is what a question and its candidates say.
type Reading struct {
	weights    Weights
	question   question
	candidates []Candidate
	passages   []passage
	idf        []float64 // by term of the question
	total      float64   // of idf
}

// Read compares a question with its candidates, best first. It takes some 30 µs
// per candidate of 1 kB.
func (r *Ranker) Read(query string, candidates []Candidate) *Reading {
	x := &Reading{weights: r.weights, candidates: candidates, question: readQuestion(r.encoder, query)}
	for _, c := range candidates {
		x.passages = append(x.passages, readPassage(r.encoder, &x.question, c))
	}
	x.weigh()
	for i := range x.passages {
		x.measure(&x.passages[i])
	}
	return x
}

// Ranked is a candidate's place in the new order.
type Ranked struct {
	Index int // in the candidates
	Score float64
}

// Order returns the candidates in the new order; the store's is kept, with its
// scores, when the query is not one to rerank, see [Reading.Question].
func (x *Reading) Order() []Ranked {
	order := make([]Ranked, len(x.candidates))
	asked := x.Question()
	for i := range order {
		order[i] = Ranked{Index: i, Score: x.candidates[i].Score}
		if asked {
			order[i].Score = dot(x.weights.Passage, x.Features(i))
		}
	}
	if asked {
		slices.SortStableFunc(order, func(a, b Ranked) int { return cmp.Compare(b.Score, a.Score) })
	}
	return order
}

// maxWords is the length, in words, up to which a question is reranked.
const maxWords = 20

// Question reports whether the query is one that [Reading.Order] reranks: shaped
// like a question, of at most 20 words, in a script that writes blanks between
// words. Elsewhere the features mislead: a heading or an abstract asks for no
// one sentence, and pieces of words are found in many.
func (x *Reading) Question() bool {
	q := &x.question
	return q.asks && q.words <= maxWords && len(q.terms) > 0 && 2*q.pieces <= len(q.terms)
}

func dot(weights, values []float64) (sum float64) {
	for i, w := range weights {
		sum += w * values[i]
	}
	return sum
}
