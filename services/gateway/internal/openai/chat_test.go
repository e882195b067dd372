package openai_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/openai"
)

func turn(role, content string) event.Message { return event.Message{Role: role, Content: content} }

func pointer[T any](v T) *T { return &v }

// TestParseChat: each part of a request has its place in the job.
func TestParseChat(t *testing.T) {
	t.Parallel()
	hi := []event.Message{turn("user", "hi")}
	for name, c := range map[string]struct {
		body string
		want openai.Chat
	}{
		"least": {`{"model":"small","messages":[{"role":"user","content":"hi"}]}`,
			openai.Chat{Model: "small", Job: event.GenerateJob{Model: "small", Messages: hi}}},
		"auto": {`{"model":"weir/auto","messages":[{"role":"user","content":"hi"}],"new_field":{"a":1},"user":"u"}`,
			openai.Chat{Model: "weir/auto", Job: event.GenerateJob{Messages: hi}}},
		"task": {`{"model":"weir/support","messages":[{"role":"user","content":"hi"}]}`,
			openai.Chat{Model: "weir/support", Job: event.GenerateJob{Task: "support", Messages: hi}}},
		"parts, names and tools": {`{"model":"m","messages":[{"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"name":"dev"},
			{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},
			{"role":"tool","tool_call_id":"c1","content":"42"}],
			"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"auto","parallel_tool_calls":false}`,
			openai.Chat{Model: "m", Job: event.GenerateJob{Model: "m", Messages: []event.Message{
				{Role: "developer", Content: "a\nb", Name: "dev"},
				{Role: "assistant", ToolCalls: []event.ToolCall{{ID: "c1", Type: "function", Function: event.FunctionCall{Name: "f", Arguments: "{}"}}}},
				{Role: "tool", ToolCallID: "c1", Content: "42"},
			}, Tooling: event.Tooling{Tools: json.RawMessage(`[{"type":"function","function":{"name":"f"}}]`), ToolChoice: json.RawMessage(`"auto"`),
				Params: map[string]json.RawMessage{"parallel_tool_calls": json.RawMessage("false")}}}}},
		"numbers": {`{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0,"max_tokens":5,"max_completion_tokens":7,"top_p":0.5,"seed":3,
			"stop":["x"],"n":1,"logprobs":false,"stream":true,"stream_options":{"include_usage":true},"metadata":{"a":"b"}}`,
			openai.Chat{Model: "m", Stream: true, IncludeUsage: true, Job: event.GenerateJob{Envelope: event.Envelope{Metadata: map[string]string{"a": "b"}},
				Model: "m", Messages: hi, Temperature: pointer(0.0), MaxTokens: 7, Stream: true, Tooling: event.Tooling{Params: map[string]json.RawMessage{
					"top_p": json.RawMessage("0.5"), "seed": json.RawMessage("3"), "stop": json.RawMessage(`["x"]`)}}}}},
		"schema": {`{"model":"m","messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":{"type":"array"}}}}`,
			openai.Chat{Model: "m", Job: event.GenerateJob{Model: "m", Messages: hi, Schema: json.RawMessage(`{"type":"array"}`)}}},
		"object": {`{"model":"m","messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_object"}}`,
			openai.Chat{Model: "m", Job: event.GenerateJob{Model: "m", Messages: hi, Schema: json.RawMessage(`{"type":"object"}`)}}},
		"options": {`{"model":"weir/auto","messages":[{"role":"user","content":"hi"}],"metadata":{"a":"b","c":"d"},"weir":{"id":"j1","task":"support","lane":"batch",
			"rag":{"collection":"docs","top_k":3},"timeout_ms":1500,"max_attempts":2,"max_cost_nano_usd":9,"no_cache":true,"checks":[{"name":"n","expr":"true"}],
			"webhook":"hook","metadata":{"a":"z"},"cancel_on_disconnect":true,"not_before":"2030-01-02T15:04:05Z"}}`,
			openai.Chat{Model: "weir/auto", Timeout: 1500 * time.Millisecond, CancelOnDisconnect: true, Job: event.GenerateJob{
				Envelope: event.Envelope{ID: "j1", Lane: event.LaneBatch, Webhook: "hook", Metadata: map[string]string{"a": "z", "c": "d"},
					NotBefore: time.Date(2030, 1, 2, 15, 4, 5, 0, time.UTC)},
				Task: "support", RAG: &event.RAG{Collection: "docs", TopK: 3}, MaxAttempts: 2, MaxCostNanoUSD: 9, NoCache: true,
				Checks: []event.Check{{Name: "n", Expr: "true"}}, Messages: hi}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.want.Job.V = 1
			if got, err := openai.ParseChat([]byte(c.body)); err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, c.want)
			}
		})
	}
}

// TestParseChatRefuses: what can't be done, by the name of the field.
func TestParseChatRefuses(t *testing.T) {
	t.Parallel()
	with := func(rest string) string {
		return `{"model":"m","messages":[{"role":"user","content":"hi"}],` + rest + `}`
	}
	for _, c := range []struct{ param, body string }{
		{"body", `[]`}, {"body", `{`}, {"body", ``}, {"messages", `null`}, {"body", "{\"model\":\"\xff\"}"},
		{"messages", `{"model":"m"}`},
		{"model", `{"messages":[{"role":"user","content":"hi"}]}`},
		{"model", with(`"model":7`)},
		{"messages[0].content[1].type", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"http://x"}}]}]}`},
		{"messages[0].content", `{"model":"m","messages":[{"role":"user","content":7}]}`},
		{"messages[0].function_call", `{"model":"m","messages":[{"role":"assistant","function_call":{"name":"f"}}]}`},
		{"n", with(`"n":2`)}, {"logprobs", with(`"logprobs":true`)}, {"audio", with(`"audio":{}`)}, {"functions", with(`"functions":[]`)},
		{"modalities", with(`"modalities":["text","audio"]`)},
		{"tools", with(`"tools":{}`)}, {"max_tokens", with(`"max_tokens":0`)}, {"max_completion_tokens", with(`"max_completion_tokens":-1`)},
		{"response_format.type", with(`"response_format":{"type":"xml"}`)},
		{"response_format.json_schema.schema", with(`"response_format":{"type":"json_schema"}`)},
		{"weir", with(`"weir":{"lanes":"batch"}`)}, {"weir", with(`"weir":[]`)},
		{"weir.timeout_ms", with(`"weir":{"timeout_ms":-1}`)}, {"weir.timeout_ms", with(`"weir":{"timeout_ms":9000000000000000000}`)},
		{"weir.timeout_ms", with(`"weir":{"timeout_ms":1,"deadline":"2030-01-02T15:04:05Z"}`)},
		{"weir.task", `{"model":"weir/a","messages":[{"role":"user","content":"hi"}],"weir":{"task":"b"}}`},
	} {
		_, err := openai.ParseChat([]byte(c.body))
		status, body := openai.ErrorOf(err)
		if status != 400 || body.Error.Param == nil || *body.Error.Param != c.param || body.Error.Type != "invalid_request_error" || body.Error.Message == "" {
			t.Errorf("%s: got %d %+v for %v, want the param %s", c.body, status, body.Error, err, c.param)
		}
	}
}

func FuzzParseChat(f *testing.F) {
	f.Add([]byte(`{"model":"weir/auto","messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"tools":[],"weir":{"timeout_ms":1},"stop":null}`))
	f.Add([]byte(`{"model":"m","messages":[{"role":"tool"}],"response_format":null,"stream_options":null,"weir":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := openai.ParseChat(body)
		if err != nil {
			if status, _ := openai.ErrorOf(err); status != 400 {
				t.Errorf("status %d for %v", status, err)
			}
			return
		}
		if _, err := json.Marshal(c.At(time.Unix(0, 0))); err != nil {
			t.Errorf("a job that can't be sent: %v", err)
		}
	})
}

func cat() *catalog.Catalog {
	return &catalog.Catalog{
		Models: []catalog.Model{
			{ID: "small", Mode: catalog.ModeChat, Aliases: []string{"gpt"}}, {ID: "large", Mode: catalog.ModeChat}, {ID: "vectors", Mode: catalog.ModeEmbedding},
		},
		Tenants: []catalog.Tenant{{ID: "acme", Models: []string{"small"}, Tasks: []string{"support"}}},
		Routing: &catalog.Routing{Tasks: []catalog.Policy{{Task: "support"}, {Task: "code"}}},
	}
}

// TestResolve: what a tenant may not use is not there.
func TestResolve(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, tenant, model, task string }{
		{"small", "acme", "small", ""}, {"gpt", "acme", "small", ""}, {"weir/auto", "acme", "", ""}, {"weir/support", "acme", "", "support"},
		{"large", "zeta", "large", ""}, {"weir/code", "zeta", "", "code"},
	} {
		model, task, err := openai.Resolve(cat(), c.tenant, c.name, catalog.ModeChat)
		if err != nil || model != c.model || task != c.task {
			t.Errorf("%s of %s: got %q, %q, %v", c.name, c.tenant, model, task, err)
		}
	}
	for _, name := range []string{"large", "vectors", "none", "weir/code", "weir/none", "weir/", ""} {
		_, _, err := openai.Resolve(cat(), "acme", name, catalog.ModeChat)
		if status, body := openai.ErrorOf(err); status != 404 || body.Error.Code == nil || *body.Error.Code != "model_not_found" {
			t.Errorf("%s: got %d %+v", name, status, body)
		}
	}
}

func TestResponse(t *testing.T) {
	t.Parallel()
	chat := openai.Chat{Model: "weir/auto"}
	r := event.Result{ID: "j1", Status: event.StatusOK, FinishedAt: time.Unix(100, 5),
		Answer:  &event.Answer{Text: "so", FinishReason: "length", Model: "small", Citations: []event.Source{{Number: 1}}},
		Receipt: event.Receipt{PromptTokens: 3, CompletionTokens: 4}}
	got := chat.Response(r)
	if got.ID != "chatcmpl-j1" || got.Object != "chat.completion" || got.Created != 100 || got.Model != "small" ||
		got.Usage != (openai.Usage{PromptTokens: 3, CompletionTokens: 4, TotalTokens: 7}) || len(got.Choices) != 1 ||
		got.Choices[0].FinishReason != "length" || *got.Choices[0].Message.Content != "so" || got.Weir.Job != "j1" || len(got.Weir.Citations) != 1 {
		t.Errorf("got %+v", got)
	}
	r.Answer = &event.Answer{FinishReason: "stop", ToolCalls: []event.ToolCall{{ID: "c1"}}}
	if got := chat.Response(r); got.Model != "weir/auto" || got.Choices[0].FinishReason != "tool_calls" || got.Choices[0].Message.Content != nil {
		t.Errorf("got %+v", got)
	}
}

func TestFailureOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		class  event.Class
		status int
		code   string
	}{
		{event.ClassInvalid, 400, ""}, {event.ClassTooLarge, 400, "context_length_exceeded"}, {event.ClassForbidden, 403, "forbidden"},
		{event.ClassAuth, 502, "provider_auth"}, {event.ClassQuota, 502, "provider_quota"}, {event.ClassContent, 422, "content_filter"},
		{event.ClassRejected, 422, "rejected"}, {event.ClassThrottled, 429, "rate_limit_exceeded"}, {event.ClassUnavailable, 503, "unavailable"},
		{event.ClassDeadline, 504, "deadline"}, {event.ClassCanceled, 409, "canceled"}, {event.ClassInternal, 500, "internal"},
	} {
		err := openai.FailureOf(event.Result{Status: event.StatusFailed, Error: &event.Error{Class: c.class, Field: "schema", Message: "no"}})
		status, body := openai.ErrorOf(err)
		code := ""
		if body.Error.Code != nil {
			code = *body.Error.Code
		}
		if status != c.status || code != c.code || *body.Error.Param != "response_format.json_schema.schema" {
			t.Errorf("%s: got %d %q %+v", c.class, status, code, body.Error)
		}
	}
	if err := openai.FailureOf(event.Result{Status: event.StatusOK}); err != nil {
		t.Errorf("a job that did not fail: %v", err)
	}
	if status, _ := openai.ErrorOf(errors.New("broken")); status != 500 {
		t.Errorf("got %d", status)
	}
}
