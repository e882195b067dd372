package guard

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
)

// tooled is a request whose model must call a tool.
func tooled() llm.ChatRequest {
	return llm.ChatRequest{Messages: []llm.Message{{Role: "user", Content: "Paris?"}}, Tooling: event.Tooling{
		Tools:      json.RawMessage(`[{"type":"function","function":{"name":"look_up","parameters":{"properties":{"city":{}}}}}]`),
		ToolChoice: json.RawMessage(`"required"`), Params: map[string]json.RawMessage{"top_p": json.RawMessage("0.5")},
	}}
}

// TestTools: they go out as they are, and the calls come back, from the ledger as
// well. A model without tools is never asked.
func TestTools(t *testing.T) {
	t.Parallel()
	fake := &llmtest.Fake{}
	g := guarded(t, dialFake(fake))
	call := Call{Tenant: "acme", Job: "j1", Step: "s", Epoch: 1, Model: "tools", Attempts: 1}
	first, report, err := g.Chat(t.Context(), call, tooled())
	if err != nil || len(first.ToolCalls) != 1 || first.Text != "" || first.FinishReason != "tool_calls" {
		t.Fatalf("got %+v, %v; want a call", first, err)
	}
	if sent := fake.Chats()[0]; !reflect.DeepEqual(sent.Tooling, tooled().Tooling) {
		t.Errorf("sent %+v", sent.Tooling)
	}
	if err := g.ledger.Record(t.Context(), *report.Line); err != nil {
		t.Fatal(err)
	}
	call.Epoch = 2
	second, _, err := g.Chat(t.Context(), call, tooled())
	if err != nil || !reflect.DeepEqual(first, second) || len(fake.Chats()) != 1 {
		t.Errorf("got %+v, %v from the ledger, want %+v", second, err, first)
	}
	call.Job, call.Model = "j2", "bare"
	_, _, err = g.Chat(t.Context(), call, tooled())
	if e := event.AsError(err); e == nil || e.Class != event.ClassInvalid || e.Field != "tools" || !strings.Contains(e.Message, "bare does not take tools") {
		t.Errorf("got %v, want an error that names the model", err)
	}
	if len(fake.Chats()) != 1 {
		t.Error("a model without tools was asked")
	}
}

// TestSchemaBesideTools: the schema never takes the place of the tools.
func TestSchemaBesideTools(t *testing.T) {
	t.Parallel()
	fake := &llmtest.Fake{}
	g := guarded(t, dialFake(fake))
	for model, want := range map[string]llm.FormatMode{"tools": llm.FormatNone, "shaped": llm.FormatSchema} {
		req := shapedRequest()
		req.Tooling = tooled().Tooling
		if _, _, err := g.Chat(t.Context(), Call{Tenant: "acme", Job: "j-" + model, Step: "s", Epoch: 1, Model: model, Attempts: 1}, req); err != nil {
			t.Fatal(err)
		}
		calls := fake.Chats()
		if got := calls[len(calls)-1]; got.Format.Mode != want || !got.HasTools() {
			t.Errorf("%s: mode %s, tools %s; want %s", model, got.Format.Mode, got.Tools, want)
		}
	}
}

// TestToolsAreCounted: definitions, and the calls of earlier turns.
func TestToolsAreCounted(t *testing.T) {
	t.Parallel()
	g := guarded(t, dialFake(&llmtest.Fake{}))
	long := strings.Repeat("many words ", 500)
	bare := llm.ChatRequest{Messages: []llm.Message{{Role: "user", Content: "Paris?"}}}
	defined, called := bare, bare
	defined.Tools = json.RawMessage(`[{"type":"function","function":{"name":"f","description":"` + long + `"}}]`)
	called.Messages = append([]llm.Message{{Role: "assistant", ToolCalls: []event.ToolCall{{ID: "c", Function: event.FunctionCall{Name: "f", Arguments: long}}}}}, bare.Messages...)
	few := g.Count("tools", bare)
	for name, req := range map[string]llm.ChatRequest{"definitions": defined, "calls": called} {
		if n := g.Count("tools", req); few == 0 || n < few+1000 {
			t.Errorf("%s: %d tokens, without %d", name, n, few)
		}
	}
	if n := g.Count("nobody", bare); n != 0 {
		t.Errorf("%d tokens of an unknown model", n)
	}
	if n := g.CountText("embed", "two words"); n != 2 {
		t.Errorf("%d tokens, want 2", n)
	}
}
