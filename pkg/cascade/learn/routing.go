package learn

import "slices"

// Routing is how well a score chooses the questions for the stronger of two
// models: the metrics of RouteLLM (Ong et al., ICLR 2025, arXiv 2406.18665,
// section 3). With c the share of questions for the strong model and r(c) the mean
// quality, the performance gap recovered is
// PGR(c) = (r(c) - r(0)) / (r(1) - r(0)).
type Routing struct {
	Weak, Strong float64   // mean qualities r(0), r(1)
	PGR          []float64 // at c = 0/n, 1/n, ..., n/n
}

// NewRouting sends the questions with the highest scores to the strong model
// first; those with equal scores go in equal shares. Without a gap between the
// models every PGR is 0.
func NewRouting(score, weak, strong []float64) Routing {
	n := len(score)
	r := Routing{PGR: make([]float64, n+1)}
	for i := range n {
		r.Weak += weak[i] / float64(n)
		r.Strong += strong[i] / float64(n)
	}
	gap := (r.Strong - r.Weak) * float64(n)
	if gap == 0 {
		return r
	}
	order := ascending(score)
	slices.Reverse(order)
	gained := 0.0
	for from := 0; from < n; {
		to, tied := from, 0.0
		for ; to < n && score[order[to]] == score[order[from]]; to++ {
			tied += strong[order[to]] - weak[order[to]]
		}
		for i := from; i < to; i++ {
			r.PGR[i+1] = (gained + tied*float64(i+1-from)/float64(to-from)) / gap
		}
		gained, from = gained+tied, to
	}
	return r
}

// APGR is the mean of PGR over c from 0 to 1 (trapezoids): 0.5 for a random choice.
func (r Routing) APGR() float64 {
	n := len(r.PGR) - 1
	if n < 1 {
		return 0
	}
	sum := (r.PGR[0] + r.PGR[n]) / 2
	for _, g := range r.PGR[1:n] {
		sum += g
	}
	return sum / float64(n)
}

// CPT is the call-performance threshold: the least share of questions for the
// strong model with PGR >= gap; 1 if there is none.
func (r Routing) CPT(gap float64) float64 {
	n := len(r.PGR) - 1
	for i, g := range r.PGR {
		if g >= gap-1e-12 && n > 0 {
			return float64(i) / float64(n)
		}
	}
	return 1
}
