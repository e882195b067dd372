package stage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// mustNotRun is a handler for messages that must not reach it.
func mustNotRun(t *testing.T) stage.HandlerFunc {
	t.Helper()
	return func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		t.Errorf("handled %s", in.Data)
		return nil, nil
	}
}

// quick is a source whose messages come again after wait.
func quick(wait time.Duration) stage.Source {
	s := source(event.LaneBatch, 2)
	s.Consumer.AckWait = wait
	return s
}

// crash takes the queue's only message as often as given and never answers, as
// a worker that dies with it does.
func crash(t *testing.T, b *bus.Bus, src stage.Source, times int) {
	t.Helper()
	c := src.Consumer.Tenant("acme")
	if err := b.EnsureConsumer(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p := bus.NewPuller(b.Conn(), c.Stream, c.Durable, times)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for range times {
		next(t, p.Messages())
	}
	cancel()
	if err := next(t, ended); err != nil {
		t.Fatal(err)
	}
}

// TestMessageThatKillsItsWorkers: after MaxDeliveries it is poison, small or
// large, with the job's failed result.
func TestMessageThatKillsItsWorkers(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"small": job, "claim-check": large("")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			src := quick(200 * time.Millisecond)
			cfg := config(src)
			submit(t, b, event.LaneBatch, body)
			crash(t, b, src, cfg.MaxDeliveries)
			start(t, b, cfg, mustNotRun(t))
			r := nextResult(t, watch(t, b, bus.StreamResults))
			if r.ID != "j1" || r.Error == nil || r.Error.Class != event.ClassPoison || !strings.Contains(r.Error.Message, "delivered 3 times") {
				t.Errorf("got %+v with error %v", r, r.Error)
			}
			wantCounts(t, b, 1, 1)
		})
	}
}

// TestCrashedWorkersMessageIsHandled: one that fell over once is no poison, nor one
// whose workers stopped more often than it is tried, where that is to be expected.
func TestCrashedWorkersMessageIsHandled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ crashes, poisonAfter int }{"once": {1, 0}, "often": {5, 10}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			src := quick(200 * time.Millisecond)
			cfg := config(src)
			cfg.PoisonAfter = c.poisonAfter
			submit(t, b, event.LaneBatch, job)
			crash(t, b, src, c.crashes)
			deliveries := make(chan int, 10)
			start(t, b, cfg, func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
				deliveries <- in.Deliveries
				return done(t, in), nil
			})
			if n := next(t, deliveries); n != c.crashes+1 {
				t.Errorf("delivery %d, want %d", n, c.crashes+1)
			}
			wantCounts(t, b, 1, 0)
		})
	}
}

// TestFinishedJobIsNotHandled: a second submission of an id, small or large, is
// acked and costs nothing.
func TestFinishedJobIsNotHandled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	out, err := stage.ResultOut(event.Result{V: 1, ID: "j1", Tenant: "acme", Status: event.StatusOK})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	start(t, b, config(), mustNotRun(t))
	submit(t, b, event.LaneBatch, job)
	submit(t, b, event.LaneBatch, large(""))
	wantCounts(t, b, 1, 0)
}

// large is a job that travels by claim-check; more is added to its fields.
func large(more string) string {
	return fmt.Sprintf(`{"v":1,"id":"j1"%s,"pad":%q}`, more, strings.Repeat("x", bus.ClaimOver))
}

// TestDeadlinePassedInTheQueue: the job fails without being handled.
func TestDeadlinePassedInTheQueue(t *testing.T) {
	t.Parallel()
	const past = `,"deadline":"2020-01-01T00:00:00Z"`
	for name, body := range map[string]string{"small": `{"v":1,"id":"j1"` + past + `}`, "claim-check": large(past)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			start(t, b, config(), mustNotRun(t))
			submit(t, b, event.LaneBatch, body)
			r := nextResult(t, watch(t, b, bus.StreamResults))
			if r.ID != "j1" || r.Error == nil || r.Error.Class != event.ClassDeadline || !strings.Contains(r.Error.Message, "2020-01-01") {
				t.Errorf("got %+v with error %v", r, r.Error)
			}
			wantCounts(t, b, 1, 0)
		})
	}
}

// TestDeadlineWhileRunning: the handler's context ends at the job's deadline.
func TestDeadlineWhileRunning(t *testing.T) {
	t.Parallel()
	b := setup(t)
	start(t, b, config(), func(ctx context.Context, _ *bus.Message) ([]bus.Out, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("calling: %w", ctx.Err())
	})
	deadline := time.Now().Add(300 * time.Millisecond).Format(time.RFC3339Nano)
	submit(t, b, event.LaneBatch, fmt.Sprintf(`{"v":1,"id":"j1","deadline":%q}`, deadline))
	if r := nextResult(t, watch(t, b, bus.StreamResults)); r.Error == nil || r.Error.Class != event.ClassDeadline {
		t.Errorf("got %+v with error %v", r, r.Error)
	}
	wantCounts(t, b, 1, 0)
}

// TestNoRetryPastTheDeadline: a retry that could only come too late is not
// waited for, and the result names the cause.
func TestNoRetryPastTheDeadline(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h, calls := fails(t, 99, &event.Error{Class: event.ClassThrottled, Message: "slow down", RetryAfter: time.Hour})
	start(t, b, config(), h)
	deadline := time.Now().Add(time.Minute).Format(time.RFC3339Nano)
	submit(t, b, event.LaneBatch, fmt.Sprintf(`{"v":1,"id":"j1","deadline":%q}`, deadline))
	if r := nextResult(t, watch(t, b, bus.StreamResults)); r.Error == nil || r.Error.Class != event.ClassThrottled {
		t.Errorf("got %+v with error %v", r, r.Error)
	}
	wantCounts(t, b, 1, 1)
	if n := calls.Load(); n != 1 {
		t.Errorf("handled %d times", n)
	}
}

// TestRunnersTimeoutIsRetried: the runner's own limit is not the job's fault.
func TestRunnersTimeoutIsRetried(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cfg := config()
	cfg.Timeout = 200 * time.Millisecond
	start(t, b, cfg, func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
		if in.Deliveries == 1 {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return done(t, in), nil
	})
	submit(t, b, event.LaneBatch, job)
	life := decode[event.Life](t, next(t, watch(t, b, bus.StreamEvents)).Data())
	if life.Type != event.LifeRetrying || life.Error == nil || life.Error.Class != event.ClassUnavailable || !strings.Contains(life.Error.Message, "200ms") {
		t.Errorf("got %+v with error %v", life, life.Error)
	}
	if r := nextResult(t, watch(t, b, bus.StreamResults)); r.Status != event.StatusOK {
		t.Errorf("got %+v", r)
	}
}

// TestHeartbeat: a message that takes many times AckWait stays with its worker,
// although another one is free.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	cfg := config(quick(600 * time.Millisecond))
	started := make(chan struct{}, 10)
	h := func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
		started <- struct{}{}
		select {
		case <-time.After(5 * 600 * time.Millisecond):
			return done(t, in), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	start(t, b, cfg, h)
	start(t, server.Bus(), cfg, h)
	submit(t, b, event.LaneBatch, job)
	nextResult(t, watch(t, b, bus.StreamResults))
	wantCounts(t, b, 1, 0)
	if n := len(started); n != 1 {
		t.Errorf("started %d times, want once", n)
	}
}

// TestClaimCheckedInput: the handler gets the payload itself.
func TestClaimCheckedInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := large("")
	got := make(chan string, 1)
	start(t, b, config(), func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		got <- string(in.Data)
		return done(t, in), nil
	})
	submit(t, b, event.LaneBatch, body)
	if next(t, got) != body {
		t.Error("the handler got another body")
	}
	if r := nextResult(t, watch(t, b, bus.StreamResults)); r.ID != "j1" {
		t.Errorf("got %+v", r)
	}
	wantCounts(t, b, 1, 0)
}

// TestClaimCheckedDeadLetter names the payload and can be redriven as it is.
func TestClaimCheckedDeadLetter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h, _ := fails(t, 1, event.Errorf(event.ClassAuth, "wrong key"))
	start(t, b, config(), h)
	submit(t, b, event.LaneBatch, large(""))
	results := watch(t, b, bus.StreamResults)
	if r := nextResult(t, results); r.ID != "j1" || r.Status != event.StatusFailed {
		t.Errorf("got %+v", r)
	}
	wantCounts(t, b, 1, 1)
	dead := next(t, watch(t, b, bus.StreamDead))
	if len(dead.Data()) != 0 || dead.Headers().Get(bus.HeaderPayload) == "" {
		t.Errorf("body of %d bytes, headers %v", len(dead.Data()), dead.Headers())
	}
	removeResult(t, b, "j1")
	if err := b.Publish(t.Context(), bus.Out{Subject: dead.Headers().Get(stage.HeaderSubject), Data: dead.Data(), Header: dead.Headers()}); err != nil {
		t.Fatal(err)
	}
	if r := nextResult(t, results); r.ID != "j1" || r.Status != event.StatusOK {
		t.Errorf("redriven: got %+v with error %v", r, r.Error)
	}
}

func TestMissingPayload(t *testing.T) {
	t.Parallel()
	b := setup(t)
	start(t, b, config(), mustNotRun(t))
	err := b.Publish(t.Context(), bus.Out{Subject: "weir.jobs.generate.batch.acme", Header: nats.Header{bus.HeaderPayload: {"gone"}}})
	if err != nil {
		t.Fatal(err)
	}
	dead := next(t, watch(t, b, bus.StreamDead))
	if got := dead.Headers().Get(stage.HeaderError); !strings.HasPrefix(got, "invalid: Weir-Payload: ") {
		t.Errorf("got %q", got)
	}
	wantCounts(t, b, 0, 1)
}

// TestRunWaitsForItsStream: services may start in any order.
func TestRunWaitsForItsStream(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	b, err := bus.New(server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRunner(t, b, config(), mustNotRun(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	server.Bus() // makes the streams
	select {
	case <-r.Ready():
	case <-time.After(20 * time.Second):
		t.Error("not ready")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestRunRefusesAnImpossibleConsumer: waiting would not help.
func TestRunRefusesAnImpossibleConsumer(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	cfg := config()
	submit(t, b, event.LaneBatch, job)
	other := cfg.Sources[0].Consumer // takes all tenants
	if err := b.EnsureConsumer(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	r, err := newRunner(t, b, cfg, mustNotRun(t))
	if err != nil {
		t.Fatal(err)
	}
	err = r.Run(t.Context())
	var e *event.Error
	if !errors.As(err, &e) || e.Class != event.ClassInvalid || !strings.Contains(err.Error(), "test-batch@acme") || e.Hint == "" {
		t.Errorf("got %v", err)
	}
}
