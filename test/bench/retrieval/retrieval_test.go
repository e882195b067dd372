package main

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/vector"
)

// small is a set that needs no data.
func small() dataset.Set {
	return dataset.Set{Name: "small", Documents: []dataset.Document{
		{ID: "cats", Title: "Cats", Text: "Cats sleep for most of the day."},
		{ID: "dogs", Title: "Dogs", Text: "Dogs guard houses and herd sheep."},
		{ID: "fish", Text: "Fish sleep with open eyes."},
	}, Questions: []dataset.Question{{ID: "1", Text: "Which animals guard houses?"}, {ID: "2", Text: "?"}}}
}

// The store for experiments ranks and scores as the embedded server does.
func TestStoresAgree(t *testing.T) {
	t.Parallel()
	encoder := sparse.New()
	var found [2][]vector.Hit
	for i, kind := range []string{storeMemory, storeQdrant} {
		s, stop, err := openStore(t.Context(), kind)
		if err != nil {
			t.Fatal(err)
		}
		if err := fill(t.Context(), s, encoder, small()); err != nil {
			t.Fatal(err)
		}
		q := vector.Query{Scope: scope("small"), TopK: 3, Candidates: 3, Scores: true,
			Weights: map[vector.List]float64{vector.BM25: 1, vector.Grams: 2}}
		q.BM25, q.Grams = encoder.Query("Which sleepy animals guard the houses with open eyes?")
		if found[i], err = s.Search(t.Context(), index("small"), q); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	if len(found[0]) != 3 || len(found[1]) != 3 {
		t.Fatalf("%d and %d hits, want 3", len(found[0]), len(found[1]))
	}
	for i, a := range found[0] {
		b := found[1][i]
		if a.ID != b.ID || !near(a.Score, b.Score) {
			t.Errorf("place %d: %s %g in memory, %s %g in the server", i, a.ID, a.Score, b.ID, b.Score)
		}
		for _, list := range []vector.List{vector.BM25, vector.Grams} {
			if a.Lists[list].Rank != b.Lists[list].Rank || !near(a.Lists[list].Score, b.Lists[list].Score) {
				t.Errorf("place %d in %s: %v in memory, %v in the server", i, list, a.Lists[list], b.Lists[list])
			}
		}
	}
}

func near(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-4 }

func TestAsk(t *testing.T) {
	t.Parallel()
	s := memory{}
	if err := fill(t.Context(), s, sparse.New(), small()); err != nil {
		t.Fatal(err)
	}
	found, err := ask(t.Context(), s, sparse.New(), small())
	if err != nil {
		t.Fatal(err)
	}
	if found[0].hits[0].Chunk.Document != "dogs" || found[0].bm25[0].Chunk.Document != "dogs" || found[0].grams[0].Chunk.Document != "dogs" {
		t.Errorf("found %+v, want dogs first in each list", found[0])
	}
	if len(found[1].hits) > 0 {
		t.Errorf("a question without words found %v", found[1].hits)
	}
}

func TestAskNeedsStore(t *testing.T) {
	t.Parallel()
	if _, _, err := openStore(context.Background(), "disk"); err == nil {
		t.Error("a store of an unknown kind was opened")
	}
	if _, err := dataset.Read(t.TempDir(), "squad"); err == nil {
		t.Error("a set that is not there was read")
	}
}

func TestQuality(t *testing.T) {
	t.Parallel()
	hits := func(ids ...string) (out []vector.Hit) {
		for _, id := range ids {
			out = append(out, vector.Hit{Chunk: vector.Chunk{Document: id}})
		}
		return out
	}
	tests := map[string]struct {
		hits []vector.Hit
		gold map[string]bool
		want quality
	}{
		"first":    {hits("a", "b"), map[string]bool{"a": true}, quality{1, 1, 1, 1, 1}},
		"second":   {hits("b", "a"), map[string]bool{"a": true}, quality{1, 0, 1, 1, 1 / math.Log2(3)}},
		"sixth":    {hits("b", "c", "d", "e", "f", "a"), map[string]bool{"a": true}, quality{1, 0, 0, 1, 1 / math.Log2(7)}},
		"none":     {hits("b"), map[string]bool{"a": true}, quality{1, 0, 0, 0, 0}},
		"two gold": {hits("a", "b", "c"), map[string]bool{"a": true, "c": true}, quality{1, 1, 1, 1, 1.5 / (1 + 1/math.Log2(3))}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var q quality
			q.add(tt.hits, tt.gold)
			if math.Abs(q.ndcg-tt.want.ndcg) > 1e-9 || q.r1 != tt.want.r1 || q.r5 != tt.want.r5 || q.r10 != tt.want.r10 {
				t.Errorf("%+v, want %+v", q, tt.want)
			}
		})
	}
}

func TestAUC(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		high, low []float64
		want      float64
	}{
		{[]float64{2, 3}, []float64{0, 1}, 1},
		{[]float64{0}, []float64{1}, 0},
		{[]float64{1}, []float64{1, 1}, 0.5},
		{[]float64{1, 3}, []float64{2, 0}, 0.75},
	} {
		if got := auc(tt.high, tt.low); got != tt.want {
			t.Errorf("auc(%v, %v) = %g, want %g", tt.high, tt.low, got, tt.want)
		}
	}
}

// About one long word in three is changed, short ones never, always equally.
func TestMistype(t *testing.T) {
	t.Parallel()
	chance := func() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
	text := ""
	for range 300 {
		text += "four longer "
	}
	got, again := mistype(text, chance()), mistype(text, chance())
	if got != again {
		t.Error("the same seed gives other errors")
	}
	changed := 0
	words := map[string]int{}
	for word := range strings.FieldsSeq(got) {
		words[word]++
	}
	for word, n := range words {
		if word != "four" && word != "longer" {
			changed += n
		}
	}
	if words["four"] != 300 || changed < 70 || changed > 130 {
		t.Errorf("%d of 300 short words are left and %d of 300 long ones changed", words["four"], changed)
	}
}

// What separates right from wrong gets weight, what does not gets little.
func TestLearn(t *testing.T) {
	t.Parallel()
	var examples []example
	chance := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		e := example{}
		for i := range 5 {
			signal := 0.0
			if i == 2 {
				signal = 1
			}
			e.rows = append(e.rows, []float64{signal + 0.3*chance.NormFloat64(), chance.NormFloat64(), 7})
			e.right = append(e.right, i == 2)
		}
		examples = append(examples, e)
	}
	examples = append(examples, example{rows: [][]float64{{0, 0, 0}}, right: []bool{true}}) // teaches nothing
	w := learn(examples)
	if w[0] < 2 || math.Abs(w[1]) > w[0]/10 || math.Abs(w[2]) > 1e-6 {
		t.Errorf("weights %v of a signal, of noise and of a constant", w)
	}
}
