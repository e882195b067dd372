package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/budget"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/stage"
)

// accepted stores the record of a job of the default tenant.
func accepted(t *testing.T, b *bus.Bus, id string, record event.Submission) {
	t.Helper()
	record.V, record.Lane, record.Stored, record.At = event.Version, event.LaneInteractive, true, time.Now().UTC()
	data, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := b.KeyValue(t.Context(), bus.BucketJobs)
	if err == nil {
		_, err = kv.Put(t.Context(), event.JobKey("default", id), data)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// publish stores messages.
func publish(t *testing.T, b *bus.Bus, outs ...bus.Out) {
	t.Helper()
	if err := b.Publish(t.Context(), outs...); err != nil {
		t.Fatal(err)
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	on := func(args ...string) outcome {
		t.Helper()
		return weir(t, append(args, "--nats-url", server.URL())...)
	}
	accepted(t, b, "q1", event.Submission{Kind: event.KindGenerate, Model: "small"})
	accepted(t, b, "q2", event.Submission{Kind: event.KindGenerate, Task: "quiz"})
	accepted(t, b, "b1", event.Submission{Kind: event.KindBatch})
	for _, id := range []string{"q1", "q2"} {
		publish(t, b, bus.Out{Subject: "weir.jobs.generate.interactive.default", ID: id, Data: []byte(`{"v":1}`)})
	}
	planned := stage.LifeOut("default", "q2", time.Now(), event.Life{Type: event.LifePlanned, Stage: "router", Detail: "model small"})
	planned.View = false
	publish(t, b, planned)

	on("jobs", "ls").wants(t, exitOK, "STATUS", "q1", "queued", "small", "q2", "running", "quiz", "b1", "batch")
	on("jobs", "ls", "--tenant", "other").wants(t, exitOK, "STATUS")
	if got := lines[job](t, on("jobs", "ls", "--status", "running", "--json")); len(got) != 1 || got[0].ID != "q2" || got[0].LastEvent == nil {
		t.Errorf("running jobs: %+v", got)
	}
	if got := lines[job](t, on("jobs", "ls", "--limit", "2", "--json")); len(got) != 2 || got[0].ID != "q1" {
		t.Errorf("two jobs: %+v", got)
	}
	on("jobs", "ls", "--status", "lost").wants(t, exitUsage, "lost")
	on("jobs", "ls", "--limit", "-1").wants(t, exitUsage, "--limit")

	on("jobs", "show", "q2").wants(t, exitOK, "generate q2 of tenant default: running", "planned: model small")
	on("jobs", "show", "q9").wants(t, exitNoResult, "q9", "no such job")
	on("jobs", "show", "q2", "--tenant", "other").wants(t, exitNoResult, "no such job")

	on("jobs", "why", "q1").wants(t, exitOK, "job q1 is queued, held by workers router")
	on("jobs", "cancel", "b1").wants(t, exitUsage, "batches/b1/cancel")
	on("jobs", "cancel", "q1").wants(t, exitOK, "job q1 is canceled")
	on("jobs", "cancel", "q1").wants(t, exitOK, "job q1 is canceled")
	on("jobs", "why", "q1").wants(t, exitOK, "nothing holds it")
	if got := lines[job](t, on("jobs", "show", "q1", "--json")); got[0].State != client.StateCanceled || got[0].Result == nil {
		t.Errorf("a canceled job: %+v", got)
	}
	done, err := stage.ResultOut(event.Result{V: 1, ID: "q2", Tenant: "default", Kind: event.KindGenerate, Status: event.StatusOK, Answer: &event.Answer{Text: "A function."}})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, done)
	on("jobs", "cancel", "q2").wants(t, exitError, "finished", "weir result q2")
	on("jobs", "show", "q2").wants(t, exitOK, "ok", "A function.")
}

// TestTop prints one view of what is there.
func TestTop(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	for i, tenant := range []string{"acme", "acme", "globex"} {
		publish(t, b, bus.Out{Subject: "weir.jobs.generate.interactive." + tenant, ID: fmt.Sprint(i), Data: []byte(`{"v":1}`)})
	}
	publish(t, b, bus.Out{Subject: event.GenerateSubject("small", event.LaneBatch, "acme"), Data: []byte(`{"v":1}`)},
		bus.Out{Subject: event.DeadSubject("router", "acme"), Data: []byte(`{}`)})
	kv, err := b.KeyValue(t.Context(), bus.BucketSpend)
	if err == nil {
		_, err = kv.Put(t.Context(), time.Now().UTC().Format(time.DateOnly)+".acme.small", []byte(`{"seq":1,"calls":2,"cost_nano_usd":1500000}`))
	}
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, t.TempDir(), "catalog.yaml", `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models: [{id: small, provider: sim, upstream: s, mode: chat, price: [{input: 1, output: 1}], limits: {rpm: 60}}]
`)
	args := []string{"top", "--once", "--interval", "100ms", "--file", file, "--nats-url", server.URL()}
	weir(t, args...).wants(t, exitOK, "jobs/s", "1 dead letters", "jobs generate", "interactive", "2", "3", "steps generate small", "batch", "1",
		"sim.small rpm", "60", "0 %", "....", "all work", "acme", "0.001500", "dead letters of router")
	got := lines[view](t, weir(t, append(args, "--json")...))
	if v := got[0]; len(got) != 1 || len(v.Queues) != 2 || v.Queues[0] != (queueView{"jobs generate", "interactive", 2, 3, 0}) ||
		len(v.Limits) != 1 || v.Limits[0].Utilisation == nil || len(v.Spend) != 1 || v.Spend[0].TodayNanoUSD != 1_500_000 || v.Dead[0].Letters != 1 {
		t.Errorf("view %+v", got)
	}
	weir(t, "top", "--interval", "1ms", "--nats-url", server.URL()).wants(t, exitUsage, "--interval")
}

// TestTopGoesOn until it is stopped; each view is whole.
func TestTopGoesOn(t *testing.T) {
	t.Parallel()
	_, s := bustest.New(t)
	first, stop := server(t, 3, "top", "--interval", "100ms", "--json", "--nats-url", s.URL())
	stop()
	for _, line := range first {
		var v view
		if err := json.Unmarshal([]byte(line), &v); err != nil || v.At.IsZero() {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// TestPage: a view is cut to the terminal.
func TestPage(t *testing.T) {
	t.Parallel()
	got := page("abc\nüüü\nx\n", 2, 2)
	if want := home + "ab" + eraseLine + "\r\n" + "üü" + eraseLine + erasePage; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := page("", 0, 0); !strings.HasPrefix(got, home) {
		t.Errorf("got %q", got)
	}
}

// TestUtilisation is of what is in force, over the time between two readings.
func TestUtilisation(t *testing.T) {
	t.Parallel()
	c, err := readCatalog("", "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	g := &gauge{catalog: c}
	at := time.Now()
	before := &reading{at: at, models: map[string]ledger.Sum{"small": {Calls: 100, Prompt: 5000}}}
	after := &reading{at: at.Add(30 * time.Second), models: map[string]ledger.Sum{"small": {Calls: 115, Prompt: 8000, Completion: 2000}}}
	for dimension, want := range map[string]float64{budget.Requests: 0.5, budget.Tokens: 10_000.0 / 60, budget.Input: 6000.0 / 60, budget.Output: 4000.0 / 60, budget.Concurrency: 7.0 / 60} {
		got := g.utilisation(&budget.Status{Group: "sim.small", Dimension: dimension, InForce: 60, Used: 7}, before, after)
		if got == nil || math.Abs(*got-want) > 1e-9 {
			t.Errorf("%s: got %v, want %g", dimension, got, want)
		}
	}
	if got := g.utilisation(&budget.Status{Group: "sim.small", Dimension: budget.Requests}, before, after); got != nil {
		t.Errorf("a limit that is not in force: %g", *got)
	}
	if got := g.utilisation(&budget.Status{Group: "sim.small", Dimension: budget.Requests, InForce: 60}, before, before); got != nil {
		t.Errorf("over no time: %g", *got)
	}
}
