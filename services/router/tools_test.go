package router

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// tooling is that of a job with a tool.
var tooling = event.Tooling{Tools: json.RawMessage(`[{"type":"function","function":{"name":"look_up"}}]`),
	ToolChoice: json.RawMessage(`"auto"`), Params: map[string]json.RawMessage{"top_p": json.RawMessage("0.5")}}

// skilled is a catalog in which medium and large take tools.
var skilled = strings.NewReplacer("upstream: m,", "upstream: m, supports: {tools: true},", "upstream: l,", "upstream: l, supports: {tools: true},").Replace(text)

// withTools is a job with a tool.
func withTools(task, text string) event.GenerateJob {
	job := plain(task, text)
	job.Tooling = tooling
	return job
}

// TestToolsReachTheTask: of a model that is named, and its stand-ins.
func TestToolsReachTheTask(t *testing.T) {
	t.Parallel()
	r := setupWith(t, skilled, &fakeStore{})
	job := withTools("", "Paris?")
	job.Model = "medium"
	job.Messages = append(job.Messages, event.Message{Role: "assistant", ToolCalls: []event.ToolCall{{ID: "c1", Type: "function", Function: event.FunctionCall{Name: "look_up", Arguments: "{}"}}}},
		event.Message{Role: "tool", ToolCallID: "c1", Content: "2 million"})
	if task := r.asked(job); !reflect.DeepEqual(task.Tooling, tooling) || !reflect.DeepEqual(task.Messages, job.Messages) || task.Model != "medium" {
		t.Errorf("task %+v", task)
	}
	job.Model = "cheap"
	if e := r.failure(r.submit(job)); e.Class != event.ClassInvalid || e.Field != "tools" || e.Message != "model small does not take tools" || e.Hint == "" {
		t.Errorf("error %+v", e)
	}
}

// TestChainsSkipModelsWithoutTools: the receipt says so, and a task none of whose
// models takes tools is refused.
func TestChainsSkipModelsWithoutTools(t *testing.T) {
	t.Parallel()
	r := withPoliciesOf(t, skilled, policies)
	task := r.asked(withTools("", "Paris?"))
	want := []event.Skipped{{Model: "small", Reason: "lacks tools"}}
	if task.Model != "medium" || !reflect.DeepEqual(task.Receipt.Routing.Skipped, want) || task.Compare != nil {
		t.Errorf("task %+v, routing %+v", task, task.Receipt.Routing)
	}
	if task := r.asked(plain("", "Paris?")); task.Model != "small" {
		t.Errorf("without tools: task %+v", task)
	}
	if e := r.failure(r.submit(withTools("tiny", "Hi"))); e.Class != event.ClassInvalid || e.Field != "tools" || !strings.Contains(e.Message, "no model of task tiny") {
		t.Errorf("error %+v", e)
	}
}

// TestToolsAreNotAskedInOtherWords: the semantic cache knows questions, not the steps
// of a longer work; the exact one tells them apart by their tools.
func TestToolsAreNotAskedInOtherWords(t *testing.T) {
	t.Parallel()
	r := withPoliciesOf(t, skilled, strings.Replace(policies, "cache: {exact: 1h}", "cache: {exact: 1h, semantic: true}", 1))
	embeds := make(chan *nats.Msg, 10)
	if _, err := r.Bus.Conn().ChanSubscribe(event.EmbedRPC("embed"), embeds); err != nil {
		t.Fatal(err)
	}
	answered := plain("", "Paris?")
	answered.Messages = append(answered.Messages, event.Message{Role: "tool", ToolCallID: "c1", Content: "2 million"})
	other := withTools("", "Paris?")
	other.Params = nil
	keys := map[string]bool{}
	for _, job := range []event.GenerateJob{withTools("", "Paris?"), other, answered} {
		task := r.asked(job)
		if task.Cache == nil || task.Cache.Scope != "" || keys[task.Cache.Key] {
			t.Errorf("cache %+v, want an exact key of its own", task.Cache)
		}
		keys[task.Cache.Key] = true
	}
	if len(embeds) != 0 {
		t.Errorf("%d questions were embedded", len(embeds))
	}
}

// TestKnownCalls: the same job with the same tools gets the same calls.
func TestKnownCalls(t *testing.T) {
	t.Parallel()
	r := withPoliciesOf(t, skilled, policies)
	task := r.asked(withTools("", "Paris?"))
	c, err := cache.New(cache.Config{Bus: r.Bus, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	calls := []event.ToolCall{{ID: "c1", Type: "function", Function: event.FunctionCall{Name: "look_up", Arguments: "{}"}}}
	if stored, err := c.Put(t.Context(), task.Cache.Key, cache.Entry{Tenant: task.Tenant, Task: task.Task, Job: task.ID,
		Answer: event.Answer{FinishReason: "tool_calls", ToolCalls: calls}}, time.Hour); err != nil || !stored {
		t.Fatal(stored, err)
	}
	again := withTools("", "Paris?")
	again.Metadata, again.Webhook = map[string]string{"k": "v"}, "https://a"
	got := r.Result(r.submit(again))
	if got.Answer == nil || !reflect.DeepEqual(got.Answer.ToolCalls, calls) || got.Receipt.Cache == nil || got.Receipt.Asked == nil || !got.Receipt.Asked.Tools {
		t.Errorf("result %+v, receipt %+v", got, got.Receipt)
	}
	if got.Metadata["k"] != "v" || got.Webhook != "https://a" {
		t.Errorf("result %+v, want what was sent along", got)
	}
}

// TestFlightsAreTold: whose answer a job waits for; what was sent along is in its
// result.
func TestFlightsAreTold(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	r.submit(plain("", "One?"))
	leader, _ := r.task()
	job := plain("", "One?")
	job.Metadata, job.Webhook = map[string]string{"k": "v"}, "https://a"
	id := r.submit(job)
	if life := r.Life(event.LifeWaiting); life.ID != id || life.Wait == nil || life.Wait.Cause != event.WaitFlight || life.Wait.Name != leader.ID || life.Detail == "" {
		t.Errorf("event %+v, wait %+v", life, life.Wait)
	}
	r.keep(leader, "1")
	if got := r.Result(id); got.Receipt.Cache.Kind != hitFlight || got.Metadata["k"] != "v" || got.Webhook != "https://a" {
		t.Errorf("result %+v", got)
	}
}

// TestAsked: receipts say what was asked for, those of failures, too.
func TestAsked(t *testing.T) {
	t.Parallel()
	r := setupWith(t, skilled, finds()).embedder(vectors)
	job := withTools("", "Hi there")
	job.Model, job.MaxTokens, job.Schema = "medium", 99, json.RawMessage(`{"type":"object"}`)
	got := r.asked(job).Receipt.Asked
	plain := r.asked(event.GenerateJob{Model: "cheap", Messages: job.Messages}).Receipt.Asked
	if plain == nil || plain.PromptTokens < 2 || *plain != (event.Asked{Model: "small", PromptTokens: plain.PromptTokens}) {
		t.Errorf("asked %+v", plain)
	}
	if got == nil || got.PromptTokens <= plain.PromptTokens || *got != (event.Asked{Model: "medium", PromptTokens: got.PromptTokens, MaxTokens: 99, Schema: true, Tools: true}) {
		t.Errorf("asked %+v", got)
	}
	grounded := question("What is a stage?")
	grounded.Metadata = map[string]string{"k": "v"}
	ended := r.Result(r.submit(grounded)) // nothing is found
	if a := ended.Receipt.Asked; a == nil || a.Collection != "handbook" || a.TopK != DefaultConfig().TopK || a.Model != "small" || ended.Metadata["k"] != "v" {
		t.Errorf("asked %+v in %+v", a, ended)
	}
	policed := withPolicies(t)
	if a := policed.asked(event.GenerateJob{Messages: job.Messages}).Receipt.Asked; a == nil || a.Task != "default" || a.Model != "" || a.PromptTokens != plain.PromptTokens {
		t.Errorf("asked %+v", a)
	}
}

// TestShadowsTellNobody: a comparison has no webhook.
func TestShadowsTellNobody(t *testing.T) {
	t.Parallel()
	r := withPolicies(t)
	job := plain("cold", "Hi")
	job.Webhook, job.Metadata = "https://a", map[string]string{"k": "v"}
	task := r.asked(job)
	r.Publish(event.RouteSubject(event.LaneBatch, task.Tenant), "compare", event.RouteTask{Envelope: task.Envelope, Task: task, Compare: true,
		Judged: &event.Judged{Answer: event.Answer{Text: "Hello.", FinishReason: "stop", Model: "large"}}})
	shadow, _ := stagetest.Next(r.Kit, r.tasks, event.Decode[event.GenerateTask])
	if shadow.Shadow == nil || shadow.Webhook != "" || shadow.Metadata != nil {
		t.Errorf("task %+v", shadow)
	}
}
