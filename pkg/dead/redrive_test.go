package dead

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// TestRedrive: a job whose handler is broken fails; when it is mended the job ends
// well, the letter stays and says what became of it.
func TestRedrive(t *testing.T) {
	t.Parallel()
	r := setup(t).works()
	l := r.fails("j1")
	if l.Job != "j1" || l.Class != event.ClassPoison || l.Stage != "worker" || l.Subject != subject("acme") || l.CostNanoUSD != 1000 || l.Deliveries != 1 {
		t.Errorf("letter %+v", l)
	}
	r.does(nil)
	record := r.redrive(l.Seq, Options{By: "ann"})
	if record.Times != 1 || !record.Published || record.By != "ann" || !strings.Contains(string(record.Replaced), "index 3") {
		t.Errorf("record %+v", record)
	}
	r.ends("j1")
	if got := r.last().Header.Get(HeaderRedrive); got != fmt.Sprint(l.Seq) {
		t.Errorf("the message is of %q, want %d", got, l.Seq)
	}
	for _, name := range []string{stage.HeaderError, stage.HeaderSubject, stage.HeaderErrorClass, stage.HeaderCost} {
		if got := r.last().Header.Get(name); got != "" {
			t.Errorf("the message has the header %s: %s", name, got)
		}
	}
	d, err := r.box.Get(t.Context(), "acme", l.Seq)
	if err != nil || d.Redriven == nil || d.Redriven.Times != 1 || !strings.Contains(string(d.Body), `"j1"`) || !strings.Contains(string(d.Result), `"ok"`) {
		t.Errorf("detail %+v (%v), want the letter, its redrive, and the result", d, err)
	}
	r.refuses(l.Seq, Options{Force: true}, ErrEnded)
}

// TestASecondClick: is told that the job runs, unless forced; one that failed again
// can be redriven again, and its new letter says what it was.
func TestASecondClick(t *testing.T) {
	t.Parallel()
	r := setup(t).works()
	l := r.fails("j1")
	hold := make(chan struct{})
	r.does(func(in *bus.Message) error { <-hold; return broken(in) })
	r.redrive(l.Seq, Options{})
	r.refuses(l.Seq, Options{}, ErrRunning)
	if record := r.redrive(l.Seq, Options{Force: true}); record.Times != 2 {
		t.Errorf("record %+v, want a second redrive", record)
	}
	close(hold)
	r.Failure(event.KindGenerate, "j1")
	letters := r.list(Filter{Tenant: "acme"})
	if last := letters[len(letters)-1]; len(letters) < 2 || last.RedriveOf != l.Seq {
		t.Errorf("letters %+v, want one that was redriven from %d", letters, l.Seq)
	}
	r.does(nil)
	if record := r.redrive(l.Seq, Options{}); record.Times != 3 {
		t.Errorf("record %+v, want a third redrive", record)
	}
	r.ends("j1")
}

// TestEditedRedrive: the edit is checked as the stage does, and kept in the record.
func TestEditedRedrive(t *testing.T) {
	t.Parallel()
	r := setup(t).works()
	l := r.fails("j1")
	r.does(nil)
	for edit, want := range map[string]string{
		`{"max_tokens":-1}`:        "max_tokens",
		`{"messages":[]}`:          "messages",
		`{"id":"j2"}`:              "edit.id",
		`{"tenant":"zeta"}`:        "edit.tenant",
		`{"TENANT":"zeta"}`:        "edit.TENANT",
		`{"ſubmitted_at":null}`:    "edit.ſubmitted_at",
		`{"lane":"interactive"}`:   "edit.lane",
		`[]`:                       "edit",
		`{"max_tokens":1} {"a":1}`: "edit",
		`{`:                        "edit",
	} {
		r.refuses(l.Seq, Options{Edit: json.RawMessage(edit)}, nil, want)
	}
	record := r.redrive(l.Seq, Options{Edit: json.RawMessage(`{"max_tokens":77,"metadata":{"a":"b"}}`)})
	if string(record.Edit) != `{"max_tokens":77,"metadata":{"a":"b"}}` {
		t.Errorf("record %+v", record)
	}
	if result := r.ends("j1"); result.Answer.Text != "Hi. 77" || result.Metadata["a"] != "b" {
		t.Errorf("result %+v, want it by the edit", result)
	}
}

// TestAJobWithoutAnID keeps the one it was given.
func TestAJobWithoutAnID(t *testing.T) {
	t.Parallel()
	r := setup(t).works()
	r.does(broken)
	results := r.Subscribe("weir.results.acme.*")
	r.submit("acme", `{"v":1,"messages":[{"role":"user","content":"Hi"}]}`)
	msg, err := results.NextMsg(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	r.does(nil)
	l := r.list(Filter{})[0]
	if !strings.HasSuffix(msg.Subject, l.Job) {
		t.Fatalf("letter of %q, failed was %s", l.Job, msg.Subject)
	}
	r.redrive(l.Seq, Options{})
	r.ends(l.Job)
}

// TestLargeBody: what went by claim-check comes back by it, and can be edited.
func TestLargeBody(t *testing.T) {
	t.Parallel()
	r := setup(t).works()
	r.does(broken)
	text := strings.Repeat("x", bus.ClaimOver+1)
	r.submit("acme", fmt.Sprintf(`{"v":1,"id":"j1","messages":[{"role":"user","content":%q}]}`, text))
	r.submit("acme", fmt.Sprintf(`{"v":1,"id":"j2","messages":[{"role":"user","content":%q}]}`, text))
	r.Failure(event.KindGenerate, "j1")
	r.Failure(event.KindGenerate, "j2")
	r.does(nil)
	for _, l := range r.list(Filter{}) {
		o := Options{}
		if l.Job == "j2" {
			o.Edit = json.RawMessage(`{"max_tokens":9}`)
		}
		r.redrive(l.Seq, o)
		result := r.ends(l.Job)
		if want := map[string]string{"j1": "Hi. 0", "j2": "Hi. 9"}[l.Job]; result.Answer.Text != want {
			t.Errorf("result %+v, want %s", result.Answer, want)
		}
		if len(r.last().Data) < len(text) {
			t.Errorf("%d bytes came", len(r.last().Data))
		}
	}
}

// TestADeadlineThatHasPassed must be edited first: the job would fail at once.
func TestADeadlineThatHasPassed(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.letter("worker", "acme", "j1", event.ClassPoison, "broke", 0, func(o *bus.Out) {
		o.Data = []byte(`{"v":1,"id":"j1","deadline":"2020-01-02T03:04:05Z","messages":[{"role":"user","content":"Hi"}]}`)
	})
	r.refuses(1, Options{}, nil, "deadline", "null")
	r.redrive(1, Options{Edit: json.RawMessage(`{"deadline":null}`)})
	r.works()
	r.ends("j1")
}

// TestTasksAreEditedWithinBounds: of a planned task only what the job asked for.
func TestTasksAreEditedWithinBounds(t *testing.T) {
	t.Parallel()
	r := setup(t)
	task := event.GenerateTask{Envelope: event.Envelope{V: 1, ID: "j1", Tenant: "acme", Lane: event.LaneBatch, Deadline: time.Now().Add(time.Hour)},
		Model: "small", Messages: []event.Message{{Role: "user", Content: "Hi"}}}
	env, err := stage.StepOut(event.GenerateSubject("small", event.LaneBatch, "acme"), "generate-0", task.Envelope, task)
	if err != nil {
		t.Fatal(err)
	}
	r.letter("generator-small", "acme", "j1", event.ClassAuth, "refused", 0, func(o *bus.Out) {
		o.Data = env.Data
		o.Header.Set(stage.HeaderSubject, env.Subject)
		o.Header.Set(stage.HeaderDeadline, env.Header.Get(stage.HeaderDeadline))
	})
	r.refuses(1, Options{Edit: json.RawMessage(`{"model":"large"}`)}, nil, "edit.model")
	r.refuses(1, Options{Edit: json.RawMessage(`{"receipt":{}}`)}, nil, "edit.receipt")
	r.refuses(1, Options{Edit: json.RawMessage(`{"tenant":"zeta"}`)}, nil, "edit.tenant")
	r.refuses(1, Options{Edit: json.RawMessage(`{"messages":[{"role":"bot","content":"x"}]}`)}, nil, "messages[0].role")
	tasks := r.Subscribe("weir.steps.generate.>")
	r.redrive(1, Options{Edit: json.RawMessage(`{"max_tokens":5,"deadline":null}`)})
	msg, err := tasks.NextMsg(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	got, err := event.Decode[event.GenerateTask](msg.Data)
	if err != nil || got.MaxTokens != 5 || got.Tenant != "acme" || !got.Deadline.IsZero() || msg.Header.Get(stage.HeaderDeadline) != "" || msg.Header.Get(stage.HeaderJob) != "j1" {
		t.Errorf("task %+v with %v (%v)", got, msg.Header, err)
	}
}

// TestOtherTenantsLettersAreNotThere, nor are those of numbers that were never given.
func TestOtherTenantsLettersAreNotThere(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.letter("worker", "zeta", "j1", event.ClassPoison, "broke", 0)
	_, theirs := r.box.Get(t.Context(), "acme", 1)
	_, none := r.box.Get(t.Context(), "acme", 99)
	if !errors.Is(theirs, ErrNone) || !errors.Is(none, ErrNone) || strings.Replace(theirs.Error(), "1", "99", 1) != none.Error() {
		t.Errorf("got %v and %v, want the same", theirs, none)
	}
	r.refuses(1, Options{Force: true}, ErrNone)
	if l := r.list(Filter{Tenant: "acme"}); len(l) != 0 {
		t.Errorf("acme sees %+v", l)
	}
	if l := r.list(Filter{}); len(l) != 1 {
		t.Errorf("the operator sees %+v", l)
	}
	report, err := r.box.Many(t.Context(), Selection{Filter: Filter{Tenant: "acme"}})
	if err != nil || report.Matched != 0 {
		t.Errorf("got %+v (%v)", report, err)
	}
	for _, tenant := range []string{"*", ">", "a.b", "acme.>", "ü"} {
		if _, _, err := r.box.List(t.Context(), Filter{Tenant: tenant}, "", 0); event.AsError(err) == nil || event.AsError(err).Class != event.ClassInvalid {
			t.Errorf("tenant %q: %v, want it refused", tenant, err)
		}
	}
}

// TestForeignSubjects: a letter that names a subject of another tenant, or none of
// Weir's, is not published.
func TestForeignSubjects(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for i, s := range []string{subject("zeta"), "weir.results.acme.j1", "$JS.API.STREAM.DELETE.acme", ""} {
		r.letter("worker", "acme", "j1", event.ClassPoison, "broke", 0, func(o *bus.Out) { o.Header.Set(stage.HeaderSubject, s) })
		r.refuses(uint64(i+1), Options{}, nil, "subject") //nolint:gosec // a small number
	}
}

// TestWhatIsNoJob: the letter of a webhook has no result that makes way, though a job
// of its name has one.
func TestWhatIsNoJob(t *testing.T) {
	t.Parallel()
	r := setup(t).works()
	r.submit("acme", fmt.Sprintf(body, "j1"))
	r.ends("j1")
	r.letter("notifier", "acme", "j1", event.ClassUnavailable, "status 500", 0, func(o *bus.Out) { o.Header.Set(stage.HeaderSubject, event.DueSubject("hooks", "acme")) })
	due := r.Subscribe("weir.due.>")
	r.redrive(1, Options{})
	if _, err := due.NextMsg(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	r.ends("j1")
	r.refuses(1, Options{}, ErrRunning)
}

// TestARedriveThatBrokeOff goes on when it is asked for again: the result was removed
// and the message was not published.
func TestARedriveThatBrokeOff(t *testing.T) {
	t.Parallel()
	r := setup(t).works()
	l := r.fails("j1")
	r.does(nil)
	r.breaksOff(&l)
	if record := r.redrive(l.Seq, Options{}); record.Times != 1 || !record.Published || record.Replaced == nil {
		t.Errorf("record %+v, want the first redrive to go on", record)
	}
	r.ends("j1")
}

// TestAFullQueue: the failed result is there again when the message is not taken.
func TestAFullQueue(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.letter("worker", "acme", "j1", event.ClassPoison, "broke", 0)
	env := event.Envelope{ID: "j1", Tenant: "acme"}
	result := env.ResultOf(event.KindGenerate, time.Now())
	result.Status, result.Error = event.StatusFailed, &event.Error{Class: event.ClassPoison, Message: "broke"}
	r.Publish(event.StoreSubject("acme", "j1"), "", result)
	stream, err := r.Bus.JetStream().Stream(t.Context(), bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgs = 1
	if _, err := r.Bus.JetStream().UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	r.submit("acme", fmt.Sprintf(body, "other"))
	r.refuses(1, Options{}, bus.ErrFull)
	if got := r.Failure(event.KindGenerate, "j1"); got.Message != "broke" {
		t.Errorf("result %v, want the failed one back", got)
	}
	r.works()
	r.ends("other")
	r.redrive(1, Options{})
	r.ends("j1")
}
