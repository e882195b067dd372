package stage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// objects counts the payloads in the bucket.
func objects(t *testing.T, b *bus.Bus) int {
	t.Helper()
	store, err := b.JetStream().ObjectStore(t.Context(), bus.PayloadBucket)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := store.List(t.Context())
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		t.Fatal(err)
	}
	return len(infos)
}

// wantObjects waits until n payloads are left.
func wantObjects(t *testing.T, b *bus.Bus, n int) {
	t.Helper()
	eventually(t, func() string {
		if left := objects(t, b); left != n {
			return fmt.Sprintf("%d payloads are left, want %d", left, n)
		}
		return ""
	})
}

// TestPayloadsLiveUntilTheResult: of all messages of the job, and no longer.
func TestPayloadsLiveUntilTheResult(t *testing.T) {
	t.Parallel()
	b := setup(t)
	env := event.Envelope{V: 1, ID: "j1", Tenant: "acme"}
	start(t, b, config(), func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		out, err := stage.StepOut(event.GenerateSubject("m", event.LaneBatch, "acme"), "generate", env, env)
		out.Data = in.Data // as large
		return []bus.Out{out}, err
	})
	submit(t, b, event.LaneBatch, large(""))
	wantIdle(t, b, bus.StreamJobs)
	if n := objects(t, b); n != 2 {
		t.Errorf("%d payloads before the result, want the job's and the step's", n)
	}
	start(t, b, steps(), func(_ context.Context, in *bus.Message) ([]bus.Out, error) { return done(t, in), nil })
	if r := nextResult(t, watch(t, b, bus.StreamResults)); r.ID != "j1" || r.Status != event.StatusOK {
		t.Errorf("got %+v with error %v", r, r.Error)
	}
	wantObjects(t, b, 0)
}

// TestPayloadOfAFailure is kept with a dead letter only.
func TestPayloadOfAFailure(t *testing.T) {
	t.Parallel()
	for class, left := range map[event.Class]int{event.ClassInvalid: 0, event.ClassAuth: 1} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			h, _ := fails(t, 1, event.Errorf(class, "no"))
			start(t, b, config(), h)
			submit(t, b, event.LaneBatch, large(""))
			if r := nextResult(t, watch(t, b, bus.StreamResults)); r.Status != event.StatusFailed {
				t.Errorf("got %+v", r)
			}
			wantIdle(t, b, bus.StreamJobs)
			wantObjects(t, b, left)
		})
	}
}

// TestFinishedJobNeedsNoPayload: a late delivery of a finished job, whose
// payload is gone, is no failure.
func TestFinishedJobNeedsNoPayload(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := start(t, b, config(), func(_ context.Context, in *bus.Message) ([]bus.Out, error) { return done(t, in), nil })
	submit(t, b, event.LaneBatch, large(""))
	wantCounts(t, b, 1, 0)
	stop()
	start(t, b, config(), mustNotRun(t))
	err := b.Publish(t.Context(), bus.Out{
		Subject: event.Address{Kind: event.KindGenerate, Lane: event.LaneBatch, Tenant: "acme"}.Subject(),
		Header:  nats.Header{bus.HeaderPayload: {"gone"}, bus.HeaderJob: {"j1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantCounts(t, b, 1, 0)
}

// TestDeadLettersPayloadOutlivesARedelivery: the job is finished, but its dead
// letter still needs what the late delivery names.
func TestDeadLettersPayloadOutlivesARedelivery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h, _ := fails(t, 99, event.Errorf(event.ClassAuth, "no"))
	start(t, b, config(), h)
	submit(t, b, event.LaneBatch, large(""))
	wantCounts(t, b, 1, 1)
	dead := next(t, watch(t, b, bus.StreamDead))
	again := bus.Out{Subject: dead.Headers().Get(stage.HeaderSubject), ID: "again", Header: dead.Headers()}
	if err := b.Publish(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, b, 1, 1)
	wantObjects(t, b, 1)
}
