package stage_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// TestDrainFinishesWorkInHand: a stop takes no new message, and what is in work
// ends as if nothing had happened.
func TestDrainFinishesWorkInHand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	started, release := make(chan struct{}, 10), make(chan struct{})
	stop := start(t, b, config(source(event.LaneBatch, 2)), func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
		started <- struct{}{}
		select {
		case <-release:
			return done(t, in), nil
		case <-ctx.Done():
			t.Errorf("cancelled: %v", context.Cause(ctx))
			return nil, ctx.Err()
		}
	})
	submit(t, b, event.LaneBatch, job)
	next(t, started)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	// The stop is under way when the runner no longer asks for messages.
	eventually(t, func() string {
		info, err := b.ConsumerInfo(t.Context(), source(event.LaneBatch, 1).Consumer.Tenant("acme"))
		if err != nil || info.NumWaiting > 0 {
			return fmt.Sprintf("still pulling: %+v, %v", info, err)
		}
		return ""
	})
	submit(t, b, event.LaneBatch, `{"v":1,"id":"late"}`)
	select {
	case <-stopped:
		t.Error("stopped before the message in work had ended")
	default:
	}
	close(release)
	next(t, stopped)
	if r := nextResult(t, watch(t, b, bus.StreamResults)); r.ID != "j1" || r.Status != event.StatusOK {
		t.Errorf("got %+v", r)
	}
	eventually(t, func() string {
		if n := count(t, b, bus.StreamJobs); n != 1 {
			return fmt.Sprintf("%d jobs, want only the late one", n)
		}
		return ""
	})
	if n := len(started); n != 0 {
		t.Errorf("the late job was started")
	}
}

// TestDrainHandsBackWhatIsNotStarted: runners stop in the middle of a stream of
// jobs; each job is handled once, and none has to wait for its AckWait.
func TestDrainHandsBackWhatIsNotStarted(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	const jobs, rounds = 600, 5
	for i := range jobs {
		submit(t, b, event.LaneBatch, fmt.Sprintf(`{"v":1,"id":"j%d"}`, i))
	}
	var mu sync.Mutex
	handled := map[string]int{}
	h := func(some chan<- struct{}) stage.HandlerFunc {
		return func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
			head, _ := event.Peek(in.Data)
			mu.Lock()
			handled[head.ID]++
			mu.Unlock()
			some <- struct{}{}
			return done(t, in), nil
		}
	}
	for range rounds {
		some := make(chan struct{}, jobs)
		stop := start(t, server.Bus(), config(source(event.LaneBatch, 32)), h(some))
		for range 20 {
			next(t, some)
		}
		stop()
	}
	start(t, server.Bus(), config(source(event.LaneBatch, 32)), h(make(chan struct{}, jobs)))
	wantCounts(t, b, jobs, 0)
	mu.Lock()
	defer mu.Unlock()
	for id, n := range handled {
		if n != 1 {
			t.Errorf("%s was handled %d times", id, n)
		}
	}
}

// TestForcedStop: when the drain time is over the handler's context ends with
// ErrStopped, and the message goes to another runner without blame.
func TestForcedStop(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	cfg := config()
	cfg.DrainTimeout, cfg.MaxDeliveries = 100*time.Millisecond, 2
	started, causes := make(chan struct{}, 1), make(chan error, 1)
	stop := start(t, b, cfg, func(ctx context.Context, _ *bus.Message) ([]bus.Out, error) {
		started <- struct{}{}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil, ctx.Err()
	})
	submit(t, b, event.LaneBatch, job)
	next(t, started)
	stop()
	if cause := next(t, causes); cause != stage.ErrStopped { //nolint:errorlint // the very value
		t.Errorf("cause %v, want ErrStopped", cause)
	}
	start(t, server.Bus(), cfg, func(_ context.Context, in *bus.Message) ([]bus.Out, error) { return done(t, in), nil })
	if r := nextResult(t, watch(t, b, bus.StreamResults)); r.Status != event.StatusOK {
		t.Errorf("got %+v with error %v", r, r.Error)
	}
	wantCounts(t, b, 1, 0)
}

// TestForcedStopOfALastDelivery: even then a stop is not the job's failure.
func TestForcedStopOfALastDelivery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cfg := config()
	cfg.DrainTimeout, cfg.MaxDeliveries = time.Millisecond, 1
	started := make(chan struct{}, 1)
	stop := start(t, b, cfg, func(ctx context.Context, _ *bus.Message) ([]bus.Out, error) {
		started <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	submit(t, b, event.LaneBatch, job)
	next(t, started)
	stop()
	for _, stream := range []string{bus.StreamResults, bus.StreamDead} {
		if n := count(t, b, stream); n != 0 {
			t.Errorf("%s holds %d, want none", stream, n)
		}
	}
	if n := count(t, b, bus.StreamJobs); n != 1 {
		t.Errorf("%d jobs, want the one that was stopped", n)
	}
}

// TestLanesHaveTheirOwnSlots: a batch backlog that is stuck does not hold up an
// interactive job.
func TestLanesHaveTheirOwnSlots(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stuck, release := make(chan struct{}, 10), make(chan struct{})
	start(t, b, config(source(event.LaneInteractive, 1), source(event.LaneBatch, 2)), func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		if in.Subject == "weir.jobs.generate.batch.acme" {
			stuck <- struct{}{}
			<-release
		}
		return done(t, in), nil
	})
	for i := range 10 {
		submit(t, b, event.LaneBatch, fmt.Sprintf(`{"v":1,"id":"b%d"}`, i))
	}
	next(t, stuck)
	next(t, stuck)
	results := watch(t, b, bus.StreamResults)
	submit(t, b, event.LaneInteractive, `{"v":1,"id":"urgent"}`)
	if r := nextResult(t, results); r.ID != "urgent" {
		t.Errorf("got %+v", r)
	}
	if n := len(stuck); n != 0 {
		t.Errorf("%d batch jobs more than slots were started", n)
	}
	close(release)
	wantCounts(t, b, 11, 0)
}

// TestRunnerEndsWithItsConnection: for good, that is; see TestExactlyOneResult
// for a server that comes back.
func TestRunnerEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, err := newRunner(t, b, config(), mustNotRun(t))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(t.Context()) }()
	next(t, r.Ready())
	b.Conn().Close()
	if err := next(t, ended); err == nil {
		t.Error("no error")
	}
}
