package router

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// policies is the policies file of the tests.
const policies = `
version: 1
reference: large
audit: {rate: 1}
tasks:
  - {task: default, chain: [small, medium, large], accept: {tau: 0.8, verify: [arithmetic]}, cache: {exact: 1h}}
  - {task: strict, chain: [small, large], exhausted: fail, accept: {tau: 0.8}}
  - {task: canned, chain: [small], exhausted: template, template: "Ask a human.", accept: {enum: [yes, no]}}
  - {task: cold, chain: [small, medium, large]}
  - {task: poor, chain: [small, large], audit: {rate: 1, max_usd_per_day: "0"}}
  - {task: hurry, chain: [small, large], accept: {tau: 0.8}, latency: {start: parallel, within: 10s}}
  - {task: tiny, chain: [narrow], accept: {tau: 0}}
  - {task: form, chain: [small], accept: {schema: {type: object}}}
  - {task: eager, chain: [small, large], stream: eager, accept: {tau: 0.5}}
`

// withPolicies runs a router with the policies.
func withPolicies(t *testing.T) *rig {
	t.Helper()
	return withPoliciesOf(t, text, policies)
}

// withPoliciesOf is withPolicies with another catalog and policies.
func withPoliciesOf(t *testing.T, text, policies string) *rig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policies.yaml")
	if err := os.WriteFile(file, []byte(policies), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Files{Policies: file}.Load(models(t, text).Current(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	k := stagetest.New(t)
	r := &rig{Kit: k, store: &fakeStore{}, tasks: k.Subscribe("weir.steps.generate.>")}
	s, err := New(platform.Platform{NATS: k.Bus.Conn()}, DefaultConfig(), Ports{Store: r.store, Catalog: catalog.NewWatcher(catalog.WatcherConfig{}, c)})
	if err != nil {
		t.Fatal(err)
	}
	r.stop = k.Start(s)
	return r
}

// plain is a job of a task without documents.
func plain(task, text string) event.GenerateJob {
	return event.GenerateJob{Task: task, Messages: []event.Message{{Role: "user", Content: text}}}
}

// rejects sends a task back whose answer was not accepted.
func (r *rig) rejects(task event.GenerateTask, j event.Judged) {
	r.T.Helper()
	j.Answer.Model = task.Model
	task.Receipt.Add(event.Attempt{Model: task.Model, CostNanoUSD: 10})
	out, err := stage.StepOut(event.RouteSubject(task.Lane, task.Tenant), "route-"+task.Model, task.Envelope, event.RouteTask{Envelope: task.Envelope, Task: task, Judged: &j})
	if err == nil {
		err = r.Bus.Publish(r.T.Context(), out)
	}
	if err != nil {
		r.T.Fatal(err)
	}
}

func poor(text string, p float64) event.Judged {
	return event.Judged{Answer: event.Answer{Text: text, FinishReason: "stop"}, P: p, Reason: "probability"}
}

// TestEscalates: to the next model of the chain, with the gates of each, and the best
// answer is given when the last one fails.
func TestEscalates(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	job := plain("", "What is 3*4?")
	job.Stream = true
	id := r.submit(job)
	task, _ := r.task()
	if task.Model != "small" || task.Gates.Tau != 0.8 || task.Gates.Verify[0] != event.VerifyArithmetic || !task.Gates.Complete || !task.Hold || task.Question != "What is 3*4?" {
		t.Errorf("first %+v, gates %+v", task, task.Gates)
	}
	r.rejects(task, poor("11", 0.4))
	if task, _ = r.task(); task.Model != "medium" || task.Hop != 1 || len(task.Prior) != 1 || !task.Hold {
		t.Errorf("second %+v, want medium with the answer before", task)
	}
	r.rejects(task, poor("12", 0.6))
	if task, _ = r.task(); task.Model != "large" || task.Gates.Tau != 0 || !task.Hold {
		t.Errorf("third %+v, gates %+v; want large, whose answer is accepted", task, task.Gates)
	}
	hard := event.Judged{Answer: event.Answer{Text: "3*4=13", FinishReason: "stop"}, Hard: true, Reason: event.VerifyArithmetic}
	r.rejects(task, hard)
	result := r.Result(id)
	if result.Status != event.StatusOK || result.Answer.Text != "12" || result.Answer.Model != "medium" {
		t.Errorf("result %+v, want the best answer that passed the hard gates", result)
	}
	route := result.Receipt.Routing
	if !route.Exhausted || len(route.Escalated) != 3 || route.Escalated[1].P != 0.6 || route.Reference != "large" || strings.Join(route.Chain, " ") != "small medium large" {
		t.Errorf("receipt %+v", route)
	}
	if result.Receipt.CostNanoUSD != 30 {
		t.Errorf("cost %d, want all three calls'", result.Receipt.CostNanoUSD)
	}
}

// TestRejected: a policy that wants no best effort fails with what was wrong.
func TestRejected(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	id := r.submit(plain("strict", "Hi"))
	task, _ := r.task()
	r.rejects(task, poor("a", 0.4))
	task, _ = r.task()
	if task.Gates.Tau != 0.8 {
		t.Errorf("the last answer is accepted from %v on, want 0.8", task.Gates.Tau)
	}
	wrong := []event.Violation{{Path: "/total", Keyword: "type", Message: "got string, want number"}}
	r.rejects(task, event.Judged{Hard: true, Reason: "schema", Violations: wrong})
	got := r.Result(id).Error
	if got == nil || got.Class != event.ClassRejected || got.Field != "schema" || len(got.Violations) != 1 || !strings.Contains(got.Message, "want number") || got.Hint == "" {
		t.Errorf("error %+v, want the violations", got)
	}
}

// TestTemplate: the policy's own words, when no answer passes.
func TestTemplate(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	id := r.submit(plain("canned", "May I?"))
	task, _ := r.task()
	r.rejects(task, event.Judged{Hard: true, Reason: "enum"})
	if got := r.Result(id); got.Answer == nil || got.Answer.Text != "Ask a human." || got.Answer.FinishReason != event.FinishTemplate || !got.Receipt.Routing.Exhausted {
		t.Errorf("result %+v", got)
	}
}

// TestNoProseForASchema: neither the policy's words nor "I don't know." are JSON.
func TestNoProseForASchema(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	job := plain("canned", "May I?")
	job.Schema = json.RawMessage(`{"type":"object"}`)
	id := r.submit(job)
	task, _ := r.task()
	r.rejects(task, event.Judged{Hard: true, Reason: "schema", Violations: []event.Violation{{Message: "no JSON"}}})
	if got := r.Result(id); got.Status != event.StatusFailed || got.Error.Class != event.ClassRejected {
		t.Errorf("result %+v, answer %+v", got, got.Answer)
	}
}

// TestOnlyOneOfTwoEndsTheJob: of models that began at once, one that fails leaves the
// other; what comes after the result asks nobody any more.
func TestOnlyOneOfTwoEndsTheJob(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	begin := func() (id string, first, second event.GenerateTask) {
		job := plain("hurry", "Now!")
		job.Deadline = time.Now().Add(8 * time.Second)
		id = r.submit(job)
		first, _ = r.task()
		second, _ = r.task()
		return id, first, second
	}
	_, _, second := begin()
	r.rejects(second, event.Judged{Hard: true, Reason: "complete"})
	if task, _ := r.task(); task.Model != "small" || task.Alone {
		t.Errorf("task %+v, want small, whose answer counts", task)
	}
	id, _, second := begin()
	out, err := stage.ResultOut(event.Result{V: 1, ID: id, Tenant: "acme", Kind: event.KindGenerate, Status: event.StatusOK, Answer: &event.Answer{Text: "first"}})
	if err == nil {
		err = r.Bus.Publish(t.Context(), out)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.rejects(second, event.Judged{Hard: true, Reason: "complete"})
	if msg, err := r.tasks.NextMsg(50 * time.Millisecond); err == nil {
		t.Errorf("asked after the end: %s", msg.Data)
	}
	job := plain("hurry", "Now!")
	job.Deadline, job.MaxAttempts = time.Now().Add(8*time.Second), 1
	r.submit(job)
	if task, _ := r.task(); task.Alone {
		t.Error("two calls of a job that may make one")
	}
}

// TestExpect: what is before a task: more urgent lanes, its own tenant's, and of the
// others as many.
func TestExpect(t *testing.T) {
	t.Parallel()
	k := stagetest.New(t)
	s, err := New(platform.Platform{NATS: k.Bus.Conn()}, DefaultConfig(), Ports{Store: &fakeStore{}, Catalog: models(t, text)})
	if err != nil {
		t.Fatal(err)
	}
	for lane, tenants := range map[event.Lane]map[string]int{event.LaneBatch: {"acme": 3, "other": 40}, event.LaneInteractive: {"other": 5}} {
		for tenant, n := range tenants {
			for i := range n {
				k.Publish(event.GenerateSubject("small", lane, tenant), fmt.Sprint(lane, tenant, i), event.GenerateTask{})
			}
		}
	}
	for key, want := range map[expectKey]uint64{
		{"small", event.LaneInteractive, "acme"}: 1, {"small", event.LaneBatch, "acme"}: 5 + 3 + 4, {"large", event.LaneBatch, "acme"}: 0,
	} {
		if got, err := s.expect.before(t.Context(), key); err != nil || got != want {
			t.Errorf("%v: %d tasks before (%v), want %d", key, got, err, want)
		}
	}
}

// TestColdStart: without a table the reference answers, and the others beside it,
// within the day's money.
func TestColdStart(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	for name, shadows := range map[string]int{"cold": 2, "poor": 0} {
		r.submit(plain(name, "Hi"))
		task, _ := r.task()
		if task.Model != "large" || task.Compare == nil || task.Compare.Rate != 1 || task.Compare.Audit {
			t.Fatalf("%s: task %+v, compare %+v; want large, compared", name, task, task.Compare)
		}
		judged := event.Judged{Answer: event.Answer{Text: "Hello.", Model: "large"}}
		out, err := stage.StepOut(event.RouteSubject(event.LaneBatch, "acme"), "compare-0", task.Envelope, event.RouteTask{Envelope: task.Envelope, Task: task, Judged: &judged, Compare: true})
		if err == nil {
			err = r.Bus.Publish(t.Context(), out)
		}
		if err != nil {
			t.Fatal(err)
		}
		for range shadows {
			shadow, subject := r.task()
			if shadow.Shadow == nil || shadow.Shadow.Of.Answer.Text != "Hello." || shadow.ID == task.ID || len(shadow.ID) > 64 || shadow.Lane != event.LaneBatch ||
				!strings.Contains(subject, ".batch.") || shadow.Gates.Tau != 0 || shadow.Cache != nil || len(shadow.Receipt.Attempts) != 0 {
				t.Errorf("shadow %+v on %s", shadow, subject)
			}
		}
	}
	if msg, err := r.tasks.NextMsg(50 * time.Millisecond); err == nil {
		t.Errorf("one task more: %s", msg.Data)
	}
}

// TestParallel: two models begin at once for a job in a hurry, and only then.
func TestParallel(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	job := plain("hurry", "Now!")
	job.Deadline = time.Now().Add(5 * time.Second)
	r.submit(job)
	first, _ := r.task()
	second, _ := r.task()
	if first.Model != "small" || !first.Alone || second.Model != "large" || second.Alone || second.Hop != 1 || second.Receipt.Routing.Start != catalog.StartParallel {
		t.Errorf("tasks %+v and %+v", first, second)
	}
	job.Deadline = time.Now().Add(time.Hour)
	r.submit(job)
	if task, _ := r.task(); task.Alone {
		t.Error("a job that has time begins twice")
	}
}

// TestWrongTasks: each names what is wrong and what there is.
func TestWrongTasks(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	long := plain("tiny", strings.Repeat("word ", 4000))
	named := plain("strict", "Hi")
	named.Schema = json.RawMessage(`{"type":"nonsense"}`)
	endless := plain("strict", "Hi")
	endless.Schema = json.RawMessage(`{"$ref":"#"}`)
	check := plain("strict", "Hi")
	check.Checks = []event.Check{{Name: "c", Expr: "answer +"}}
	for name, tc := range map[string]struct {
		job   event.GenerateJob
		class event.Class
		want  string
	}{
		"unknown task":     {plain("extrct", "Hi"), event.ClassInvalid, "default, strict"},
		"nobody is able":   {long, event.ClassTooLarge, "narrow"},
		"invalid schema":   {named, event.ClassInvalid, "schema"},
		"endless schema":   {endless, event.ClassInvalid, "schema"},
		"wrong expression": {check, event.ClassInvalid, "checks"},
	} {
		got := r.Result(r.submit(tc.job)).Error
		if got == nil || got.Class != tc.class || !strings.Contains(got.Error(), tc.want) {
			t.Errorf("%s: %v, want %s with %q", name, got, tc.class, tc.want)
		}
	}
}

// TestNamedModelWins: over any policy, but what the job says of the form holds.
func TestNamedModelWins(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	job := plain("strict", "Hi")
	job.Model, job.Schema = "medium", json.RawMessage(`{"type":"object"}`)
	id := r.submit(job)
	task, _ := r.task()
	if task.Model != "medium" || task.Task != "" || task.Gates == nil || task.Gates.Tau != 0 || task.Receipt.Routing != nil || task.Cache != nil {
		t.Errorf("task %+v, gates %+v", task, task.Gates)
	}
	r.rejects(task, event.Judged{Hard: true, Reason: "schema", Violations: []event.Violation{{Message: "no JSON"}}})
	if got := r.Result(id).Error; got == nil || got.Class != event.ClassRejected {
		t.Errorf("error %+v, want no other model asked", got)
	}
}

// TestPolicySchema: the policy's schema is for jobs that bring none.
func TestPolicySchema(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	r.submit(plain("form", "Hi"))
	if task, _ := r.task(); string(task.Gates.Schema) != `{"type":"object"}` {
		t.Errorf("gates %+v", task.Gates)
	}
	job := plain("form", "Hi")
	job.Schema = json.RawMessage(`{"type":"array"}`)
	r.submit(job)
	if task, _ := r.task(); string(task.Gates.Schema) != `{"type":"array"}` {
		t.Errorf("gates %+v", task.Gates)
	}
}

// keep stores the answer of a task as its generator would.
func (r *rig) keep(task event.GenerateTask, text string) {
	r.T.Helper()
	c, err := cache.New(cache.Config{Bus: r.Bus, Now: time.Now})
	if err != nil {
		r.T.Fatal(err)
	}
	stored, err := c.Put(r.T.Context(), task.Cache.Key, cache.Entry{Tenant: task.Tenant, Task: task.Task, Question: task.Question, Model: task.Model,
		Answer: event.Answer{Text: text, FinishReason: "stop", Model: task.Model}, CostNanoUSD: 500, Job: task.ID}, time.Hour)
	if err != nil || !stored {
		r.T.Fatalf("stored %t (%v)", stored, err)
	}
	if err := c.Release(r.T.Context(), task.Tenant, task.Cache.Flight, task.ID); err != nil {
		r.T.Fatal(err)
	}
}

// TestKnownAnswers: the same request is answered without a model, another one, or
// another tenant's, is not.
func TestKnownAnswers(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	first := r.submit(plain("", "Capital of France?"))
	task, _ := r.task()
	r.keep(task, "Paris.")
	got := r.Result(r.submit(plain("", "Capital of France?")))
	if got.Answer == nil || got.Answer.Text != "Paris." || got.Receipt.Cache == nil || got.Receipt.Cache.Kind != hitExact || got.Receipt.Cache.Job != first ||
		got.Receipt.Cache.SavedNanoUSD != 500 || got.Receipt.CostNanoUSD != 0 {
		t.Errorf("result %+v, receipt %+v", got, got.Receipt.Cache)
	}
	fresh := plain("", "Capital of France?")
	fresh.NoCache = true
	for name, job := range map[string]event.GenerateJob{"another question": plain("", "Capital of Spain?"), "no cache": fresh, "another task": plain("strict", "Capital of France?")} {
		r.submit(job)
		if task, _ := r.task(); task.Model != "small" {
			t.Errorf("%s: %+v", name, task)
		}
	}
	if _, err := r.Client.Generate(t.Context(), "rival", plain("", "Capital of France?")); err != nil {
		t.Fatal(err)
	}
	if task, _ := r.task(); task.Tenant != "rival" {
		t.Errorf("task %+v, want the other tenant's own", task)
	}
}

// TestIdenticalJobsShareACall: those in flight wait for the first; when that ends
// without an answer, one of them is asked.
func TestIdenticalJobsShareACall(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	flights := r.Subscribe("weir.steps.flight.>")
	waiting := func(text string) string {
		t.Helper()
		id := r.submit(plain("", text))
		if _, err := flights.NextMsg(stagetest.Patience); err != nil {
			t.Fatal(err)
		}
		return id
	}
	r.submit(plain("", "One?"))
	leader, _ := r.task()
	a, b := waiting("One?"), waiting("One?")
	r.keep(leader, "1")
	for _, id := range []string{a, b} {
		if got := r.Result(id); got.Answer.Text != "1" || got.Receipt.Cache.Kind != hitFlight || got.Receipt.Cache.Job != leader.ID {
			t.Errorf("result %+v", got)
		}
	}
	r.submit(plain("", "Two?"))
	leader, _ = r.task()
	waiting("Two?")
	c, err := cache.New(cache.Config{Bus: r.Bus, Now: time.Now})
	if err == nil {
		err = c.Release(t.Context(), "acme", leader.Cache.Flight, leader.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	if next, _ := r.task(); next.ID == leader.ID || next.Cache.Key != leader.Cache.Key {
		t.Errorf("task %+v, want the one that waited", next)
	}
}

// TestNobodyWaitsForALessUrgentLane: an interactive job has its own call.
func TestNobodyWaitsForALessUrgentLane(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	job := plain("", "Soon?")
	job.Lane = event.LaneBatch
	r.submit(job)
	r.task()
	r.submit(plain("", "Soon?"))
	if task, _ := r.task(); task.Lane != event.LaneInteractive {
		t.Errorf("task %+v", task)
	}
}

// TestEager: a policy may show answers before they are accepted.
func TestEager(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	r.submit(plain("eager", "Hi"))
	if task, _ := r.task(); task.Hold || task.Gates.Tau != 0.5 {
		t.Errorf("task %+v", task)
	}
}
