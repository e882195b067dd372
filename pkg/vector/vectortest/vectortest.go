// Package vectortest is the suite every vector.Store must pass.
package vectortest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/vector"
)

// IndexPrefix starts the name of every index the suite makes, so that a test on
// a shared store can remove them afterwards.
const IndexPrefix = "weirtest-"

// dim is the dimension of the suite's vectors.
const dim = 4

// Run tests a store. The factory is called once per test, which may run in
// parallel, and may return the same store each time: every test uses an index of
// its own.
func Run(t *testing.T, factory func(t *testing.T) vector.Store) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, f fixture)
	}{
		{"EnsureIsIdempotent", testEnsureIdempotent},
		{"EnsureRaces", testEnsureRaces},
		{"EnsureRefusesOtherDimension", testEnsureDimension},
		{"EnsureRefusesIncompleteIndex", testEnsureIncomplete},
		{"VectorsOfWrongLength", testVectorLength},
		{"SearchOrderAndScores", testSearchOrder},
		{"SearchLimits", testSearchLimits},
		{"PayloadRoundTrip", testRoundTrip},
		{"SparsePayloadRoundTrip", testSparseRoundTrip},
		{"TenantsAndCollectionsAreIsolated", testIsolation},
		{"AnotherScopesPointIsNotOverwritten", testNoTakeover},
		{"EmptyScopeIsRefused", testEmptyScope},
		{"UnknownScopeIsEmpty", testUnknownScope},
		{"UnknownIndexIsEmpty", testUnknownIndex},
		{"OlderVersionNeverOverwrites", testOlderVersion},
		{"EqualVersionOverwrites", testEqualVersion},
		{"MixedVersionsInOneBatch", testMixedVersions},
		{"BadVersionIsRefused", testBadVersion},
		{"InvalidTextIsRefused", testInvalidText},
		{"DeleteStale", testDeleteStale},
		{"LateVersion", testLateVersion},
		{"BigBatch", testBigBatch},
		{"ConcurrentUpserts", testConcurrentUpserts},
		{"CanceledContextPassesThrough", testCanceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, newFixture(t, factory(t)))
		})
	}
}

// fixture is one test's store with an index of its own.
type fixture struct {
	store vector.Store
	idx   vector.Index
	scope vector.Scope
	ctx   context.Context
}

func newFixture(t *testing.T, store vector.Store) fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return fixture{
		store: store, ctx: ctx,
		idx:   vector.Index{Name: IndexPrefix + randomHex(t, 8), Model: "suite/model:1", Dimension: dim},
		scope: vector.Scope{Tenant: "acme", Collection: "manuals"},
	}
}

// ensure makes the fixture's index.
func (f fixture) ensure(t *testing.T) {
	t.Helper()
	if err := f.store.Ensure(f.ctx, f.idx); err != nil {
		t.Fatalf("ensure: %v", err)
	}
}

// upsert stores points in a scope.
func (f fixture) upsert(t *testing.T, scope vector.Scope, points ...vector.Point) {
	t.Helper()
	if err := f.store.Upsert(f.ctx, f.idx, scope, points); err != nil {
		t.Fatalf("upsert: %v", err)
	}
}

// search finds the nearest points of a scope.
func (f fixture) search(t *testing.T, scope vector.Scope, topK int, v ...float32) []vector.Hit {
	t.Helper()
	hits, err := f.store.Search(f.ctx, f.idx, vector.Query{Scope: scope, Vector: v, TopK: topK})
	if err != nil {
		t.Fatalf("search: %v", err)
	}
	return hits
}

// wantCount checks the number of chunks in a scope.
func (f fixture) wantCount(t *testing.T, scope vector.Scope, want int) {
	t.Helper()
	got, err := f.store.Count(f.ctx, f.idx, scope)
	if err != nil {
		t.Fatalf("count: %v", err)
	}
	if got != want {
		t.Errorf("count in %v = %d, want %d", scope, got, want)
	}
}

// wantText checks which chunk a scope's only hit holds.
func (f fixture) wantText(t *testing.T, want string) {
	t.Helper()
	hits := f.search(t, f.scope, 10, 1, 0, 0, 0)
	if len(hits) != 1 || hits[0].Chunk.Text != want {
		t.Errorf("stored: %v, want one chunk with text %q", hits, want)
	}
}

// point makes a point; n makes its id.
func point(n int, document string, version int64, text string, v ...float32) vector.Point {
	return vector.Point{ID: id(n), Vector: v, Chunk: vector.Chunk{Document: document, Version: version, Position: n, Text: text}}
}

// id is the n-th of a series of UUIDs.
func id(n int) string { return fmt.Sprintf("00000000-0000-5000-8000-%012x", n) }

// near reports whether two scores are equal but for rounding.
func near(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-5 }

func randomHex(t *testing.T, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatalf("random: %v", err)
	}
	return hex.EncodeToString(b)
}
