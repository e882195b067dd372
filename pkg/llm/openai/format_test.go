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

// formatted is a request for an answer of a mode.
func formatted(mode llm.FormatMode) llm.ChatRequest {
	req := hi()
	req.Format = &llm.Format{Name: "answer", Schema: json.RawMessage(`{"b":1,"a":2}`), Strict: json.RawMessage(`{"c":3}`), Mode: mode}
	return req
}

// TestFormatRequest pins what is sent.
func TestFormatRequest(t *testing.T) {
	t.Parallel()
	for mode, want := range map[llm.FormatMode]string{
		llm.FormatStrict: `{"response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"c":3}}}}`,
		llm.FormatSchema: `{"response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":false,"schema":{"b":1,"a":2}}}}`,
		llm.FormatTool: `{"tools":[{"type":"function","function":{"name":"answer","description":"Takes the answer.","parameters":{"b":1,"a":2}}}],
			"tool_choice":{"type":"function","function":{"name":"answer"}}}`,
		llm.FormatNone: `{}`,
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			var raw []byte
			c := setup(t, func(w http.ResponseWriter, r *http.Request) {
				raw, _ = io.ReadAll(r.Body)
				streams(wholeStream)(w, r)
			})
			req := formatted(mode)
			seed := int64(1) << 60
			req.Seed, req.Logprobs = &seed, true
			if _, err := c.Chat(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			var got, wanted map[string]any
			_ = json.Unmarshal(raw, &got)
			_ = json.Unmarshal([]byte(want), &wanted)
			for _, name := range []string{"response_format", "tools", "tool_choice"} {
				if !reflect.DeepEqual(got[name], wanted[name]) {
					t.Errorf("%s is %v, want %v", name, got[name], wanted[name])
				}
			}
			if got["logprobs"] != true || got["top_logprobs"] != 2.0 || !strings.Contains(string(raw), `"seed":1152921504606846976`) {
				t.Errorf("sent %s", raw)
			}
			if mode == llm.FormatSchema && !strings.Contains(string(raw), `{"b":1,"a":2}`) {
				t.Errorf("the schema's order is lost: %s", raw)
			}
		})
	}
}

// toolFrame is a piece of a call's arguments.
func toolFrame(arguments string) string {
	text, _ := json.Marshal(arguments)
	return `data: {"model":"m-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"answer","arguments":` + string(text) + `}}]},"finish_reason":null}]}` + "\n\n"
}

func TestToolAnswers(t *testing.T) {
	t.Parallel()
	called := strings.Replace(stopFrame, `"stop"`, `"tool_calls"`, 1)
	length := strings.Replace(stopFrame, `"stop"`, `"length"`, 1)
	for name, tc := range map[string]struct{ body, text, finish string }{
		"pieces":             {toolFrame("") + toolFrame(`{"a"`) + toolFrame(`:1}`) + called, `{"a":1}`, "stop"},
		"finished with stop": {toolFrame(`{"a":1}`) + stopFrame, `{"a":1}`, "stop"},
		"without an index":   {strings.ReplaceAll(toolFrame(`{"a":1}`), `"index":0,"id"`, `"id"`) + called, `{"a":1}`, "stop"},
		"text beside it":     {helloFrame + toolFrame(`{"a":1}`) + worldFrame + called, `{"a":1}`, "stop"},
		"no call":            {helloFrame + worldFrame + stopFrame, "Hello world", "stop"},
		"two calls":          {toolFrame(`{"a":1}`) + strings.Replace(toolFrame(`{"a":2}`), `"index":0,"id"`, `"index":1,"id"`, 1) + called, `{"a":1}{"a":2}`, "stop"},
		"cut off":            {toolFrame(`{"a":`) + length, `{"a":`, "length"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all strings.Builder
			req := formatted(llm.FormatTool)
			req.OnDelta = func(text string) error { all.WriteString(text); return nil }
			got, err := setup(t, streams(roleFrame+tc.body+doneFrame)).Chat(t.Context(), req)
			if err != nil || got.Text != tc.text || got.FinishReason != tc.finish || all.String() != tc.text {
				t.Errorf("got %+v, pieces %q, %v; want %q, %s", got, all.String(), err, tc.text, tc.finish)
			}
		})
	}
	for name, tc := range map[string]struct {
		body  string
		class event.Class
	}{
		"empty arguments": {toolFrame("") + called, event.ClassUnavailable},
		"refusal":         {strings.Replace(helloFrame, `"content"`, `"refusal"`, 1) + stopFrame, event.ClassContent},
		"no end":          {toolFrame(`{"a":1}`), event.ClassTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := setup(t, streams(roleFrame+tc.body+doneFrame)).Chat(t.Context(), formatted(llm.FormatTool))
			wantClass(t, err, tc.class, "")
		})
	}
	// Without the format a call is not an answer, as before.
	_, err := ask(t.Context(), setup(t, streams(roleFrame+toolFrame(`{"a":1}`)+called+doneFrame)))
	wantClass(t, err, event.ClassUnavailable, "empty completion (finish_reason tool_calls)")
}
