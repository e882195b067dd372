package generator

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// skilled has a model that takes tools, and one that does not.
const skilled = `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models:
  - {id: small, provider: sim, upstream: sim-small, mode: chat, price: [{input: 100, output: 100}], supports: {tools: true, json_schema: strict, logprobs: true, seed: true}}
  - {id: bare, provider: sim, upstream: sim-bare, mode: chat, price: [{input: 0}]}
`

// lookUp are tools of which the model must call one.
var lookUp = event.Tooling{
	Tools:      json.RawMessage(`[{"type":"function","function":{"name":"look_up","parameters":{"properties":{"city":{"type":"string"}}}}}]`),
	ToolChoice: json.RawMessage(`"required"`),
	Params:     map[string]json.RawMessage{"top_p": json.RawMessage("0.5")},
}

// TestToolCallsAreTheAnswer: whatever the gates want of a last answer.
func TestToolCallsAreTheAnswer(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(skilled)
	fake := &llmtest.Fake{}
	r.start(fake)
	task := gated("q1", event.Gates{Complete: true, Schema: json.RawMessage(`{"type":"object","required":["total"]}`), Logprobs: true, Tau: 0.9,
		Paid: []event.PaidSignal{{Signal: cascade.Judge, Model: "small"}}})
	task.Tooling, task.Stream, task.Metadata, task.Webhook = lookUp, true, map[string]string{"k": "v"}, "https://a"
	outcomes := r.Subscribe("weir.outcomes.>")
	r.publish(task)
	got := r.ok("q1")
	want := []event.ToolCall{{ID: "call_1", Type: "function", Function: event.FunctionCall{Name: "look_up", Arguments: `{"city":"What?"}`}}}
	if a := got.Answer; a.Text != "" || a.FinishReason != "tool_calls" || a.Model != "small" || !reflect.DeepEqual(a.ToolCalls, want) {
		t.Errorf("answer %+v", a)
	}
	if got.Metadata["k"] != "v" || got.Webhook != "https://a" {
		t.Errorf("result %+v", got)
	}
	calls := fake.Chats()
	if len(calls) != 1 || !reflect.DeepEqual(calls[0].Tooling, lookUp) || calls[0].Format.Mode == llm.FormatTool {
		t.Errorf("calls %+v, want one, without repair or judge", calls)
	}
	if tokens := r.stream(); len(tokens) != 1 || tokens[0].Type != event.TokenDone {
		t.Errorf("tokens %+v, want the end only", tokens)
	}
	if err := r.bus.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := outcomes.Pending(); n != 0 || err != nil {
		t.Errorf("%d lessons (%v), want none: a call is no answer", n, err)
	}
}

// TestToolsAndText: with tools that are not called the gates hold as ever.
func TestToolsAndText(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(skilled)
	fake := &llmtest.Fake{ChatFunc: replies(-0.1, "none", `{"total":1}`)}
	outcomes := r.Subscribe("weir.outcomes.>")
	r.start(fake)
	task := gated("q1", event.Gates{Schema: json.RawMessage(`{"type":"object","required":["total"]}`)})
	task.Tooling, task.Webhook = lookUp, "https://a"
	r.publish(task)
	if got := r.ok("q1"); got.Answer.Text != `{"total":1}` || len(fake.Chats()) != 2 || !fake.Chats()[1].HasTools() {
		t.Errorf("answer %+v after %d calls, want the repaired one", got.Answer, len(fake.Chats()))
	}
	if lesson, _ := stagetest.Next(r.Kit, outcomes, event.Decode[event.Observation]); lesson.Task != "quiz" || lesson.Webhook != "" {
		t.Errorf("lesson %+v, want one without a webhook", lesson)
	}
}

// TestNoTools: a model that takes none is not asked.
func TestNoTools(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(skilled)
	fake := &llmtest.Fake{}
	r.start(fake)
	task := ask("q1")
	task.Model, task.Tooling = "bare", lookUp
	r.publish(task)
	if e := r.Failure(event.KindGenerate, "q1"); e.Class != event.ClassInvalid || e.Field != "tools" || !strings.Contains(e.Message, "bare does not take tools") {
		t.Errorf("error %+v", e)
	}
	if len(fake.Chats()) != 0 {
		t.Error("it was asked")
	}
}

// TestWaitsAreTold: what holds the job, as data.
func TestWaitsAreTold(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.cfg.DrainTimeout = time.Millisecond                                                  // one task waits until tomorrow
	r.models.set(skilled + `tenants: [{id: acme, budget: {usd: "0.00011", period: day}}]`) // about one answer of full length
	r.start(&llmtest.Fake{ChatFunc: func(_ context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
		return llm.ChatResponse{Text: "Yes.", FinishReason: "stop", Usage: llm.Usage{PromptTokens: 10, CompletionTokens: req.MaxTokens}}, nil
	}})
	r.publish(ask("q1"))
	r.ok("q1")
	r.publish(ask("q2"))
	if life := r.Life(event.LifeWaiting); life.Wait == nil || life.Wait.Cause != event.WaitBudget || life.Wait.Name != "acme" || life.Wait.Until.IsZero() || life.Detail == "" {
		t.Errorf("event %+v, wait %+v", life, life.Wait)
	}
}
