package rerank

import "math"

// measure fills in how the passage's sentences answer the question.
func (x *Reading) measure(p *passage) {
	for i := range p.sentences {
		s := &p.sentences[i]
		s.cover = x.share(s.found)
		s.inTitle = x.share(s.found | p.title)
		s.pairs, s.near = x.nearness(s)
		s.dense = s.cover / (1 + float64(s.length)/denseLength)
	}
}

// denseLength is the length of a sentence, in terms, that halves its density.
const denseLength = 30

// nearness says of the pairs of terms that follow each other in the question how
// many do so in the sentence, at most one word between, and how near they are on
// average (1 for side by side), both weighted by IDF.
func (x *Reading) nearness(s *part) (pairs, near float64) {
	if len(s.hits) < 2 {
		return 0, 0 // no pair
	}
	all := 0.0
	for t, distance := range distances(s.hits, len(x.idf)) {
		if t == 0 {
			continue // has none before it
		}
		weight := x.idf[t-1] + x.idf[t]
		all += weight
		if distance == 0 {
			continue
		}
		near += weight / float64(distance)
		if distance <= 2 {
			pairs += weight
		}
	}
	if all == 0 {
		return 0, 0
	}
	return pairs / all, near / all
}

// distances are, by term, how near it comes to the term before it, 0 for never.
func distances(hits []hit, terms int) []int {
	nearest := make([]int, terms)
	last := make([]int, terms) // where each was seen last, from 1
	for _, h := range hits {
		last[h.term] = h.position + 1
		for _, later := range []int{h.term, h.term + 1} {
			if later == 0 || later >= terms || last[later] == 0 || last[later-1] == 0 {
				continue
			}
			distance := max(last[later]-last[later-1], last[later-1]-last[later])
			if nearest[later] == 0 || distance < nearest[later] {
				nearest[later] = distance
			}
		}
	}
	return nearest
}

// FeatureNames are the names of [Reading.Features]. The length of a passage is
// not among them: it says more about how a set was made than about what answers.
func FeatureNames() []string {
	return []string{"first stage", "bm25", "grams", "coverage", "sentence coverage", "sentence and title coverage",
		"two-sentence coverage", "pairs", "proximity", "title", "surface", "numbers", "answer type",
		"sentence density", "first stage x sentence coverage", "rank"}
}

// Features are those of candidate i, each about 0 to 1; for training.
func (x *Reading) Features(i int) []float64 {
	p := &x.passages[i]
	first, bm25, grams := x.scores(i)
	var cover, inTitle, two, pairs, near, dense, answers float64
	for j, s := range p.sentences {
		cover, inTitle = max(cover, s.cover), max(inTitle, s.inTitle)
		pairs, near, dense = max(pairs, s.pairs), max(near, s.near), max(dense, s.dense)
		found := s.found | p.title
		if j > 0 {
			found |= p.sentences[j-1].found
		}
		two = max(two, x.share(found))
	}
	for _, s := range p.sentences {
		if s.answers && s.cover >= 0.8*cover {
			answers = 1
		}
	}
	return []float64{first, bm25, grams, x.share(p.found), cover, inTitle, two, pairs, near, x.share(p.title),
		x.share(p.exact), x.share(p.found & x.question.numbers), answers, dense, first * cover, 1 / float64(i+1)}
}

// scores are the scores of candidate i on a scale that all questions share: the
// fused one between the candidates' lowest and highest, others as a part of the
// highest.
func (x *Reading) scores(i int) (first, bm25, grams float64) {
	low, high := math.Inf(1), math.Inf(-1)
	var highBM25, highGrams float64
	for _, c := range x.candidates {
		low, high = min(low, c.Score), max(high, c.Score)
		highBM25, highGrams = max(highBM25, c.BM25), max(highGrams, c.Grams)
	}
	part := func(v, of float64) float64 {
		if of <= 0 {
			return 0
		}
		return v / of
	}
	c := x.candidates[i]
	return part(c.Score-low, high-low), part(c.BM25, highBM25), part(c.Grams, highGrams)
}
