package why_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/budget"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/why"
)

// patience bounds every wait.
const patience = 30 * time.Second

const text = `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models:
  - {id: small, provider: sim, upstream: s, mode: chat, price: [{input: 1, output: 1}], limits: {rpm: 60}}
  - {id: wordy, provider: sim, upstream: w, mode: chat, price: [{input: 1, output: 1}], limits: {rpm: 6000, tpm: 6000}}
  - {id: plain, provider: sim, upstream: p, mode: chat, price: [{input: 1, output: 1}]}
tenants:
  - {id: acme, share: 1}
  - {id: globex, share: 9}
  - {id: poor, budget: {usd: "0.001", period: day}}
`

// rig is a NATS server with the state of a fleet, without the fleet.
type rig struct {
	t        *testing.T
	ctx      context.Context
	stop     context.CancelFunc
	bus      *bus.Bus
	client   *client.Client
	catalog  *catalog.Catalog
	health   *guard.Health
	forecast *why.Forecaster
}

func setup(t *testing.T) *rig {
	t.Helper()
	b, _ := bustest.New(t)
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{t: t, ctx: ctx, bus: b}
	var err error
	if r.catalog, err = catalog.Parse([]byte(text), time.Now()); err != nil {
		t.Fatal(err)
	}
	if r.client, err = client.New(b.Conn()); err != nil {
		t.Fatal(err)
	}
	kv, err := b.KeyValue(ctx, bus.BucketBreakers)
	if err != nil {
		t.Fatal(err)
	}
	settings := guard.DefaultSettings()
	settings.Consecutive = 3
	if r.health, err = guard.NewHealth(guard.HealthConfig{KV: kv, JetStream: b.JetStream(), Worker: "w", Settings: settings}); err != nil {
		t.Fatal(err)
	}
	r.stop = cancel
	r.run(r.health.Run)
	if r.forecast, err = why.New(why.Config{Bus: b, Catalog: func() *catalog.Catalog { return r.catalog }, Model: "small", EmbeddingModel: "embed",
		Status: func(m catalog.Model) guard.Status { return r.health.Check(guard.TargetOf(m)) }}); err != nil {
		t.Fatal(err)
	}
	return r
}

// run runs a part until the test ends.
func (r *rig) run(part func(context.Context) error) {
	done := make(chan error, 1)
	go func() { done <- part(r.ctx) }()
	r.t.Cleanup(func() {
		r.stop()
		if err := <-done; err != nil {
			r.t.Errorf("a part ended with: %v", err)
		}
	})
}

// workers listen as stages do, and take nothing.
func (r *rig) workers() {
	r.t.Helper()
	if _, err := r.bus.Conn().Subscribe("weir.hints.>", func(msg *nats.Msg) {
		if msg.Reply != "" {
			msg.Respond(nil) //nolint:errcheck // the test is over
		}
	}); err != nil {
		r.t.Fatal(err)
	}
}

// accepted stores the record of a job, and its message when it is not scheduled.
func (r *rig) accepted(tenant, id string, record event.Submission) {
	r.t.Helper()
	record.V, record.Kind, record.Lane, record.Stored = event.Version, event.KindGenerate, event.LaneInteractive, true
	if record.At.IsZero() {
		record.At = time.Now().UTC()
	}
	data, err := json.Marshal(record)
	if err != nil {
		r.t.Fatal(err)
	}
	kv, err := r.bus.KeyValue(r.ctx, bus.BucketJobs)
	if err == nil {
		_, err = kv.Put(r.ctx, event.JobKey(tenant, id), data)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	if record.NotBefore.IsZero() {
		r.publish(event.Address{Kind: event.KindGenerate, Lane: event.LaneInteractive, Tenant: tenant}.Subject())
	}
}

func (r *rig) publish(subject string) {
	r.t.Helper()
	if err := r.bus.Publish(r.ctx, bus.Out{Subject: subject, Data: []byte("{}")}); err != nil {
		r.t.Fatal(err)
	}
}

// life stores an event of a job.
func (r *rig) life(tenant, id string, life event.Life) {
	r.t.Helper()
	out := stage.LifeOut(tenant, id, time.Now(), life)
	out.View = false
	if err := r.bus.Publish(r.ctx, out); err != nil {
		r.t.Fatal(err)
	}
}

// why is what holds a job, as it is known of the job and things.
func (r *rig) why(tenant, id string) *why.Reason {
	r.t.Helper()
	job, err := r.client.Job(r.ctx, tenant, id)
	if err != nil {
		r.t.Fatal(err)
	}
	reason, err := r.forecast.Explain(r.ctx, tenant, job)
	if err != nil {
		r.t.Fatal(err)
	}
	return reason
}

// wants waits until a job is held by a cause and name.
func (r *rig) wants(tenant, id string, cause event.WaitCause, name string) *why.Reason {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		got := r.why(tenant, id)
		if got != nil && got.Cause == cause && got.Name == name {
			if got.Text == "" {
				r.t.Errorf("%+v has no text", got)
			}
			return got
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("got %+v, want %s %s", got, cause, name)
		}
	}
}

// saturate has calls wait for the limits of a model for as long as the test runs.
func (r *rig) saturate(model string, tokens int64) {
	r.t.Helper()
	kv, err := r.bus.KeyValue(r.ctx, bus.BucketBudget)
	if err != nil {
		r.t.Fatal(err)
	}
	limiter, err := budget.New(budget.Config{KV: kv, Worker: "w"})
	if err != nil {
		r.t.Fatal(err)
	}
	r.run(limiter.Run)
	m, _ := r.catalog.Model(model)
	p, _ := r.catalog.Provider(m.Provider)
	for range 8 {
		go func() {
			for r.ctx.Err() == nil {
				limiter.Acquire(r.ctx, budget.Request{Group: guard.LimitGroup(p, m), Class: event.LaneInteractive, //nolint:errcheck // the test is over
					Cost: budget.Cost{budget.Requests: 1, budget.Tokens: tokens}})
			}
		}()
	}
}

// calls ends calls of a model with an error, until none is let through.
func (r *rig) calls(model string, err error) {
	r.t.Helper()
	m, _ := r.catalog.Model(model)
	for {
		permit, refused := r.health.Allow(r.ctx, guard.TargetOf(m), 0)
		if refused != nil {
			return
		}
		permit.Done(err, 0)
	}
}

// spent notes what a tenant spent today.
func (r *rig) spent(tenant string, nanoUSD int64) {
	r.t.Helper()
	kv, err := r.bus.KeyValue(r.ctx, bus.BucketSpend)
	if err == nil {
		_, err = kv.Put(r.ctx, time.Now().UTC().Format(time.DateOnly)+"."+tenant+".small", fmt.Appendf(nil, `{"seq":1,"calls":1,"cost_nano_usd":%d}`, nanoUSD))
	}
	if err != nil {
		r.t.Fatal(err)
	}
}
