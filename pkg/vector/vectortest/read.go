package vectortest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

func testGet(t *testing.T, f fixture) {
	f.ensure(t)
	var points []vector.Point
	var ids []string
	for n := range 600 {
		points = append(points, point(n, "d", 1, fmt.Sprint(n), 1, 0, 0, 0))
		ids = append(ids, id(n))
	}
	f.upsert(t, f.scope, points...)
	stored, err := f.store.Get(f.ctx, f.idx, f.scope, append(ids, id(9999), id(0)))
	check(t, "get", err)
	got := map[string]bool{}
	for _, s := range stored {
		got[s.ID] = true
	}
	if len(stored) != len(points) || len(got) != len(points) {
		t.Errorf("got %d points, %d of them different; want %d", len(stored), len(got), len(points))
	}
	if stored, err = f.store.Get(f.ctx, f.idx, f.scope, nil); err != nil || len(stored) != 0 {
		t.Errorf("get of nothing: %v, error %v", stored, err)
	}
	_, err = f.store.Get(f.ctx, f.idx, f.scope, []string{"x"})
	wantClass(t, "get of a bad id", err, event.ClassInvalid)
}

func testVectors(t *testing.T, f fixture) {
	f.ensure(t)
	hashed := func(n int, hash string, v ...float32) vector.Point {
		p := point(n, "d", 1, "x", v...)
		p.Chunk.Hash = hash
		return p
	}
	f.upsert(t, f.scope, hashed(1, "one", 2, 0, 0, 0), hashed(2, "two", 0, 3, 4, 0), hashed(3, "two", 0, 3, 4, 0), hashed(4, "", 1, 1, 1, 1))
	f.upsert(t, vector.Scope{Tenant: f.scope.Tenant, Collection: "other"}, hashed(5, "three", 0, 0, 0, 1))
	f.upsert(t, vector.Scope{Tenant: "intruder", Collection: f.scope.Collection}, hashed(6, "one", 0, 0, 1, 0), hashed(7, "four", 0, 0, 1, 0))
	got, err := f.store.Vectors(f.ctx, f.idx, f.scope.Tenant, []string{"one", "two", "two", "three", "four", "five"})
	check(t, "vectors", err)
	want := map[string][]float32{"one": {1, 0, 0, 0}, "two": {0, 0.6, 0.8, 0}, "three": {0, 0, 0, 1}}
	for hash, v := range want {
		if !sameDirection(got[hash], v) {
			t.Errorf("hash %s: vector %v, want the direction of %v", hash, got[hash], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("vectors of %d hashes, want %d", len(got), len(want))
	}
	if got, err = f.store.Vectors(f.ctx, f.idx, f.scope.Tenant, nil); err != nil || len(got) != 0 {
		t.Errorf("vectors of nothing: %v, error %v", got, err)
	}
}

// testCommonHash: a hash of very many points, as of a licence that is in every
// document, does not hide the others.
func testCommonHash(t *testing.T, f fixture) {
	f.ensure(t)
	var points []vector.Point
	var hashes []string
	for n := range 1500 {
		p := point(n, "d", 1, "x", 1, 0, 0, 0)
		p.Chunk.Hash = "licence"
		if n%5 == 4 {
			p.Chunk.Hash = fmt.Sprint("rare", n)
			p.Dense = []float32{1, float32(n), 0, 0}
			hashes = append(hashes, p.Chunk.Hash)
		}
		points = append(points, p)
	}
	f.upsert(t, f.scope, points...)
	got, err := f.store.Vectors(f.ctx, f.idx, f.scope.Tenant, append(hashes, "licence", "missing"))
	check(t, "vectors", err)
	if len(got) != len(hashes)+1 {
		t.Errorf("vectors of %d hashes, want %d", len(got), len(hashes)+1)
	}
	for _, p := range points {
		if !sameDirection(got[p.Chunk.Hash], p.Dense) {
			t.Fatalf("hash %s: vector %v, want the direction of %v", p.Chunk.Hash, got[p.Chunk.Hash], p.Dense)
		}
	}
}

func testScan(t *testing.T, f fixture) {
	f.ensure(t)
	scopes := []vector.Scope{f.scope, {Tenant: f.scope.Tenant, Collection: "other"}, {Tenant: "other", Collection: f.scope.Collection}}
	const n = 40
	for i := range n {
		k := i * 17 % n // not in the order of ids
		f.upsert(t, scopes[k%3], point(k, fmt.Sprintf("d%d", k%2), 1, fmt.Sprint(k), 1, 0, 0, 0))
	}
	for name, tt := range map[string]struct {
		scan vector.Scan
		keep func(k int) bool
	}{
		"all":        {vector.Scan{}, func(int) bool { return true }},
		"tenant":     {vector.Scan{Scope: vector.Scope{Tenant: f.scope.Tenant}}, func(k int) bool { return k%3 < 2 }},
		"collection": {vector.Scan{Scope: vector.Scope{Collection: f.scope.Collection}}, func(k int) bool { return k%3 != 1 }},
		"scope":      {vector.Scan{Scope: f.scope}, func(k int) bool { return k%3 == 0 }},
		"document":   {vector.Scan{Scope: f.scope, Document: "d1"}, func(k int) bool { return k%3 == 0 && k%2 == 1 }},
		"nobody":     {vector.Scan{Scope: vector.Scope{Tenant: "nobody"}}, func(int) bool { return false }},
	} {
		for _, limit := range []int{1, 7, 1000} {
			var want []string
			for k := range n {
				if tt.keep(k) {
					want = append(want, id(k))
				}
			}
			tt.scan.Limit = limit
			if got := f.walk(t, tt.scan); !slices.Equal(got, want) {
				t.Errorf("%s by %d: %v, want %v", name, limit, got, want)
			}
		}
	}
	stored, err := f.store.Scan(f.ctx, f.idx, vector.Scan{After: id(6), Limit: 1})
	check(t, "scan", err)
	if len(stored) != 1 || stored[0].ID != id(7) || stored[0].Tenant != scopes[7%3].Tenant || stored[0].Collection != scopes[7%3].Collection || stored[0].Chunk.Text != "7" {
		t.Errorf("behind point 6 is %+v, want point 7", stored)
	}
	// The walk goes on behind an id that has been deleted meanwhile.
	check(t, "delete", f.store.Delete(f.ctx, f.idx, f.doc("d0"), []string{id(6)}, 2))
	if stored, err = f.store.Scan(f.ctx, f.idx, vector.Scan{After: id(6), Limit: 1}); err != nil || len(stored) != 1 || stored[0].ID != id(7) {
		t.Errorf("behind a deleted point is %+v, error %v; want point 7", stored, err)
	}
	for _, scan := range []vector.Scan{{}, {Limit: -1}, {Limit: 1, After: "x"}} {
		_, err := f.store.Scan(f.ctx, f.idx, scan)
		wantClass(t, fmt.Sprintf("scan %+v", scan), err, event.ClassInvalid)
	}
}

// walk scans page by page.
func (f fixture) walk(t *testing.T, scan vector.Scan) []string {
	t.Helper()
	var ids []string
	for {
		page, err := f.store.Scan(f.ctx, f.idx, scan)
		check(t, "scan", err)
		if len(page) > scan.Limit {
			t.Errorf("a page of %d points, want at most %d", len(page), scan.Limit)
		}
		for _, p := range page {
			ids = append(ids, p.ID)
		}
		if len(page) < scan.Limit {
			return ids
		}
		scan.After = ids[len(ids)-1]
	}
}

func testCount(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, vector.Scope{Tenant: "a", Collection: "x"}, point(1, "d", 1, "", 1, 0, 0, 0))
	f.upsert(t, vector.Scope{Tenant: "a", Collection: "y"}, point(2, "d", 1, "", 1, 0, 0, 0), point(3, "e", 1, "", 1, 0, 0, 0))
	f.upsert(t, vector.Scope{Tenant: "b", Collection: "x"}, point(4, "d", 1, "", 1, 0, 0, 0))
	for scope, want := range map[vector.Scope]int{
		{}: 4, {Tenant: "a"}: 3, {Collection: "x"}: 2, {Tenant: "a", Collection: "y"}: 2, {Tenant: "c"}: 0, {Tenant: "b", Collection: "y"}: 0,
	} {
		f.wantCount(t, scope, want)
	}
}
