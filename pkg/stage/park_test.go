package stage_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// windowed is a source of jobs of which a tenant may have n parked.
func windowed(slots, n int) stage.Source {
	src := source(event.LaneBatch, slots)
	src.Window = n
	return src
}

// parker is a handler that parks until it is let go.
type parker struct {
	parked chan string
	free   chan struct{}
	active atomic.Int64
	most   atomic.Int64
	work   chan struct{} // taken after the parking, if not nil
}

func newParker() *parker {
	return &parker{parked: make(chan string, 10_000), free: make(chan struct{})}
}

func (p *parker) handle(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	err := stage.Park(ctx, func(ctx context.Context) error {
		p.parked <- event.TenantOf(in.Subject)
		select {
		case <-p.free:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err != nil {
		return nil, err
	}
	n := p.active.Add(1)
	defer p.active.Add(-1)
	for most := p.most.Load(); n > most && !p.most.CompareAndSwap(most, n); most = p.most.Load() {
	}
	if p.work != nil {
		<-p.work
	}
	return nil, nil
}

// TestParkedTakeNoSlots: of two tenants each has its window full, however few slots
// there are, and no more than that; when they go on, no more than the slots do.
func TestParkedTakeNoSlots(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := newParker()
	p.work = make(chan struct{})
	start(t, b, config(windowed(2, 5)), p.handle)
	for i := range 20 {
		for _, tenant := range []string{"a", "b"} {
			submitAs(t, b, tenant, event.LaneBatch, fmt.Sprintf(`{"v":1,"id":"%s%d"}`, tenant, i))
		}
	}
	parked := map[string]int{}
	for range 10 {
		parked[next(t, p.parked)]++
	}
	if parked["a"] != 5 || parked["b"] != 5 {
		t.Errorf("parked %v, want 5 of each", parked)
	}
	submitAs(t, b, "c", event.LaneBatch, `{"v":1,"id":"c"}`)
	if got := next(t, p.parked); got != "c" {
		t.Errorf("got %s's, want the one of c", got)
	}
	close(p.free)
	for range 41 {
		p.work <- struct{}{}
	}
	wantIdle(t, b, bus.StreamJobs)
	if most := p.most.Load(); most > 2 {
		t.Errorf("%d worked at once in 2 slots", most)
	}
}

// TestStopHandsBackWhatIsParked: at once, and to a worker that is there already.
func TestStopHandsBackWhatIsParked(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	p := newParker()
	stop := start(t, b, config(windowed(2, 10)), p.handle)
	for i := range 10 {
		submit(t, b, event.LaneBatch, fmt.Sprintf(`{"v":1,"id":"j%d"}`, i))
	}
	for range 10 {
		next(t, p.parked)
	}
	other := newParker()
	close(other.free)
	start(t, server.Bus(), config(windowed(2, 10)), other.handle)
	stop()
	for range 10 {
		next(t, other.parked)
	}
	wantCounts(t, b, 0, 0)
}

// TestParkEndsWithTheJob: the deadline of a parked job fails it.
func TestParkEndsWithTheJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	results := watch(t, b, bus.StreamResults)
	p := newParker()
	start(t, b, config(windowed(1, 10)), p.handle)
	submit(t, b, event.LaneBatch, fmt.Sprintf(`{"v":1,"id":"j1","deadline":%q}`, soon()))
	if r := nextResult(t, results); r.Error == nil || r.Error.Class != event.ClassDeadline {
		t.Errorf("got %+v, want a missed deadline", r)
	}
	wantCounts(t, b, 1, 0)
}

// TestOutsideARunnerParkJustWaits: a handler may be called by a test alone.
func TestOutsideARunnerParkJustWaits(t *testing.T) {
	t.Parallel()
	called := false
	if err := stage.Park(t.Context(), func(context.Context) error { called = true; return nil }); err != nil || !called {
		t.Errorf("got %v, called %v", err, called)
	}
}

// soon is a deadline that a parked job meets in the test.
func soon() string { return time.Now().Add(300 * time.Millisecond).UTC().Format(time.RFC3339Nano) }
