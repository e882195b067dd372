package vectortest

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/vector"
)

func testVectorLength(t *testing.T, f fixture) {
	f.ensure(t)
	good, bad := point(1, "d", 1, "good", 1, 0, 0, 0), point(2, "d", 1, "bad", 1, 0, 0)
	wantDimension(t, "upsert", f.store.Upsert(f.ctx, f.idx, f.scope, []vector.Point{good, bad}))
	f.wantCount(t, f.scope, 0) // checked before anything is stored
	_, err := f.store.Search(f.ctx, f.idx, vector.Query{Scope: f.scope, Dense: []float32{1}, TopK: 1})
	wantDimension(t, "search", err)
}

func testBadPoint(t *testing.T, f fixture) {
	f.ensure(t)
	for name, spoil := range map[string]func(p *vector.Point){
		"version -1":      func(p *vector.Point) { p.Chunk.Version = -1 },
		"version 2^53":    func(p *vector.Point) { p.Chunk.Version = 1 << 53 },
		"version maximal": func(p *vector.Point) { p.Chunk.Version = math.MaxInt64 },
		"no document":     func(p *vector.Point) { p.Chunk.Document = "" },
		"no id":           func(p *vector.Point) { p.ID = "" },
		"id not a UUID":   func(p *vector.Point) { p.ID = "42" },
		"text not UTF-8":  func(p *vector.Point) { p.Chunk.Text = "x\xff" },
		"key not UTF-8":   func(p *vector.Point) { p.Chunk.Metadata = map[string]string{"\xff": ""} },
		"reserved reader": func(p *vector.Point) { p.Chunk.ACL = []string{"alice", "*"} },
		"indices unsorted": func(p *vector.Point) {
			p.BM25 = sparse.Vector{Indices: []uint32{2, 1}, Values: []float32{1, 1}}
		},
		"indices twice":     func(p *vector.Point) { p.Grams = sparse.Vector{Indices: []uint32{1, 1}, Values: []float32{1, 1}} },
		"index not weighed": func(p *vector.Point) { p.BM25 = sparse.Vector{Indices: []uint32{1}} },
		"weight infinite":   func(p *vector.Point) { p.BM25 = terms(1, math.Inf(1)) },
	} {
		p := point(1, "d", 1, "x", 1, 0, 0, 0)
		spoil(&p)
		wantClass(t, name, f.store.Upsert(f.ctx, f.idx, f.scope, []vector.Point{point(2, "d", 1, "good", 1, 0, 0, 0), p}), event.ClassInvalid)
	}
	wantClass(t, "set meta", f.store.SetMeta(f.ctx, f.idx, f.doc("d"), vector.Meta{ACL: []string{"*"}}), event.ClassInvalid)
	f.wantCount(t, f.scope, 0)
}

// fullChunk is a chunk with every field set.
func fullChunk() vector.Chunk {
	return vector.Chunk{
		Document: "docs/guide.md", Version: 1<<53 - 1, Hash: "sha256:ab", Prefix: "Guide > Install", Text: "Schöne Grüße, 世界\n\x00\ttab", Tokens: 17,
		Section: []string{"Install", "On Linux", ""}, Created: time.Date(2026, 2, 3, 4, 5, 6, 123456789, time.FixedZone("", 3600)),
		Meta: vector.Meta{
			Source: "https://example.com/guide?x=1", Title: "Guide", ACL: []string{"ann", "team/büro"},
			Metadata: map[string]string{"author": "Ann", "empty": "", "a.b": "dotted", "tenant": "not the tenant", `q"\`: "quoted", "": "no key"},
		},
	}
}

func testRoundTrip(t *testing.T, f fixture) {
	f.ensure(t)
	p := vector.Point{ID: id(1), Dense: []float32{1, 0, 0, 0}, BM25: terms(7, 1), Grams: terms(0, 2, math.MaxUint32, 1), Chunk: fullChunk()}
	f.upsert(t, f.scope, p)
	for _, q := range []vector.Query{{Dense: p.Dense}, {BM25: p.BM25}, {Grams: p.Grams}, {Dense: p.Dense, BM25: p.BM25, Grams: p.Grams}} {
		q.TopK, q.Filter.Readers = 1, []string{"ann"}
		hits := f.search(t, q)
		if len(hits) != 1 || hits[0].ID != p.ID {
			t.Fatalf("hits %+v, want %s", hits, p.ID)
		}
		sameChunk(t, hits[0].Chunk, p.Chunk)
	}
	stored, err := f.store.Get(f.ctx, f.idx, f.scope, []string{p.ID})
	check(t, "get", err)
	if len(stored) != 1 || stored[0].ID != p.ID || stored[0].Tenant != f.scope.Tenant || stored[0].Collection != f.scope.Collection {
		t.Fatalf("stored %+v", stored)
	}
	sameChunk(t, stored[0].Chunk, p.Chunk)
}

// testSparseRoundTrip: an upsert replaces the whole point; fields and vectors
// that are gone do not linger.
func testSparseRoundTrip(t *testing.T, f fixture) {
	f.ensure(t)
	full, bare := fullChunk(), vector.Chunk{Document: "d"}
	full.Version = 0
	f.upsert(t, f.scope, vector.Point{ID: id(1), Dense: []float32{1, 0, 0, 0}, BM25: terms(7, 1), Grams: terms(7, 1), Chunk: full})
	f.upsert(t, f.scope, vector.Point{ID: id(1), Dense: []float32{1, 0, 0, 0}, Chunk: bare})
	sameChunk(t, f.all(t)[0].Chunk, bare)
	for _, q := range []vector.Query{{BM25: terms(7, 1), TopK: 1}, {Grams: terms(7, 1), TopK: 1}} {
		if hits := f.search(t, q); len(hits) != 0 {
			t.Errorf("a vector that is gone is still found: %+v", hits)
		}
	}
}

// sameChunk compares chunks; times by the moment they are.
func sameChunk(t *testing.T, got, want vector.Chunk) {
	t.Helper()
	if !got.Created.Equal(want.Created) {
		t.Errorf("created %v, want %v", got.Created, want.Created)
	}
	got.Created, want.Created = time.Time{}, time.Time{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("chunk\n got %+v\nwant %+v", got, want)
	}
}

func testNoTakeover(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope, point(1, "d", 1, "mine", 1, 0, 0, 0))
	for _, other := range []vector.Scope{{Tenant: "intruder", Collection: f.scope.Collection}, {Tenant: f.scope.Tenant, Collection: "other"}} {
		f.upsert(t, other, point(1, "d", 9, "theirs", 1, 0, 0, 0), point(2, "d", 9, "new", 1, 0, 0, 0))
		f.wantTexts(t, "mine")
	}
}

func testOlderVersion(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope, point(1, "d", 5, "five", 1, 0, 0, 0))
	f.upsert(t, f.scope, point(1, "d", 4, "four", 1, 0, 0, 0))
	f.wantTexts(t, "five")
	f.upsert(t, f.scope, point(1, "d", 6, "six", 1, 0, 0, 0))
	f.wantTexts(t, "six")
}

func testEqualVersion(t *testing.T, f fixture) {
	f.ensure(t)
	const v = 1<<53 - 1 // the last one a float64 holds exactly
	f.upsert(t, f.scope, point(1, "d", v, "first", 1, 0, 0, 0))
	f.upsert(t, f.scope, point(1, "d", v, "again", 1, 0, 0, 0))
	f.wantTexts(t, "again")
	f.upsert(t, f.scope, point(1, "d", v-1, "older", 1, 0, 0, 0))
	f.wantTexts(t, "again")
}

func testMixedVersions(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope, point(1, "a", 3, "a3", 1, 0, 0, 0), point(2, "b", 3, "b3", 0, 1, 0, 0))
	f.upsert(t, f.scope, point(1, "a", 4, "a4", 1, 0, 0, 0), point(2, "b", 2, "b2", 0, 1, 0, 0), point(3, "c", 1, "c1", 0, 0, 1, 0))
	f.wantTexts(t, "a4", "b3", "c1")
}

func testTwice(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope,
		point(1, "d", 2, "newest", 1, 0, 0, 0), point(1, "d", 1, "older", 1, 0, 0, 0),
		point(2, "d", 3, "first", 1, 0, 0, 0), point(2, "d", 3, "last", 1, 0, 0, 0))
	f.wantTexts(t, "newest", "last")
}

func testBigBatch(t *testing.T, f fixture) {
	f.ensure(t)
	const n = 1000
	points := make([]vector.Point, n)
	for i := range points {
		a := float64(i) / n
		points[i] = point(i, fmt.Sprintf("d%d", i%10), int64(i%7), fmt.Sprint(i), float32(math.Cos(a)), float32(math.Sin(a)), 0, 0)
	}
	f.upsert(t, f.scope, points...)
	f.wantCount(t, f.scope, n)
	hits := f.search(t, vector.Query{Dense: []float32{1, 0, 0, 0}, TopK: n})
	if len(hits) != n {
		t.Fatalf("got %d hits, want %d", len(hits), n)
	}
	for i, h := range hits {
		if h.Chunk.Text != fmt.Sprint(i) && !near(float64(h.Score), math.Cos(float64(i)/n)) {
			t.Fatalf("hit %d is chunk %s with score %v", i, h.Chunk.Text, h.Score)
		}
	}
}

func testConcurrentUpserts(t *testing.T, f fixture) {
	f.ensure(t)
	const writers, each = 6, 20
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				// One point of each writer's own, and one that all fight for.
				errs[w] = errors.Join(errs[w], f.store.Upsert(f.ctx, f.idx, f.scope, []vector.Point{
					point(1+w*each+i, "own", 1, "own", 0, 1, 0, 0),
					point(0, "shared", int64(i*writers+w), fmt.Sprint(i*writers+w), 1, 0, 0, 0),
				}))
			}
		})
	}
	wg.Wait()
	check(t, "concurrent upserts", errors.Join(errs...))
	f.wantCount(t, f.scope, writers*each+1)
	hits := f.search(t, vector.Query{Dense: []float32{1, 0, 0, 0}, TopK: 1})
	if len(hits) != 1 || hits[0].Chunk.Version != writers*each-1 {
		t.Errorf("the shared point is %+v, want version %d", hits, writers*each-1)
	}
}

func testSetMeta(t *testing.T, f fixture) {
	f.ensure(t)
	full := fullChunk()
	full.Document = "d"
	with := func(n int, doc string) vector.Point {
		p := vector.Point{ID: id(n), Dense: []float32{1, 0, 0, 0}, BM25: terms(7, 1), Chunk: full}
		p.Chunk.Document = doc
		return p
	}
	other := vector.Scope{Tenant: f.scope.Tenant, Collection: "other"}
	f.upsert(t, f.scope, with(1, "d"), with(2, "d"), with(3, "e"))
	f.upsert(t, other, with(4, "d"))
	for _, meta := range []vector.Meta{
		{}, {Source: "s", Title: "t", Metadata: map[string]string{"k": "v", "author": "Bob"}, ACL: []string{"bob"}}, {Metadata: map[string]string{"new": "x"}},
	} {
		check(t, "set meta", f.store.SetMeta(f.ctx, f.idx, f.doc("d"), meta))
		for _, n := range []int{1, 2} {
			want := full
			want.Meta = meta
			sameChunk(t, f.get(t, f.scope, n), want)
		}
		// What the meta says holds in searches at once, and the vectors are kept.
		hits := f.search(t, vector.Query{BM25: terms(7, 1), TopK: 9, Filter: vector.Filter{Readers: []string{"bob"}, Metadata: meta.Metadata}})
		if len(hits) != 2 {
			t.Errorf("meta %+v: %d hits, want 2", meta, len(hits))
		}
	}
	full.Document = "e"
	sameChunk(t, f.get(t, f.scope, 3), full)
	full.Document = "d"
	sameChunk(t, f.get(t, other, 4), full)
	check(t, "set meta of nothing", f.store.SetMeta(f.ctx, f.idx, f.doc("nothing"), vector.Meta{}))
}

// get returns a chunk that must be there.
func (f fixture) get(t *testing.T, scope vector.Scope, n int) vector.Chunk {
	t.Helper()
	stored, err := f.store.Get(f.ctx, f.idx, scope, []string{id(n)})
	check(t, "get", err)
	if len(stored) != 1 {
		t.Fatalf("point %d: %d stored, want 1", n, len(stored))
	}
	return stored[0].Chunk
}

func testDelete(t *testing.T, f fixture) {
	f.ensure(t)
	other := vector.Scope{Tenant: "other", Collection: f.scope.Collection}
	f.upsert(t, f.scope,
		point(1, "d", 1, "one", 1, 0, 0, 0), point(2, "d", 2, "two", 1, 0, 0, 0), point(3, "d", 3, "three", 1, 0, 0, 0),
		point(4, "e", 1, "e", 1, 0, 0, 0))
	f.upsert(t, other, point(5, "d", 1, "theirs", 1, 0, 0, 0))
	ids := []string{id(1), id(2), id(3), id(4), id(5), id(99), id(1)}
	check(t, "delete", f.store.Delete(f.ctx, f.idx, f.doc("d"), ids, 1))
	f.wantTexts(t, "one", "two", "three", "e")
	check(t, "delete", f.store.Delete(f.ctx, f.idx, f.doc("d"), ids, 3))
	f.wantTexts(t, "three", "e")
	check(t, "delete nothing", f.store.Delete(f.ctx, f.idx, f.doc("d"), nil, math.MaxInt64))
	f.wantTexts(t, "three", "e")
	check(t, "delete", f.store.Delete(f.ctx, f.idx, f.doc("d"), ids, math.MaxInt64))
	f.wantTexts(t, "e")
	f.wantCount(t, other, 1)
	wantClass(t, "delete of a bad id", f.store.Delete(f.ctx, f.idx, f.doc("d"), []string{"x"}, 1), event.ClassInvalid)
	var many []vector.Point
	ids = nil
	for n := range 1100 {
		many = append(many, point(1000+n, "m", 1, "m", 1, 0, 0, 0))
		ids = append(ids, id(1000+n))
	}
	f.upsert(t, f.scope, many...)
	check(t, "delete many", f.store.Delete(f.ctx, f.idx, f.doc("m"), ids[1:], 2))
	f.wantTexts(t, "e", "m")
}

func testDeleteDocument(t *testing.T, f fixture) {
	f.ensure(t)
	other := vector.Scope{Tenant: f.scope.Tenant, Collection: "other"}
	f.upsert(t, f.scope,
		point(1, "d", 1, "one", 1, 0, 0, 0), point(2, "d", 2, "two", 1, 0, 0, 0), point(3, "d", 3, "three", 1, 0, 0, 0),
		point(4, "e", 1, "e", 1, 0, 0, 0))
	f.upsert(t, other, point(5, "d", 1, "theirs", 1, 0, 0, 0))
	for _, step := range []struct {
		before int64
		want   []string
	}{{1, []string{"one", "two", "three", "e"}}, {3, []string{"three", "e"}}, {3, []string{"three", "e"}}, {math.MaxInt64, []string{"e"}}} {
		check(t, "delete document", f.store.DeleteDocument(f.ctx, f.idx, f.doc("d"), step.before))
		f.wantTexts(t, step.want...)
	}
	f.wantCount(t, other, 1)
}

// testLateUpsert: an older version that is stored after a newer one, as a retry
// may be, changes nothing of the newer one and can be swept away.
func testLateUpsert(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope, point(1, "d", 2, "kept", 1, 0, 0, 0), point(2, "d", 2, "new", 0, 1, 0, 0))
	f.upsert(t, f.scope, point(1, "d", 1, "kept, but older", 1, 0, 0, 0), point(3, "d", 1, "old", 0, 0, 1, 0))
	f.wantTexts(t, "kept", "new", "old")
	check(t, "delete", f.store.Delete(f.ctx, f.idx, f.doc("d"), []string{id(1), id(2), id(3)}, 2))
	f.wantTexts(t, "kept", "new")
	texts := func() (out []string) {
		for _, h := range f.search(t, vector.Query{BM25: terms(1, 1), TopK: 9}) {
			out = append(out, h.Chunk.Text)
		}
		return out
	}
	p := point(2, "d", 1, "older words", 0, 1, 0, 0)
	p.BM25 = terms(1, 1)
	f.upsert(t, f.scope, p) // not its words either
	if got := texts(); len(got) != 0 {
		t.Errorf("words of an older version are found: %v", got)
	}
	p.Chunk.Version, p.Chunk.Text = 3, "newer words"
	f.upsert(t, f.scope, p)
	if got := texts(); !slices.Equal(got, []string{"newer words"}) {
		t.Errorf("found %v, want the newer words", got)
	}
}
