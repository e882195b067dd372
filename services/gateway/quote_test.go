package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/services/gateway/internal/quote"
)

// workers listen as stages do, and take nothing.
func (r *rig) workers() {
	r.T.Helper()
	if _, err := r.Bus.Conn().Subscribe("weir.hints.>", func(msg *nats.Msg) {
		if msg.Reply != "" {
			msg.Respond(nil) //nolint:errcheck // the test is over
		}
	}); err != nil {
		r.T.Fatal(err)
	}
}

// dry asks for a quote of a body that must be given.
func (r *rig) dry(body string) quote.Quote {
	r.T.Helper()
	return ask[quote.Quote](r, http.StatusOK, call{method: "POST", path: "/v1/jobs?dry_run=true", body: body})
}

// TestQuoteByBounds: before anything is known, a quote is what can't be less or more.
func TestQuoteByBounds(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.workers()
	jobs := r.stored("WEIR_JOBS")
	q := r.dry(`{"model":"small","max_tokens":100,"max_attempts":3,"messages":[{"role":"user","content":"What is a stage?"}]}`)
	own := int64(q.Tokens.Own)
	if own < 5 || own > 20 || q.LearnedFrom != 0 || q.Basis != quote.BasisBounds || q.Binding != nil {
		t.Errorf("quote %+v", q)
	}
	if want := (quote.Range{Low: own + 1, Likely: own + 100, High: 3 * (own + 100)}); q.Cost != want {
		t.Errorf("cost %+v, want %+v", q.Cost, want)
	}
	if q.End != (quote.End{}) || q.Start.Expected.IsZero() {
		t.Errorf("start %+v, end %+v: want a start alone, for nothing is known of how long it takes", q.Start, q.End)
	}
	if bounded := r.dry(`{"model":"small","max_tokens":100,"max_cost_nano_usd":150,"messages":[{"role":"user","content":"What is a stage?"}]}`); bounded.Cost.High != 150 {
		t.Errorf("with a bound of the cost: %+v", bounded.Cost)
	}
	if r.stored("WEIR_JOBS") != jobs {
		t.Error("a dry run submitted a job")
	}
}

// TestQuoteKinds: those that call no model cost nothing; a batch is quoted by its lines.
func TestQuoteKinds(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.workers()
	if q := r.dry(`{"kind":"delete","collection":"docs","document":"d"}`); q.Cost != (quote.Range{}) || q.Kind != event.KindDelete {
		t.Errorf("a delete: %+v", q)
	}
	if q := r.dry(`{"kind":"ingest","collection":"docs","document":{"id":"d","text":"What is a stage?"}}`); q.Tokens.Own != 5 || q.Cost.Low != 0 {
		t.Errorf("an ingest: %+v", q)
	}
	if q := r.dry(`{"kind":"embed","inputs":["What is a stage?","A function."]}`); q.Tokens.Own != 8 || q.Tokens.Prompt.Likely != 8 {
		t.Errorf("an embed: %+v", q)
	}
	for body, field := range map[string]string{
		`{"kind":"batch","input_file":"file-1","endpoint":"/v1/jobs"}`:              "dry_run",
		`{"model":"none","messages":[{"role":"user","content":"What?"}]}`:           "model",
		`{"task":"none","messages":[{"role":"user","content":"What is a stage?"}]}`: "task",
		`{"kind":"embed","model":"small","inputs":["What is a stage?"]}`:            "model",
	} {
		if got := ask[refused](r, http.StatusBadRequest, call{method: "POST", path: "/v1/jobs?dry_run=true", body: body}); got.Field != field {
			t.Errorf("%s: %+v, want the field %s", body, got, field)
		}
	}
}

// answered stores the result of a job that took what is said.
func (r *rig) answered(tenant string, i, completion int) {
	r.T.Helper()
	result := event.Result{V: 1, ID: fmt.Sprintf("%s-%d", tenant, i), Tenant: tenant, Kind: event.KindGenerate, Status: event.StatusOK, FinishedAt: time.Now().UTC(),
		Answer: &event.Answer{Text: "A function.", Model: "small", FinishReason: "stop"}}
	result.Receipt.Asked = &event.Asked{Model: "small", PromptTokens: 11, MaxTokens: 500}
	result.Receipt.GeneratingMS = 1000
	result.Receipt.Add(event.Attempt{Model: "small", PromptTokens: 11, CompletionTokens: completion, CostNanoUSD: int64(11 + completion)})
	out, err := stage.ResultOut(result)
	if err != nil {
		r.T.Fatal(err)
	}
	r.publish(out)
}

// TestQuoteLearns: quotes are made of the tenant's jobs, or of all tenants' where it
// had none, by any gateway, from before and after its start.
func TestQuoteLearns(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.workers()
	for i := range 60 {
		r.answered(stagetest.Tenant, i, 40+i%3)
		r.answered("globex", i, 90)
	}
	_, later := r.gateway()
	body := `{"model":"small","max_tokens":500,"deadline":%q,"messages":[{"role":"user","content":"What is a stage?"}]}`
	for name, url := range map[string]string{"the first gateway": r.url, "one that came later": later} {
		for deadline, holds := range map[time.Duration]quote.Holds{time.Hour: quote.HoldsTrue, 200 * time.Millisecond: quote.HoldsFalse} {
			eventually(t, func() string {
				out := r.do(url, call{method: "POST", path: "/v1/jobs?dry_run=true", body: fmt.Sprintf(body, time.Now().Add(deadline).UTC().Format(time.RFC3339Nano))})
				var q quote.Quote
				if err := json.Unmarshal(out.body, &q); err != nil || out.status != http.StatusOK {
					t.Fatalf("%d %s: %v", out.status, out.body, err)
				}
				if q.LearnedFrom >= 60 && q.Basis == quote.BasisTenant && q.Tokens.Completion == (quote.Range{Low: 40, Likely: 41, High: 42}) && q.DeadlineHolds == holds {
					return ""
				}
				return fmt.Sprintf("%s: %s, want the lengths of the tenant's answers, and that the deadline holds: %s", name, out.body, holds)
			})
		}
	}
	out := r.do(r.url, call{method: "POST", path: "/v1/jobs?dry_run=true", tenant: "slow", body: `{"model":"small","max_tokens":500,"messages":[{"role":"user","content":"What is a stage?"}]}`})
	var q quote.Quote
	if err := json.Unmarshal(out.body, &q); err != nil || q.Basis != quote.BasisPooled || q.Tokens.Completion.Low < 40 || q.Tokens.Completion.High != 90 {
		t.Errorf("a tenant without jobs: %s (%v), want what all tenants' took", out.body, err)
	}
}

// TestWhy: a job that waits says why.
func TestWhy(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.submitted("q1")
	type shown struct {
		Status string
		Why    *struct{ Cause, Name, Text string }
	}
	got := ask[shown](r, http.StatusOK, call{method: "GET", path: "/v1/jobs/q1"})
	if got.Why == nil || got.Why.Cause != "workers" || got.Why.Name != "router" || got.Why.Text == "" {
		t.Errorf("without workers: %+v", got)
	}
	r.workers()
	if got := ask[shown](r, http.StatusOK, call{method: "GET", path: "/v1/jobs/q1"}); got.Why != nil {
		t.Errorf("with workers, which have nothing else to do: %+v", got.Why)
	}
	r.finish("q1", event.StatusOK)
	if got := ask[shown](r, http.StatusOK, call{method: "GET", path: "/v1/jobs/q1"}); got.Why != nil {
		t.Errorf("with a result: %+v", got.Why)
	}
}
