package router

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// failed is a task of model that failed with a class, after those tried before.
func failed(model string, class event.Class, tried ...string) event.RouteTask {
	env := event.Envelope{V: event.Version, ID: "q1", Tenant: "acme", Lane: event.LaneBatch, SubmittedAt: time.Now().UTC()}
	task := event.GenerateTask{Envelope: env, Model: model, Messages: []event.Message{{Role: "user", Content: "Hi"}}, Hop: len(tried), Tried: tried, Fallback: true}
	task.Receipt.Add(event.Attempt{Model: model, Error: class})
	return event.RouteTask{Envelope: env, Task: task, Error: &event.Error{Class: class, Message: "broken", Hint: "mend it"}}
}

func (r *rig) route(t event.RouteTask) {
	r.T.Helper()
	out, err := stage.StepOut(event.RouteSubject(t.Lane, t.Tenant), "route-"+t.Task.Model+string(t.Error.Class), t.Envelope, t)
	if err == nil {
		err = r.Bus.Publish(r.T.Context(), out)
	}
	if err != nil {
		r.T.Fatal(err)
	}
}

// TestNextModelTakesOver: in the order of the chain, with what was tried before.
func TestNextModelTakesOver(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{})
	r.route(failed("small", event.ClassUnavailable))
	task, subject := r.task()
	if subject != event.GenerateSubject("medium", event.LaneBatch, "acme") || task.Hop != 1 || !task.Fallback || len(task.Receipt.Attempts) != 1 {
		t.Errorf("%s: %+v, want medium, which large may follow", subject, task)
	}
	r.route(failed("medium", event.ClassTooLarge, "small"))
	if task, _ = r.task(); task.Model != "large" || task.Fallback || task.Hop != 2 {
		t.Errorf("%+v, want large, the last", task)
	}
}

// TestNothingLeft: what may pass is waited for, what won't ends the job.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{})
	r.route(failed("large", event.ClassUnavailable, "small", "medium"))
	if task, _ := r.task(); task.Model != "small" || task.Fallback || len(task.Tried) != 0 || task.Hop != 3 {
		t.Errorf("%+v, want small again, to wait for", task)
	}
	r.route(failed("large", event.ClassTooLarge, "small", "medium"))
	got := r.failure("q1")
	if got.Class != event.ClassTooLarge || got.Hint != "mend it" {
		t.Errorf("error %+v, want the last model's", got)
	}
}

// TestAliasNamesItsModel: and the chain of that.
func TestAliasNamesItsModel(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{})
	job := question("Hi")
	job.RAG, job.Model, job.MaxAttempts, job.MaxCostNanoUSD = nil, "cheap", 4, 99
	r.submit(job)
	task, subject := r.task()
	if subject != event.GenerateSubject("small", event.LaneInteractive, "acme") || !task.Fallback || task.MaxAttempts != 4 || task.MaxCostNanoUSD != 99 {
		t.Errorf("%s: %+v", subject, task)
	}
}

// broken is a worker of another process that has opened the breaker of small.
func (r *rig) broken(settings guard.Settings) {
	r.T.Helper()
	kv, err := r.Bus.KeyValue(r.T.Context(), bus.BucketBreakers)
	if err != nil {
		r.T.Fatal(err)
	}
	other, err := guard.NewHealth(guard.HealthConfig{KV: kv, JetStream: r.Bus.JetStream(), Worker: "w", Settings: settings})
	if err != nil {
		r.T.Fatal(err)
	}
	go other.Run(r.T.Context()) //nolint:errcheck // ends with the test
	<-other.Ready()
	target := guard.Target{Provider: "sim", Group: "small"}
	for other.Check(target).State == guard.Closed {
		permit, err := other.Allow(r.T.Context(), target, time.Second)
		if err != nil {
			return
		}
		permit.Done(event.Errorf(event.ClassUnavailable, "down"), 0)
	}
}

// untilPlanned submits jobs until one goes to a model.
func (r *rig) untilPlanned(model string) {
	r.T.Helper()
	job := question("Hi")
	job.RAG = nil
	for deadline := time.Now().Add(stagetest.Patience); ; {
		r.submit(job)
		task, _ := r.task()
		if task.Model == model {
			return
		}
		if time.Now().After(deadline) {
			r.T.Fatalf("jobs still go to %s, not to %s", task.Model, model)
		}
	}
}

// TestOpenModelsArePassedOver: the router knows from the fleet's breakers.
func TestOpenModelsArePassedOver(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{})
	r.broken(guard.DefaultSettings())
	r.untilPlanned("medium")
}

// TestProbedModelGetsATrickle: one job, from which the fleet learns whether the
// model works again, and those that follow it go elsewhere.
func TestProbedModelGetsATrickle(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{})
	settings := guard.DefaultSettings()
	settings.OpenFor, settings.OpenMax = time.Second, time.Second
	r.broken(settings)
	r.untilPlanned("medium") // it is open
	r.untilPlanned("small")  // to be probed
	job := question("Hi")
	job.RAG = nil
	sent := time.Now()
	r.submit(job)
	if task, _ := r.task(); task.Model != "medium" && time.Since(sent) < probeEvery/2 {
		t.Errorf("the next job goes to %s, want medium", task.Model)
	}
}

// TestProbes: each model has its own trickle.
func TestProbes(t *testing.T) {
	t.Parallel()
	var p probes
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tc := range []struct {
		model string
		after time.Duration
		want  bool
	}{{"a", 0, true}, {"a", probeEvery - 1, false}, {"b", probeEvery - 1, true}, {"a", probeEvery, true}, {"b", probeEvery, false}} {
		now := at.Add(tc.after)
		got := p.due(tc.model, now)
		if got != tc.want {
			t.Errorf("%s after %s: %t, want %t", tc.model, tc.after, got, tc.want)
		}
		if got {
			p.took(tc.model, now)
		}
	}
}

// TestLostModelKeepsTheReceipt: the catalog lost the model while a task of it was
// under way; what was paid until then is told.
func TestLostModelKeepsTheReceipt(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{})
	task := failed("gone", event.ClassUnavailable)
	task.Task.Receipt.Add(event.Attempt{Model: "embed", CostNanoUSD: 80})
	r.route(task)
	result := r.Result("q1")
	if result.Status != event.StatusFailed || result.Error.Field != "model" || !strings.Contains(result.Error.Hint, "small, medium, large") {
		t.Errorf("error %+v, want an unknown model and those there are", result.Error)
	}
	if got := result.Receipt; got.CostNanoUSD != 80 || len(got.Attempts) != 2 {
		t.Errorf("receipt %+v, want the attempts made", got)
	}
}
