package stage_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// steps is a stage that takes tasks of the model m.
func steps() stage.Config {
	return config(stage.Source{Consumer: bus.GenerateConsumer("m", event.LaneBatch, 10), Slots: 4})
}

// publishStep stores a task as a stage does.
func publishStep(t *testing.T, b *bus.Bus, env event.Envelope) {
	t.Helper()
	task := event.GenerateTask{Envelope: env, Model: "m"}
	task.Receipt.Add(event.Attempt{Model: "embed", PromptTokens: 7})
	out, err := stage.StepOut(event.GenerateSubject("m", event.LaneBatch, "acme"), "generate", env, task)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), out); err != nil {
		t.Fatal(err)
	}
}

// TestStepsDeadlineIsInItsHeader: and the failure still has the job's receipt.
func TestStepsDeadlineIsInItsHeader(t *testing.T) {
	t.Parallel()
	b := setup(t)
	start(t, b, steps(), mustNotRun(t))
	submitted := time.Now().Add(-time.Hour)
	publishStep(t, b, event.Envelope{V: 1, ID: "j1", Tenant: "acme", Deadline: time.Now().Add(-time.Minute), SubmittedAt: submitted})
	r := nextResult(t, watch(t, b, bus.StreamResults))
	if r.ID != "j1" || r.Kind != event.KindGenerate || r.Error == nil || r.Error.Class != event.ClassDeadline {
		t.Errorf("got %+v with error %v", r, r.Error)
	}
	if r.Receipt.PromptTokens != 7 || r.Receipt.TotalMS < time.Hour.Seconds()*1000 {
		t.Errorf("receipt %+v, want the job's own", r.Receipt)
	}
}

// TestStepOutIsTheSameEachTime: the same job's step has the same dedupe id, so that a
// redelivered input does not start the work twice.
func TestStepOutIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	env := event.Envelope{V: 1, ID: "j1", Tenant: "acme"}
	first, err1 := stage.StepOut("weir.steps.x", "generate", env, env)
	second, err2 := stage.StepOut("weir.steps.x", "generate", env, env)
	if err1 != nil || err2 != nil || first.ID != second.ID || first.ID != "acme.j1.generate" {
		t.Errorf("ids %q and %q (%v, %v)", first.ID, second.ID, err1, err2)
	}
	if len(first.Header) != 1 {
		t.Errorf("headers %v: a job without a deadline has none", first.Header)
	}
}

// TestUsersHeadersAreNotTrusted: what a client claims in a header is not its
// job's id or deadline.
func TestUsersHeadersAreNotTrusted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ran := make(chan struct{}, 1)
	start(t, b, config(), func(context.Context, *bus.Message) ([]bus.Out, error) {
		ran <- struct{}{}
		return nil, event.Invalid("x", "y", "z")
	})
	err := b.Publish(t.Context(), bus.Out{
		Subject: event.Address{Kind: event.KindGenerate, Lane: event.LaneBatch, Tenant: "acme"}.Subject(), Data: []byte(`{"v":1,"id":"own"}`),
		Header: nats.Header{bus.HeaderJob: {"forged"}, stage.HeaderDeadline: {"2020-01-01T00:00:00Z"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	next(t, ran)
	if r := nextResult(t, watch(t, b, bus.StreamResults)); r.ID != "own" || r.Error.Class != event.ClassInvalid {
		t.Errorf("got %+v with error %v", r, r.Error)
	}
}
