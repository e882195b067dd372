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

	"github.com/weir-dev/weir/pkg/sparse"
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
		{"EnsureRefusesIncompleteIndex", testEnsureIncomplete},
		{"ModelsNeverMeet", testModels},
		{"DimensionsNeverMeet", testDimensions},
		{"SwitchAndCurrent", testSwitch},
		{"SwitchUnderReads", testSwitchUnderReads},
		{"Drop", testDrop},
		{"UnknownIndex", testUnknownIndex},
		{"CanceledContextPassesThrough", testCanceled},
		{"VectorsOfWrongLength", testVectorLength},
		{"BadPointIsRefused", testBadPoint},
		{"RoundTrip", testRoundTrip},
		{"SparseRoundTrip", testSparseRoundTrip},
		{"AnotherScopesPointIsNotOverwritten", testNoTakeover},
		{"OlderVersionNeverOverwrites", testOlderVersion},
		{"EqualVersionOverwrites", testEqualVersion},
		{"MixedVersionsInOneBatch", testMixedVersions},
		{"OneIDTwiceInOneBatch", testTwice},
		{"BigBatch", testBigBatch},
		{"ConcurrentUpserts", testConcurrentUpserts},
		{"SetMeta", testSetMeta},
		{"Delete", testDelete},
		{"DeleteDocument", testDeleteDocument},
		{"LateUpsert", testLateUpsert},
		{"DenseList", testDense},
		{"SparseLists", testSparse},
		{"BadQueryIsRefused", testBadQuery},
		{"Candidates", testCandidates},
		{"DefaultCandidates", testDefaultCandidates},
		{"FusionDBSF", testDBSF},
		{"FusionOfEqualScores", testNoSpread},
		{"FusionRRF", testRRF},
		{"MetadataKeys", testMetadataKeys},
		{"EmptyScopeIsRefused", testEmptyScope},
		{"Walls", testWalls},
		{"GetWithinScope", testGet},
		{"VectorsByHash", testVectors},
		{"VectorsOfCommonHash", testCommonHash},
		{"Scan", testScan},
		{"Count", testCount},
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
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
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
	check(t, "ensure", f.store.Ensure(f.ctx, f.idx))
}

// ensured is a fixture with its index.
func (f fixture) ensured(t *testing.T) fixture {
	t.Helper()
	f.ensure(t)
	return f
}

// upsert stores points in a scope.
func (f fixture) upsert(t *testing.T, scope vector.Scope, points ...vector.Point) {
	t.Helper()
	check(t, "upsert", f.store.Upsert(f.ctx, f.idx, scope, points))
}

// search runs a query, in the fixture's scope unless it says another.
func (f fixture) search(t *testing.T, q vector.Query) []vector.Hit {
	t.Helper()
	if q.Scope == (vector.Scope{}) {
		q.Scope = f.scope
	}
	hits, err := f.store.Search(f.ctx, f.idx, q)
	check(t, "search", err)
	return hits
}

// all finds all points of the fixture's scope.
func (f fixture) all(t *testing.T) []vector.Hit {
	t.Helper()
	return f.search(t, vector.Query{Dense: []float32{1, 1, 1, 0}, TopK: 10000})
}

// doc is a document of the fixture's scope.
func (f fixture) doc(id string) vector.Document { return vector.Document{Scope: f.scope, ID: id} }

// wantCount checks the number of chunks in a scope.
func (f fixture) wantCount(t *testing.T, scope vector.Scope, want int) {
	t.Helper()
	got, err := f.store.Count(f.ctx, f.idx, scope)
	check(t, "count", err)
	if got != want {
		t.Errorf("count in %v = %d, want %d", scope, got, want)
	}
}

// wantTexts checks the texts of all chunks of the fixture's scope.
func (f fixture) wantTexts(t *testing.T, want ...string) {
	t.Helper()
	got := map[string]bool{}
	hits := f.all(t)
	for _, h := range hits {
		got[h.Chunk.Text] = true
	}
	ok := len(hits) == len(want)
	for _, w := range want {
		ok = ok && got[w]
	}
	if !ok {
		t.Errorf("stored texts %v, want %v", got, want)
	}
}

// check ends the test on an error.
func check(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// point makes a point; n makes its id.
func point(n int, document string, version int64, text string, dense ...float32) vector.Point {
	return vector.Point{ID: id(n), Dense: dense, Chunk: vector.Chunk{Document: document, Version: version, Text: text}}
}

// id is the n-th of a series of UUIDs.
func id(n int) string { return fmt.Sprintf("00000000-0000-5000-8000-%012x", n) }

// terms makes a sparse vector of pairs of index and value.
func terms(pairs ...float64) sparse.Vector {
	var v sparse.Vector
	for i := 0; i < len(pairs); i += 2 {
		v.Indices = append(v.Indices, uint32(pairs[i]))
		v.Values = append(v.Values, float32(pairs[i+1]))
	}
	return v
}

// near reports whether two scores are equal but for rounding.
func near(a, b float64) bool { return math.Abs(a-b) < 1e-4*max(1, math.Abs(b)) }

func randomHex(t *testing.T, n int) string {
	t.Helper()
	b := make([]byte, n)
	_, err := rand.Read(b)
	check(t, "random", err)
	return hex.EncodeToString(b)
}
