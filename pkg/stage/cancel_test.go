package stage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
)

// generateStep is the source of a model's tasks.
func generateStep(slots int) stage.Source {
	return stage.Source{Consumer: bus.GenerateConsumer("small", event.LaneBatch, 1000), Slots: slots}
}

// task stores a task of a job of acme for the model.
func task(t *testing.T, b *bus.Bus, job, step string) {
	t.Helper()
	env := event.Envelope{V: 1, ID: job, Tenant: "acme", Lane: event.LaneBatch}
	out, err := stage.StepOut(event.GenerateSubject("small", event.LaneBatch, "acme"), step, env, event.GenerateTask{Envelope: env, Model: "small"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), out); err != nil {
		t.Fatal(err)
	}
}

func withClient(t *testing.T) (*bus.Bus, *client.Client) {
	t.Helper()
	b := setup(t)
	c, err := client.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	return b, c
}

// TestCancelInHand: of three runners one has the job; its handler is stopped, and
// nothing but the canceled result is left of it.
func TestCancelInHand(t *testing.T) {
	t.Parallel()
	b, c := withClient(t)
	started, stopped := make(chan string, 10), make(chan error, 10)
	handler := func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
		head, _ := event.Peek(in.Data)
		started <- head.ID
		<-ctx.Done()
		stopped <- context.Cause(ctx)
		return []bus.Out{{Subject: event.GenerateSubject("never", event.LaneBatch, "acme"), Data: []byte("{}")}}, ctx.Err()
	}
	cfg := config(generateStep(1))
	cfg.DrainTimeout = time.Millisecond
	for range 3 {
		start(t, b, cfg, handler)
	}
	for n := range 3 {
		task(t, b, fmt.Sprint("j", n), "s")
		next(t, started)
	}
	result, err := c.Cancel(t.Context(), "acme", "j1")
	if err != nil || result.Status != event.StatusFailed || result.Error.Class != event.ClassCanceled {
		t.Fatalf("got %+v, %v", result, err)
	}
	if cause := next(t, stopped); !errors.Is(cause, stage.ErrCanceled) {
		t.Errorf("stopped by %v", cause)
	}
	eventually(t, func() string {
		if n := count(t, b, bus.StreamSteps); n != 2 {
			return fmt.Sprintf("%d steps are stored, want those of the two others", n)
		}
		return ""
	})
	if len(stopped) > 0 || len(started) > 0 {
		t.Error("another job was stopped, or one begun again")
	}
	if again, err := c.Cancel(t.Context(), "acme", "j1"); err != nil || again.FinishedAt != result.FinishedAt {
		t.Errorf("canceled again: %+v, %v", again, err)
	}
}

// TestCancelWaiting: messages that come after the mark are dropped, on the first
// delivery too, at runners that were there and at those that start later.
func TestCancelWaiting(t *testing.T) {
	t.Parallel()
	b, c := withClient(t)
	if _, err := c.Cancel(t.Context(), "acme", "j1"); err != nil {
		t.Fatal(err)
	}
	handled := make(chan string, 10)
	reg := prometheus.NewRegistry()
	startOn(t, b, config(generateStep(1)), func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		head, _ := event.Peek(in.Data)
		handled <- head.ID
		return nil, nil
	}, platform.Platform{Registerer: reg})
	eventually(t, func() string { // the mark is known when a message of the job is dropped
		task(t, b, "j1", fmt.Sprint("s", len(handled)))
		if metric(t, reg, "weir_stage_canceled_total") == 0 {
			return "no message was dropped"
		}
		return ""
	})
	for len(handled) > 0 {
		<-handled
	}
	task(t, b, "j1", "last")
	task(t, b, "j2", "s")
	if job := next(t, handled); job != "j2" {
		t.Errorf("%s was handled", job)
	}
}

// TestMarkWithoutResult: who can write marks can't make a job vanish.
func TestMarkWithoutResult(t *testing.T) {
	t.Parallel()
	b, c := withClient(t)
	kv, err := b.KeyValue(t.Context(), bus.BucketCancels)
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan struct{})
	var calls atomic.Int32
	start(t, b, config(), func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
		if calls.Add(1) == 1 {
			close(first)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		head, _ := event.Peek(in.Data)
		env := event.Envelope{ID: head.ID, Tenant: "acme"}
		out, err := stage.ResultOut(env.ResultOf(event.KindGenerate, in.Stored))
		return []bus.Out{out}, err
	})
	submit(t, b, event.LaneBatch, `{"v":1,"id":"j1"}`)
	next(t, first)
	if _, err := kv.PutString(t.Context(), "acme.j1", "now"); err != nil {
		t.Fatal(err)
	}
	result, err := c.Await(t.Context(), "acme", "j1")
	if err != nil || result.Status != event.StatusOK {
		t.Errorf("got %+v, %v", result, err)
	}
}

// TestCancelFinished: the result that is there stays.
func TestCancelFinished(t *testing.T) {
	t.Parallel()
	b, c := withClient(t)
	env := event.Envelope{ID: "j1", Tenant: "acme"}
	data, err := json.Marshal(env.ResultOf(event.KindGenerate, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), bus.Out{Subject: event.StoreSubject("acme", "j1"), Data: data}); err != nil {
		t.Fatal(err)
	}
	result, err := c.Cancel(t.Context(), "acme", "j1")
	if !errors.Is(err, client.ErrFinished) || result.Status != event.StatusOK {
		t.Errorf("got %+v, %v", result, err)
	}
	kv, err := b.KeyValue(t.Context(), bus.BucketCancels)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Get(t.Context(), "acme.j1"); err == nil {
		t.Error("a finished job was marked")
	}
}

// TestCancelScheduled: the message that waits for its time is gone.
func TestCancelScheduled(t *testing.T) {
	t.Parallel()
	b, c := withClient(t)
	for _, job := range []string{"j1", "j2"} {
		if err := b.Publish(t.Context(), bus.Out{Subject: event.DelaySubject("jobs", "acme", job), Data: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Cancel(t.Context(), "acme", "j1"); err != nil {
		t.Fatal(err)
	}
	if n := count(t, b, bus.StreamDelay); n != 1 {
		t.Errorf("%d messages wait, want 1", n)
	}
}

func TestCancelNames(t *testing.T) {
	t.Parallel()
	_, c := withClient(t)
	for _, name := range []string{"", "*", ">", "a.b", "ä"} {
		if _, err := c.Cancel(t.Context(), "acme", name); err == nil {
			t.Errorf("job %q was canceled", name)
		}
		if _, err := c.Cancel(t.Context(), name, "j1"); err == nil {
			t.Errorf("a job of tenant %q was canceled", name)
		}
	}
}
