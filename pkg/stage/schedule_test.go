package stage_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/delay"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
)

// move runs a mover.
func move(t *testing.T, b *bus.Bus) {
	t.Helper()
	m := delay.NewMover(platform.Platform{NATS: b.Conn()}, b)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := next(t, done); err != nil {
			t.Errorf("mover: %v", err)
		}
	})
	next(t, m.Ready())
}

// TestNotBefore: a job runs at its time and not before, once, under its id; its wait
// for that is not in the message's own time.
func TestNotBefore(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"with an id":    `{"v":1,"id":"j1","not_before":%q}`,
		"without an id": `{"v":1,"not_before":%q,"text":"<&>"}`,
		"by claim-check": `{"v":1,"id":"j1","not_before":%q,"text":"` +
			strings.Repeat("x", bus.ClaimOver) + `"}`,
		"by claim-check, without an id": `{"v":1,"not_before":%q,"text":"` + strings.Repeat("x", bus.ClaimOver) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := bustest.New(t)
			move(t, b)
			handled := make(chan *bus.Message, 10)
			start(t, b, config(), func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
				handled <- in
				head, _ := event.Peek(in.Data)
				out, err := stage.ResultOut(event.Result{V: 1, ID: head.ID, Tenant: "acme", Status: event.StatusOK})
				return []bus.Out{out}, err
			})
			life := watch(t, b, bus.StreamEvents)
			at := time.Now().Add(700 * time.Millisecond)
			submit(t, b, event.LaneBatch, fmt.Sprintf(body, at.Format(time.RFC3339Nano)))
			waiting := decode[event.Life](t, next(t, life).Data())
			if waiting.Type != event.LifeWaiting || waiting.Wait == nil || waiting.Wait.Cause != event.WaitSchedule || !waiting.Wait.Until.Equal(at) {
				t.Errorf("told %+v, %+v, of %s", waiting, waiting.Wait, at)
			}
			in := next(t, handled)
			if early := time.Until(at); early > 0 || in.Stored.Before(at) {
				t.Errorf("came %s early, stored %s before its time", early, at.Sub(in.Stored))
			}
			if head, _ := event.Peek(in.Data); head.ID != waiting.ID {
				t.Errorf("named %q, was %q", head.ID, waiting.ID)
			}
			wantIdle(t, b, bus.StreamDelay)
			wantCounts(t, b, 1, 0)
			if n := len(handled); n > 0 {
				t.Errorf("came %d more times", n)
			}
		})
	}
}

// TestNotBeforeRefused: a time that can't be kept fails the job at once.
func TestNotBeforeRefused(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	for field, body := range map[string]string{
		"not_before": fmt.Sprintf(`{"v":1,"id":"j1","not_before":%q}`, now.Add(event.MaxAhead+time.Hour).Format(time.RFC3339)),
		"deadline": fmt.Sprintf(`{"v":1,"id":"j1","not_before":%q,"deadline":%q}`,
			now.Add(2*time.Hour).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339)),
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			b, _ := bustest.New(t)
			start(t, b, config(), func(context.Context, *bus.Message) ([]bus.Out, error) {
				t.Error("it was handled")
				return nil, nil
			})
			results := watch(t, b, bus.StreamResults)
			submit(t, b, event.LaneBatch, body)
			r := nextResult(t, results)
			if r.Error == nil || r.Error.Class != event.ClassInvalid || r.Error.Field != field {
				t.Errorf("ended with %v, want an error of %s", r.Error, field)
			}
			wantCounts(t, b, 1, 0)
		})
	}
}

// TestNotBeforeWithALateClock: a worker whose clock is late has a scheduled job wait
// once, and not again.
func TestNotBeforeWithALateClock(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	move(t, b)
	handled := make(chan *bus.Message, 10)
	late := platform.Platform{Now: func() time.Time { return time.Now().Add(-time.Hour) }}
	startOn(t, b, config(), func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		handled <- in
		return nil, nil
	}, late)
	submit(t, b, event.LaneBatch, fmt.Sprintf(`{"v":1,"id":"j1","not_before":%q}`, time.Now().Add(-time.Minute).Format(time.RFC3339)))
	if in := next(t, handled); in.Header.Get(delay.HeaderDue) == "" {
		t.Error("it did not wait")
	}
	wantIdle(t, b, bus.StreamDelay)
}
