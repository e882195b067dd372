package generator

import (
	"context"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/stage"
)

// attempt calls the model and returns the result to store.
func (s *Service) attempt(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	received := s.p.Now()
	task, err := event.Decode[event.GenerateTask](in.Data)
	if err != nil {
		return nil, err
	}
	tokens := &tokenStream{bus: s.bus, now: s.p.Now, task: &task, epoch: epoch(in)}
	response, err := s.chat.Chat(ctx, s.request(&task, in, tokens))
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", s.cfg.Model, err)
	}
	ended := s.p.Now()
	tokens.flush(ended)

	receipt := task.Receipt
	receipt.WaitingMS += event.Milliseconds(received.Sub(in.Stored))
	receipt.GeneratingMS += event.Milliseconds(ended.Sub(received))
	receipt.TotalMS = event.Milliseconds(ended.Sub(task.SubmittedAt))
	call := s.price(response.Usage)
	call.DurationMS = event.Milliseconds(ended.Sub(received))
	call.TTFTMS = tokens.ttft(received)
	receipt.Add(call)
	s.metrics.observe(call)

	result, err := stage.ResultOut(event.Result{
		V: event.Version, ID: task.ID, Tenant: task.Tenant, Kind: event.KindGenerate, Status: event.StatusOK,
		Answer: &event.Answer{
			Text: response.Text, Citations: citations(response.Text, task.Sources),
			FinishReason: response.FinishReason, Model: s.cfg.Model,
		},
		Receipt: receipt, FinishedAt: ended.UTC(),
	})
	if err != nil {
		return nil, err
	}
	return append(tokens.done(), result), nil
}

// request is the call for the task. The idempotency key is the same for every
// delivery of the task.
func (s *Service) request(task *event.GenerateTask, in *bus.Message, tokens *tokenStream) llm.ChatRequest {
	req := llm.ChatRequest{
		Model: s.cfg.ProviderModel, Messages: task.Messages, MaxTokens: task.MaxTokens, Temperature: task.Temperature,
		IdempotencyKey: fmt.Sprintf("%s.%s.%d", task.Tenant, task.ID, in.Stored.UnixNano()),
		OnDelta:        tokens.delta,
	}
	if req.MaxTokens == 0 {
		req.MaxTokens = s.cfg.MaxTokens
	}
	return req
}

// price makes the receipt's line of a call.
func (s *Service) price(u llm.Usage) event.Attempt {
	return event.Attempt{
		Model: s.cfg.Model, PromptTokens: u.PromptTokens, CompletionTokens: u.CompletionTokens,
		CostNanoUSD: int64(u.PromptTokens)*s.cfg.PromptPrice + int64(u.CompletionTokens)*s.cfg.CompletionPrice,
	}
}

// tokenEvery is the least time between two token messages: what arrives faster
// is joined, which a reader does not notice.
const tokenEvery = 30 * time.Millisecond

// epoch numbers the attempts of a job: it grows with each delivery, and with
// each task, should a crash of the queue have let the same one in twice.
func epoch(in *bus.Message) int64 {
	return int64(in.Sequence)<<8 + int64(min(in.Deliveries, 255)) //nolint:gosec // a stream's sequence is far below 2^55
}

// tokenStream publishes the pieces of one attempt's answer. A reader of a
// higher epoch drops what an earlier, broken one had sent.
type tokenStream struct {
	bus     *bus.Bus
	now     func() time.Time
	task    *event.GenerateTask
	epoch   int64
	pending []byte
	first   time.Time
	sent    time.Time
}

// delta takes a piece of text. Pieces are a view of the answer, so trouble in
// publishing them never fails the call.
func (t *tokenStream) delta(text string) error {
	now := t.now()
	if t.first.IsZero() {
		t.first = now
	}
	if !t.task.Stream {
		return nil
	}
	t.pending = append(t.pending, text...)
	if now.Sub(t.sent) >= tokenEvery {
		t.flush(now)
	}
	return nil
}

func (t *tokenStream) flush(now time.Time) {
	if len(t.pending) == 0 {
		return
	}
	out, err := t.out(event.TokenDelta, string(t.pending))
	if err == nil {
		err = t.bus.Publish(context.Background(), out) // a view: does not wait
	}
	if err == nil {
		t.pending = t.pending[:0]
	}
	t.sent = now
}

// done is the end mark, published with the result.
func (t *tokenStream) done() []bus.Out {
	if !t.task.Stream {
		return nil
	}
	out, err := t.out(event.TokenDone, "")
	if err != nil {
		return nil
	}
	return []bus.Out{out}
}

func (t *tokenStream) out(kind, text string) (bus.Out, error) {
	out, err := stage.JSONOut(event.TokenSubject(t.task.Tenant, t.task.ID), "",
		event.Token{V: event.Version, ID: t.task.ID, Type: kind, Epoch: t.epoch, Text: text})
	out.View = true
	return out, err
}

// ttft is the time to the first token in milliseconds, 0 without one.
func (t *tokenStream) ttft(since time.Time) float64 {
	if t.first.IsZero() {
		return 0
	}
	return event.Milliseconds(t.first.Sub(since))
}
