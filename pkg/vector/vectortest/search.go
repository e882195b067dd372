package vectortest

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

func testSearchOrder(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope,
		point(1, "d", 1, "opposite", -2, 0, 0, 0), point(2, "d", 1, "same", 5, 0, 0, 0),
		point(3, "d", 1, "right angle", 0, 0, 3, 0), point(4, "d", 1, "close", 3, 4, 0, 0))
	hits := f.search(t, f.scope, 10, 10, 0, 0, 0)
	want := []struct {
		text  string
		score float32
	}{{"same", 1}, {"close", 0.6}, {"right angle", 0}, {"opposite", -1}}
	if len(hits) != len(want) {
		t.Fatalf("got %d hits, want %d", len(hits), len(want))
	}
	for i, w := range want {
		if hits[i].Chunk.Text != w.text || !near(hits[i].Score, w.score) {
			t.Errorf("hit %d: %q with score %v, want %q with %v", i, hits[i].Chunk.Text, hits[i].Score, w.text, w.score)
		}
	}
}

func testSearchLimits(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope, point(1, "d", 1, "a", 1, 0, 0, 0), point(2, "d", 1, "b", 3, 4, 0, 0), point(3, "d", 1, "c", 0, 1, 0, 0))
	if hits := f.search(t, f.scope, 2, 1, 0, 0, 0); len(hits) != 2 {
		t.Errorf("top 2: got %d hits", len(hits))
	}
	for _, tt := range []struct {
		min  float32
		want int
	}{{0, 3}, {0.5, 2}, {0.7, 1}, {1.5, 0}} {
		hits, err := f.store.Search(f.ctx, f.idx, vector.Query{Scope: f.scope, Vector: []float32{1, 0, 0, 0}, TopK: 9, MinScore: tt.min})
		if err != nil || len(hits) != tt.want {
			t.Errorf("min score %v: %d hits, error %v; want %d", tt.min, len(hits), err, tt.want)
		}
	}
	// A score at the limit is kept: this one is exact.
	hits, err := f.store.Search(f.ctx, f.idx, vector.Query{Scope: f.scope, Vector: []float32{1, 0, 0, 0}, TopK: 9, MinScore: 1})
	if err != nil || len(hits) != 1 {
		t.Errorf("min score 1: %d hits, error %v; want the exact one", len(hits), err)
	}
	_, err = f.store.Search(f.ctx, f.idx, vector.Query{Scope: f.scope, Vector: []float32{1, 0, 0, 0}})
	wantClass(t, "top 0", err, event.ClassInvalid)
}

func testRoundTrip(t *testing.T, f fixture) {
	f.ensure(t)
	want := vector.Chunk{
		Document: "docs/guide.md", Version: 1<<53 - 1, Position: 7, Text: "Schöne Grüße, 世界\n\x00\ttab",
		Source: "https://example.com/guide?x=1", Title: "Guide", Section: []string{"Install", "On Linux", ""}, Start: 1024, End: 2048,
		Created:  time.Date(2026, 2, 3, 4, 5, 6, 123456789, time.FixedZone("", 3600)),
		Metadata: map[string]string{"author": "Ann", "empty": "", "a.b": "dotted", "tenant": "not the tenant"},
	}
	p := vector.Point{ID: id(1), Vector: []float32{1, 0, 0, 0}, Chunk: want}
	f.upsert(t, f.scope, p)
	hits := f.search(t, f.scope, 1, 1, 0, 0, 0)
	if len(hits) != 1 {
		t.Fatalf("got %d hits, want 1", len(hits))
	}
	if hits[0].ID != p.ID {
		t.Errorf("id %q, want %q", hits[0].ID, p.ID)
	}
	sameChunk(t, hits[0].Chunk, want)
}

func testSparseRoundTrip(t *testing.T, f fixture) {
	f.ensure(t)
	want := vector.Chunk{Document: "d"}
	f.upsert(t, f.scope, vector.Point{ID: id(1), Vector: []float32{1, 0, 0, 0}, Chunk: want})
	hits := f.search(t, f.scope, 1, 1, 0, 0, 0)
	if len(hits) != 1 {
		t.Fatalf("got %d hits, want 1", len(hits))
	}
	sameChunk(t, hits[0].Chunk, want)
	// An upsert replaces the whole chunk: fields that are gone do not linger.
	full := want
	full.Title, full.Metadata, full.Section = "T", map[string]string{"k": "v"}, []string{"s"}
	f.upsert(t, f.scope, vector.Point{ID: id(1), Vector: []float32{1, 0, 0, 0}, Chunk: full})
	f.upsert(t, f.scope, vector.Point{ID: id(1), Vector: []float32{1, 0, 0, 0}, Chunk: want})
	sameChunk(t, f.search(t, f.scope, 1, 1, 0, 0, 0)[0].Chunk, want)
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

func testIsolation(t *testing.T, f fixture) {
	f.ensure(t)
	scopes := []vector.Scope{{Tenant: "a", Collection: "x"}, {Tenant: "a", Collection: "y"}, {Tenant: "b", Collection: "x"}, {Tenant: "a ", Collection: "x"}}
	for i, s := range scopes {
		for n := range i + 1 {
			f.upsert(t, s, point(100*i+n, "same document", 1, s.Tenant+"/"+s.Collection, 1, 0, 0, 0))
		}
	}
	for i, s := range scopes {
		f.wantCount(t, s, i+1)
		hits := f.search(t, s, 100, 1, 0, 0, 0)
		if len(hits) != i+1 {
			t.Errorf("scope %v: %d hits, want %d", s, len(hits), i+1)
		}
		for _, h := range hits {
			if want := s.Tenant + "/" + s.Collection; h.Chunk.Text != want {
				t.Errorf("scope %v sees a chunk of %q", s, h.Chunk.Text)
			}
		}
	}
	if err := f.store.DeleteStale(f.ctx, f.idx, vector.Document{Scope: scopes[0], ID: "same document"}, 2); err != nil {
		t.Fatalf("delete stale: %v", err)
	}
	f.wantCount(t, scopes[0], 0)
	for i, s := range scopes[1:] {
		f.wantCount(t, s, i+2)
	}
}

func testNoTakeover(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope, point(1, "d", 1, "mine", 1, 0, 0, 0))
	other := vector.Scope{Tenant: "intruder", Collection: f.scope.Collection}
	f.upsert(t, other, point(1, "d", 9, "theirs", 1, 0, 0, 0))
	f.wantText(t, "mine")
}

func testEmptyScope(t *testing.T, f fixture) {
	f.ensure(t)
	for _, s := range []vector.Scope{{}, {Tenant: "a"}, {Collection: "x"}} {
		wantClass(t, "upsert", f.store.Upsert(f.ctx, f.idx, s, []vector.Point{point(1, "d", 1, "", 1, 0, 0, 0)}), event.ClassInvalid)
		wantClass(t, "delete", f.store.DeleteStale(f.ctx, f.idx, vector.Document{Scope: s, ID: "d"}, 1), event.ClassInvalid)
		_, err := f.store.Search(f.ctx, f.idx, vector.Query{Scope: s, Vector: []float32{1, 0, 0, 0}, TopK: 1})
		wantClass(t, "search", err, event.ClassInvalid)
		_, err = f.store.Count(f.ctx, f.idx, s)
		wantClass(t, "count", err, event.ClassInvalid)
	}
	wantClass(t, "delete without document", f.store.DeleteStale(f.ctx, f.idx, vector.Document{Scope: f.scope}, 1), event.ClassInvalid)
}

func testUnknownScope(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope, point(1, "d", 1, "x", 1, 0, 0, 0))
	nobody := vector.Scope{Tenant: "nobody", Collection: "nothing"}
	f.wantCount(t, nobody, 0)
	if hits := f.search(t, nobody, 5, 1, 0, 0, 0); len(hits) != 0 {
		t.Errorf("unknown scope: %d hits", len(hits))
	}
}

func testUnknownIndex(t *testing.T, f fixture) {
	f.wantCount(t, f.scope, 0)
	if hits := f.search(t, f.scope, 5, 1, 0, 0, 0); len(hits) != 0 {
		t.Errorf("unknown index: %d hits", len(hits))
	}
	if err := f.store.DeleteStale(f.ctx, f.idx, vector.Document{Scope: f.scope, ID: "d"}, 1); err != nil {
		t.Errorf("delete stale in an unknown index: %v", err)
	}
	wantClass(t, "upsert into an unknown index",
		f.store.Upsert(f.ctx, f.idx, f.scope, []vector.Point{point(1, "d", 1, "x", 1, 0, 0, 0)}), event.ClassInvalid)
}

func testInvalidText(t *testing.T, f fixture) {
	f.ensure(t)
	p := point(1, "d", 1, strings.Repeat("x", 10)+"\xff", 1, 0, 0, 0)
	wantClass(t, "upsert of text that is not UTF-8", f.store.Upsert(f.ctx, f.idx, f.scope, []vector.Point{p}), event.ClassInvalid)
}
