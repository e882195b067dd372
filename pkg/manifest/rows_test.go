package manifest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/vector"
)

// setup returns rows over a fresh server.
func setup(t *testing.T) (*manifest.Rows, *bus.Bus, *bustest.Server) {
	t.Helper()
	b, server := bustest.New(t)
	return manifest.NewRows(b), b, server
}

func document(tenant, collection, id string) vector.Document {
	return vector.Document{Scope: vector.Scope{Tenant: tenant, Collection: collection}, ID: id}
}

// doc is the document of tests that need only one.
var doc = document("acme", "docs", "d1")

// number is the n-th of different ids.
func number(n int) manifest.ID { return manifest.ID{15: byte(n), 14: byte(n >> 8)} }

// put writes a row as it is.
func put(t *testing.T, rows *manifest.Rows, doc vector.Document, row manifest.Row) {
	t.Helper()
	_, err := rows.Change(t.Context(), doc, func(r *manifest.Row) error {
		row.V = r.V
		*r = row
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// raw writes anything where the document's row is.
func raw(t *testing.T, b *bus.Bus, doc vector.Document, value string) (revision uint64) {
	t.Helper()
	kv, err := b.KeyValue(t.Context(), bus.BucketDocuments)
	if err != nil {
		t.Fatal(err)
	}
	revision, err = kv.PutString(t.Context(), doc.Scope.Tenant+"."+doc.Scope.Collection+"."+doc.ID, value)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func get(t *testing.T, rows *manifest.Rows, doc vector.Document) manifest.Row {
	t.Helper()
	row, err := rows.Get(t.Context(), doc)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// current is a row with a current version of these chunks.
func current(version int64, chunks ...int) manifest.Row {
	row := manifest.Row{State: manifest.State{Version: version, Job: fmt.Sprint("job-", version), Meta: vector.Meta{Title: fmt.Sprint("Title ", version)}}}
	for i, n := range chunks {
		row.Chunks = append(row.Chunks, manifest.Ref{ID: number(n), Start: 10 * i, End: 10*i + 10, Page: i + 1})
	}
	return row
}

func TestGetAndChange(t *testing.T) {
	t.Parallel()
	rows, _, server := setup(t)
	if row := get(t, rows, doc); row.V != event.Version || row.Version != 0 || row.Pending != nil {
		t.Errorf("an unknown document has the row %+v", row)
	}
	for n := range int64(3) {
		row, err := rows.Change(t.Context(), doc, func(r *manifest.Row) error {
			if r.Version != n {
				t.Errorf("change %d is given version %d", n, r.Version)
			}
			r.Version++
			return nil
		})
		if err != nil || row.Version != n+1 {
			t.Errorf("change %d returns %+v, %v", n, row, err)
		}
	}
	if row := get(t, manifest.NewRows(server.Bus()), doc); row.Version != 3 {
		t.Errorf("another process reads %+v", row)
	}
	if row := get(t, rows, document("zeta", "docs", "d1")); row.Version != 0 {
		t.Errorf("another tenant reads %+v", row)
	}
}

// TestConcurrentChanges: every one of many writers' changes is in the row in the
// end, and none of them twice.
func TestConcurrentChanges(t *testing.T) {
	t.Parallel()
	const writers, each = 16, 6
	_, _, server := setup(t)
	var working sync.WaitGroup
	for w := range writers {
		rows := manifest.NewRows(server.Bus())
		working.Go(func() {
			for n := range each {
				_, err := rows.Change(t.Context(), doc, func(r *manifest.Row) error {
					r.Stale = append(r.Stale, number(w*each+n))
					return nil
				})
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	working.Wait()
	stale := get(t, manifest.NewRows(server.Bus()), doc).Stale
	seen := map[manifest.ID]bool{}
	for _, id := range stale {
		seen[id] = true
	}
	if len(stale) != writers*each || len(seen) != writers*each {
		t.Errorf("%d ids, %d different; want %d", len(stale), len(seen), writers*each)
	}
}

// TestChangeLosesARace: a writer that was overtaken is given the newer row.
func TestChangeLosesARace(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]bool{"of the first row": false, "of a later one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, _, _ := setup(t)
			if before {
				put(t, rows, doc, current(1))
			}
			calls := 0
			row, err := rows.Change(t.Context(), doc, func(r *manifest.Row) error {
				if calls++; calls == 1 {
					put(t, rows, doc, current(7, 1))
				}
				r.Stale = append(r.Stale, number(2))
				return nil
			})
			if err != nil || calls != 2 || row.Version != 7 || len(row.Stale) != 1 {
				t.Errorf("after %d calls: %+v, %v", calls, row, err)
			}
		})
	}
}

// TestKeep: ErrKeep writes nothing and is no error; any other error is returned,
// and nothing written either.
func TestKeep(t *testing.T) {
	t.Parallel()
	rows, b, _ := setup(t)
	put(t, rows, doc, current(1))
	kv, err := b.KeyValue(t.Context(), bus.BucketDocuments)
	if err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("wrong")
	for give, want := range map[error]error{bus.ErrKeep: nil, fmt.Errorf("so: %w", bus.ErrKeep): nil, wrong: wrong} {
		for _, d := range []vector.Document{doc, document("acme", "docs", "unknown")} {
			_, err := rows.Change(t.Context(), d, func(r *manifest.Row) error {
				r.Version = 9
				return give
			})
			if !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("%v gives %v, want %v", give, err, want)
			}
		}
	}
	status, err := kv.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(t.Context(), "acme.docs.d1")
	if err != nil || entry.Revision() != 1 || status.Values() != 1 {
		t.Errorf("revision %d of %d rows (%v), want the first of one", entry.Revision(), status.Values(), err)
	}
}

// TestAll: the rows of a scope and of no other, tombstones too.
func TestAll(t *testing.T) {
	t.Parallel()
	rows, _, _ := setup(t)
	for n, d := range []vector.Document{
		document("acme", "docs", "a"), document("acme", "docs", "b"), document("acme", "wiki", "a"), document("zeta", "docs", "a"), document("acme", "docs", "gone"),
	} {
		put(t, rows, d, manifest.Row{State: manifest.State{Version: int64(n + 1)}, Deleted: d.ID == "gone"})
	}
	if err := rows.Forget(t.Context(), document("acme", "docs", "gone")); err != nil {
		t.Fatal(err)
	}
	for scope, want := range map[vector.Scope][]string{
		{Tenant: "acme", Collection: "docs"}: {"acme/docs/a 1", "acme/docs/b 2"},
		{Tenant: "acme"}:                     {"acme/docs/a 1", "acme/docs/b 2", "acme/wiki/a 3"},
		{Collection: "docs"}:                 {"acme/docs/a 1", "acme/docs/b 2", "zeta/docs/a 4"},
		{}:                                   {"acme/docs/a 1", "acme/docs/b 2", "acme/wiki/a 3", "zeta/docs/a 4"},
		{Tenant: "nobody"}:                   nil,
	} {
		var got []string
		for e, err := range rows.All(t.Context(), scope) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s/%s/%s %d", e.Document.Scope.Tenant, e.Document.Scope.Collection, e.Document.ID, e.Row.Version))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%+v has %q, want %q", scope, got, want)
		}
	}
}

// TestAllEnds: early, when its reader has enough, and with its context.
func TestAllEnds(t *testing.T) {
	t.Parallel()
	rows, _, _ := setup(t)
	for n := range 3 {
		put(t, rows, document("acme", "docs", fmt.Sprint(n)), current(1))
	}
	n := 0
	for range rows.All(t.Context(), vector.Scope{}) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d rows after the end", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs []error
	for _, err := range rows.All(ctx, vector.Scope{}) {
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) {
		t.Errorf("with a canceled context: %v", errs)
	}
}

// TestAllLeavesNothing: a walk that is broken off ends its goroutines, however many
// rows are left.
func TestAllLeavesNothing(t *testing.T) {
	t.Parallel()
	rows, b, _ := setup(t)
	kv, err := b.KeyValue(t.Context(), bus.BucketDocuments)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 600 { // more than the client holds
		if _, err := kv.PutString(t.Context(), fmt.Sprintf("acme.docs.d%d", i), `{"v":1}`); err != nil {
			t.Fatal(err)
		}
	}
	for range rows.All(t.Context(), vector.Scope{}) {
		break
	}
	stacks := func() string {
		all := make([]byte, 1<<20)
		return string(all[:runtime.Stack(all, true)])
	}
	for end := time.Now().Add(10 * time.Second); strings.Contains(stacks(), "kvs).WatchFiltered"); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("still running:\n%s", stacks())
		}
	}
}

// TestForget: only a settled tombstone is forgotten, and the document may come
// back.
func TestForget(t *testing.T) {
	t.Parallel()
	rows, _, _ := setup(t)
	tombstone := manifest.Row{State: manifest.State{Version: 5}, Deleted: true}
	for name, row := range map[string]manifest.Row{
		"there":     current(1, 1),
		"unsettled": {State: tombstone.State, Deleted: true, Stale: manifest.IDs{number(1)}},
		"pending":   {State: tombstone.State, Deleted: true, Pending: &manifest.Pending{State: manifest.State{Version: 6}}},
		"tombstone": tombstone,
	} {
		d := document("acme", "docs", name)
		put(t, rows, d, row)
		if err := rows.Forget(t.Context(), d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want := row.Version
		if name == "tombstone" {
			want = 0
		}
		if got := get(t, rows, d); got.Version != want {
			t.Errorf("%s: version %d, want %d", name, got.Version, want)
		}
	}
	if err := rows.Forget(t.Context(), document("acme", "docs", "unknown")); err != nil {
		t.Errorf("unknown: %v", err)
	}
	back := document("acme", "docs", "tombstone")
	put(t, rows, back, current(2, 1))
	if got := get(t, rows, back); got.Version != 2 || got.Deleted {
		t.Errorf("the document is back as %+v", got)
	}
}

// TestUnreadableRows: a row of a later Weir, or one that is damaged, is refused
// and left as it is.
func TestUnreadableRows(t *testing.T) {
	t.Parallel()
	rows, b, _ := setup(t)
	for name, c := range map[string]struct {
		value string
		class event.Class
		want  string
	}{
		"later":   {`{"v":2,"version":7}`, event.ClassUnsupported, "version 2, this Weir reads 1"},
		"without": {`{"version":7}`, event.ClassUnsupported, "version 0"},
		"damaged": {`{"v":1,"chunks":"AAAA"}`, event.ClassInternal, "cut off"},
		"empty":   {``, event.ClassInternal, "decoding"},
	} {
		d := document("acme", "docs", name)
		revision := raw(t, b, d, c.value)
		_, getErr := rows.Get(t.Context(), d)
		_, changeErr := rows.Change(t.Context(), d, func(*manifest.Row) error {
			t.Errorf("%s: a change is given the row", name)
			return nil
		})
		_, _, checkErr := rows.Check(t.Context(), d.Scope, nil, []vector.Hit{{ID: number(1).String(), Chunk: vector.Chunk{Document: name}}})
		all := map[string]error{"get": getErr, "change": changeErr, "check": checkErr, "forget": rows.Forget(t.Context(), d)}
		for _, err := range rows.All(t.Context(), vector.Scope{Tenant: "acme"}) {
			all["all"] = err
		}
		for call, err := range all {
			if e := event.AsError(err); e == nil || e.Class != c.class || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %s gives %v, want %s with %q", name, call, err, c.class, c.want)
			}
		}
		if again := raw(t, b, d, `{"v":1}`); again != revision+1 {
			t.Errorf("%s: %d writes since, want none", name, again-revision-1)
		}
	}
}

// TestNoBucket: without a Weir that made it, nothing is there to read.
func TestNoBucket(t *testing.T) {
	t.Parallel()
	b, err := bus.New(bustest.Start(t).Connect())
	if err != nil {
		t.Fatal(err)
	}
	rows := manifest.NewRows(b)
	_, getErr := rows.Get(t.Context(), doc)
	errs := map[string]error{"get": getErr}
	for _, err := range rows.All(t.Context(), vector.Scope{}) {
		errs["all"] = err
	}
	for _, call := range slices.Sorted(maps.Keys(errs)) {
		if e := event.AsError(errs[call]); e == nil || e.Class != event.ClassUnavailable {
			t.Errorf("%s gives %v", call, errs[call])
		}
	}
	if err := b.Ensure(t.Context(), bus.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	if _, err := rows.Get(t.Context(), doc); err != nil {
		t.Errorf("once it is there: %v", err)
	}
}

// TestLargestRow: two versions of the largest document fit into a message.
func TestLargestRow(t *testing.T) {
	t.Parallel()
	rows, _, _ := setup(t)
	refs := func(salt byte) (out manifest.Refs) {
		for n := range manifest.MaxChunks {
			id := number(n)
			id[0] = salt
			out = append(out, manifest.Ref{ID: id, Start: 1 << 20 * (n % 2), End: 1<<20*(n%2) + 1<<13, Overlap: 200, Page: 20_000})
		}
		return out
	}
	row := manifest.Row{State: manifest.State{Version: 1, Job: "j1", Chunks: refs(1)}}
	next := manifest.Pending{State: manifest.State{Version: 2, Job: "j2", Chunks: refs(2)}}
	for n := range next.Chunks {
		next.Added = append(next.Added, n)
	}
	row.Begin(next)
	put(t, rows, doc, row)
	got := get(t, rows, doc)
	if !slices.Equal(got.Chunks, row.Chunks) || !slices.Equal(got.Pending.Chunks, next.Chunks) || len(got.Pending.Work) != manifest.MaxChunks/manifest.BatchChunks {
		t.Error("the row came back different")
	}
}
