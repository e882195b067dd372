package main

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/event"
)

func cacheTestRig(t *testing.T) *cacheRig {
	t.Helper()
	r, err := newCacheRig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestCacheNeverCrosses plays random tenants, tasks, collections and readers that
// ask the same questions on the real stores: an answer is always of the same place
// and of the present version of its document.
func TestCacheNeverCrosses(t *testing.T) {
	t.Parallel()
	rig, r := cacheTestRig(t), rand.New(rand.NewPCG(5, 7))
	texts := []string{"What is the refund period?", "How do I cancel the order?"}
	vectors, err := rig.vectors(t.Context(), []cachePair{{a: texts[0], b: texts[1]}})
	if err != nil {
		t.Fatal(err)
	}
	version := map[string]int64{}
	hits := 0
	for i := range 400 {
		text := texts[r.IntN(len(texts))]
		q := cache.Question{Tenant: []string{"a", "ab", "A"}[r.IntN(3)], Task: []string{"", "b"}[r.IntN(2)], Text: text, Model: "sim-embed", Vector: vectors[text],
			RAG: &event.RAG{Collection: []string{"c", "bc"}[r.IntN(2)], Readers: [][]string{nil, {"x"}, {"x", "y"}}[r.IntN(3)]}}
		place := q.Tenant + "/" + q.RAG.Collection
		if r.IntN(25) == 0 {
			version[place]++
		}
		q.Sources = []event.SourceVersion{{Document: "d", Version: version[place], Chunks: []string{"1"}}}
		want := fmt.Sprintf("%s %q %q %d %s", place, q.Task, q.RAG.Readers, version[place], text)
		found, v, err := rig.semantic.Find(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if v.Hit {
			hits++
			if found.Answer.Text != want {
				t.Fatalf("query %d: %s was given %s", i, want, found.Answer.Text)
			}
			continue
		}
		key := cache.RequestKey(cache.Request{Tenant: q.Tenant, Task: want})
		e := cache.Entry{Tenant: q.Tenant, Scope: q.Scope(), Question: text, Job: "j", Sources: q.Sources, Answer: event.Answer{Text: want, FinishReason: "stop"}}
		if _, err := rig.exact.Put(t.Context(), key, e, time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := rig.semantic.Add(t.Context(), q, key); err != nil {
			t.Fatal(err)
		}
	}
	if hits < 100 {
		t.Errorf("%d hits; the test says little", hits)
	}
	n, err := rig.semantic.Sweep(t.Context(), "sim-embed", len(vectors[texts[0]]), time.Now().Add(time.Second))
	if n < 50 || err != nil {
		t.Errorf("sweep removed %d, %v", n, err)
	}
}

// TestCacheSample runs a part of the block: the guard lets no trap of it pass.
func TestCacheSample(t *testing.T) {
	t.Parallel()
	all := cachePairs(rand.New(rand.NewPCG(1, 1)))
	var pairs []cachePair
	for i := 0; i < len(all); i += 40 {
		pairs = append(pairs, all[i])
	}
	if err := cacheTestRig(t).measure(t.Context(), pairs); err != nil {
		t.Fatal(err)
	}
	found, text := cacheReport(pairs)
	if found["cache.false_hit"] > cache.MaxFalse || found["cache.hit"] < 0.5 || found["cache.pairs"] < 500 {
		t.Errorf("%v\n%s", found, text)
	}
}

// TestCachePairs: the pairs are the same at every run, and no trap is equal to
// its question.
func TestCachePairs(t *testing.T) {
	t.Parallel()
	pairs := cachePairs(rand.New(rand.NewPCG(1, 1)))
	if !reflect.DeepEqual(pairs, cachePairs(rand.New(rand.NewPCG(1, 1)))) {
		t.Error("another run has other pairs")
	}
	traps := 0
	for _, p := range pairs {
		if p.trap() {
			traps++
		}
		if p.a == p.b {
			t.Errorf("%s: %q twice", p.kind, p.a)
		}
	}
	if traps < 5000 || len(pairs)-traps < 5000 {
		t.Errorf("%d pairs, %d traps", len(pairs), traps)
	}
}
