package qdrantd

import (
	"context"
	"sync"
)

// row is a row of an inverted index with its score.
type row struct {
	score float32
	at    uint32
}

// ranking is the scratch of one search over an inverted index.
type ranking struct {
	scores []float32
	rows   rowHeap
}

// rankings reuses scratch: it is as long as the index has rows.
type rankings struct{ pool sync.Pool }

// get returns scratch with n scores of 0.
func (r *rankings) get(n int) *ranking {
	s, _ := r.pool.Get().(*ranking)
	if s == nil {
		s = &ranking{}
	}
	if cap(s.scores) < n {
		s.scores = make([]float32, n+n/8)
	}
	s.scores = s.scores[:n]
	clear(s.scores)
	s.rows = s.rows[:0]
	return s
}

// runPostings answers a sparse search from the inverted index: it scores all
// rows, then looks at points from the best row down until there are enough that
// the filter lets pass.
func (r *reader) runPostings(ctx context.Context, s search) ([]hit, error) {
	scratch := r.col.rankings.get(len(s.view.slots))
	defer r.col.rankings.pool.Put(scratch)
	s.view.add(scratch.scores, s.sparse.values)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for at, score := range scratch.scores {
		if score != 0 { // a point that shares nothing, or whose sum is 0, is no result
			scratch.rows = append(scratch.rows, row{score: score, at: uint32(at)})
		}
	}
	scratch.rows.init()
	member := newSlotSet(s.plan)
	best := &top{search: &s, reader: r}
	for n := 0; len(scratch.rows) > 0 && !best.beyond(scratch.rows[0].score); n++ {
		if err := checkEvery(ctx, n); err != nil {
			return nil, err
		}
		next := scratch.rows.pop()
		if slot := s.view.slots[next.at]; s.view.alive(next.at) && member.has(slot) {
			best.offer(slot, next.score)
		}
	}
	s.spec.metric.sortHits(best.hits)
	return best.hits, nil
}

// rowHeap is a heap with the best row on top. It is written out because every
// row of a search goes through it, and container/heap would call an interface
// for each comparison.
type rowHeap []row

// init makes a heap of rows in any order.
func (h rowHeap) init() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.sink(i)
	}
}

// sink moves the row at i down to its place.
func (h rowHeap) sink(i int) {
	for {
		best := 2*i + 1
		if best >= len(h) {
			return
		}
		if next := best + 1; next < len(h) && h[next].score > h[best].score {
			best = next
		}
		if h[i].score >= h[best].score {
			return
		}
		h[i], h[best] = h[best], h[i]
		i = best
	}
}

// pop takes the best row.
func (h *rowHeap) pop() row {
	rows := *h
	best := rows[0]
	last := len(rows) - 1
	rows[0] = rows[last]
	*h = rows[:last]
	h.sink(0)
	return best
}

// slotSet is the set of a plan's slots; nil has all.
type slotSet []uint64

// newSlotSet makes the set of the slots a plan selects.
func newSlotSet(p plan) slotSet {
	if p.all {
		return nil
	}
	words := uint64(0)
	if n := len(p.slots); n > 0 {
		words = p.slots[n-1]/64 + 1
	}
	set := make(slotSet, words)
	for _, slot := range p.slots {
		set[slot/64] |= 1 << (slot % 64)
	}
	return set
}

func (s slotSet) has(slot uint64) bool {
	return s == nil || slot/64 < uint64(len(s)) && s[slot/64]&(1<<(slot%64)) != 0
}
