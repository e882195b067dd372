package openai

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// tooled is a request with a tool.
func tooled() llm.ChatRequest {
	req := hi()
	req.Tools = json.RawMessage(`[{"type":"function","function":{"name":"f"}}]`)
	return req
}

// TestToolRequest pins what is sent.
func TestToolRequest(t *testing.T) {
	t.Parallel()
	var raw []byte
	c := setup(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ = io.ReadAll(r.Body)
		streams(wholeStream)(w, r)
	}, func(cfg *Config) { cfg.ExtraBody = map[string]any{"top_p": 0.1, "other": true} })
	req := tooled()
	req.ToolChoice = json.RawMessage(`"auto"`)
	req.Params = map[string]json.RawMessage{"top_p": json.RawMessage("0.5"), "stop": json.RawMessage(`["a"]`), "seed": json.RawMessage("1"),
		"model": json.RawMessage(`"another"`)}
	seed := int64(7)
	req.Seed = &seed
	req.Messages = []llm.Message{
		{Role: "user", Content: "hi", Name: "ann"},
		{Role: "assistant", ToolCalls: []event.ToolCall{{ID: "c1", Type: "function", Function: event.FunctionCall{Name: "f", Arguments: "{}"}}}},
		{Role: "tool", ToolCallID: "c1"},
	}
	if _, err := c.Chat(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	_ = json.Unmarshal(raw, &got)
	_ = json.Unmarshal([]byte(`{"model":"m","stream":true,"stream_options":{"include_usage":true},"other":true,
		"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"auto","top_p":0.5,"stop":["a"],"seed":7,
		"messages":[{"role":"user","content":"hi","name":"ann"},
			{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},
			{"role":"tool","content":"","tool_call_id":"c1"}]}`), &want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("sent %s", raw)
	}
}

// calls is a frame with pieces of calls.
func calls(pieces string) string {
	return `data: {"model":"m-1","choices":[{"index":0,"delta":{"tool_calls":[` + pieces + `]},"finish_reason":null}]}` + "\n\n"
}

// made is a call as it is found.
func made(id, name, arguments string) event.ToolCall {
	return event.ToolCall{ID: id, Type: "function", Function: event.FunctionCall{Name: name, Arguments: arguments}}
}

func TestToolCalls(t *testing.T) {
	t.Parallel()
	called := strings.Replace(stopFrame, `"stop"`, `"tool_calls"`, 1)
	const one = `{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}`
	two := []event.ToolCall{made("c1", "f", `{"a":1}`), made("c2", "g", `{"b":2}`)}
	for name, tc := range map[string]struct {
		body   string
		text   string
		calls  []event.ToolCall
		finish string
	}{
		"pieces": {calls(one) + calls(`{"index":0,"function":{"arguments":"{\"a\""}}`) + calls(`{"index":0,"function":{"arguments":":1}"}}`) + called, "", two[:1], "tool_calls"},
		"interleaved": {calls(one) + calls(`{"index":1,"id":"c2","function":{"name":"g","arguments":"{\"b\""}}`) + calls(`{"index":0,"function":{"arguments":"{\"a\":1}"}}`) +
			calls(`{"index":1,"function":{"arguments":":2}"}}`) + called, "", two, "tool_calls"},
		"whole, in one frame": {calls(`{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\":1}"}},{"index":1,"id":"c2","function":{"name":"g","arguments":"{\"b\":2}"}}`) + called, "", two, "tool_calls"},
		"no index":            {calls(`{"id":"c1","function":{"name":"f","arguments":"{\"a\""}}`) + calls(`{"function":{"arguments":":1}"}}`) + calls(`{"id":"c2","function":{"name":"g","arguments":"{\"b\":2}"}}`) + called, "", two, "tool_calls"},
		"all of index 0":      {calls(`{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\":1}"}}`) + calls(`{"index":0,"id":"c2","function":{"name":"g","arguments":"{\"b\""}}`) + calls(`{"index":0,"function":{"arguments":":2}"}}`) + called, "", two, "tool_calls"},
		"names repeated":      {calls(`{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\""}}`) + calls(`{"index":0,"id":"c1","function":{"name":"f","arguments":":1}"}}`) + called, "", two[:1], "tool_calls"},
		"finished with stop":  {calls(`{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\":1}"}}`) + stopFrame, "", two[:1], "tool_calls"},
		"with text":           {helloFrame + calls(`{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\":1}"}}`) + worldFrame + called, "Hello world", two[:1], "tool_calls"},
		"cut off":             {calls(`{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\""}}`) + strings.Replace(stopFrame, `"stop"`, `"length"`, 1), "", []event.ToolCall{made("c1", "f", `{"a"`)}, "length"},
		"none":                {helloFrame + stopFrame, "Hello", nil, "stop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all strings.Builder
			req := tooled()
			req.OnDelta = func(text string) error { all.WriteString(text); return nil }
			got, err := setup(t, streams(roleFrame+tc.body+doneFrame)).Chat(t.Context(), req)
			if err != nil || got.Text != tc.text || all.String() != tc.text || got.FinishReason != tc.finish || !reflect.DeepEqual(got.ToolCalls, tc.calls) {
				t.Errorf("got %+v, pieces %q, %v; want %+v", got, all.String(), err, tc)
			}
		})
	}
}

// TestToolCallsWithoutIDs: each gets one of its own, by which it can be answered.
func TestToolCallsWithoutIDs(t *testing.T) {
	t.Parallel()
	whole := `{"function":{"name":"f","arguments":"{}"}}`
	got, err := setup(t, streams(roleFrame+calls(whole+","+whole)+stopFrame+doneFrame)).Chat(t.Context(), tooled())
	if err != nil || len(got.ToolCalls) != 2 || got.ToolCalls[0].ID == "" || got.ToolCalls[0].ID == got.ToolCalls[1].ID {
		t.Errorf("got %+v, %v; want two calls with ids", got, err)
	}
}

func TestToolCallsRefused(t *testing.T) {
	t.Parallel()
	called := strings.Replace(stopFrame, `"stop"`, `"tool_calls"`, 1)
	for name, tc := range map[string]struct {
		body  string
		class event.Class
		part  string
	}{
		"no name":  {calls(`{"index":0,"id":"c1","function":{"arguments":"{}"}}`) + called, event.ClassUnavailable, "without a name"},
		"no end":   {calls(`{"index":0,"id":"c1","function":{"name":"f","arguments":"{}"}}`), event.ClassTruncated, ""},
		"nothing":  {called, event.ClassUnavailable, "empty completion"},
		"too many": {calls(strings.TrimSuffix(strings.Repeat(`{"function":{"name":"f","arguments":"{}"}},`, maxToolCalls+1), ",")) + called, event.ClassUnavailable, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := setup(t, streams(roleFrame+tc.body+doneFrame)).Chat(t.Context(), tooled())
			wantClass(t, err, tc.class, tc.part)
		})
	}
}
