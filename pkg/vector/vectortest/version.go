package vectortest

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

func testOlderVersion(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope, point(1, "d", 5, "five", 1, 0, 0, 0))
	f.upsert(t, f.scope, point(1, "d", 4, "four", 1, 0, 0, 0))
	f.wantText(t, "five")
	f.upsert(t, f.scope, point(1, "d", 6, "six", 1, 0, 0, 0))
	f.wantText(t, "six")
}

func testEqualVersion(t *testing.T, f fixture) {
	f.ensure(t)
	const v = 1<<53 - 1 // the last one a float64 holds exactly
	f.upsert(t, f.scope, point(1, "d", v, "first", 1, 0, 0, 0))
	f.upsert(t, f.scope, point(1, "d", v, "again", 1, 0, 0, 0))
	f.wantText(t, "again")
	f.upsert(t, f.scope, point(1, "d", v-1, "older", 1, 0, 0, 0))
	f.wantText(t, "again")
	f.wantCount(t, f.scope, 1)
}

func testMixedVersions(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope, point(1, "a", 3, "a3", 1, 0, 0, 0), point(2, "b", 3, "b3", 0, 1, 0, 0))
	f.upsert(t, f.scope, point(1, "a", 4, "a4", 1, 0, 0, 0), point(2, "b", 2, "b2", 0, 1, 0, 0), point(3, "c", 1, "c1", 0, 0, 1, 0))
	got := map[string]bool{}
	for _, h := range f.search(t, f.scope, 10, 1, 1, 1, 0) {
		got[h.Chunk.Text] = true
	}
	if len(got) != 3 || !got["a4"] || !got["b3"] || !got["c1"] {
		t.Errorf("stored %v, want a4, b3 and c1", got)
	}
}

func testBadVersion(t *testing.T, f fixture) {
	f.ensure(t)
	for _, v := range []int64{-1, 1 << 53, math.MaxInt64} {
		err := f.store.Upsert(f.ctx, f.idx, f.scope, []vector.Point{point(1, "d", v, "x", 1, 0, 0, 0)})
		wantClass(t, fmt.Sprintf("version %d", v), err, event.ClassInvalid)
	}
}

func testDeleteStale(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope,
		point(1, "d", 1, "old", 1, 0, 0, 0), point(2, "d", 2, "current", 1, 0, 0, 0), point(3, "d", 3, "newer", 1, 0, 0, 0),
		point(4, "other", 1, "other", 1, 0, 0, 0))
	doc := vector.Document{Scope: f.scope, ID: "d"}
	for _, step := range []struct {
		version int64
		left    int
	}{{2, 2}, {2, 2}, {3, 2}, {math.MaxInt32, 1}} {
		if err := f.store.DeleteStale(f.ctx, f.idx, doc, step.version); err != nil {
			t.Fatalf("delete stale below %d: %v", step.version, err)
		}
		f.wantCount(t, f.scope, step.left)
	}
	f.wantText(t, "other")
}

// testLateVersion: an older version of a document that is stored after a newer
// one, as a retry may be, leaves nothing behind.
func testLateVersion(t *testing.T, f fixture) {
	f.ensure(t)
	doc := vector.Document{Scope: f.scope, ID: "d"}
	store := func(version int64, points ...vector.Point) {
		f.upsert(t, f.scope, points...)
		if err := f.store.DeleteStale(f.ctx, f.idx, doc, version); err != nil {
			t.Fatalf("delete stale below %d: %v", version, err)
		}
	}
	store(2, point(1, "d", 2, "kept", 1, 0, 0, 0), point(2, "d", 2, "new", 0, 1, 0, 0))
	store(1, point(1, "d", 1, "kept", 1, 0, 0, 0), point(3, "d", 1, "old", 0, 0, 1, 0))
	f.wantCount(t, f.scope, 2)
	for _, h := range f.search(t, f.scope, 10, 1, 1, 1, 0) {
		if h.Chunk.Version != 2 {
			t.Errorf("chunk %q of version %d is left", h.Chunk.Text, h.Chunk.Version)
		}
	}
}

func testBigBatch(t *testing.T, f fixture) {
	f.ensure(t)
	const n = 1000
	points := make([]vector.Point, n)
	for i := range points {
		a := float64(i) / n
		points[i] = point(i, fmt.Sprintf("d%d", i%10), 1, fmt.Sprint(i), float32(math.Cos(a)), float32(math.Sin(a)), 0, 0)
	}
	f.upsert(t, f.scope, points...)
	f.wantCount(t, f.scope, n)
	hits := f.search(t, f.scope, n, 1, 0, 0, 0)
	if len(hits) != n {
		t.Fatalf("got %d hits, want %d", len(hits), n)
	}
	for i, h := range hits {
		if h.Chunk.Position != i && !near(h.Score, float32(math.Cos(float64(i)/n))) {
			t.Fatalf("hit %d is chunk %d with score %v", i, h.Chunk.Position, h.Score)
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
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("concurrent upserts: %v", err)
	}
	f.wantCount(t, f.scope, writers*each+1)
	if hits := f.search(t, f.scope, 1, 1, 0, 0, 0); len(hits) != 1 || hits[0].Chunk.Version != writers*each-1 {
		t.Errorf("the shared point is %+v, want version %d", hits, writers*each-1)
	}
}
