package generator

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/gate"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// cascaded has a second model, and log probabilities.
const cascaded = `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models:
  - {id: small, provider: sim, upstream: sim-small, mode: chat, price: [{input: 100, output: 100}], supports: {logprobs: true, json_schema: strict, seed: true}}
  - {id: large, provider: sim, upstream: sim-large, mode: chat, price: [{input: 1000, output: 1000}]}
`

// gated is a task of the policy quiz that small answers.
func gated(id string, g event.Gates) event.GenerateTask {
	task := ask(id)
	task.Sources, task.Task, task.Question, task.Gates = nil, "quiz", "What?", &g
	task.Receipt.Routing = &event.Routing{Task: "quiz", Reference: "large"}
	return task
}

// replies makes a provider that gives one text after the other, as sure of each as
// mean says.
func replies(mean float64, texts ...string) func(context.Context, llm.ChatRequest) (llm.ChatResponse, error) {
	var n atomic.Int64
	return func(_ context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
		text := texts[min(int(n.Add(1)), len(texts))-1]
		out := llm.ChatResponse{Text: text, FinishReason: "stop", Usage: llm.Usage{PromptTokens: 10, CompletionTokens: 2}}
		if req.Logprobs {
			out.Logprobs = &llm.Logprobs{N: 2, Mean: mean, Min: mean, Q10: mean}
		}
		if req.OnDelta != nil {
			return out, req.OnDelta(text)
		}
		return out, nil
	}
}

// TestAccepted: the receipt says what the gates found, and what the reference would
// have cost; the outcome is told.
func TestAccepted(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(cascaded)
	outcomes := r.Subscribe("weir.outcomes.>")
	r.start(&llmtest.Fake{ChatFunc: replies(-0.1, "42")})
	r.publish(gated("q1", event.Gates{Complete: true, Logprobs: true, Tau: 0.8}))
	got := r.ok("q1")
	a := got.Receipt.Attempts[0]
	if len(a.Gates) != 2 || a.Gates[0].Name != gate.Complete || a.Gates[1].Name != gate.Probability || a.P == nil || *a.P < 0.9 || *a.P > 0.91 {
		t.Errorf("attempt %+v, gates %+v", a, a.Gates)
	}
	if r := got.Receipt.Routing; r.ReferenceCostNanoUSD != 12_000 || got.Receipt.CostNanoUSD != 1200 {
		t.Errorf("cost %d, the reference's %d", got.Receipt.CostNanoUSD, r.ReferenceCostNanoUSD)
	}
	seen, _ := stagetest.Next(r.Kit, outcomes, event.Decode[event.Observation])
	var o cascade.Outcome
	if err := json.Unmarshal(seen.Outcome, &o); err != nil || !seen.Accepted || seen.Escalated || o.Models["small"].Features[gate.LogprobMean] != -0.1 || o.Models["small"].OK != nil || o.Question != "What?" {
		t.Errorf("observed %+v: %+v (%v)", seen, o, err)
	}
}

// TestNotAccepted: the answer goes to the router with all that was measured, nothing
// of it is shown, and there is no result.
func TestNotAccepted(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(cascaded)
	routes := r.Subscribe("weir.steps.route.>")
	r.start(&llmtest.Fake{ChatFunc: replies(-2, "42")})
	task := gated("q1", event.Gates{Logprobs: true, Tau: 0.8})
	task.Stream, task.Hold = true, true
	r.publish(task)
	got, _ := stagetest.Next(r.Kit, routes, event.Decode[event.RouteTask])
	j := got.Judged
	if j == nil || j.Hard || j.Reason != gate.Probability || j.Answer.Text != "42" || j.Answer.Model != "small" || j.Features[gate.LogprobMean] != -2 || j.CostNanoUSD != 1200 || got.Error != nil {
		t.Errorf("judged %+v", j)
	}
	if len(got.Task.Receipt.Attempts) != 1 || got.Task.Receipt.Attempts[0].P == nil {
		t.Errorf("receipt %+v", got.Task.Receipt)
	}
	if msg, err := r.tokens.NextMsg(20 * time.Millisecond); err == nil {
		t.Errorf("shown: %s", msg.Data)
	}
}

// TestHeldAnswerIsShown: as a whole, when it is accepted.
func TestHeldAnswerIsShown(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(cascaded)
	r.start(&llmtest.Fake{ChatFunc: replies(-0.1, "42")})
	task := gated("q1", event.Gates{Logprobs: true, Tau: 0.8})
	task.Stream, task.Hold = true, true
	r.publish(task)
	if got := r.stream(); len(got) != 2 || got[0].Text != "42" {
		t.Errorf("tokens %+v", got)
	}
	r.ok("q1")
}

const totalSchema = `{"type":"object","properties":{"total":{"type":"number"}},"required":["total"],"additionalProperties":false}`

// TestRepair: the violations are sent back once; what is mended is accepted, and both
// calls are in the receipt.
func TestRepair(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(cascaded)
	fake := &llmtest.Fake{ChatFunc: replies(-0.1, `{"total":"nine"}`, "```json\n{\"total\":9}\n```")}
	r.start(fake)
	task := gated("q1", event.Gates{Schema: json.RawMessage(totalSchema)})
	task.Stream = true
	r.publish(task)
	got := r.ok("q1")
	if got.Answer.Text != `{"total":9}` || len(got.Receipt.Attempts) != 2 || got.Receipt.Attempts[1].For != event.ForRepair || got.Receipt.CostNanoUSD != 2400 {
		t.Errorf("answer %q, receipt %+v", got.Answer.Text, got.Receipt)
	}
	chats := fake.Chats()
	last := chats[1].Messages[len(chats[1].Messages)-1].Content
	if chats[0].Format == nil || chats[0].Format.Mode != llm.FormatStrict || !strings.Contains(last, "/total") {
		t.Errorf("format %+v, repair %q", chats[0].Format, last)
	}
	var shown string
	epoch := int64(0)
	for _, token := range r.stream() {
		if token.Epoch > epoch {
			shown, epoch = "", token.Epoch
		}
		shown += token.Text
	}
	if shown != `{"total":9}` {
		t.Errorf("readers have %q, want the answer", shown)
	}
}

// TestRepairOnceAndWithinAttempts: then it is the router's matter.
func TestRepairOnceAndWithinAttempts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ most, calls int }{"once": {0, 2}, "no call left": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := setup(t)
			r.models.set(cascaded)
			routes := r.Subscribe("weir.steps.route.>")
			fake := &llmtest.Fake{ChatFunc: replies(-0.1, `{"total":"nine"}`, `{"total":"ten"}`, `{"total":1}`)}
			r.start(fake)
			task := gated("q1", event.Gates{Schema: json.RawMessage(totalSchema)})
			task.MaxAttempts = tc.most
			r.publish(task)
			got, _ := stagetest.Next(r.Kit, routes, event.Decode[event.RouteTask])
			if len(fake.Chats()) != tc.calls || !got.Judged.Hard || got.Judged.Reason != gate.Schema || len(got.Judged.Violations) == 0 {
				t.Errorf("%d calls, judged %+v", len(fake.Chats()), got.Judged)
			}
		})
	}
}

// TestPaidSignals: bought from the model that the gates name; their price is in the
// receipt, and what they say counts.
func TestPaidSignals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		texts    []string
		signal   event.PaidSignal
		accepted bool
		calls    int
	}{
		"agree":     {[]string{"42", "The answer is 42.", "42"}, event.PaidSignal{Signal: cascade.Agree, Model: "large", K: 2}, true, 3},
		"differ":    {[]string{"42", "43", "41"}, event.PaidSignal{Signal: cascade.Agree, Model: "large", K: 2}, false, 3},
		"judge yes": {[]string{"42", "95"}, event.PaidSignal{Signal: cascade.Judge, Model: "large"}, true, 2},
		"judge no":  {[]string{"42", "20"}, event.PaidSignal{Signal: cascade.Judge, Model: "large"}, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := setup(t)
			r.models.set(cascaded)
			routes := r.Subscribe("weir.steps.route.>")
			fake := &llmtest.Fake{ChatFunc: replies(-0.1, tc.texts...)}
			r.start(fake)
			r.publish(gated("q1", event.Gates{Tau: 0.8, Paid: []event.PaidSignal{tc.signal}}))
			var receipt event.Receipt
			if tc.accepted {
				receipt = r.ok("q1").Receipt
			} else {
				got, _ := stagetest.Next(r.Kit, routes, event.Decode[event.RouteTask])
				receipt = got.Task.Receipt
				if got.Judged.Paid[tc.signal.Signal] != int64(tc.calls-1)*12_000 {
					t.Errorf("paid %v", got.Judged.Paid)
				}
			}
			if len(fake.Chats()) != tc.calls || len(receipt.Attempts) != tc.calls || receipt.CostNanoUSD != 1200+int64(tc.calls-1)*12_000 {
				t.Errorf("%d calls, receipt %+v", len(fake.Chats()), receipt)
			}
			if receipt.Attempts[0].P == nil || !strings.HasPrefix(receipt.Attempts[1].For, tc.signal.Signal) {
				t.Errorf("attempts %+v", receipt.Attempts)
			}
		})
	}
}

// TestShadow: the answer is compared and is no result; a failure ends quietly.
func TestShadow(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(cascaded)
	outcomes := r.Subscribe("weir.outcomes.>")
	results := r.Subscribe("weir.results.>")
	dead := r.Subscribe("weir.dead.>")
	r.start(&llmtest.Fake{ChatFunc: func(ctx context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
		if req.Messages[0].Content == "Break!" {
			return llm.ChatResponse{}, event.Errorf(event.ClassContent, "refused")
		}
		return replies(-0.1, "42.")(ctx, req)
	}})
	broken, task := gated("s0", event.Gates{}), gated("s1", event.Gates{Logprobs: true})
	of := event.Judged{Answer: event.Answer{Text: "42", Model: "large"}, CostNanoUSD: 12_000}
	broken.Shadow, task.Shadow = &event.Shadow{Of: of, Rate: 0.5}, &event.Shadow{Of: of, Rate: 0.5}
	broken.Messages = []event.Message{{Role: "user", Content: "Break!"}}
	r.publish(broken)
	r.publish(task)
	seen, _ := stagetest.Next(r.Kit, outcomes, event.Decode[event.Observation])
	var o cascade.Outcome
	if err := json.Unmarshal(seen.Outcome, &o); err != nil {
		t.Fatal(err)
	}
	small := o.Models["small"]
	if o.Reference != "large" || small.OK == nil || *small.OK != 1 || small.Weight != 2 || small.Source != cascade.LabelAgreement || seen.AuditNanoUSD != 1200 || seen.Accepted || seen.Escalated {
		t.Errorf("observed %+v, outcome %+v", seen, o)
	}
	for name, sub := range map[string]interface {
		NextMsg(time.Duration) (*nats.Msg, error)
	}{"result": results, "dead letter": dead} {
		if msg, err := sub.NextMsg(20 * time.Millisecond); err == nil {
			t.Errorf("a %s: %s", name, msg.Data)
		}
	}
}

// TestCompare: a share of the accepted answers goes to the router, to be compared.
func TestCompare(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(cascaded)
	routes := r.Subscribe("weir.steps.route.>")
	r.start(&llmtest.Fake{ChatFunc: replies(-0.1, "42")})
	task := gated("q1", event.Gates{})
	task.Compare = &event.Compare{Models: []string{"large"}, Rate: 1, Audit: true}
	r.publish(task)
	r.ok("q1")
	got, msg := stagetest.Next(r.Kit, routes, event.Decode[event.RouteTask])
	if !got.Compare || got.Judged.Answer.Text != "42" || got.Task.Compare == nil || !strings.Contains(msg.Subject, "batch") {
		t.Errorf("%s: %+v", msg.Subject, got)
	}
}

// TestKept: an accepted answer is where identical jobs look; one that is no answer
// lets them go.
func TestKept(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(cascaded)
	c, err := cache.New(cache.Config{Bus: r.bus, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	r.start(&llmtest.Fake{ChatFunc: func(ctx context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
		if req.Messages[0].Content == "Break!" {
			return llm.ChatResponse{}, event.Errorf(event.ClassInvalid, "refused")
		}
		return replies(-0.1, "42")(ctx, req)
	}})
	task, broken := gated("q1", event.Gates{}), gated("q2", event.Gates{})
	broken.Messages = []event.Message{{Role: "user", Content: "Break!"}}
	key, other := cache.RequestKey(cache.Request{Tenant: "acme", Task: "a"}), cache.RequestKey(cache.Request{Tenant: "acme", Task: "b"})
	task.Cache, broken.Cache = &event.CachePlan{Key: key, Flight: key, TTLMS: 60_000}, &event.CachePlan{Key: other, Flight: other, TTLMS: 60_000}
	if _, _, err := c.Lead(t.Context(), "acme", other, "q2", time.Minute); err != nil {
		t.Fatal(err)
	}
	r.publish(task)
	r.ok("q1")
	if e, err := c.Get(t.Context(), "acme", key); err != nil || e == nil || e.Answer.Text != "42" || e.CostNanoUSD != 1200 || e.Job != "q1" || e.Question != "What?" {
		t.Errorf("kept %+v (%v)", e, err)
	}
	r.publish(broken)
	if got := r.result("q2"); got.Error == nil || got.Error.Class != event.ClassInvalid {
		t.Errorf("result %+v", got)
	}
	if e, found, err := c.Await(t.Context(), "acme", other); err != nil || found {
		t.Errorf("identical jobs still wait: %+v, %t (%v)", e, found, err)
	}
}

// TestAlone: of two tasks of a job, the first one's poor answer is dropped.
func TestAlone(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(cascaded)
	routes := r.Subscribe("weir.steps.route.>")
	lines := r.Subscribe("weir.ledger.>")
	r.start(&llmtest.Fake{ChatFunc: replies(-2, "42")})
	task := gated("q1", event.Gates{Logprobs: true, Tau: 0.8})
	task.Alone = true
	r.publish(task)
	if _, err := lines.NextMsg(patience); err != nil { // what it took is in the ledger
		t.Fatal(err)
	}
	if msg, err := routes.NextMsg(20 * time.Millisecond); err == nil {
		t.Errorf("routed: %s", msg.Data)
	}
}

// TestRefusalEscalates: under a policy another model may answer, or the policy itself.
func TestRefusalEscalates(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(cascaded)
	routes := r.Subscribe("weir.steps.route.>")
	r.start(&llmtest.Fake{ChatFunc: func(context.Context, llm.ChatRequest) (llm.ChatResponse, error) {
		return llm.ChatResponse{}, event.Errorf(event.ClassContent, "the model refused")
	}})
	r.publish(gated("q1", event.Gates{}))
	got, _ := stagetest.Next(r.Kit, routes, event.Decode[event.RouteTask])
	if got.Judged != nil || got.Error == nil || got.Error.Class != event.ClassContent {
		t.Errorf("routed %+v", got)
	}
}
