package router

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
)

func TestPlainJobPassesUnchanged(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{})
	temperature := 0.0
	job := event.GenerateJob{
		Envelope: event.Envelope{ID: "q1", Lane: event.LaneBatch, Deadline: time.Now().Add(time.Hour).UTC().Truncate(time.Second)},
		Messages: []event.Message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: "<b>Hi</b> & bye"},
			{Role: "assistant", Content: "Hi."}},
		MaxTokens: 7, Temperature: &temperature, Stream: true,
	}
	r.submit(job)
	task, subject := r.task()
	if want := "weir.steps.generate.small.batch.acme"; subject != want {
		t.Errorf("subject %s, want %s", subject, want)
	}
	if !reflect.DeepEqual(task.Messages, job.Messages) {
		t.Errorf("messages %+v, want them as they were", task.Messages)
	}
	if task.ID != "q1" || task.Tenant != "acme" || task.Lane != event.LaneBatch || !task.Deadline.Equal(job.Deadline) || task.SubmittedAt.IsZero() {
		t.Errorf("envelope %+v, want that of the job", task.Envelope)
	}
	if task.Model != "small" || task.MaxTokens != 7 || task.Temperature == nil || *task.Temperature != 0 || !task.Stream {
		t.Errorf("task %+v, want the job's parameters", task)
	}
	if len(task.Sources) != 0 || len(task.Receipt.Attempts) != 0 || len(r.store.queries()) != 0 {
		t.Errorf("task %+v, want no retrieval", task)
	}
	if life := r.Life(event.LifePlanned); life.Stage != "router" || life.Detail != "model small, 0 sources" {
		t.Errorf("life %+v, want planned without sources", life)
	}
}

func TestModel(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{})
	job := event.GenerateJob{Model: "small", Messages: []event.Message{{Role: "user", Content: "Hi"}}}
	r.submit(job)
	if task, _ := r.task(); task.Model != "small" {
		t.Errorf("model %q, want small", task.Model)
	}
	job.Model = "huge"
	got := r.failure(r.submit(job))
	if got.Class != event.ClassInvalid || got.Field != "model" || !strings.Contains(got.Message, `"huge"`) || !strings.Contains(got.Hint, "small, medium, large") {
		t.Errorf("error %+v, want an unknown model with a hint on the one there is", got)
	}
}

// TestIDsAreTheMessages: a job without an id gets one from where it is stored,
// so a redelivery plans the same task.
func TestIDsAreTheMessages(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	s, err := New(platform.Platform{NATS: b.Conn()}, DefaultConfig(), Ports{Store: &fakeStore{}, Catalog: models(t, text)})
	if err != nil {
		t.Fatal(err)
	}
	in := &bus.Message{Subject: "weir.jobs.generate.interactive.acme", Stream: bus.StreamJobs, Sequence: 7,
		Stored: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Data: []byte(`{"v":1,"messages":[{"role":"user","content":"Hi"}]}`)}
	plan := func(sequence uint64, deliveries int) (bus.Out, event.GenerateTask) {
		in.Sequence, in.Deliveries = sequence, deliveries
		outs, err := s.plan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		var task event.GenerateTask
		if err := json.Unmarshal(outs[0].Data, &task); err != nil {
			t.Fatal(err)
		}
		return outs[0], task
	}
	first, one := plan(7, 1)
	second, two := plan(7, 2)
	if one.ID == "" || one.ID != two.ID || first.ID == "" || first.ID != second.ID {
		t.Errorf("job ids %q and %q, dedupe ids %q and %q; want the same twice", one.ID, two.ID, first.ID, second.ID)
	}
	if err := event.CheckName("id", one.ID); err != nil {
		t.Error(err)
	}
	if _, other := plan(8, 1); other.ID == one.ID {
		t.Errorf("another message got the same id %q", other.ID)
	}
}

// TestJobWithoutIDIsPlanned: through the queue, as any NATS client sends it.
func TestJobWithoutIDIsPlanned(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{})
	if err := r.Bus.Conn().Publish("weir.jobs.generate.interactive.acme", []byte(`{"v":1,"messages":[{"role":"user","content":"Hi"}]}`)); err != nil {
		t.Fatal(err)
	}
	if task, _ := r.task(); event.CheckName("id", task.ID) != nil || len(task.ID) != 26 {
		t.Errorf("id %q, want a ULID", task.ID)
	}
}

// TestWrongJobsNameTheField: as they come from any NATS client.
func TestWrongJobsNameTheField(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{})
	for i, tc := range []struct{ body, field string }{
		{`"messages":[]`, "messages"},
		{`"messages":[{"role":"robot","content":"x"}]`, "messages[0].role"},
		{`"messages":[{"role":"user","content":" "}]`, "messages[0].content"},
		{`"messages":[{"role":"user","content":"x"}],"rag":{"collection":"a b"}`, "rag.collection"},
		{`"messages":[{"role":"user","content":"x"}],"rag":{"collection":"a","top_k":101}`, "rag.top_k"},
		{`"messages":[{"role":"user","content":"x"}],"temperature":3`, "temperature"},
	} {
		id := string(rune('a' + i))
		if err := r.Bus.Conn().Publish("weir.jobs.generate.interactive.acme", []byte(`{"v":1,"id":"`+id+`",`+tc.body+`}`)); err != nil {
			t.Fatal(err)
		}
		if got := r.failure(id); got.Class != event.ClassInvalid || got.Field != tc.field || got.Hint == "" {
			t.Errorf("%s: error %+v, want invalid %s with a hint", tc.body, got, tc.field)
		}
	}
}
