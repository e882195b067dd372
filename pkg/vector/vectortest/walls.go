package vectortest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/vector"
)

func testEmptyScope(t *testing.T, f fixture) {
	f.ensure(t)
	for _, s := range []vector.Scope{{}, {Tenant: "a"}, {Collection: "x"}} {
		doc := vector.Document{Scope: s, ID: "d"}
		_, searchErr := f.store.Search(f.ctx, f.idx, vector.Query{Scope: s, Dense: []float32{1, 0, 0, 0}, TopK: 1})
		_, getErr := f.store.Get(f.ctx, f.idx, s, []string{id(1)})
		for what, err := range map[string]error{
			"upsert":          f.store.Upsert(f.ctx, f.idx, s, []vector.Point{point(1, "d", 1, "", 1, 0, 0, 0)}),
			"set meta":        f.store.SetMeta(f.ctx, f.idx, doc, vector.Meta{}),
			"delete":          f.store.Delete(f.ctx, f.idx, doc, []string{id(1)}, 1),
			"delete nothing":  f.store.Delete(f.ctx, f.idx, doc, nil, 1),
			"delete document": f.store.DeleteDocument(f.ctx, f.idx, doc, 1),
			"search":          searchErr, "get": getErr,
		} {
			wantClass(t, fmt.Sprintf("%s in %v", what, s), err, event.ClassInvalid)
		}
	}
	for what, err := range map[string]error{
		"set meta":        f.store.SetMeta(f.ctx, f.idx, f.doc(""), vector.Meta{}),
		"delete":          f.store.Delete(f.ctx, f.idx, f.doc(""), []string{id(1)}, 1),
		"delete document": f.store.DeleteDocument(f.ctx, f.idx, f.doc(""), 1),
	} {
		wantClass(t, what+" without document", err, event.ClassInvalid)
	}
	_, err := f.store.Vectors(f.ctx, f.idx, "", []string{"h"})
	wantClass(t, "vectors without tenant", err, event.ClassInvalid)
}

// world is a set of generated points in several scopes, and what each of them
// holds.
type world struct {
	rng    *rand.Rand
	points []placed
}

// placed is a point in its scope.
type placed struct {
	scope vector.Scope
	point vector.Point
}

// The generators draw from few names, so that they meet often.

func (w *world) pick(of ...string) string { return of[w.rng.IntN(len(of))] }

func (w *world) names() []string {
	var out []string
	for _, n := range []string{"alice", "bob", "team", "a b"} {
		if w.rng.IntN(3) == 0 {
			out = append(out, n)
		}
	}
	return out
}

func (w *world) scope() vector.Scope {
	return vector.Scope{Tenant: w.pick("a", "b", "a "), Collection: w.pick("x", "y")}
}

func (w *world) metadata() map[string]string {
	m := map[string]string{}
	for _, k := range []string{"lang", "a.b"} {
		if w.rng.IntN(2) == 0 {
			m[k] = w.pick("1", "2")
		}
	}
	if len(m) == 0 {
		return nil
	}
	return m
}

func (w *world) dense() []float32 {
	v := make([]float32, dim)
	for i := range v {
		v[i] = float32(w.rng.NormFloat64())
	}
	return v
}

func (w *world) sparse() sparse.Vector {
	var v sparse.Vector
	for i := range uint32(8) {
		if w.rng.IntN(3) == 0 {
			v.Indices = append(v.Indices, i)
			v.Values = append(v.Values, 0.1+w.rng.Float32())
		}
	}
	return v
}

func (w *world) place(n int) placed {
	p := vector.Point{ID: id(n), Dense: w.dense(), BM25: w.sparse(), Grams: w.sparse()}
	p.Chunk = vector.Chunk{
		Document: w.pick("d1", "d2", "d3"), Version: 1, Hash: w.pick("h1", "h2", "h3", "h4"), Text: fmt.Sprint(n),
		Meta: vector.Meta{ACL: w.names(), Metadata: w.metadata()},
	}
	return placed{scope: w.scope(), point: p}
}

func (w *world) query() vector.Query {
	q := vector.Query{Scope: w.scope(), TopK: 1000, Candidates: 1000, Scores: w.rng.IntN(2) == 0, Fusion: vector.DBSF}
	for q.Dense == nil && len(q.BM25.Indices)+len(q.Grams.Indices) == 0 {
		if w.rng.IntN(2) == 0 {
			q.Dense = w.dense()
		}
		if w.rng.IntN(2) == 0 {
			q.BM25 = w.sparse()
		}
		if w.rng.IntN(2) == 0 {
			q.Grams = w.sparse()
		}
	}
	if w.rng.IntN(2) == 0 {
		q.Fusion = vector.RRF
	}
	q.Weights = map[vector.List]float64{vector.BM25: float64(1 + w.rng.IntN(4))}
	q.Filter.Readers = w.names()
	if w.rng.IntN(2) == 0 {
		q.Filter.Metadata = w.metadata()
	}
	if w.rng.IntN(3) == 0 {
		q.Filter.Documents = []string{w.pick("d1", "d2"), w.pick("d2", "d3")}
	}
	return q
}

// allows reports whether a query's reader may find a point.
func (p placed) allows(q vector.Query) bool {
	c := p.point.Chunk
	open := len(c.ACL) == 0 || slices.ContainsFunc(c.ACL, func(n string) bool { return slices.Contains(q.Filter.Readers, n) })
	for k, v := range q.Filter.Metadata {
		if got, ok := c.Metadata[k]; !ok || got != v {
			return false
		}
	}
	return p.scope == q.Scope && open && (len(q.Filter.Documents) == 0 || slices.Contains(q.Filter.Documents, c.Document))
}

// finds reports in which of a query's lists a point is. All weights are above 0.
func (p placed) finds(q vector.Query) []vector.List {
	shared := func(a, b sparse.Vector) bool {
		return slices.ContainsFunc(a.Indices, func(i uint32) bool { return slices.Contains(b.Indices, i) })
	}
	var out []vector.List
	if shared(p.point.BM25, q.BM25) {
		out = append(out, vector.BM25)
	}
	if q.Dense != nil {
		out = append(out, vector.Dense)
	}
	if shared(p.point.Grams, q.Grams) {
		out = append(out, vector.Grams)
	}
	return out
}

// testWalls: whatever the points and the query, what is found is exactly what
// the reader may see and the lists hold.
func testWalls(t *testing.T, f fixture) {
	f.ensure(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &world{rng: rand.New(rand.NewPCG(seed, 1))}
	byScope := map[vector.Scope][]vector.Point{}
	for n := range 150 {
		p := w.place(n)
		w.points = append(w.points, p)
		byScope[p.scope] = append(byScope[p.scope], p.point)
	}
	for scope, points := range byScope {
		f.upsert(t, scope, points...)
	}
	for range 200 {
		f.wantExactly(t, w, w.query())
	}
	f.wantWalledReads(t, w)
}

// wantExactly runs one query against the world.
func (f fixture) wantExactly(t *testing.T, w *world, q vector.Query) {
	t.Helper()
	want := map[string][]vector.List{}
	for _, p := range w.points {
		if lists := p.finds(q); len(lists) > 0 && p.allows(q) {
			want[p.point.ID] = lists
		}
	}
	for _, h := range f.search(t, q) {
		lists, ok := want[h.ID]
		if !ok {
			t.Fatalf("query %+v finds %+v, which it must not", q, h)
		}
		if got := slices.Sorted(maps.Keys(h.Lists)); q.Scores && !slices.Equal(got, lists) {
			t.Errorf("query %+v finds %s in lists %v, want %v", q, h.ID, got, lists)
		}
		delete(want, h.ID)
	}
	if len(want) > 0 {
		t.Fatalf("query %+v does not find %v", q, want)
	}
}

// wantWalledReads reads by id and by hash what other scopes hold too.
func (f fixture) wantWalledReads(t *testing.T, w *world) {
	t.Helper()
	var ids []string
	for _, p := range w.points {
		ids = append(ids, p.point.ID)
	}
	for _, scope := range []vector.Scope{{Tenant: "a", Collection: "x"}, {Tenant: "b", Collection: "y"}, {Tenant: "a ", Collection: "x"}, {Tenant: "no", Collection: "x"}} {
		want, tenant := map[string]bool{}, map[string][]placed{}
		for _, p := range w.points {
			if p.scope == scope {
				want[p.point.ID] = true
			}
			if p.scope.Tenant == scope.Tenant {
				tenant[p.point.Chunk.Hash] = append(tenant[p.point.Chunk.Hash], p)
			}
		}
		stored, err := f.store.Get(f.ctx, f.idx, scope, ids)
		check(t, "get", err)
		for _, s := range stored {
			if !want[s.ID] || s.Tenant != scope.Tenant || s.Collection != scope.Collection {
				t.Errorf("get in %v returns %+v", scope, s)
			}
		}
		if len(stored) != len(want) {
			t.Errorf("get in %v returns %d points, want %d", scope, len(stored), len(want))
		}
		vectors, err := f.store.Vectors(f.ctx, f.idx, scope.Tenant, []string{"h1", "h2", "h3", "h4", "h5"})
		check(t, "vectors", err)
		if len(vectors) != len(tenant) {
			t.Errorf("tenant %q has vectors of %d hashes, want %d", scope.Tenant, len(vectors), len(tenant))
		}
		for hash, v := range vectors {
			if !slices.ContainsFunc(tenant[hash], func(p placed) bool { return sameDirection(p.point.Dense, v) }) {
				t.Errorf("tenant %q gets a vector of hash %s that is not its own", scope.Tenant, hash)
			}
		}
	}
}

// sameDirection reports whether two vectors differ in length alone.
func sameDirection(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	var aa, bb, ab float64
	for i := range a {
		aa, bb, ab = aa+float64(a[i]*a[i]), bb+float64(b[i]*b[i]), ab+float64(a[i]*b[i])
	}
	return ab > 0 && near(ab*ab, aa*bb)
}
