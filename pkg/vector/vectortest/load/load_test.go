package load

import (
	"math"
	"reflect"
	"slices"
	"testing"
)

func TestCorpus(t *testing.T) {
	t.Parallel()
	c := Corpus{Seed: 7, Dimension: 16, Tenants: 3}
	points := c.Points(2)
	if !reflect.DeepEqual(points, c.Points(2)) {
		t.Error("equal corpora differ")
	}
	seen := map[string]bool{}
	for _, p := range slices.Concat(points, c.Points(3)) {
		if seen[p.ID] || len(p.ID) != 36 {
			t.Errorf("id %s comes twice or is no UUID", p.ID)
		}
		seen[p.ID] = true
		if len(p.Dense) != 16 || len(p.BM25.Indices) != words || len(p.Grams.Indices) != grams || len(p.Chunk.Text) != textBytes {
			t.Errorf("point %s has another shape", p.ID)
		}
		if !slices.IsSorted(p.Grams.Indices) || slices.Contains(p.Grams.Values, 0) || math.IsNaN(float64(p.Dense[0])) {
			t.Errorf("point %s has vectors that can't be stored", p.ID)
		}
	}
	q := c.Query(2*Batch+5, 10)
	if q.Scope != c.Scope(2) || len(q.BM25.Indices) != queryLen || len(q.Grams.Indices) != queryGram || !slices.IsSorted(q.Grams.Indices) {
		t.Errorf("query %+v", q)
	}
	for _, i := range q.Grams.Indices {
		if !slices.Contains(points[5].Grams.Indices, i) {
			t.Errorf("the query asks for gram %d, which its chunk does not have", i)
		}
	}
}
