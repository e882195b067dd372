package rerank

import (
	"cmp"
	"math"
	"slices"
)

// Sentence is a sentence of a candidate's text.
type Sentence struct {
	Candidate  int // index in the candidates
	Start, End int // bytes of its Text
	// Score is the sentence's worth as a citation, comparable within a Reading.
	Score float64
}

// evidenceDepth is from how many passages evidence is taken.
const evidenceDepth = 5

// Sentences returns the n sentences most worth citing, best first, from the
// first passages in the new order.
func (x *Reading) Sentences(n int) []Sentence {
	all := x.AllSentences()
	for i := range all {
		all[i].Score = dot(x.weights.Sentence, x.SentenceFeatures(all[i]))
	}
	slices.SortStableFunc(all, func(a, b Sentence) int { return cmp.Compare(b.Score, a.Score) })
	return all[:min(n, len(all))]
}

// AllSentences are those that [Reading.Sentences] chooses from; their score is
// their passage's. For training.
func (x *Reading) AllSentences() []Sentence {
	var all []Sentence
	order := x.Order()
	for _, r := range order[:min(evidenceDepth, len(order))] {
		for _, s := range x.passages[r.Index].sentences {
			all = append(all, Sentence{Candidate: r.Index, Start: s.start, End: s.end, Score: r.Score - order[0].Score})
		}
	}
	return all
}

// SentenceFeatureNames are the names of [Reading.SentenceFeatures].
func SentenceFeatureNames() []string {
	return []string{"passage", "coverage", "sentence and title coverage", "with the one before", "density", "pairs",
		"proximity", "answer type", "numbers", "length", "first"}
}

// SentenceFeatures are those of a sentence of [Reading.AllSentences]; for training.
func (x *Reading) SentenceFeatures(of Sentence) []float64 {
	p := &x.passages[of.Candidate]
	at, _ := slices.BinarySearchFunc(p.sentences, of.Start, func(s part, start int) int { return cmp.Compare(s.start, start) })
	s := p.sentences[at]
	before, first := s.found, 1.0
	if at > 0 {
		before, first = before|p.sentences[at-1].found, 0
	}
	answers := 0.0
	if s.answers {
		answers = 1
	}
	return []float64{of.Score, s.cover, s.inTitle, x.share(before), s.dense, s.pairs, s.near, answers,
		x.share(s.found & x.question.numbers), math.Log1p(float64(s.length)) / 10, first}
}

// Abstain is the coverage below which a collection most likely has no answer.
const Abstain = 0.5

// Coverage is how much of the question, weighted by how rare its words are, two
// sentences of one passage speak of (its best, and the one that adds most), with
// its title; 0 to 1. A question the collection has no answer to has less, see
// [Abstain].
func (x *Reading) Coverage() float64 {
	best := 0.0
	for i := range x.passages {
		p := &x.passages[i]
		found, share := p.title, 0.0
		for range 2 {
			next := found
			for _, s := range p.sentences {
				if with := x.share(found | s.found); with > share {
					next, share = found|s.found, with
				}
			}
			found = next
		}
		best = max(best, share)
	}
	return best
}

// Coverage is [Reading.Coverage] where only texts are known, best first.
func Coverage(query string, passages []string) float64 {
	candidates := make([]Candidate, len(passages))
	for i, text := range passages {
		candidates[i].Text = text
	}
	return New().Read(query, candidates).Coverage()
}
