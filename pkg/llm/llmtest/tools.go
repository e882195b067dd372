package llmtest

import (
	"cmp"
	"encoding/json"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// lookUp is a tool that every model takes.
const lookUp = `[{"type":"function","function":{"name":"look_up","description":"Looks a city up.",
"parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]`

// tooled is a request whose model must call look_up.
func (s Subject) tooled(prompt string) llm.ChatRequest {
	req := s.request(prompt)
	req.Tools = json.RawMessage(lookUp)
	req.ToolChoice = json.RawMessage(`{"type":"function","function":{"name":"look_up"}}`)
	req.Params = map[string]json.RawMessage{"parallel_tool_calls": json.RawMessage("false")}
	return req
}

// chatTools: a call comes with its id, name and arguments and not as text; its
// answer is taken in the next turn.
func chatTools(t *testing.T, s Subject) {
	req := s.tooled("Look up the city Paris.")
	req.OnDelta = func(text string) error { t.Errorf("piece %q, want none: calls are no text", text); return nil }
	got, err := s.Chat.Chat(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.ToolCalls) != 1 || got.FinishReason != "tool_calls" || got.Text != "" {
		t.Fatalf("got %+v, want one call and no text", got)
	}
	call := got.ToolCalls[0]
	var arguments struct{ City *string }
	if err := json.Unmarshal([]byte(call.Function.Arguments), &arguments); err != nil || arguments.City == nil {
		t.Errorf("arguments %q (%v), want a city", call.Function.Arguments, err)
	}
	if call.ID == "" || call.Type != "function" || call.Function.Name != "look_up" {
		t.Errorf("call %+v", call)
	}
	next := s.request("Look up the city Paris.")
	next.Tools = json.RawMessage(lookUp)
	next.Messages = append(next.Messages, llm.Message{Role: "assistant", ToolCalls: got.ToolCalls},
		llm.Message{Role: "tool", ToolCallID: call.ID, Content: "Paris has 2 million people."})
	if got, err = s.Chat.Chat(t.Context(), next); err != nil || got.Text == "" || got.FinishReason != "stop" {
		t.Errorf("after the tool's answer: got %+v, %v; want a text", got, err)
	}
}

// chatToolsNotCalled: with tools that it may not call, a model answers as without.
func chatToolsNotCalled(t *testing.T, s Subject) {
	req := s.tooled("Say hello.")
	req.ToolChoice = json.RawMessage(`"none"`)
	got, err := s.Chat.Chat(t.Context(), req)
	if err != nil || got.Text == "" || got.ToolCalls != nil || got.FinishReason != "stop" {
		t.Errorf("got %+v, %v; want a text and no calls", got, err)
	}
}

// chatToolsRefused: an answer can't be forced into one tool beside others.
func chatToolsRefused(t *testing.T, s Subject) {
	req := s.tooled("Say hello.")
	req.Format = &llm.Format{Name: "answer", Schema: json.RawMessage(answerSchema), Mode: llm.FormatTool}
	_, err := s.Chat.Chat(t.Context(), req)
	wantInvalid(t, "tools and the tool mode", err)
}

// fakeCalls are the fake's calls: of the tool that it must call, or of the first one
// when it must call any. Each argument is the last message.
func fakeCalls(req llm.ChatRequest) []event.ToolCall {
	var tools []struct {
		Function struct {
			Name       string
			Parameters struct{ Properties map[string]any }
		}
	}
	var choice struct{ Function struct{ Name string } }
	if json.Unmarshal(req.Tools, &tools) != nil || len(tools) == 0 {
		return nil
	}
	if json.Unmarshal(req.ToolChoice, &choice) != nil && string(req.ToolChoice) != `"required"` {
		return nil // auto or none
	}
	name := cmp.Or(choice.Function.Name, tools[0].Function.Name)
	for _, tool := range tools {
		if tool.Function.Name != name {
			continue
		}
		arguments := map[string]string{}
		for property := range tool.Function.Parameters.Properties {
			arguments[property] = req.Messages[len(req.Messages)-1].Content
		}
		data, err := json.Marshal(arguments)
		if err != nil {
			return nil // cannot happen: a map of texts
		}
		return []event.ToolCall{{ID: "call_1", Type: "function", Function: event.FunctionCall{Name: name, Arguments: string(data)}}}
	}
	return nil
}
