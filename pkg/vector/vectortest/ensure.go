package vectortest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// wantClass checks an error's class.
func wantClass(t *testing.T, what string, err error, want event.Class) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want class %s", what, want)
		return
	}
	var e *event.Error
	if !errors.As(err, &e) || e.Class != want {
		t.Errorf("%s: error %v, want *event.Error of class %s", what, err, want)
	}
}

// wantDimension checks that an error is ErrDimension, as an invalid job with a
// hint.
func wantDimension(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, vector.ErrDimension) {
		t.Errorf("%s: error %v, want ErrDimension", what, err)
	}
	wantClass(t, what, err, event.ClassInvalid)
	if e := event.AsError(err); e != nil && e.Hint == "" {
		t.Errorf("%s: error %v has no hint", what, err)
	}
}

func testEnsureIdempotent(t *testing.T, f fixture) {
	f.ensure(t)
	f.upsert(t, f.scope, point(1, "d", 1, "kept", 1, 0, 0, 0))
	f.ensure(t)
	f.wantCount(t, f.scope, 1)
}

func testEnsureRaces(t *testing.T, f fixture) {
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = f.store.Ensure(f.ctx, f.idx) })
	}
	wg.Wait()
	check(t, "racing ensures", errors.Join(errs...))
	f.upsert(t, f.scope, point(1, "d", 1, "kept", 1, 0, 0, 0))
	f.wantCount(t, f.scope, 1)
	f.wantCurrent(t, f.idx)
}

func testEnsureIncomplete(t *testing.T, f fixture) {
	for _, idx := range []vector.Index{
		{Model: "m", Dimension: 4}, {Name: f.idx.Name, Dimension: 4}, {Name: f.idx.Name, Model: "m"}, {Name: f.idx.Name, Model: "m", Dimension: -1},
	} {
		wantClass(t, "ensure", f.store.Ensure(f.ctx, idx), event.ClassInvalid)
		wantClass(t, "switch", f.store.Switch(f.ctx, idx), event.ClassInvalid)
		wantClass(t, "drop", f.store.Drop(f.ctx, idx), event.ClassInvalid)
	}
}

// wantCurrent checks where the alias leads; Dimension 0 wants none.
func (f fixture) wantCurrent(t *testing.T, want vector.Index) {
	t.Helper()
	got, ok, err := f.store.Current(f.ctx, f.idx.Name)
	if err != nil || ok != (want.Dimension > 0) || ok && got != want {
		t.Errorf("current %+v %v, error %v; want %+v", got, ok, err, want)
	}
}

// other is the fixture with an index of the same name and another model.
func (f fixture) other() fixture {
	f.idx.Model, f.idx.Dimension = "suite_model/2 (x)", dim
	return f
}

func testModels(t *testing.T, f fixture) {
	f.ensure(t)
	o := f.other().ensured(t)
	f.upsert(t, f.scope, point(1, "d", 1, "one", 1, 0, 0, 0))
	o.upsert(t, f.scope, point(1, "d", 7, "two", 1, 0, 0, 0), point(2, "d", 7, "three", 1, 0, 0, 0))
	f.wantTexts(t, "one")
	o.wantTexts(t, "two", "three")
	f.wantCurrent(t, f.idx) // a second model leaves the alias alone
}

func testDimensions(t *testing.T, f fixture) {
	f.ensure(t)
	o := f
	o.idx.Dimension++
	o.ensure(t)
	o.upsert(t, f.scope, point(1, "d", 1, "five", 1, 0, 0, 0, 0))
	f.wantCount(t, f.scope, 0)
	f.wantCurrent(t, f.idx)
}

func testSwitch(t *testing.T, f fixture) {
	o := f.other()
	f.wantCurrent(t, vector.Index{})
	wantClass(t, "switch to an index that does not exist", f.store.Switch(f.ctx, o.idx), event.ClassInvalid)
	f.ensure(t)
	f.wantCurrent(t, f.idx)
	o.ensure(t)
	check(t, "switch", f.store.Switch(f.ctx, o.idx))
	f.wantCurrent(t, o.idx)
	check(t, "switch again", f.store.Switch(f.ctx, o.idx))
	f.ensure(t) // it exists and has an alias: nothing to do
	f.wantCurrent(t, o.idx)
	check(t, "switch back", f.store.Switch(f.ctx, f.idx))
	f.wantCurrent(t, f.idx)
}

// testSwitchUnderReads: a reader always finds the one index or the other.
func testSwitchUnderReads(t *testing.T, f fixture) {
	f.ensure(t)
	o := f.other().ensured(t)
	f.upsert(t, f.scope, point(1, "d", 1, f.idx.Model, 1, 0, 0, 0))
	o.upsert(t, f.scope, point(1, "d", 1, o.idx.Model, 1, 0, 0, 0))
	ctx, cancel := context.WithCancel(f.ctx)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				idx, ok, err := f.store.Current(f.ctx, f.idx.Name)
				if err != nil || !ok || idx != f.idx && idx != o.idx {
					t.Errorf("current %+v %v, error %v", idx, ok, err)
					return
				}
				hits, err := f.store.Search(f.ctx, idx, vector.Query{Scope: f.scope, Dense: []float32{1, 0, 0, 0}, TopK: 5})
				if err != nil || len(hits) != 1 || hits[0].Chunk.Text != idx.Model {
					t.Errorf("search in %s: %v, error %v", idx.Model, hits, err)
					return
				}
			}
		})
	}
	for i := range 20 {
		check(t, "switch", f.store.Switch(f.ctx, []vector.Index{o.idx, f.idx}[i%2]))
	}
	cancel()
	wg.Wait()
}

func testDrop(t *testing.T, f fixture) {
	f.ensure(t)
	o := f.other().ensured(t)
	o.upsert(t, f.scope, point(1, "d", 1, "x", 1, 0, 0, 0))
	wantClass(t, "drop the current index", f.store.Drop(f.ctx, f.idx), event.ClassInvalid)
	for range 2 { // one that is not there is no error
		check(t, "drop", f.store.Drop(f.ctx, o.idx))
		o.wantCount(t, f.scope, 0)
	}
	f.wantCurrent(t, f.idx)
	o.ensure(t)
	o.wantCount(t, f.scope, 0)
}

func testUnknownIndex(t *testing.T, f fixture) {
	f.wantCount(t, f.scope, 0)
	if hits := f.all(t); len(hits) != 0 {
		t.Errorf("search: %d hits", len(hits))
	}
	stored, err := f.store.Get(f.ctx, f.idx, f.scope, []string{id(1)})
	if err != nil || len(stored) != 0 {
		t.Errorf("get: %v, error %v", stored, err)
	}
	vectors, err := f.store.Vectors(f.ctx, f.idx, f.scope.Tenant, []string{"h"})
	if err != nil || len(vectors) != 0 {
		t.Errorf("vectors: %v, error %v", vectors, err)
	}
	if stored, err = f.store.Scan(f.ctx, f.idx, vector.Scan{Limit: 1}); err != nil || len(stored) != 0 {
		t.Errorf("scan: %v, error %v", stored, err)
	}
	for what, err := range map[string]error{
		"upsert":          f.store.Upsert(f.ctx, f.idx, f.scope, []vector.Point{point(1, "d", 1, "x", 1, 0, 0, 0)}),
		"set meta":        f.store.SetMeta(f.ctx, f.idx, f.doc("d"), vector.Meta{}),
		"delete":          f.store.Delete(f.ctx, f.idx, f.doc("d"), []string{id(1)}, 9),
		"delete document": f.store.DeleteDocument(f.ctx, f.idx, f.doc("d"), 9),
	} {
		wantClass(t, what, err, event.ClassInvalid)
	}
}

func testCanceled(t *testing.T, f fixture) {
	f.ensure(t)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	_, err := f.store.Count(ctx, f.idx, f.scope)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("count with a canceled context: error %v, want context.Canceled", err)
	}
}
