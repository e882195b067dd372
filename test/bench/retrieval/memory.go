package main

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/vector"
)

// memory is an exact store of sparse vectors with Qdrant's IDF and DBSF, for
// quick experiments. It takes no filters, no fusion but DBSF and no updates.
type memory map[vector.Scope]*collection

// collection is the points of one scope.
type collection struct {
	points []vector.Point
	lists  map[vector.List]*inverted
}

// inverted is one list: which points have a dimension, and how much.
type inverted struct {
	points   int // with a vector
	postings map[uint32][]posting
}

type posting struct {
	point int
	value float32
}

// scored is a point in a list.
type scored struct {
	point int
	score float32
}

// Ensure has nothing to do.
func (m memory) Ensure(context.Context, vector.Index) error { return nil }

// Upsert adds points; it does not look for equal ids.
func (m memory) Upsert(_ context.Context, _ vector.Index, scope vector.Scope, points []vector.Point) error {
	c := m[scope]
	if c == nil {
		c = &collection{lists: map[vector.List]*inverted{
			vector.BM25: {postings: map[uint32][]posting{}}, vector.Grams: {postings: map[uint32][]posting{}}}}
		m[scope] = c
	}
	for _, p := range points {
		c.lists[vector.BM25].add(len(c.points), p.BM25)
		c.lists[vector.Grams].add(len(c.points), p.Grams)
		c.points = append(c.points, p)
	}
	return nil
}

func (l *inverted) add(point int, v sparse.Vector) {
	if len(v.Indices) > 0 {
		l.points++
	}
	for i, id := range v.Indices {
		l.postings[id] = append(l.postings[id], posting{point, v.Values[i]})
	}
}

// search returns the best n points of the list.
func (l *inverted) search(q sparse.Vector, n, points int) []scored {
	scores := make([]float32, points)
	for i, id := range q.Indices {
		found := l.postings[id]
		df := float64(len(found))
		weight := q.Values[i] * float32(math.Log((float64(l.points)-df+0.5)/(df+0.5)+1))
		for _, p := range found {
			scores[p.point] += weight * p.value
		}
	}
	var hits []scored
	for i, score := range scores {
		if score != 0 {
			hits = append(hits, scored{i, score})
		}
	}
	return best(hits, n)
}

// best sorts hits and returns the first n.
func best(hits []scored, n int) []scored {
	slices.SortFunc(hits, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.point, b.point))
	})
	return hits[:min(n, len(hits))]
}

// Search is [vector.Store.Search].
func (m memory) Search(_ context.Context, _ vector.Index, q vector.Query) ([]vector.Hit, error) {
	c := m[q.Scope]
	if c == nil {
		return nil, nil
	}
	places, fused := c.fuse(q)
	hits := make([]vector.Hit, 0, q.TopK)
	for _, h := range best(fused, q.TopK) {
		p := c.points[h.point]
		hits = append(hits, vector.Hit{ID: p.ID, Score: h.score, Lists: places[h.point], Chunk: p.Chunk})
	}
	return hits, nil
}

// fuse searches the lists of q and adds their scores by DBSF; those of a list
// by itself stay as they are.
func (c *collection) fuse(q vector.Query) (map[int]map[vector.List]vector.Place, []scored) {
	places := map[int]map[vector.List]vector.Place{}
	sums := map[int]float32{}
	alone := len(q.BM25.Indices) == 0 || len(q.Grams.Indices) == 0
	for name, query := range map[vector.List]sparse.Vector{vector.BM25: q.BM25, vector.Grams: q.Grams} {
		hits := c.lists[name].search(query, cmp.Or(q.Candidates, max(50, 2*q.TopK)), len(c.points))
		low, width := spread(hits)
		for i, h := range hits {
			if places[h.point] == nil {
				places[h.point] = map[vector.List]vector.Place{}
			}
			places[h.point][name] = vector.Place{Rank: i + 1, Score: h.score}
			part := float32(0.5)
			if width > 0 {
				part = (h.score - low) / width
			}
			if alone {
				part = h.score
			}
			sums[h.point] += float32(cmp.Or(q.Weights[name], 1)) * part
		}
	}
	var fused []scored
	for point, score := range sums {
		fused = append(fused, scored{point, score})
	}
	return places, fused
}

// spread is the range of mean-3sd..mean+3sd: where it begins and its width.
func spread(hits []scored) (low, width float32) {
	var mean, sum float64
	for _, h := range hits {
		mean += float64(h.score) / float64(len(hits))
	}
	for _, h := range hits {
		sum += (float64(h.score) - mean) * (float64(h.score) - mean)
	}
	if len(hits) < 2 {
		return 0, 0
	}
	sd := math.Sqrt(sum / float64(len(hits)-1))
	return float32(mean - 3*sd), float32(6 * sd)
}
