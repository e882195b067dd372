package e2e

import (
	"bytes"
	"encoding/json"

	"github.com/weir-dev/weir/pkg/event"
)

// toolCalls: a call comes back, and the next job with its answer gets a text.
func toolCalls(b *bundle) {
	job := event.GenerateJob{Messages: []event.Message{{Role: "user", Content: "What is the weather in Paris?"}}, Tooling: event.Tooling{
		Tools: json.RawMessage(`[{"type":"function","function":{"name":"get_weather","description":"The weather in a city.",
			"parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]`),
		Params: map[string]json.RawMessage{"parallel_tool_calls": json.RawMessage("false")},
	}}
	job.Metadata = map[string]string{"k": "v"}
	first := b.ask(job)
	if a := first.Answer; a.FinishReason != "tool_calls" || len(a.ToolCalls) != 1 || a.ToolCalls[0].Function.Name != "get_weather" ||
		a.ToolCalls[0].Function.Arguments != `{"city":"Paris"}` || a.ToolCalls[0].ID == "" {
		b.t.Fatalf("answer %+v, want a call", a)
	}
	if asked := first.Receipt.Asked; asked == nil || !asked.Tools || asked.PromptTokens == 0 || first.Metadata["k"] != "v" {
		b.t.Errorf("result %+v", first)
	}
	job.Messages = append(job.Messages, event.Message{Role: "assistant", ToolCalls: first.Answer.ToolCalls},
		event.Message{Role: "tool", ToolCallID: first.Answer.ToolCalls[0].ID, Content: "sunny"})
	if a := b.ask(job).Answer; a.Text != "get_weather returned: sunny" || a.FinishReason != "stop" {
		b.t.Errorf("answer %+v, want what the tool said", a)
	}
}

// embedTexts: many vectors, which travel by claim check, in order.
func embedTexts(b *bundle) {
	job := event.EmbedJob{Inputs: make([]string, 300)}
	for i := range job.Inputs {
		job.Inputs[i] = []string{"A boat.", "A lighthouse.", "Low tide."}[i%3]
	}
	id, err := b.Embed(b.ctx, b.tenant, job)
	if err != nil {
		b.t.Fatal(err)
	}
	got := b.ok(id)
	e := got.Embedded
	if e == nil || len(e.Vectors) != len(job.Inputs) || e.Model != "embed" || len(e.Vectors[0]) != 4*e.Dimensions || got.Receipt.CostNanoUSD == 0 {
		b.t.Fatalf("result %+v, want %d vectors", got.Receipt, len(job.Inputs))
	}
	for i, v := range e.Vectors {
		if same := bytes.Equal(v, e.Vectors[0]); same != (i%3 == 0) {
			b.t.Fatalf("vector %d: equal to the first %t", i, same)
		}
	}
}
