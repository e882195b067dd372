package generator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/stage"
)

// attempt calls the model and returns the result to store, or the task for the
// router when another model may do it.
func (s *Service) attempt(ctx context.Context, model string, in *bus.Message) ([]bus.Out, error) {
	received := s.p.Now()
	task, err := event.Decode[event.GenerateTask](in.Data)
	if err != nil {
		return nil, err
	}
	task.Receipt.WaitingMS += event.Milliseconds(received.Sub(in.Stored))
	tokens := &tokenStream{bus: s.bus, now: s.p.Now, task: &task, epoch: in.Epoch() << callBits}
	response, report, err := s.guard.Chat(ctx, s.call(ctx, model, &task, in, tokens), llm.ChatRequest{
		Messages: task.Messages, MaxTokens: task.MaxTokens, Temperature: task.Temperature, OnDelta: tokens.delta,
	})
	ended := s.p.Now()
	task.Receipt.GeneratingMS += event.Milliseconds(ended.Sub(received))
	for _, a := range report.Attempts {
		task.Receipt.Add(a)
		task.Receipt.WaitingMS += a.WaitedMS
		task.Receipt.GeneratingMS -= a.WaitedMS
		s.metrics.observe(a)
	}
	if err != nil {
		return s.failed(ctx, &task, err)
	}
	if n := len(report.Attempts); n > 0 && report.Attempts[n-1].Reused { // what its call streamed may have expired
		tokens.restart()
		tokens.delta(response.Text) //nolint:errcheck // never fails
	}
	tokens.flush(ended)
	stage.Charge(ctx, int64(response.Usage.PromptTokens+response.Usage.CompletionTokens))
	task.Receipt.TotalMS = event.Milliseconds(ended.Sub(task.SubmittedAt))
	cited, unsupported := s.checker.Check(response.Text, task.Sources)
	result, err := stage.ResultOut(event.Result{
		V: event.Version, ID: task.ID, Tenant: task.Tenant, Kind: event.KindGenerate, Status: event.StatusOK,
		Answer: &event.Answer{
			Text: response.Text, Citations: cited, Unsupported: unsupported, FinishReason: response.FinishReason, Model: model,
		},
		Receipt: task.Receipt, FinishedAt: ended.UTC(),
	})
	if err != nil {
		return nil, err
	}
	var outs []bus.Out
	if report.Line != nil { // before the result, which ends the job
		line, err := ledger.LineOut(*report.Line)
		if err != nil {
			return nil, err
		}
		outs = append(outs, line)
	}
	return append(append(outs, tokens.done()...), result), nil
}

// call is what the guard is told of the task. Its step is the same at every
// delivery.
func (s *Service) call(ctx context.Context, model string, task *event.GenerateTask, in *bus.Message, tokens *tokenStream) guard.Call {
	limit := task.MaxAttempts
	if limit == 0 {
		limit = guard.DefaultAttempts
	}
	money := int64(0)
	if task.MaxCostNanoUSD > 0 {
		money = max(1, task.MaxCostNanoUSD-task.Receipt.CostNanoUSD)
	}
	tell := stage.TellWaiting(s.bus, task.Envelope, "generator", s.p.Now)
	return guard.Call{
		Tenant: task.Tenant, Job: task.ID, Step: fmt.Sprint("generate-", task.Hop), Epoch: in.Epoch(), Lane: task.Lane, Model: model,
		Fallback: task.Fallback, Attempts: max(1, limit-calls(task.Receipt, s.ports.Catalog.Current())), CostNanoUSD: money,
		Admitted: func() { stage.Admitted(ctx) },
		Starts:   tokens.restart,
		OnWait:   func(w guard.Wait) { tell(w.Reason, w.Until) },
	}
}

// calls counts the chat calls of a receipt.
func calls(r event.Receipt, c *catalog.Catalog) int {
	n := 0
	for _, a := range r.Attempts {
		if m, ok := c.Model(a.Model); !a.Reused && (!ok || m.Mode == catalog.ModeChat) {
			n++
		}
	}
	return n
}

// failed decides who is told: the router when it may know another model, else the
// runner.
func (s *Service) failed(ctx context.Context, task *event.GenerateTask, err error) ([]bus.Out, error) {
	if errors.Is(err, ledger.ErrFenced) {
		return nil, fmt.Errorf("calling %s: %w (%w)", task.Model, stage.ErrTaken, err)
	}
	cause := event.AsError(err)
	if ctx.Err() != nil || cause.Final || !task.Fallback || !anotherMay(cause.Class) {
		return nil, stage.WithReceipt(fmt.Errorf("calling %s: %w", task.Model, err), task.Receipt)
	}
	out, err := stage.StepOut(event.RouteSubject(task.Lane, task.Tenant), fmt.Sprint("route-", task.Hop), task.Envelope, event.RouteTask{
		Envelope: task.Envelope, Task: *task, Error: cause, RetryAfterMS: cause.RetryAfter.Milliseconds()})
	return []bus.Out{out}, err
}

// anotherMay says that another model may do what failed with the class.
func anotherMay(c event.Class) bool {
	switch c {
	case event.ClassThrottled, event.ClassRamp, event.ClassUnavailable, event.ClassTruncated, event.ClassInternal,
		event.ClassQuota, event.ClassAuth, event.ClassTooLarge:
		return true
	}
	return false
}

// tokenEvery is the least time between two token messages: what arrives faster
// is joined, which a reader does not notice.
const tokenEvery = 30 * time.Millisecond

// tokenStream publishes the pieces of one attempt's answer. A reader of a
// higher epoch drops what an earlier, broken one had sent.
type tokenStream struct {
	bus     *bus.Bus
	now     func() time.Time
	task    *event.GenerateTask
	epoch   int64
	pending []byte
	sent    time.Time
}

// callBits is room for the calls of one delivery in the epoch of its tokens.
const callBits = 6

// restart begins another call's answer: readers drop what came before.
func (t *tokenStream) restart() {
	t.epoch++
	t.pending = t.pending[:0]
}

// delta takes a piece of text. Pieces are a view of the answer, so trouble in
// publishing them never fails the call.
func (t *tokenStream) delta(text string) error {
	now := t.now()
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
