package llmsim

import (
	"encoding/json"
	"strings"
	"testing"
)

const weatherTools = `[{"type":"function","function":{"name":"get_weather","description":"The weather of a city","parameters":{"type":"object","properties":{"city":{"type":"string"},"unit":{"enum":["celsius","fahrenheit"]}},"required":["city"]}}},
{"type":"function","function":{"name":"set_timer","description":"Start an alarm","parameters":{"type":"object","properties":{"minutes":{"type":"integer","minimum":1}},"required":["minutes"],"additionalProperties":false},"strict":true}},
{"type":"function","function":{"name":"read_clock"}}]`

func toolRequest(text, more string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return `{"model":"sim-small","tools":` + weatherTools + more + `,"messages":[{"role":"user","content":` + string(quoted) + `}]}`
}

func TestToolCalls(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	for _, tc := range []struct{ name, text, more, want string }{
		{"by words", "What is the weather in Paris in celsius?", ``, `get_weather{"city":"Paris","unit":"celsius"}`},
		{"parallel", "What is the weather in New York in celsius and set a timer for 12 minutes", ``, `get_weather{"city":"New York","unit":"celsius"} set_timer{"minutes":12}`},
		{"same tool", "Is the weather in celsius nice in Rome and in Oslo, celsius?", ``, `get_weather{"city":"Rome","unit":"celsius"} get_weather{"city":"Oslo","unit":"celsius"}`},
		{"not parallel", "Set a timer for 12 minutes and another timer for 5 minutes", `,"parallel_tool_calls":false`, `set_timer{"minutes":12}`},
		{"forced", "Hello there, 3 of you", `,"tool_choice":{"type":"function","function":{"name":"set_timer"}}`, `set_timer{"minutes":3}`},
		{"required", "Hello", `,"tool_choice":"required"`, `get_weather`},
		{"none", "What is the weather in Paris?", `,"tool_choice":"none"`, ``},
		{"no match", "Good morning", ``, ``},
		{"no parameters", "What does the clock say, and the clock?", ``, `read_clock{}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := chatAs(t, s, toolRequest(tc.text, tc.more))
			if len(got.Choices) != 1 {
				t.Fatalf("got %+v", got)
			}
			c := got.Choices[0]
			var calls []string
			for _, call := range c.Message.ToolCalls {
				calls = append(calls, call.Function.Name+call.Function.Arguments)
				if call.ID == "" || call.Type != "function" {
					t.Errorf("call %+v", call)
				}
			}
			if all := strings.Join(calls, " "); !strings.HasPrefix(all, tc.want) || tc.want == "" && all != "" {
				t.Errorf("got %s, want %s", all, tc.want)
			}
			if (tc.want == "") != (c.FinishReason == "stop" && c.Message.Content != nil) || (tc.want != "") != (c.FinishReason == "tool_calls" && c.Message.Content == nil) {
				t.Errorf("finish reason %s, content %v", c.FinishReason, c.Message.Content)
			}
		})
	}
}

func TestToolAnswer(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	const call = `{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"get_weather","arguments":"{}"}},{"id":"c2","type":"function","function":{"name":"read_clock","arguments":"{}"}}]}`
	const first, second = `{"role":"tool","tool_call_id":"c1","content":"18 degrees"}`, `{"role":"tool","tool_call_id":"c2","content":"noon"}`
	ask := func(messages ...string) wireReply {
		return chatAs(t, s, `{"model":"sim-small","tools":`+weatherTools+`,"messages":[{"role":"user","content":"weather in Paris?"},`+strings.Join(messages, ",")+`]}`)
	}
	if got := ask(call, first, second); len(got.Choices) != 1 || *got.Choices[0].Message.Content != "get_weather returned: 18 degrees\nread_clock returned: noon" {
		t.Errorf("got %+v", got)
	}
	for name, messages := range map[string][]string{"missing answer": {call, first}, "no call": {first}, "twice": {call, first, first, second}, "user between": {call, first, `{"role":"user","content":"x"}`}} {
		if got := ask(messages...); !strings.Contains(got.Error.Message, "tool_call") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestWrongTools(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	for body, want := range map[string]string{
		`"tools":[{"type":"function","function":{"name":"a b"}}]`:                                                         "'a b'",
		`"tools":[{"type":"function","function":{"name":"a","parameters":{"type":"array"}}}]`:                             "Invalid schema for function 'a'",
		`"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":"maybe"`:                                     "'maybe'",
		`"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":{"type":"function","function":{"name":"b"}}`: "'b' not found",
		`"tool_choice":"auto"`: "only allowed when 'tools'",
	} {
		got := chatAs(t, s, `{"model":"sim-small","messages":[{"role":"user","content":"x"}],`+body+`}`)
		if !strings.Contains(got.Error.Message, want) {
			t.Errorf("%s: got %+v, want %q", body, got.Error, want)
		}
	}
}

// streamed joins the chunks of a stream by choice.
type streamed struct {
	role, text, refusal, finish string
	calls                       []functionCall
	logprobs                    int
}

func chatStream(t *testing.T, s *Server, body string) (choices []streamed, tokens int) {
	t.Helper()
	w := post(t, s, "/v1/chat/completions", strings.Replace(body, `{"`, `{"stream":true,"stream_options":{"include_usage":true},"`, 1))
	for line := range strings.Lines(w.Body.String()) {
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		var c chunk
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		var u usage
		if json.Unmarshal(c.Usage, &u) == nil && u.TotalTokens > 0 {
			tokens = u.CompletionTokens
		}
		for _, one := range c.Choices {
			for len(choices) <= one.Index {
				choices = append(choices, streamed{})
			}
			choices[one.Index].add(one)
		}
	}
	return choices, tokens
}

func (s *streamed) add(c chunkChoice) {
	s.role += c.Delta.Role
	if c.Delta.Content != nil {
		s.text += *c.Delta.Content
	}
	if c.Delta.Refusal != nil {
		s.refusal += *c.Delta.Refusal
	}
	for _, call := range c.Delta.ToolCalls {
		for len(s.calls) <= call.Index {
			s.calls = append(s.calls, functionCall{})
		}
		s.calls[call.Index].Name += call.Function.Name
		s.calls[call.Index].Arguments += call.Function.Arguments
	}
	if c.Logprobs != nil {
		s.logprobs += len(c.Logprobs.Content)
	}
	if c.FinishReason != nil {
		s.finish += *c.FinishReason
	}
}

func TestStreamsSayTheSameAsWholeAnswers(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	for name, body := range map[string]string{
		"tools":    toolRequest("What is the weather in New York and set a timer for 12 minutes", ""),
		"choices":  `{"model":"sim-small","n":3,"messages":[{"role":"user","content":"one two three four"}]}`,
		"logprobs": `{"model":"sim-small","logprobs":true,"top_logprobs":2,"messages":[{"role":"user","content":"one two three four five 日本語"}]}`,
		"refusal":  `{"model":"sim-small","metadata":{"sim":"mode=refuse"},"messages":[{"role":"user","content":"x"}]}`,
		"schema":   withSchema(object(`"a":{"type":"string"},"b":{"type":"integer"}`), "a is here. b: 3", false),
		"cut":      strings.Replace(toolRequest("What is the weather in New York and set a timer for 12 minutes", ""), `{"`, `{"max_tokens":7,"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := chatAs(t, s, body)
			parts, tokens := chatStream(t, s, body)
			if len(parts) != len(whole.Choices) || tokens != whole.Usage.CompletionTokens || tokens == 0 {
				t.Fatalf("%d choices and %d tokens, want %d and %d", len(parts), tokens, len(whole.Choices), whole.Usage.CompletionTokens)
			}
			for i, w := range whole.Choices {
				p := parts[i]
				if p.text != value(w.Message.Content) || p.refusal != value(w.Message.Refusal) || p.finish != w.FinishReason || p.role != "assistant" || len(p.calls) != len(w.Message.ToolCalls) {
					t.Errorf("choice %d: streamed %+v, whole %+v", i, p, w)
				}
				for j, call := range w.Message.ToolCalls {
					if p.calls[j] != call.Function {
						t.Errorf("call %d: streamed %+v, whole %+v", j, p.calls[j], call)
					}
				}
				if w.Logprobs != nil && p.logprobs != len(w.Logprobs.Content) {
					t.Errorf("streamed %d logprobs, whole %d", p.logprobs, len(w.Logprobs.Content))
				}
			}
		})
	}
}
