package rerank

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

// rivers are candidates of which the third answers, in its second sentence.
func rivers() []Candidate {
	return []Candidate{
		{Title: "Rivers", Text: "A river is a stream of water. Streams that never dry up are rivers.", Score: 1.9},
		{Title: "Nile", Section: []string{"Wildlife"}, Text: "The Nile crocodile lives in Africa. It eats fish.", Score: 1.8},
		{Title: "Nile", Section: []string{"Course"}, Text: "It flows north. The Nile is 6650 km long and ends in Egypt. Many cities are on it.", Score: 1.7},
		{Title: "Danube", Text: "The Danube crosses ten countries.", Score: 0.4},
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	x := New().Read("How long is the Nile river?", rivers())
	order := x.Order()
	if order[0].Index != 2 {
		t.Errorf("the first is candidate %d, want 2: %v", order[0].Index, order)
	}
	if !slices.IsSortedFunc(order, func(a, b Ranked) int { return int(math.Copysign(1, b.Score-a.Score)) }) {
		t.Errorf("not in the order of scores: %v", order)
	}
}

// What is no question keeps the store's order and scores.
func TestOrderKept(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"heading":    "Length of the Nile river",
		"one word":   "what",
		"stop words": "Who is he?",
		"no words":   "?!",
		"empty":      "",
		"no blanks":  "尼罗河有多长？",
		"long":       "How long is the Nile river " + strings.Repeat("which is long ", 6) + "?",
	}
	for name, query := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := rivers()
			for i, r := range New().Read(query, c).Order() {
				if r.Index != i || r.Score != c[i].Score {
					t.Errorf("place %d has %+v", i, r)
				}
			}
		})
	}
}

func TestSentences(t *testing.T) {
	t.Parallel()
	c := rivers()
	got := New().Read("How long is the Nile river?", c).Sentences(3)
	if len(got) != 3 {
		t.Fatalf("%d sentences, want 3", len(got))
	}
	if text := c[got[0].Candidate].Text[got[0].Start:got[0].End]; !strings.Contains(text, "6650") {
		t.Errorf("the best sentence is %q", text)
	}
}

func TestCoverage(t *testing.T) {
	t.Parallel()
	r := New()
	own := r.Read("How long is the Nile river?", rivers()).Coverage()
	foreign := r.Read("Who painted the ceiling of the Sistine chapel?", rivers()).Coverage()
	if own < Abstain || foreign >= Abstain {
		t.Errorf("coverage of a question the passages answer %.2f, of a foreign one %.2f; the limit is %.2f", own, foreign, Abstain)
	}
	if got := Coverage("How long is the Nile?", []string{"The Nile is long."}); math.Abs(got-1) > 1e-9 {
		t.Errorf("coverage by a passage with all words is %g, want 1", got)
	}
	for _, none := range []float64{Coverage("How long is the Nile?", nil), Coverage("?", []string{"x"}), Coverage("", nil)} {
		if none != 0 {
			t.Errorf("coverage of or by nothing is %g, want 0", none)
		}
	}
}

// The IDFs of the collection are found again in the scores it gave.
func TestSolve(t *testing.T) {
	t.Parallel()
	texts := []string{"cat dog", "cat bird bird", "cat cat dog fish", "bird and other animals", "dog dog", "fish"}
	want := map[string]float64{"cat": 1.5, "dog": 3, "bird": 5, "fish": 0.7}
	r := New()
	candidates := make([]Candidate, len(texts))
	for i, text := range texts {
		candidates[i].Text = text
		p, _ := r.encoder.Passage(text)
		for word, idf := range want {
			id := r.encoder.Terms(nil, word)[0].ID
			if at, ok := slices.BinarySearch(p.Indices, id); ok {
				candidates[i].BM25 += idf * float64(p.Values[at])
			}
		}
	}
	x := r.Read("cat dog bird fish zebra", candidates)
	for i, word := range []string{"cat", "dog", "bird", "fish"} {
		if math.Abs(x.idf[i]-want[word]) > 0.05 {
			t.Errorf("IDF of %s is %.3f, want %.3f", word, x.idf[i], want[word])
		}
	}
	if x.idf[4] < unseen {
		t.Errorf("IDF of a word no candidate has is %g", x.idf[4])
	}
}

func TestQuestion(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		asks  bool
		kind  kind
		words int
	}{
		"Who wrote it?":                   {true, kindName, 3},
		"when did it begin":               {true, kindTime, 4},
		"In what year did it begin?":      {true, kindTime, 6},
		"How many people live there?":     {true, kindNumber, 5},
		"How does it work?":               {true, kindAny, 4},
		"Setting the connection name":     {false, kindAny, 4},
		"Wie lang ist der Nil?":           {true, kindAny, 5},
		"Πόσο μακρύς είναι ο Νείλος;":     {true, kindAny, 5},
		"one; two;":                       {false, kindAny, 2},
		"كم طول النيل؟":                   {true, kindAny, 3},
		"尼罗河有多长？":                         {true, kindAny, 3},
		"":                                {false, kindAny, 0},
		"What":                            {false, kindAny, 1},
		"Is a\u0301 mark inside a word a": {true, kindAny, 7},
	}
	e := New().encoder
	for text, want := range tests {
		q := readQuestion(e, text)
		if q.asks != want.asks || q.kind != want.kind || q.words != want.words {
			t.Errorf("%q: asks %t, kind %d, %d words; want %+v", text, q.asks, q.kind, q.words, want)
		}
	}
}

func TestDistances(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		hits []hit
		want []int
	}{
		"none":            {nil, []int{0, 0, 0}},
		"one":             {[]hit{{1, 4}}, []int{0, 0, 0}},
		"in order":        {[]hit{{0, 3}, {1, 4}, {2, 7}}, []int{0, 1, 3}},
		"backwards":       {[]hit{{2, 0}, {1, 2}, {0, 3}}, []int{0, 1, 2}},
		"nearest counts":  {[]hit{{0, 0}, {1, 9}, {0, 11}, {1, 12}}, []int{0, 1, 0}},
		"not consecutive": {[]hit{{0, 0}, {2, 1}}, []int{0, 0, 0}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := distances(tt.hits, 3); !slices.Equal(got, tt.want) {
				t.Errorf("distances() = %v, want %v", got, tt.want)
			}
		})
	}
}

// A long text takes time in proportion: a passage of 20,000 sentences, and a
// sentence of 100,000 hits, are read at once.
func TestLong(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("The Nile. ", 20_000), strings.Repeat("Nile long ", 50_000)} {
		x := New().Read("How long is the Nile?", []Candidate{{Text: text}})
		if x.Coverage() == 0 || len(x.Sentences(3)) == 0 {
			t.Error("a long text is not read")
		}
	}
}

// Every feature is finite, named and weighted, whatever the candidates.
func TestFeatures(t *testing.T) {
	t.Parallel()
	w := Trained()
	if len(w.Passage) != len(FeatureNames()) || len(w.Sentence) != len(SentenceFeatureNames()) {
		t.Fatalf("%d and %d weights for %d and %d features", len(w.Passage), len(w.Sentence), len(FeatureNames()), len(SentenceFeatureNames()))
	}
	for _, c := range [][]Candidate{rivers(), {{}}, {{Text: "Nile"}}, {{Text: "Nile", Score: -1}, {Text: "Nile", Score: -1}}} {
		x := New().Read("How long is the Nile?", c)
		for i := range c {
			if f := x.Features(i); len(f) != len(FeatureNames()) || !finite(f) {
				t.Errorf("%v: features %v", c[i], f)
			}
		}
		for _, s := range x.AllSentences() {
			if f := x.SentenceFeatures(s); len(f) != len(SentenceFeatureNames()) || !finite(f) {
				t.Errorf("%v: features %v", s, f)
			}
		}
	}
}

func finite(values []float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	r := New()
	want := fmt.Sprint(r.Read("How long is the Nile river?", rivers()).Order())
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				if got := fmt.Sprint(r.Read("How long is the Nile river?", rivers()).Order()); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
		})
	}
	group.Wait()
}

// Any texts are read to an end: the order is a permutation, sentences are
// inside their texts, shares are shares.
func FuzzRead(f *testing.F) {
	f.Add("How long is the Nile?", "Nile", "The Nile is long. It is 6650 km.", 3.5)
	f.Add("東京タワーはどこ？", "", "東京タワーは東京。", 0.0)
	f.Add("\xff?", "\xfe", "a\xff.\xfe B", -1.0)
	r := New()
	f.Fuzz(func(t *testing.T, query, title, text string, score float64) {
		if math.IsNaN(score) || math.IsInf(score, 0) {
			t.Skip("a store's scores are finite")
		}
		candidates := []Candidate{{Title: title, Text: text, Score: score, BM25: score}, {Text: query}, {Title: text}}
		x := r.Read(query, candidates)
		seen := map[int]bool{}
		for _, o := range x.Order() {
			seen[o.Index] = true
		}
		if len(seen) != len(candidates) {
			t.Errorf("the order has candidates %v", seen)
		}
		for _, s := range x.Sentences(5) {
			if s.Start < 0 || s.Start >= s.End || s.End > len(candidates[s.Candidate].Text) {
				t.Errorf("sentence %+v is outside its text", s)
			}
		}
		if c := x.Coverage(); c < 0 || c > 1+1e-9 {
			t.Errorf("coverage %g", c)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	r := New()
	text := strings.Repeat("The Nile is 6650 km long and ends in Egypt, where many cities are on it. ", 14)
	candidates := slices.Repeat([]Candidate{{Title: "Nile", Text: text, Score: 1, BM25: 3}}, Depth)
	b.ReportAllocs()
	for b.Loop() {
		r.Read("How long is the Nile river in Egypt?", candidates).Sentences(3)
	}
}
