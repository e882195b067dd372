package budget

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
)

// patience bounds every wait.
const patience = 20 * time.Second

// fleet is a bucket that workers share.
type fleet struct {
	t      *testing.T
	server *bustest.Server
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, server: bustest.Start(t)}
	js, err := jetstream.New(f.server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "budget", Storage: jetstream.FileStorage}); err != nil {
		t.Fatal(err)
	}
	return f
}

// worker runs a limiter on a connection of its own, with a clock that is off by
// some time, until the returned function is called.
func (f *fleet) worker(name string, off time.Duration) (*Limiter, func()) {
	f.t.Helper()
	js, err := jetstream.New(f.server.Connect())
	if err != nil {
		f.t.Fatal(err)
	}
	kv, err := js.KeyValue(f.t.Context(), "budget")
	if err != nil {
		f.t.Fatal(err)
	}
	l, err := New(Config{KV: kv, Worker: name, Now: func() time.Time { return time.Now().Add(off) }})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := l.Run(ctx); err != nil {
			f.t.Error(err)
		}
	}()
	stop := func() { cancel(); <-done }
	f.t.Cleanup(stop)
	return l, stop
}

func rpm(n int64) Group {
	return Group{Name: "test.group", Laws: []Law{{Dimension: Requests, Law: Bucket, Limit: n, Window: time.Minute}}}
}

// TestFleetKeepsTheLimit: workers whose clocks differ admit together what the
// limit allows in a span of time, and about all of it.
func TestFleetKeepsTheLimit(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	const perSecond = 200
	group := rpm(60 * perSecond)
	var count [4]atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var workers sync.WaitGroup
	var first sync.Once
	var begin time.Time
	for i, off := range []time.Duration{0, 1500 * time.Millisecond, -1500 * time.Millisecond, 300 * time.Millisecond} {
		l, _ := f.worker(fmt.Sprint("w", i), off)
		for range 8 {
			workers.Go(func() {
				for {
					grant, err := l.Acquire(ctx, Request{Group: group, Class: event.LaneBatch, Cost: Cost{Requests: 1}})
					if err != nil {
						return
					}
					first.Do(func() { begin = time.Now() })
					count[i].Add(1)
					grant.Settle(Cost{Requests: 1})
				}
			})
		}
	}
	timer := time.NewTimer(4 * time.Second)
	<-timer.C
	cancel()
	workers.Wait()
	span := time.Since(begin)
	total := int64(0)
	for i := range count {
		n := count[i].Load()
		total += n
		t.Logf("worker %d: %d calls", i, n)
	}
	allowed := float64(perSecond) * (span + burst).Seconds()
	if float64(total) > allowed {
		t.Errorf("%d calls in %s, want at most %.0f", total, span, allowed)
	}
	if float64(total) < allowed/2 { // a loose bound: the machine may be busy
		t.Errorf("%d calls in %s, want about %.0f", total, span, allowed)
	}
	for i := range count {
		if n := count[i].Load(); n < total/20 {
			t.Errorf("worker %d had %d of %d calls", i, n, total)
		}
	}
}

// TestInteractiveOvertakes: batch calls that wait don't hold an interactive one
// for longer than the horizon, as reserved places tell.
func TestInteractiveOvertakes(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	group := rpm(600) // one per 100 ms
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var admitted atomic.Int64
	var workers sync.WaitGroup
	for i := range 3 {
		l, _ := f.worker(fmt.Sprint("batch", i), 0)
		for range 50 {
			workers.Go(func() {
				if grant, err := l.Acquire(ctx, Request{Group: group, Class: event.LaneBatch, Cost: Cost{Requests: 1}}); err == nil {
					admitted.Add(1)
					grant.Settle(nil)
				}
			})
		}
	}
	l, _ := f.worker("interactive", 0)
	for range 5 {
		before := admitted.Load()
		grant, err := l.Acquire(ctx, Request{Group: group, Class: event.LaneInteractive, Cost: Cost{Requests: 1}})
		if err != nil {
			t.Fatal(err)
		}
		grant.Settle(nil)
		if overtaken := admitted.Load() - before; overtaken > 20 {
			t.Errorf("%d batch calls went first", overtaken)
		}
	}
	cancel()
	workers.Wait()
}

// TestFailsClosed: without the shared state no call is admitted; with it again,
// calls are.
func TestFailsClosed(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	l, _ := f.worker("w", 0)
	group := rpm(60_000)
	acquire := func(ctx context.Context, onWait func(Wait)) error {
		grant, err := l.Acquire(ctx, Request{Group: group, Class: event.LaneInteractive, Cost: Cost{Requests: 1}, OnWait: onWait})
		if err == nil {
			grant.Settle(nil)
		}
		return err
	}
	if err := acquire(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	f.server.Stop()
	result, told := make(chan error, 1), make(chan Wait, 100)
	go func() { result <- acquire(t.Context(), func(w Wait) { told <- w }) }()
	select {
	case w := <-told:
		if w.Reason == "" || len(l.Degraded()) != 1 || w.Event().Cause != event.WaitLimit || w.Event().Name != group.Name {
			t.Errorf("told %+v, degraded %v", w, l.Degraded())
		}
	case err := <-result:
		t.Fatalf("admitted without the state: %v", err)
	case <-time.After(patience):
		t.Fatal("nobody says why it waits")
	}
	f.server.Restart()
	select {
	case err := <-result:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("not admitted after the restart")
	}
	if len(l.Degraded()) != 0 {
		t.Error("still degraded")
	}
}

// TestThrottledHoldsAll: one worker's 429 holds the others' calls.
func TestThrottledHoldsAll(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	group := rpm(60_000)
	one, _ := f.worker("one", 0)
	two, _ := f.worker("two", 0)
	for _, l := range []*Limiter{one, two} {
		if grant, err := l.Acquire(t.Context(), Request{Group: group, Class: event.LaneInteractive, Cost: Cost{Requests: 1}}); err != nil {
			t.Fatal(err)
		} else {
			grant.Settle(nil)
		}
	}
	begin := time.Now()
	one.Throttled(group.Name, 1500*time.Millisecond)
	// The next reservation of the first writes it; so does its loop by itself.
	for _, l := range []*Limiter{one, two} {
		grant, err := l.Acquire(t.Context(), Request{Group: group, Class: event.LaneInteractive, Cost: Cost{Requests: 1}})
		if err != nil {
			t.Fatal(err)
		}
		grant.Settle(nil)
		if took := time.Since(begin); took < 1400*time.Millisecond {
			t.Errorf("a call went after %s", took)
		}
	}
}

func TestTooLargeAndTooLong(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	l, _ := f.worker("w", 0)
	group := Group{Name: "test.day", Laws: []Law{
		{Dimension: Tokens, Law: Bucket, Limit: 1000, Window: time.Minute},
		{Dimension: DayRequests, Law: Fixed, Limit: 2, Window: 24 * time.Hour},
	}}
	var e *event.Error
	_, err := l.Acquire(t.Context(), Request{Group: group, Cost: Cost{Tokens: 1001}})
	if !errors.As(err, &e) || e.Class != event.ClassTooLarge || e.Hint == "" {
		t.Errorf("got %v, want too_large with a hint", err)
	}
	for range 2 {
		_, err = l.Acquire(t.Context(), Request{Group: group, Class: event.LaneInteractive, Cost: Cost{DayRequests: 1}})
	}
	if !errors.As(err, &e) || e.Class != event.ClassQuota || e.RetryAfter < time.Second {
		t.Errorf("got %v, want quota with the time of its end", err)
	}
	if _, err := l.Acquire(t.Context(), Request{Group: Group{Name: "x", Laws: []Law{{Dimension: Tokens}}}}); err == nil {
		t.Error("a limit of 0 was taken")
	}
}

// TestConcurrency: calls at once of all workers stay within the limit; those of a
// stopped worker are free for others.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	group := Group{Name: "test.slots", Laws: []Law{{Dimension: Concurrency, Limit: 5}}}
	var now, most, total atomic.Int64
	var workers sync.WaitGroup
	for i := range 3 {
		l, _ := f.worker(fmt.Sprint("w", i), 0)
		for range 6 {
			workers.Go(func() {
				for range 5 {
					grant, err := l.Acquire(t.Context(), Request{Group: group, Class: event.LaneBatch})
					if err != nil {
						t.Error(err)
						return
					}
					n := now.Add(1)
					for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
					}
					timer := time.NewTimer(2 * time.Millisecond)
					<-timer.C
					now.Add(-1)
					total.Add(1)
					grant.Settle(nil)
				}
			})
		}
	}
	workers.Wait()
	if most.Load() > 5 || total.Load() != 90 {
		t.Errorf("%d calls at once, %d in all; want at most 5, and 90", most.Load(), total.Load())
	}
}

// TestCancelledCallersLeaveNothing: callers that give up take nothing with them.
func TestCancelledCallersLeaveNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	l, _ := f.worker("w", 0)
	group := rpm(60) // one per second
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			if _, err := l.Acquire(ctx, Request{Group: group, Class: event.LaneInteractive, Cost: Cost{Requests: 1}}); err == nil {
				t.Log("admitted at once")
			}
		})
	}
	cancel()
	callers.Wait()
	begin := time.Now()
	grant, err := l.Acquire(t.Context(), Request{Group: group, Class: event.LaneInteractive, Cost: Cost{Requests: 1}})
	if err != nil {
		t.Fatal(err)
	}
	grant.Cancel()
	if took := time.Since(begin); took > 6*time.Second {
		t.Errorf("waited %s behind callers that had left", took)
	}
}

// TestConcurrencyFollowsTheCatalog: a limit on calls at once that is added to a
// group holds, and one that is taken away holds nobody.
func TestConcurrencyFollowsTheCatalog(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	l, _ := f.worker("w", 0)
	without := rpm(60_000)
	with := Group{Name: without.Name, Laws: append([]Law{{Dimension: Concurrency, Limit: 1}}, without.Laws...)}
	acquire := func(g Group, wait time.Duration) (*Grant, error) {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		return l.Acquire(ctx, Request{Group: g, Class: event.LaneInteractive, Cost: Cost{Requests: 1}})
	}
	if _, err := acquire(without, patience); err != nil {
		t.Fatal(err)
	}
	held, err := acquire(with, patience)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := acquire(with, time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second call at once: %v, want it to wait", err)
	}
	free, err := acquire(without, patience)
	if err != nil {
		t.Fatalf("without the limit: %v", err)
	}
	free.Settle(nil) // took no lease, so gives none back
	if _, err := acquire(with, time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the limit again, one call under way: %v, want it to wait", err)
	}
	held.Settle(nil)
	if _, err := acquire(with, patience); err != nil {
		t.Error(err)
	}
}
