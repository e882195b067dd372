package event_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

func TestTooling(t *testing.T) {
	t.Parallel()
	many := "[" + strings.TrimSuffix(strings.Repeat("{},", event.MaxTools+1), ",") + "]"
	for body, field := range map[string]string{
		`"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required","params":{"top_p":0.5}`: "",
		`"tools":null,"tool_choice":null,"params":null`:                                                         "",
		`"tools":[]`:                                 "",
		`"params":{"stop":null}`:                     "",
		`"tools":{"name":"f"}`:                       "tools",
		`"tools":["f"]`:                              "tools",
		`"tools":` + many:                            "tools",
		`"tool_choice":"auto"`:                       "tool_choice",
		`"tools":[],"tool_choice":"auto"`:            "tool_choice",
		`"params":{"temperature":1}`:                 "params",
		`"params":{"stream":true}`:                   "params",
		`"params":[1]`:                               "params",
		`"messages":[{"role":"tool","content":"x"}]`: "messages[0].tool_call_id",
		`"messages":[{"role":"assistant","tool_calls":[{"id":"a"}],"content":null}]`: "",
	} {
		if !strings.Contains(body, `"messages":[{`) {
			body += `,"messages":[{"role":"user","content":"hi"}]`
		}
		job, err := event.DecodeGenerateJob(generateSubject, []byte(`{"v":1,`+body+`}`))
		var e *event.Error
		switch {
		case field == "" && err != nil:
			t.Errorf("%s: %v", body, err)
		case field == "" && strings.Contains(body, "null") && (job.HasTools() || job.ToolChoice != nil || len(job.Params) > 0):
			t.Errorf("%s: got %+v, want nothing", body, job.Tooling)
		case field != "" && (!errors.As(err, &e) || e.Class != event.ClassInvalid || e.Field != field || e.Hint == ""):
			t.Errorf("%s: got %v, want invalid %s with a hint", body, err, field)
		}
	}
}

// TestPeekPastAWrongField: the failed result of a wrong job still says whose it is
// and goes to its webhook.
func TestPeekPastAWrongField(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]event.Head{
		`{"id":"j1","deadline":"soon","webhook":"https://a","metadata":{"k":"v"}}`: {ID: "j1", Webhook: "https://a", Metadata: map[string]string{"k": "v"}},
		`{"id":"j1","webhook":7,"metadata":{"k":"v"}}`:                             {ID: "j1", Metadata: map[string]string{"k": "v"}},
		`{"id":"j1","webhook":"https://a","metadata":{"k":1}}`:                     {ID: "j1", Webhook: "https://a"},
		`{"webhook":"https://a","receipt":[]}`:                                     {Webhook: "https://a"},
	} {
		if head, ok := event.Peek([]byte(body)); !ok || !reflect.DeepEqual(head, want) {
			t.Errorf("%s: got %+v, %t", body, head, ok)
		}
	}
	if head, ok := event.Peek([]byte(`{"id":7,"webhook":"https://a"}`)); ok || head.Webhook != "" {
		t.Errorf("got %+v, %t; want nothing of a job without a readable id", head, ok)
	}
}
