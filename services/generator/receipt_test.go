package generator

import (
	"reflect"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
)

func TestRequest(t *testing.T) {
	t.Parallel()
	r := setup(t)
	fake := &llmtest.Fake{ChatFunc: says("Hello.")}
	r.start(fake)
	r.publish(ask("default"))
	r.ok("default")
	task, temperature := ask("own"), 0.0
	task.MaxTokens, task.Temperature = 5, &temperature
	r.publish(task)
	r.ok("own")
	calls := fake.Chats()
	if len(calls) != 2 {
		t.Fatalf("%d calls, want 2", len(calls))
	}
	if c := calls[0]; c.MaxTokens != 1024 || c.Temperature != nil || c.Model != "sim-small" || len(c.Messages) != 1 || !reflect.DeepEqual(c.Messages[0], task.Messages[0]) {
		t.Errorf("request %+v, want the provider's model, the messages, 1024 tokens and no temperature", c)
	}
	if c := calls[1]; c.MaxTokens != 5 || c.Temperature == nil || *c.Temperature != 0 {
		t.Errorf("request %+v, want the task's own limits", c)
	}
	if calls[0].IdempotencyKey == calls[1].IdempotencyKey {
		t.Errorf("two tasks share the key %q", calls[0].IdempotencyKey)
	}
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(priced)
	r.start(&llmtest.Fake{ChatFunc: pieces(r.clock, []time.Duration{100 * time.Millisecond, 150 * time.Millisecond}, "Yes ", "[2].")})
	task := ask("q1")
	task.Receipt = event.Receipt{WaitingMS: 5, RetrievingMS: 7}
	task.Receipt.Add(event.Attempt{Model: "embed", PromptTokens: 4, CostNanoUSD: 80, DurationMS: 2})
	r.publish(task)
	result := r.ok("q1")
	got := result.Receipt
	if len(got.Attempts) != 2 || got.Attempts[0].Model != "embed" || got.Attempts[1].Model != "small" {
		t.Fatalf("attempts %+v, want the embedding and the answer", got.Attempts)
	}
	if got.GeneratingMS != 250 || got.RetrievingMS != 7 || got.WaitingMS <= 5 || got.TotalMS < 250 {
		t.Errorf("receipt %+v, want 250 ms of generating and the times before", got)
	}
	if !result.FinishedAt.Equal(r.clock.Now()) || result.Answer.Model != "small" || result.Answer.FinishReason != "stop" {
		t.Errorf("result %+v, want the pipeline's model and the clock's time", result)
	}
	if len(result.Answer.Citations) != 1 || result.Answer.Citations[0].Document != "b" {
		t.Errorf("citations %+v, want that of source 2", result.Answer.Citations)
	}
}

func TestReceiptTotals(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(priced)
	r.start(&llmtest.Fake{ChatFunc: says("Hello.")}) // 10 tokens in, 3 out
	task := ask("q1")
	task.Receipt.Add(event.Attempt{Model: "embed", PromptTokens: 4, CostNanoUSD: 80})
	r.publish(task)
	got := r.ok("q1").Receipt
	if got.PromptTokens != 14 || got.CompletionTokens != 3 || got.CostNanoUSD != 80+10*150+3*600 {
		t.Errorf("receipt %+v, want 14 tokens in, 3 out, 3380 nano-USD", got)
	}
}
