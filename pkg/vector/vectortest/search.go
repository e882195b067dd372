package vectortest

import (
	"fmt"
	"math"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// wantScores checks the texts and scores of hits, best first.
func wantScores(t *testing.T, hits []vector.Hit, want ...any) {
	t.Helper()
	ok := len(hits) == len(want)/2
	var got []string
	for i, h := range hits {
		got = append(got, fmt.Sprintf("%s %.5f", h.Chunk.Text, h.Score))
		ok = ok && 2*i < len(want) && h.Chunk.Text == want[2*i] && near(float64(h.Score), want[2*i+1].(float64))
	}
	if !ok {
		t.Errorf("hits %v, want %v", got, want)
	}
}

func testDense(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope,
		point(1, "d", 1, "opposite", -2, 0, 0, 0), point(2, "d", 1, "same", 5, 0, 0, 0),
		point(3, "d", 1, "right angle", 0, 0, 3, 0), point(4, "d", 1, "close", 3, 4, 0, 0))
	q := vector.Query{Dense: []float32{10, 0, 0, 0}, TopK: 10}
	wantScores(t, f.search(t, q), "same", 1.0, "close", 0.6, "right angle", 0.0, "opposite", -1.0)
	q.TopK, q.Scores = 2, true
	hits := f.search(t, q)
	wantScores(t, hits, "same", 1.0, "close", 0.6)
	for i, h := range hits {
		if got := h.Lists; len(got) != 1 || got[vector.Dense] != (vector.Place{Rank: i + 1, Score: h.Score}) {
			t.Errorf("hit %d is at %v, want its own place in the dense list", i, got)
		}
	}
}

// idf is the weight of a term that df of n vectors hold.
func idf(n, df float64) float64 { return math.Log((n-df+0.5)/(df+0.5) + 1) }

func testSparse(t *testing.T, f fixture) {
	for _, list := range []vector.List{vector.BM25, vector.Grams} {
		f := f
		f.idx.Name += string(list)
		f.ensure(t)
		other := vector.Scope{Tenant: "other", Collection: "other"}
		add := func(scope vector.Scope, n int, text string, pairs ...float64) {
			p := point(n, "d", 1, text, 1, 0, 0, 0)
			if list == vector.BM25 {
				p.BM25 = terms(pairs...)
			} else {
				p.Grams = terms(pairs...)
			}
			f.upsert(t, scope, p)
		}
		add(f.scope, 1, "both", 3, 2, 7, 1)
		add(f.scope, 2, "common", 3, 1)
		add(f.scope, 3, "else", 9, 5)
		add(f.scope, 4, "no words")
		add(other, 5, "theirs", 3, 9, math.MaxUint32, 1)
		// Rarity is that in the whole index: 4 vectors, of which 3 hold term 3.
		q := vector.Query{TopK: 10, Scores: true}
		set := func(pairs ...float64) {
			if list == vector.BM25 {
				q.BM25 = terms(pairs...)
			} else {
				q.Grams = terms(pairs...)
			}
		}
		set(3, 1, 7, 2, 55, 1)
		hits := f.search(t, q)
		wantScores(t, hits, "both", 2*idf(4, 3)+2*idf(4, 1), "common", idf(4, 3))
		for i, h := range hits {
			if h.Lists[list] != (vector.Place{Rank: i + 1, Score: h.Score}) {
				t.Errorf("%s: hit %d is at %v", list, i, h.Lists)
			}
		}
		set(55, 1)
		wantScores(t, f.search(t, q))
		q.Scope = other
		set(math.MaxUint32, 1)
		wantScores(t, f.search(t, q), "theirs", idf(4, 1))
	}
}

func testBadQuery(t *testing.T, f fixture) {
	f.ensure(t)
	dense := []float32{1, 0, 0, 0}
	weights := func(how vector.Fusion, w float64) vector.Query {
		return vector.Query{Dense: dense, BM25: terms(1, 1), TopK: 1, Fusion: how, Weights: map[vector.List]float64{vector.BM25: w}}
	}
	for name, q := range map[string]vector.Query{
		"top 0":               {Dense: dense},
		"no list":             {TopK: 1},
		"negative candidates": {Dense: dense, TopK: 1, Candidates: -1},
		"unknown fusion":      {Dense: dense, TopK: 1, Fusion: "sum"},
		"unknown list":        {Dense: dense, TopK: 1, Weights: map[vector.List]float64{"sense": 1}},
		"unsorted":            {BM25: terms(2, 1, 1, 1), TopK: 1},
		"not a number":        {Grams: terms(2, math.NaN()), TopK: 1},
		"dbsf weight 0":       weights("", 0), "dbsf weight 5": weights(vector.DBSF, 5), "dbsf weight 1.5": weights(vector.DBSF, 1.5),
		"rrf weight 0": weights(vector.RRF, 0), "rrf weight NaN": weights(vector.RRF, math.NaN()), "rrf weight infinite": weights(vector.RRF, math.Inf(1)),
	} {
		q.Scope = f.scope
		_, err := f.store.Search(f.ctx, f.idx, q)
		wantClass(t, name, err, event.ClassInvalid)
	}
}

// mixed stores points that all three lists rank differently, without ties.
func (f fixture) mixed(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		a, x := float64(i*7%n)/float64(n), float64(1+i*5%n)
		p := point(i, fmt.Sprintf("d%d", i), 1, fmt.Sprint(i), float32(math.Cos(a)), float32(math.Sin(a)), 0, 0)
		p.BM25 = terms(1, x)
		if i%3 != 0 { // not all are in every list
			p.Grams = terms(2, 1/x, 3, float64(i*i%23)/23)
		}
		f.upsert(t, f.scope, p)
	}
}

// mixedQuery asks all lists for the points of mixed.
func mixedQuery(topK int) vector.Query {
	return vector.Query{Dense: []float32{1, 0, 0, 0}, BM25: terms(1, 1), Grams: terms(2, 1, 3, 0.5), TopK: topK, Scores: true}
}

func testCandidates(t *testing.T, f fixture) {
	f.ensure(t)
	f.mixed(t, 61)
	for _, tt := range []struct{ topK, candidates, want int }{{5, 5, 5}, {61, 2, 6}, {61, 1, 3}, {61, 0, 61}, {10, 0, 10}} {
		q := mixedQuery(tt.topK)
		q.Candidates = tt.candidates
		hits := f.search(t, q)
		limit := tt.candidates
		if limit == 0 {
			limit = max(50, 2*tt.topK)
		}
		if len(hits) > tt.want || len(hits) < min(tt.want, limit) {
			t.Errorf("top %d of %d candidates: %d hits, want up to %d", tt.topK, tt.candidates, len(hits), tt.want)
		}
		for _, h := range hits {
			for list, at := range h.Lists {
				if at.Rank < 1 || at.Rank > limit {
					t.Errorf("top %d of %d candidates: hit at rank %d of list %s", tt.topK, tt.candidates, at.Rank, list)
				}
			}
		}
	}
}

// testDefaultCandidates: none given is as good as max(50, 2*TopK).
func testDefaultCandidates(t *testing.T, f fixture) {
	f.ensure(t)
	f.mixed(t, 101)
	scores := func(topK, candidates int) string {
		q := mixedQuery(topK)
		q.Candidates = candidates
		var out []string
		for _, h := range f.search(t, q) {
			out = append(out, fmt.Sprintf("%.4f", h.Score))
		}
		return fmt.Sprint(out)
	}
	for topK, want := range map[int]int{10: 50, 25: 50, 40: 80} {
		given := scores(topK, want)
		if got := scores(topK, 0); got != given {
			t.Errorf("top %d: scores %s, want those of %d candidates, %s", topK, got, want, given)
		}
		if given == scores(topK, want-5) {
			t.Errorf("top %d: the number of candidates changes nothing: the test shows nothing", topK)
		}
	}
}

// testNoSpread: a list whose scores are all equal, or that has one point, gives
// one half for each.
func testNoSpread(t *testing.T, f fixture) {
	f.ensure(t)
	add := func(n int, text string, grams ...float64) {
		p := point(n, "d", 1, text, 1, 0, 0, 0)
		p.BM25, p.Grams = terms(1, 1), terms(grams...)
		f.upsert(t, f.scope, p)
	}
	add(1, "one", 2, 1)
	q := vector.Query{Dense: []float32{1, 0, 0, 0}, BM25: terms(1, 1), Grams: terms(2, 1), TopK: 5, Weights: map[vector.List]float64{vector.BM25: 3}}
	wantScores(t, f.search(t, q), "one", 0.5+3*0.5+0.5)
	add(2, "two")
	wantScores(t, f.search(t, q), "one", 0.5+3*0.5+0.5, "two", 0.5+3*0.5)
}

// testDBSF computes the fusion from the lists' own scores.
func testDBSF(t *testing.T, f fixture) {
	f.ensure(t)
	f.mixed(t, 40)
	for _, weights := range []map[vector.List]float64{nil, {vector.BM25: 2, vector.Grams: 1}, {vector.Dense: 4, vector.Grams: 3}} {
		q := mixedQuery(100)
		q.Weights = weights
		hits := f.search(t, q)
		scores := map[vector.List][]float64{}
		for _, h := range hits {
			for list, at := range h.Lists {
				scores[list] = append(scores[list], float64(at.Score))
			}
		}
		if len(scores[vector.Dense]) != 40 || len(scores[vector.BM25]) != 40 || len(scores[vector.Grams]) != 26 {
			t.Errorf("lists of %d, %d and %d hits, want 40, 40 and 26", len(scores[vector.Dense]), len(scores[vector.BM25]), len(scores[vector.Grams]))
		}
		wantFused(t, hits, func(list vector.List, at vector.Place) float64 {
			mean, sd := spread(scores[list])
			w := 1.0
			if weights[list] > 0 {
				w = weights[list]
			}
			return w * (float64(at.Score) - (mean - 3*sd)) / (6 * sd)
		})
	}
}

// spread is the mean and the sample deviation.
func spread(xs []float64) (mean, sd float64) {
	for _, x := range xs {
		mean += x / float64(len(xs))
	}
	for _, x := range xs {
		sd += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(sd / float64(len(xs)-1))
}

// wantFused checks that each hit's score is the sum of its parts, best first.
func wantFused(t *testing.T, hits []vector.Hit, part func(list vector.List, at vector.Place) float64) {
	t.Helper()
	for i, h := range hits {
		var want float64
		for list, at := range h.Lists {
			want += part(list, at)
		}
		if len(h.Lists) == 0 || !near(float64(h.Score), want) {
			t.Errorf("hit %s at %v has score %v, want %v", h.Chunk.Text, h.Lists, h.Score, want)
		}
		if i > 0 && h.Score > hits[i-1].Score {
			t.Errorf("hit %d is better than the one before", i)
		}
	}
}

func testRRF(t *testing.T, f fixture) {
	f.ensure(t)
	f.mixed(t, 40)
	for _, weights := range []map[vector.List]float64{nil, {vector.BM25: 0.2, vector.Grams: 5}} {
		q := mixedQuery(100)
		q.Fusion, q.Weights = vector.RRF, weights
		hits := f.search(t, q)
		if len(hits) != 40 {
			t.Errorf("%d hits, want 40", len(hits))
		}
		wantFused(t, hits, func(list vector.List, at vector.Place) float64 {
			w := 1.0
			if weights[list] > 0 {
				w = weights[list]
			}
			return 1 / (float64(at.Rank)/w + 1)
		})
		q.Scores = false
		for i, h := range f.search(t, q) {
			if h.Lists != nil || !near(float64(h.Score), float64(hits[i].Score)) {
				t.Errorf("without scores: hit %d is %v at %v, want %v", i, h.Score, h.Lists, hits[i].Score)
			}
		}
	}
}

func testMetadataKeys(t *testing.T, f fixture) {
	f.ensure(t)
	keys := []string{"plain", "a.b", "a", "b", "with space", "[0]", "ключ", "", ".", "a-b_c", "'"}
	for i, key := range keys {
		p := point(i, "d", 1, key, 1, 0, 0, 0)
		p.Chunk.Metadata = map[string]string{key: "x", "other": fmt.Sprint(i)}
		f.upsert(t, f.scope, p)
	}
	for i, key := range keys {
		for _, tt := range []struct {
			metadata map[string]string
			want     bool
		}{
			{map[string]string{key: "x"}, true}, {map[string]string{key: "x", "other": fmt.Sprint(i)}, true},
			{map[string]string{key: "y"}, false}, {map[string]string{key: "x", "other": "no"}, false},
		} {
			hits := f.search(t, vector.Query{Dense: []float32{1, 0, 0, 0}, TopK: 20, Filter: vector.Filter{Metadata: tt.metadata}})
			if found := len(hits) == 1 && hits[0].Chunk.Text == key; found != tt.want || !found && len(hits) > 0 {
				t.Errorf("metadata %q: %d hits, want the one %v", tt.metadata, len(hits), tt.want)
			}
		}
	}
	for _, key := range []string{`q"`, `b\`} { // kept, and either found or refused
		p := point(100, "d", 1, key, 1, 0, 0, 0)
		p.Chunk.Metadata = map[string]string{key: "x"}
		f.upsert(t, f.scope, p)
		hits, err := f.store.Search(f.ctx, f.idx, vector.Query{Scope: f.scope, Dense: []float32{1, 0, 0, 0}, TopK: 20, Filter: vector.Filter{Metadata: p.Chunk.Metadata}})
		if err != nil {
			wantClass(t, "filter by key "+key, err, event.ClassInvalid)
		} else if len(hits) != 1 || hits[0].Chunk.Text != key {
			t.Errorf("metadata key %q: %d hits, want one", key, len(hits))
		}
	}
}
