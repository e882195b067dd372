package sparse

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

// ids are the dimensions of terms, sorted.
func ids(terms ...string) []uint32 {
	set := map[uint32]bool{}
	for _, t := range terms {
		set[termID([]byte(t))] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func TestTermID(t *testing.T) {
	t.Parallel()
	// The value that fastembed's Qdrant/bm25 gives.
	if got := termID([]byte("hello")); got != 613153351 {
		t.Errorf("termID(hello) = %d, want 613153351", got)
	}
}

func TestReferenceWeight(t *testing.T) {
	t.Parallel()
	// One term twice in a passage of average length: 2*2.2/(2+1.2) = 1.375, the
	// value of the test in Qdrant's lib/bm25.
	b := bag{ids: []uint32{7, 7}, length: averageWords}
	v := b.passage(saturationWords, averageWords)
	if len(v.Values) != 1 || math.Abs(float64(v.Values[0])-1.375) > 1e-6 {
		t.Errorf("passage() = %v, want one value 1.375", v)
	}
}

func TestTerms(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text         string
		words, grams []string
	}{
		"empty":           {"", nil, nil},
		"no words":        {" \t…—!?€", nil, nil},
		"stop words":      {"Who is the", nil, []string{"_who", "who_", "_is_", "_the", "the_"}},
		"English":         {"Running", []string{"run"}, []string{"_run", "runn", "unni", "nnin", "ning", "ing_"}},
		"possessive":      {"cat's", []string{"cat"}, []string{"_cat", "cat_", "_s_"}},
		"curly quote":     {"don’t", nil, []string{"_don", "don_", "_t_"}},
		"one letter":      {"x", []string{"x"}, []string{"_x_"}},
		"long word":       {"gesellschaftlich", []string{"gesellsc"}, []string{"_ges", "gese", "esel", "sell", "ells", "llsc", "lsch", "scha", "chaf", "haft", "aftl", "ftli", "tlic", "lich", "ich_"}},
		"number":          {"1234567890", []string{"1234567890"}, []string{"_123", "1234", "2345", "3456", "4567", "5678", "6789", "7890", "890_"}},
		"accent":          {"Zürich", []string{"zurich"}, []string{"_zur", "zuri", "uric", "rich", "ich_"}},
		"width":           {"ＡＰＩ", []string{"api"}, []string{"_api", "api_"}},
		"ligature":        {"ﬁt", []string{"fit"}, []string{"_fit", "fit_"}},
		"soft hyphen":     {"ca\u00adts", []string{"cat"}, []string{"_cat", "cats", "ats_"}},
		"Greek":           {"Λόγος", []string{"λογοσ"}, []string{"_λογ", "λογο", "ογοσ", "γοσ_"}},
		"Russian":         {"Москвы", []string{"москв"}, []string{"_мос", "моск", "оскв", "сквы", "квы_"}},
		"Turkish":         {"Işık", []string{"isik"}, []string{"_isi", "isik", "sik_"}},
		"Arabic":          {"الكِتاب", []string{"كتاب"}, []string{"_الك", "الكت", "لكتا", "كتاب", "تاب_"}},
		"Hindi":           {"भारत", []string{"भारत"}, []string{"_भार", "भारत", "ारत_"}},
		"Japanese":        {"東京タワー", []string{"東", "京", "タ", "ワ", "ー", "東京", "京タ", "タワ", "ワー"}, []string{"東", "京", "タ", "ワ", "ー", "東京", "京タ", "タワ", "ワー"}},
		"halfwidth kana":  {"ｶﾞ", []string{"ガ"}, []string{"ガ"}},
		"Chinese number":  {"2023年", []string{"2023", "年"}, []string{"_202", "2023", "023_", "年"}},
		"Korean":          {"서울", []string{"서", "울", "서울"}, []string{"서", "울", "서울"}},
		"Thai":            {"ไทย", []string{"ไทย"}, []string{"ไทย"}},
		"Thai, long":      {"ภาษาไทย", []string{"ภาษ", "าษา", "ษาไ", "าไท", "ไทย"}, []string{"ภาษ", "าษา", "ษาไ", "าไท", "ไทย"}},
		"Thai, short":     {"มา", []string{"มา"}, []string{"มา"}},
		"not UTF-8":       {"cat\xffdog", []string{"cat", "dog"}, []string{"_cat", "cat_", "_dog", "dog_"}},
		"mark by itself":  {"\u093e a1", []string{"a1"}, []string{"_a1_"}},
		"joined by _ . /": {"max_payload a.b/c", []string{"max", "payload", "b", "c"}, []string{"_max", "max_", "_pay", "payl", "aylo", "yloa", "load", "oad_", "_a_", "_b_", "_c_"}},
	}
	e := New()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, read := range []func(string) (Vector, Vector){e.Passage, e.Query} {
				words, grams := read(tt.text)
				if want := ids(tt.words...); !slices.Equal(words.Indices, want) {
					t.Errorf("bm25 of %q: %v, want %v", tt.text, words.Indices, want)
				}
				if want := ids(tt.grams...); !slices.Equal(grams.Indices, want) {
					t.Errorf("grams of %q: %v, want %v", tt.text, grams.Indices, want)
				}
			}
		})
	}
}

// Forms of a word that a searcher may type are one.
func TestSame(t *testing.T) {
	t.Parallel()
	tests := map[string][2]string{
		"case":        {"Der GROSSE Fluss", "der grosse fluss"},
		"sigma":       {"ΟΔΥΣΣΕΥΣ", "οδυσσευς"},
		"composed":    {"caf\u00e9", "cafe\u0301"},
		"accents":     {"résumé naïve", "resume naive"},
		"dotless i":   {"DIYARBAKIR", "dıyarbakır"},
		"vowel signs": {"كِتَاب", "كتاب"},
		"stretched":   {"كتــاب", "كتاب"},
		"Hangul":      {"\u1112\u1161\u11ab", "한"},
	}
	e := New()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b0, g0 := e.Passage(tt[0])
			b1, g1 := e.Passage(tt[1])
			if !equal(b0, b1) || !equal(g0, g1) {
				t.Errorf("%q and %q differ", tt[0], tt[1])
			}
		})
	}
}

func equal(a, b Vector) bool {
	return slices.Equal(a.Indices, b.Indices) && slices.Equal(a.Values, b.Values)
}

// Terms are those of the vector, in order and with repetitions; so are their
// weights.
func TestTermsOfText(t *testing.T) {
	t.Parallel()
	e := New()
	text := "The cats of Zürich, cat 42 年"
	got := e.Terms([]Term{{}}, text)
	id := func(s string) uint32 { return termID([]byte(s)) }
	want := []Term{{}, {ID: id("cat"), Exact: id("cats"), Length: 1}, {ID: id("zurich"), Exact: id("zurich"), Length: 1},
		{ID: id("cat"), Exact: id("cat"), Length: 1}, {ID: id("42"), Exact: id("42"), Number: true, Length: 1},
		{ID: id("年"), Exact: id("年"), Length: pieceLength}}
	if !slices.Equal(got, want) {
		t.Errorf("Terms() = %v, want %v", got, want)
	}
	words, _ := e.Passage(text)
	at, _ := slices.BinarySearch(words.Indices, id("cat"))
	if got := Weight(2, 4+pieceLength); float32(got) != words.Values[at] {
		t.Errorf("Weight() = %g, in the vector %g", got, words.Values[at])
	}
}

// Repetition weighs more, but ever less; in a longer passage it weighs less.
func TestWeights(t *testing.T) {
	t.Parallel()
	e := New()
	weight := func(text string) float32 {
		v, _ := e.Passage(text)
		i, ok := slices.BinarySearch(v.Indices, termID([]byte("cat")))
		if !ok {
			t.Fatalf("no cat in %q", text)
		}
		return v.Values[i]
	}
	one, two, three := weight("cat"), weight("cat cat"), weight("cat cat cat")
	if !(one < two && two < three && three-two < two-one) {
		t.Errorf("weights of 1, 2, 3 occurrences: %g, %g, %g", one, two, three)
	}
	if long := weight("cat" + strings.Repeat(" dog", 300)); long >= one {
		t.Errorf("in a long passage %g, in a short one %g", long, one)
	}
	for _, v := range mustQuery(e, "cat cat dog").Values {
		if v != 1 {
			t.Errorf("a query's weight is %g, want 1", v)
		}
	}
}

func mustQuery(e *Encoder, text string) Vector {
	v, _ := e.Query(text)
	return v
}

// Long texts take the other way of sorting.
func TestSort(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, radixFrom - 1, radixFrom, 5000} {
		var b bag
		x := uint32(1)
		for range n {
			x = x*1664525 + 1013904223
			b.ids = append(b.ids, x>>1)
		}
		want := slices.Sorted(slices.Values(b.ids))
		b.sort()
		if !slices.Equal(b.ids, want) {
			t.Errorf("%d ids are not in order", n)
		}
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	e := New()
	text := strings.Repeat("The quick brown fox jumps over the lazy dog. 東京タワー ", 30)
	wantWords, wantGrams := New().Passage(text)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				words, grams := e.Passage(text)
				if !equal(words, wantWords) || !equal(grams, wantGrams) {
					t.Error("concurrent calls differ from a single one")
				}
				e.Query("another text in between")
			}
		})
	}
	group.Wait()
}

// A remembered stem, a dropped memory and a huge text don't show.
func TestMemory(t *testing.T) {
	t.Parallel()
	e := New()
	want, _ := e.Passage("running cats")
	var many strings.Builder
	for i := range stemsKept + 10 {
		many.WriteString("w")
		for ; i > 0; i /= 26 {
			many.WriteByte(byte('a' + i%26))
		}
		many.WriteByte(' ')
	}
	e.Passage(many.String())
	e.Passage(strings.Repeat("a", textKept+1))
	if got, _ := e.Passage("running cats"); !equal(got, want) {
		t.Errorf("after many words %v, before %v", got, want)
	}
}

func FuzzEncoder(f *testing.F) {
	for _, seed := range []string{"", "Running cats", "東京タワー 2023年", "ภาษาไทย", "كِتاب", "\xff\xfe", "ﷺ", "İıſßΣς", "a\u0301\u0301", "क़ ়", "_ー゛"} {
		f.Add(seed)
	}
	e := New()
	f.Fuzz(func(t *testing.T, text string) {
		words, grams := e.Passage(text)
		check(t, words)
		check(t, grams)
		wordIDs, gramIDs := e.Query(text)
		if !slices.Equal(words.Indices, wordIDs.Indices) || !slices.Equal(grams.Indices, gramIDs.Indices) {
			t.Errorf("%q: passage and query have different terms", text)
		}
		if len(words.Indices) > 0 && len(grams.Indices) == 0 {
			t.Errorf("%q: words but no grams", text)
		}
		var terms []uint32
		for _, term := range e.Terms(nil, text) {
			terms = append(terms, term.ID)
		}
		slices.Sort(terms)
		if !slices.Equal(slices.Compact(terms), words.Indices) {
			t.Errorf("%q: its terms are not those of its vector", text)
		}
		freshWords, freshGrams := New().Passage(text)
		if !equal(words, freshWords) || !equal(grams, freshGrams) {
			t.Errorf("%q: another encoder says otherwise", text)
		}
	})
}

// check verifies what Vector promises, and that weights are positive and bounded.
func check(t *testing.T, v Vector) {
	t.Helper()
	if len(v.Indices) != len(v.Values) {
		t.Fatalf("%d indices, %d values", len(v.Indices), len(v.Values))
	}
	for i, id := range v.Indices {
		if i > 0 && id <= v.Indices[i-1] {
			t.Fatalf("index %d follows %d", id, v.Indices[i-1])
		}
		if w := v.Values[i]; !(w > 0 && w <= saturationWords+1) {
			t.Fatalf("weight %g", w)
		}
	}
}

func BenchmarkPassage(b *testing.B) {
	e := New()
	for name, text := range map[string]string{
		"english":  strings.Repeat("The Black Death is thought to have originated in the arid plains of Central Asia. ", 12),
		"russian":  strings.Repeat("Основная часть населения проживает в столице и крупных городах. ", 12),
		"japanese": strings.Repeat("東京タワーは日本の東京都港区芝公園にある総合電波塔である。", 12),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				e.Passage(text)
			}
		})
	}
}
