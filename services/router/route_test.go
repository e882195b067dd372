package router

import (
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

// TestOpenModelsArePassedOver: the router knows from the fleet's breakers.
func TestOpenModelsArePassedOver(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{})
	kv, err := r.Bus.KeyValue(t.Context(), bus.BucketBreakers)
	if err != nil {
		t.Fatal(err)
	}
	other, err := guard.NewHealth(guard.HealthConfig{KV: kv, JetStream: r.Bus.JetStream(), Worker: "w", Settings: guard.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	go other.Run(t.Context()) //nolint:errcheck // ends with the test
	<-other.Ready()
	target := guard.Target{Provider: "sim", Group: "small"}
	for other.Check(target).State == guard.Closed {
		permit, err := other.Allow(t.Context(), target, time.Second)
		if err != nil {
			break
		}
		permit.Done(event.Errorf(event.ClassUnavailable, "down"), 0)
	}
	job := question("Hi")
	job.RAG = nil
	deadline := time.Now().Add(stagetest.Patience)
	for {
		r.submit(job)
		task, _ := r.task()
		if task.Model == "medium" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("jobs still go to %s", task.Model)
		}
	}
}
