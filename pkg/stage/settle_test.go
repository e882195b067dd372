package stage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

const job = `{"v":1,"id":"j1"}`

// fails returns a handler that fails with err n times, then succeeds.
func fails(t *testing.T, n int32, err error) (stage.HandlerFunc, *atomic.Int32) {
	t.Helper()
	var calls atomic.Int32
	return func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		if calls.Add(1) <= n {
			return nil, err
		}
		return done(t, in), nil
	}, &calls
}

func TestSuccessStoresAndAcks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h, calls := fails(t, 0, nil)
	start(t, b, config(), h)
	submit(t, b, event.LaneBatch, job)
	if r := nextResult(t, watch(t, b, bus.StreamResults)); r.ID != "j1" || r.Status != event.StatusOK {
		t.Errorf("got %+v", r)
	}
	wantCounts(t, b, 1, 0)
	if n := calls.Load(); n != 1 {
		t.Errorf("handled %d times", n)
	}
}

// TestJobWithoutID: the stored message names it, the same at each delivery.
func TestJobWithoutID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h, _ := fails(t, 1, errors.New("once"))
	start(t, b, config(), h)
	submit(t, b, event.LaneBatch, `{"v":1}`)
	life := decode[event.Life](t, next(t, watch(t, b, bus.StreamEvents)).Data())
	if r := nextResult(t, watch(t, b, bus.StreamResults)); r.ID == "" || r.ID != life.ID {
		t.Errorf("result of %q, life event of %q", r.ID, life.ID)
	}
	wantCounts(t, b, 1, 0)
}

// TestNoAckBeforeOutputsAreStored: the next stage's queue takes two of three
// outputs. The message stays, and when there is room the missing output, and
// only that, is added.
func TestNoAckBeforeOutputsAreStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	limits := bus.DefaultLimits()
	limits.Jobs = 1 // and so 2 steps
	if err := b.Ensure(t.Context(), limits); err != nil {
		t.Fatal(err)
	}
	events := watch(t, b, bus.StreamEvents)
	cfg := config()
	cfg.MaxDeliveries = 1000
	start(t, b, cfg, func(context.Context, *bus.Message) ([]bus.Out, error) {
		var outs []bus.Out
		for i := range 3 {
			outs = append(outs, bus.Out{Subject: event.GenerateSubject("m", event.LaneBatch, "acme"), ID: fmt.Sprint("j1.", i), Data: []byte(`{}`)})
		}
		return outs, nil
	})
	submit(t, b, event.LaneBatch, job)
	life := decode[event.Life](t, next(t, events).Data())
	if life.Type != event.LifeRetrying || life.Error == nil || life.Error.Class != event.ClassUnavailable || life.Error.Hint == "" {
		t.Errorf("got %+v with error %v", life, life.Error)
	}
	if jobs, outs := count(t, b, bus.StreamJobs), count(t, b, bus.StreamSteps); jobs != 1 || outs != 2 {
		t.Fatalf("%d jobs and %d outputs, want 1 and 2", jobs, outs)
	}
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamSteps)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, b, 0, 0)
	if n := count(t, b, bus.StreamSteps); n != 2 {
		t.Errorf("%d outputs, want the two that are left", n)
	}
}

// TestRetryableIsRetried: after a delay that respects the error's, told on the
// job's event subject.
func TestRetryableIsRetried(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const wait = 300 * time.Millisecond
	h, calls := fails(t, 1, &event.Error{Class: event.ClassThrottled, Message: "slow down", RetryAfter: wait})
	times := make(chan time.Time, 10)
	start(t, b, config(), func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
		times <- time.Now()
		return h(ctx, in)
	})
	submit(t, b, event.LaneBatch, job)
	life := decode[event.Life](t, next(t, watch(t, b, bus.StreamEvents)).Data())
	if life.Type != event.LifeRetrying || life.ID != "j1" || life.Stage != "test" || life.Attempt != 1 ||
		life.Error == nil || life.Error.Class != event.ClassThrottled || life.RetryMS < wait.Milliseconds() ||
		life.Wait == nil || life.Wait.Cause != event.WaitRetry || life.Wait.Name != "test" || life.Wait.Until.Before(life.At.Add(wait)) {
		t.Errorf("got %+v with error %v", life, life.Error)
	}
	if gap := -next(t, times).Sub(next(t, times)); gap < wait*9/10 {
		t.Errorf("tried again after %s, want at least %s", gap, wait)
	}
	if r := nextResult(t, watch(t, b, bus.StreamResults)); r.Status != event.StatusOK {
		t.Errorf("got %+v", r)
	}
	wantCounts(t, b, 1, 0)
	if n := calls.Load(); n != 2 {
		t.Errorf("handled %d times, want 2", n)
	}
}

// TestExhaustedThenRedriven: the failure is stored with its cause, and the dead
// letter's body runs again when the failed result is taken away.
func TestExhaustedThenRedriven(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h, calls := fails(t, 3, event.Errorf(event.ClassUnavailable, "provider\nis down"))
	start(t, b, config(), h)
	submit(t, b, event.LaneBatch, job)
	results := watch(t, b, bus.StreamResults)
	r := nextResult(t, results)
	if r.Status != event.StatusFailed || r.Error == nil || r.Error.Class != event.ClassUnavailable || r.ID != "j1" || r.Tenant != "acme" ||
		r.Kind != event.KindGenerate || r.Receipt.TotalMS <= 0 || r.FinishedAt.IsZero() {
		t.Errorf("got %+v with error %v", r, r.Error)
	}
	wantCounts(t, b, 1, 1)
	if n := calls.Load(); n != 3 {
		t.Errorf("handled %d times, want MaxDeliveries", n)
	}
	dead := next(t, watch(t, b, bus.StreamDead))
	if dead.Subject() != "weir.dead.test.acme" || string(dead.Data()) != job {
		t.Errorf("got %s: %s", dead.Subject(), dead.Data())
	}
	for header, want := range map[string]string{
		stage.HeaderErrorClass: "unavailable", stage.HeaderError: `unavailable: provider\nis down`,
		stage.HeaderSubject: "weir.jobs.generate.batch.acme", stage.HeaderDeliveries: "3", stage.HeaderJob: "j1",
	} {
		if got := dead.Headers().Get(header); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
	redrive := func() {
		t.Helper()
		if err := b.Publish(t.Context(), bus.Out{Subject: dead.Headers().Get(stage.HeaderSubject), Data: dead.Data()}); err != nil {
			t.Fatal(err)
		}
		wantIdle(t, b, bus.StreamJobs)
	}
	redrive()
	if n := calls.Load(); n != 3 {
		t.Errorf("a finished job was handled again")
	}
	removeResult(t, b, "j1")
	redrive()
	if r := nextResult(t, results); r.Status != event.StatusOK || r.ID != "j1" {
		t.Errorf("redriven: got %+v", r)
	}
}

func removeResult(t *testing.T, b *bus.Bus, id string) {
	t.Helper()
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamResults)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(t.Context(), event.ResultSubject("acme", id))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), msg.Sequence); err != nil {
		t.Fatal(err)
	}
}

// TestFailuresThatAreNotRetried: each class once, with a dead letter where a
// redrive could help.
func TestFailuresThatAreNotRetried(t *testing.T) {
	t.Parallel()
	for _, class := range []event.Class{event.ClassInvalid, event.ClassUnsupported, event.ClassTooLarge, event.ClassAuth,
		event.ClassQuota, event.ClassContent, event.ClassCanceled} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			cause := &event.Error{Class: class, Field: "model", Message: "no", Hint: "do"}
			h, calls := fails(t, 99, fmt.Errorf("handling: %w", cause))
			start(t, b, config(), h)
			submit(t, b, event.LaneBatch, job)
			r := nextResult(t, watch(t, b, bus.StreamResults))
			if r.Status != event.StatusFailed || r.Error == nil || r.Error.Error() != cause.Error() {
				t.Errorf("got %+v with error %v", r, r.Error)
			}
			letters := 0
			if class.DeadLetter() {
				letters = 1
			}
			wantCounts(t, b, 1, letters)
			if n := calls.Load(); n != 1 {
				t.Errorf("handled %d times", n)
			}
		})
	}
}

// TestBrokenMessageGoesToTheDeadLetters: no id is known, so nobody waits for a
// result; the message itself is kept.
func TestBrokenMessageGoesToTheDeadLetters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	start(t, b, config(), func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		_, err := event.DecodeGenerateJob(in.Subject, in.Data)
		return nil, err
	})
	for _, body := range []string{`{"v":1,`, `[]`, ``, "\xff", `{"v":1,"id":"../x"}`} {
		submit(t, b, event.LaneBatch, body)
	}
	wantCounts(t, b, 0, 5)
	dead := next(t, watch(t, b, bus.StreamDead))
	if dead.Headers().Get(stage.HeaderErrorClass) != "invalid" || dead.Headers().Get(stage.HeaderJob) != "" {
		t.Errorf("got %v", dead.Headers())
	}
}

// TestPanicIsPoison: the message is given up at once, and the runner lives on.
func TestPanicIsPoison(t *testing.T) {
	t.Parallel()
	b := setup(t)
	results := watch(t, b, bus.StreamResults)
	start(t, b, config(), func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		if strings.Contains(string(in.Data), "bad") {
			panic("out of range")
		}
		return done(t, in), nil
	})
	submit(t, b, event.LaneBatch, `{"v":1,"id":"bad"}`)
	r := nextResult(t, results)
	if r.ID != "bad" || r.Error == nil || r.Error.Class != event.ClassPoison || !strings.Contains(r.Error.Message, "out of range") {
		t.Errorf("got %+v with error %v", r, r.Error)
	}
	submit(t, b, event.LaneBatch, job)
	if r := nextResult(t, results); r.ID != "j1" || r.Status != event.StatusOK {
		t.Errorf("after the panic: got %+v", r)
	}
	wantCounts(t, b, 2, 1)
}

// TestDeadLetterBeforeResult: while the dead letters take nothing, the job gets
// no result either, for with one it would count as finished and its message
// would be lost.
func TestDeadLetterBeforeResult(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamDead)
	if err != nil {
		t.Fatal(err)
	}
	full := stream.CachedInfo().Config
	full.MaxMsgs = 1
	if _, err := b.JetStream().UpdateStream(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), bus.Out{Subject: event.DeadSubject("other", "acme"), Data: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	tries := make(chan int, 1000)
	cfg := config()
	cfg.MaxDeliveries = 1000
	start(t, b, cfg, func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		tries <- in.Deliveries
		return nil, event.Errorf(event.ClassAuth, "wrong key")
	})
	submit(t, b, event.LaneBatch, job)
	for range 3 {
		next(t, tries)
	}
	if n := count(t, b, bus.StreamResults); n != 0 {
		t.Errorf("%d results, want none yet", n)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, b, 1, 1)
}

// TestDeadLetterOfAnExpectation: what the sender of a job asked of its stream is not
// asked of that of the dead letters, which would refuse: the job would never end.
func TestDeadLetterOfAnExpectation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h, _ := fails(t, 1, event.Errorf(event.ClassAuth, "wrong key"))
	start(t, b, config(), h)
	msg := nats.NewMsg(event.Address{Kind: event.KindGenerate, Lane: event.LaneBatch, Tenant: "acme"}.Subject())
	msg.Data = []byte(job)
	msg.Header.Set(nats.ExpectedStreamHdr, bus.StreamJobs)
	msg.Header.Set(nats.MsgIdHdr, "acme.j1")
	msg.Header.Set("Traceparent", "00-x")
	if _, err := b.Conn().RequestMsg(msg, time.Minute); err != nil {
		t.Fatal(err)
	}
	if r := nextResult(t, watch(t, b, bus.StreamResults)); r.ID != "j1" || r.Status != event.StatusFailed {
		t.Errorf("got %+v", r)
	}
	wantCounts(t, b, 1, 1)
	if dead := next(t, watch(t, b, bus.StreamDead)); dead.Headers().Get("Traceparent") != "00-x" {
		t.Errorf("headers %v", dead.Headers())
	}
}
