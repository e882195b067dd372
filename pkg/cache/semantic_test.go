package cache_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// bench is a semantic cache on stores of its own.
type bench struct {
	*cache.Semantic
	exact *cache.Cache
	store *memory
	later *time.Duration // that the clock is ahead
}

func newBench(t *testing.T) bench {
	t.Helper()
	b, _ := bustest.New(t)
	store, later := newMemory(), new(time.Duration)
	exact, err := cache.New(cache.Config{Bus: b, Now: func() time.Time { return clock().Add(*later) }})
	if err != nil {
		t.Fatal(err)
	}
	s, err := cache.NewSemantic(cache.SemanticConfig{Cache: exact, Vectors: store})
	if err != nil {
		t.Fatal(err)
	}
	return bench{s, exact, store, later}
}

// embed is a bag of words: equal words, equal vectors.
func embed(text string) []float32 {
	v := make([]float32, 64)
	for _, w := range strings.Fields(strings.ToLower(strings.Trim(text, "?"))) {
		h := fnv.New32a()
		h.Write([]byte(w))
		v[h.Sum32()%64]++
	}
	return v
}

func question(tenant, text string) cache.Question {
	return cache.Question{Tenant: tenant, Task: "faq", Text: text, Model: "bag", Vector: embed(text)}
}

// remember stores an answer to a question, citing sources, and returns its key.
func (b bench) remember(t *testing.T, q cache.Question, answer string, cited ...event.SourceVersion) string {
	t.Helper()
	k := key(q.Tenant + q.Scope() + q.Text)
	e := entry(q.Tenant, answer)
	e.Question, e.Scope, e.Sources = q.Text, q.Scope(), cited
	put(t, b.exact, k, e)
	if err := b.Add(t.Context(), q, k); err != nil {
		t.Fatal(err)
	}
	return k
}

// find looks a question up; reason "" wants a hit.
func (b bench) find(t *testing.T, q cache.Question, reason string) *cache.Entry {
	t.Helper()
	e, v, err := b.Find(t.Context(), q)
	if err != nil || v.Hit != (reason == "") || v.Hit != (e != nil) || v.Reason != reason {
		t.Errorf("%q: %+v, %v; want reason %q", q.Text, v, err, reason)
	}
	return e
}

func TestFind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.find(t, question("acme", "How do I reset my password?"), cache.ReasonNone) // no index yet
	k := b.remember(t, question("acme", "How do I reset my password?"), "Click.")
	wantText(t, b.find(t, question("acme", "how can I reset my password"), ""), "Click.")
	_, v, _ := b.Find(t.Context(), question("acme", "How do I reset my password?"))
	if v.Key != k || v.Score < 0.999 || v.Question != "How do I reset my password?" {
		t.Errorf("verdict %+v", v)
	}
	b.find(t, question("acme", "How do I never reset my password?"), "polarity")
	b.find(t, question("acme", "What grows in the garden of Eden?"), cache.ReasonNone)
	b.find(t, question("acme", "How do I reset my password today?"), cache.ReasonTime)
	// The nearest one differs, the next one does not.
	b.remember(t, question("acme", "How do I reset my password 2 times?"), "Twice.")
	b.remember(t, question("acme", "How do I reset my password two times, thanks?"), "Again.")
	wantText(t, b.find(t, question("acme", "How do I reset my password 2 times, thanks?"), ""), "Again.")
	// About now: not kept.
	b.remember(t, question("acme", "Who won last night?"), "We.")
	b.find(t, question("acme", "Who won last night?"), cache.ReasonTime)
}

// TestFindAgain: the same text again has one point, that of the latest entry.
func TestFindAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	q := question("acme", "What is it made of?")
	b.remember(t, q, "Wood.")
	later := entry("acme", "Stone.")
	later.Question, later.Scope = q.Text, q.Scope()
	put(t, b.exact, key("later"), later)
	if err := b.Add(t.Context(), q, key("later")); err != nil {
		t.Fatal(err)
	}
	wantText(t, b.find(t, q, ""), "Stone.")
	n, err := b.store.Count(t.Context(), vector.Index{Name: cache.IndexName, Model: "bag", Dimension: 64}, vector.Scope{Tenant: "acme"})
	if n != 1 || err != nil {
		t.Errorf("%d points, %v; want 1", n, err)
	}
}

// TestScopes: what differs in anything but the question never meets.
func TestScopes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	rag := func(collection string, readers []string, year string) *event.RAG {
		return &event.RAG{Collection: collection, Readers: readers, Filter: map[string]string{"year": year}}
	}
	source := event.SourceVersion{Document: "d", Version: 1, Chunks: []string{"x"}}
	q := question("acme", "What is the refund period?")
	q.RAG, q.Context, q.Sources = rag("docs", []string{"ann", "staff"}, "2025"), "c", []event.SourceVersion{source}
	b.remember(t, q, "30 days.", source)
	b.find(t, q, "")
	q.RAG = rag("docs", []string{"staff", "ann"}, "2025") // the same set
	b.find(t, q, "")
	for name, change := range map[string]func(*cache.Question){
		"tenant":     func(q *cache.Question) { q.Tenant = "other" },
		"task":       func(q *cache.Question) { q.Task = "other" },
		"context":    func(q *cache.Question) { q.Context = "other" },
		"collection": func(q *cache.Question) { q.RAG = rag("other", q.RAG.Readers, "2025") },
		"readers":    func(q *cache.Question) { q.RAG = rag("docs", []string{"ann"}, "2025") },
		"filter":     func(q *cache.Question) { q.RAG = rag("docs", q.RAG.Readers, "2024") },
		"no rag":     func(q *cache.Question) { q.RAG = nil },
		"model":      func(q *cache.Question) { q.Model = "other" },
	} {
		other := q
		change(&other)
		if e, v, err := b.Find(t.Context(), other); e != nil || v.Reason != cache.ReasonNone || err != nil {
			t.Errorf("%s: %v, %+v, %v; want nothing", name, e, v, err)
		}
	}
}

// TestScopeIsExact: names that run together when joined have two scopes.
func TestScopeIsExact(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, q := range []cache.Question{{Tenant: "a", Task: "bc"}, {Tenant: "ab", Task: "c"}, {Task: "b", Context: "c"}, {Task: "bc"}, {Context: "bc"}} {
		if seen[q.Scope()] {
			t.Errorf("%+v has the scope of another", q)
		}
		seen[q.Scope()] = true
	}
}

// TestSources: a grounded answer is given while all it cites is found, in the
// version it cites: a new version, or a permission that is gone, is a miss.
func TestSources(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	q := question("acme", "What is the refund period?")
	q.RAG = &event.RAG{Collection: "docs"}
	cited := event.SourceVersion{Document: "d", Version: 1, Chunks: []string{"x", "y"}}
	b.remember(t, q, "30 days.", cited)
	for name, tt := range map[string]struct {
		sources []event.SourceVersion
		reason  string
	}{
		"the same":         {[]event.SourceVersion{cited}, ""},
		"more":             {[]event.SourceVersion{{Document: "e", Version: 9, Chunks: []string{"z"}}, {Document: "d", Version: 1, Chunks: []string{"w", "y", "x"}}}, ""},
		"split":            {[]event.SourceVersion{{Document: "d", Version: 1, Chunks: []string{"y"}}, {Document: "d", Version: 1, Chunks: []string{"x"}}}, ""},
		"new version":      {[]event.SourceVersion{{Document: "d", Version: 2, Chunks: []string{"x", "y"}}}, cache.ReasonSources},
		"a chunk is gone":  {[]event.SourceVersion{{Document: "d", Version: 1, Chunks: []string{"x"}}}, cache.ReasonSources},
		"another document": {[]event.SourceVersion{{Document: "e", Version: 1, Chunks: []string{"x", "y"}}}, cache.ReasonSources},
		"nothing":          {nil, cache.ReasonSources},
	} {
		q.Sources = tt.sources
		if _, v, err := b.Find(t.Context(), q); v.Reason != tt.reason || err != nil {
			t.Errorf("%s: %+v, %v; want reason %q", name, v, err, tt.reason)
		}
	}
	// An answer that rests on documents and cites none can't be checked.
	free := question("acme", "How long is the warranty?")
	free.RAG, free.Sources = q.RAG, []event.SourceVersion{cited}
	b.remember(t, free, "Long.")
	b.find(t, free, cache.ReasonSources)
}

// TestEntryGone: a question whose entry is gone is removed when it is found, unless
// its answer may still come.
func TestEntryGone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	q := question("acme", "What is it made of?")
	if err := b.Add(t.Context(), q, key("nothing")); err != nil {
		t.Fatal(err)
	}
	b.find(t, q, cache.ReasonGone)
	b.find(t, q, cache.ReasonGone)
	*b.later = 2 * time.Hour
	b.find(t, q, cache.ReasonGone)
	b.find(t, q, cache.ReasonNone)
}

// TestForgedPoint: a point in a tenant's part that leads to an entry of another
// scope, or of another tenant, leads nowhere.
func TestForgedPoint(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	secret := question("other", "What is the secret?")
	k := b.remember(t, secret, "42")
	q := question("acme", secret.Text)
	if err := b.Add(t.Context(), q, k); err != nil { // the other tenant's key
		t.Fatal(err)
	}
	b.find(t, q, cache.ReasonGone)
	// The tenant's own entry of another task.
	task := question("acme", secret.Text)
	task.Task = "internal"
	k = b.remember(t, task, "43")
	if err := b.Add(t.Context(), q, k); err != nil {
		t.Fatal(err)
	}
	b.find(t, q, cache.ReasonScope)
}

func TestSweep(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	q := question("acme", "What is it made of?")
	b.remember(t, q, "Wood.")
	sweep(t, b, clock(), 0)
	b.find(t, q, "")
	for i := range 300 { // more than a page
		if err := b.Add(t.Context(), question(fmt.Sprint("t", i%3), fmt.Sprint("What is it made of? ", i)), key("x")); err != nil {
			t.Fatal(err)
		}
	}
	sweep(t, b, clock().Add(time.Millisecond), 301)
	b.find(t, q, cache.ReasonNone)
}

func sweep(t *testing.T, b bench, before time.Time, want int) {
	t.Helper()
	if n, err := b.Sweep(t.Context(), "bag", 64, before); n != want || err != nil {
		t.Errorf("sweep removed %d, %v; want %d", n, err, want)
	}
}

func TestSemanticConfig(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for want, cfg := range map[string]cache.SemanticConfig{
		"Cache": {Vectors: b.store}, "Vectors": {Cache: b.exact},
		"Threshold is 1.5": {Cache: b.exact, Vectors: b.store, Threshold: 1.5},
		"Neighbours is -1": {Cache: b.exact, Vectors: b.store, Neighbours: -1},
	} {
		_, err := cache.NewSemantic(cfg)
		wantError(t, err, want)
	}
	wantError(t, b.Add(t.Context(), question("a.b", "x"), key("x")), "tenant")
}

// TestNeverAcross plays random tenants, tasks, collections and readers that all
// ask the same few questions: every answer is of the same tenant and place, and of
// the documents' present version.
func TestNeverAcross(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := rand.New(rand.NewPCG(5, 25))
	version := map[string]int64{} // of the document of each collection of a tenant
	// Names that would run together if they were only joined.
	tenants := []string{"a", "ab", "a_b", "A"}
	texts := []string{"What is the refund period?", "How do I cancel the order?", "Who signs the contract?"}
	hits := 0
	for i := range 1000 {
		q := question(tenants[r.IntN(len(tenants))], texts[r.IntN(len(texts))])
		q.Task = []string{"b", "bc", ""}[r.IntN(3)]
		collection := []string{"c", "bc", "cd"}[r.IntN(3)]
		readers := [][]string{nil, {"x"}, {"x", "y"}, {"xy"}}[r.IntN(4)]
		q.RAG = &event.RAG{Collection: collection, Readers: readers}
		place := q.Tenant + "/" + collection
		if r.IntN(20) == 0 {
			version[place]++ // the document changes
		}
		q.Sources = []event.SourceVersion{{Document: "d", Version: version[place], Chunks: []string{"1"}}}
		want := fmt.Sprintf("%s|%s|%s|%q|%d|%s", q.Tenant, q.Task, collection, readers, version[place], q.Text)
		e, v, err := b.Find(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if v.Hit {
			hits++
			if e.Answer.Text != want || e.Tenant != q.Tenant {
				t.Fatalf("query %d: %s was given %s", i, want, e.Answer.Text)
			}
			continue
		}
		b.remember(t, q, want, q.Sources...)
	}
	if hits < 200 {
		t.Errorf("%d hits; the test says little", hits)
	}
}

// TestStoresAway: a store that is away is a miss and an error.
func TestStoresAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	q := question("acme", "What is it made of?")
	b.remember(t, q, "Wood.")
	b.store.away.Store(true)
	if e, v, err := b.Find(t.Context(), q); e != nil || v.Hit || err == nil {
		t.Errorf("find: %v, %+v, %v", e, v, err)
	}
	if err := b.Add(t.Context(), q, key("x")); err == nil {
		t.Error("add: no error")
	}
}
