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

// wantDimension checks that an error is ErrDimension, as an invalid job.
func wantDimension(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, vector.ErrDimension) {
		t.Errorf("%s: error %v, want ErrDimension", what, err)
	}
	wantClass(t, what, err, event.ClassInvalid)
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
	if err := errors.Join(errs...); err != nil {
		t.Errorf("racing ensures: %v", err)
	}
	f.upsert(t, f.scope, point(1, "d", 1, "kept", 1, 0, 0, 0))
	f.wantCount(t, f.scope, 1)
}

func testEnsureDimension(t *testing.T, f fixture) {
	f.ensure(t)
	other := f.idx
	other.Dimension = dim + 1
	err := f.store.Ensure(f.ctx, other)
	wantDimension(t, "ensure with another dimension", err)
	if e := event.AsError(err); e != nil && e.Hint == "" {
		t.Errorf("ensure with another dimension: error %v has no hint", err)
	}
	f.ensure(t)
}

func testEnsureIncomplete(t *testing.T, f fixture) {
	for _, idx := range []vector.Index{
		{Model: "m", Dimension: 4}, {Name: f.idx.Name, Dimension: 4}, {Name: f.idx.Name, Model: "m"}, {Name: f.idx.Name, Model: "m", Dimension: -1},
	} {
		if err := f.store.Ensure(f.ctx, idx); err == nil {
			t.Errorf("ensure of %+v: no error", idx)
		}
	}
}

func testVectorLength(t *testing.T, f fixture) {
	f.ensure(t)
	good, bad := point(1, "d", 1, "good", 1, 0, 0, 0), point(2, "d", 1, "bad", 1, 0, 0)
	wantDimension(t, "upsert", f.store.Upsert(f.ctx, f.idx, f.scope, []vector.Point{good, bad}))
	f.wantCount(t, f.scope, 0) // checked before anything is stored
	_, err := f.store.Search(f.ctx, f.idx, vector.Query{Scope: f.scope, Vector: []float32{1}, TopK: 1})
	wantDimension(t, "search", err)
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
