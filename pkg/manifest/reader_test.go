package manifest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/vector"
)

var scope = vector.Scope{Tenant: "acme", Collection: "docs"}

// hit is what a store finds: the n-th point, said to be of a document.
func hit(n int, document string) vector.Hit {
	return vector.Hit{ID: number(n).String(), Score: float32(n), Chunk: vector.Chunk{
		Document: document, Text: fmt.Sprint("text ", n), Meta: vector.Meta{Title: "as it was stored", ACL: []string{"everyone"}}}}
}

func check(t *testing.T, rows *manifest.Rows, readers []string, hits ...vector.Hit) (found []manifest.Found, stale int) {
	t.Helper()
	found, stale, err := rows.Check(t.Context(), scope, readers, hits)
	if err != nil {
		t.Fatal(err)
	}
	return found, stale
}

func points(found []manifest.Found) (out []string) {
	for _, f := range found {
		out = append(out, f.ID)
	}
	return out
}

// TestCheck: what is a current chunk stays, in its order, with its place and the
// row's meta; what is not is counted.
func TestCheck(t *testing.T) {
	t.Parallel()
	rows, _, _ := setup(t)
	put(t, rows, document("acme", "docs", "a"), current(3, 1, 2, 3))
	pending := current(5, 4)
	pending.Begin(manifest.Pending{State: manifest.State{Version: 6, Job: "j6", Chunks: current(6, 5).Chunks}, Added: []int{0}})
	put(t, rows, document("acme", "docs", "b"), pending)
	put(t, rows, document("acme", "docs", "gone"), manifest.Row{State: current(7, 6).State, Deleted: true})
	put(t, rows, document("zeta", "docs", "c"), current(1, 7)) // another tenant's
	found, stale := check(t, rows, nil,
		hit(3, "a"), hit(4, "b"), hit(9, "a"), hit(5, "b"), hit(1, "a"), hit(6, "gone"), hit(7, "c"), hit(8, "never"),
		hit(4, "a"), vector.Hit{ID: "no id", Chunk: vector.Chunk{Document: "a"}}, hit(3, "a"))
	want := []string{number(3).String(), number(4).String(), number(1).String(), number(3).String()}
	if !slices.Equal(points(found), want) || stale != 7 {
		t.Fatalf("found %v, %d stale; want %v and 7", points(found), stale, want)
	}
	first := found[0]
	if first.Version != 3 || first.Position != 2 || first.Ref != (manifest.Ref{ID: number(3), Start: 20, End: 30, Page: 3}) {
		t.Errorf("chunk 3 is at %+v", first)
	}
	if first.Chunk.Title != "Title 3" || first.Chunk.ACL != nil || first.Chunk.Text != "text 3" || first.Score != 3 {
		t.Errorf("chunk 3 is %+v, want the row's meta and all else as stored", first.Hit)
	}
}

// TestCheckReaders: the row's access list counts, whatever the store says, and
// what a reader may not read is not called stale.
func TestCheckReaders(t *testing.T) {
	t.Parallel()
	rows, _, _ := setup(t)
	open, closed := current(1, 1), current(1, 2)
	closed.Meta.ACL = []string{"staff", "ann"}
	put(t, rows, document("acme", "docs", "open"), open)
	put(t, rows, document("acme", "docs", "closed"), closed)
	for _, c := range []struct {
		readers []string
		want    int
	}{
		{nil, 1}, {[]string{"bob"}, 1}, {[]string{"everyone"}, 1}, {[]string{""}, 1}, {[]string{"Staff"}, 1}, {[]string{"*"}, 1},
		{[]string{"staff"}, 2}, {[]string{"bob", "ann"}, 2},
	} {
		found, stale := check(t, rows, c.readers, hit(2, "closed"), hit(1, "open"))
		if len(found) != c.want || stale != 0 {
			t.Errorf("%q find %v, %d stale; want %d", c.readers, points(found), stale, c.want)
		}
	}
}

// TestCheckReadsEachRowOnce: so that all chunks of a document are of one version.
func TestCheckReadsEachRowOnce(t *testing.T) {
	t.Parallel()
	rows, b, _ := setup(t)
	var hits []vector.Hit
	const documents, each = 40, 5
	for n := range documents * each {
		hits = append(hits, hit(n, fmt.Sprint("d", n%documents)))
	}
	for n := range documents {
		var chunks []int
		for i := range each {
			chunks = append(chunks, n+i*documents)
		}
		put(t, rows, document("acme", "docs", fmt.Sprint("d", n)), current(1, chunks...))
	}
	before := b.Conn().Stats().OutMsgs
	found, stale := check(t, rows, nil, hits...)
	if asked := b.Conn().Stats().OutMsgs - before; asked != documents {
		t.Errorf("%d questions to the server, want one per document, %d", asked, documents)
	}
	if len(found) != len(hits) || stale != 0 {
		t.Errorf("%d found, %d stale", len(found), stale)
	}
	before = b.Conn().Stats().OutMsgs
	if found, stale := check(t, rows, nil); found != nil || stale != 0 || b.Conn().Stats().OutMsgs != before {
		t.Errorf("of no hits: %v, %d stale", found, stale)
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	rows, _, _ := setup(t)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, _, err := rows.Check(ctx, scope, nil, []vector.Hit{hit(1, "a")}); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}
