package generator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/gate"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/stage"
)

// answer asks the model, once more with the violations when the answer has not the
// form it should, and buys the signals that the gates name.
func (a *attempt) answer(ctx context.Context, g *gate.Gate) (*event.Judged, error) {
	messages := a.task.Messages
	judged, err := a.ask(ctx, g, "", messages)
	if err != nil {
		return nil, err
	}
	if repair := g.Repair(judged); repair != "" && a.left() > 0 {
		again := append(slices.Clone(messages), event.Message{Role: "assistant", Content: judged.Answer.Text}, event.Message{Role: "user", Content: repair})
		repaired, err := a.ask(ctx, g, event.ForRepair, again)
		switch {
		case err == nil:
			repaired.CostNanoUSD += judged.CostNanoUSD
			repaired.LatencyMS += judged.LatencyMS
			judged = repaired
		case ctx.Err() != nil || errors.Is(err, ledger.ErrFenced):
			return nil, err
		} // else the first answer stands, not accepted
	}
	if err := a.buy(ctx, g, judged); err != nil {
		return nil, err
	}
	a.s.metrics.judged(a.task.Task, judged)
	if n := len(a.task.Receipt.Attempts); n > 0 && len(judged.Gates) > 0 {
		last := &a.task.Receipt.Attempts[a.answered()]
		last.Gates, last.P = judged.Gates, &judged.P
	}
	return judged, nil
}

// answered is the index of the receipt's last call for an answer.
func (a *attempt) answered() int {
	calls := a.task.Receipt.Attempts
	for i := len(calls) - 1; i > 0; i-- {
		if calls[i].Error == "" && (calls[i].For == "" || calls[i].For == event.ForRepair) {
			return i
		}
	}
	return 0
}

// ask makes the call for an answer and judges it.
func (a *attempt) ask(ctx context.Context, g *gate.Gate, purpose string, messages []event.Message) (*event.Judged, error) {
	req := llm.ChatRequest{Messages: messages, MaxTokens: a.task.MaxTokens, Temperature: a.task.Temperature, Tooling: a.task.Tooling, OnDelta: a.tokens.delta}
	if gates := a.task.Gates; gates != nil {
		req.Logprobs = gates.Logprobs
		if s := g.Schema(); s != nil {
			req.Format = &llm.Format{Name: "answer", Schema: gates.Schema}
			req.Format.Strict, _ = s.Strict()
		}
	}
	begun := len(a.task.Receipt.Attempts)
	response, err := a.call(ctx, call{purpose: purpose, model: a.model, starts: a.tokens.restart}, req)
	if err != nil {
		return nil, err
	}
	judged := g.Judge(ctx, gate.Answer{Task: a.task.Task, Question: a.task.Question, Response: &response, Sources: a.task.Sources})
	judged.Answer.Model = a.model
	for _, c := range a.task.Receipt.Attempts[begun:] {
		judged.CostNanoUSD += c.CostNanoUSD
		judged.LatencyMS += c.DurationMS
	}
	a.priceReference(response.Usage)
	return &judged, nil
}

// priceReference notes what the reference would have cost by the usage.
func (a *attempt) priceReference(u llm.Usage) {
	if r := a.task.Receipt.Routing; r != nil && r.Reference != "" {
		r.ReferenceCostNanoUSD = a.s.guard.Price(r.Reference, u)
	}
}

// call is one call of the task.
type call struct {
	purpose string // "" for the answer
	model   string
	starts  func()
}

// call makes a call and notes it in the receipt. A record of an earlier one is
// stored before: it will not be made again.
func (a *attempt) call(ctx context.Context, c call, req llm.ChatRequest) (llm.ChatResponse, error) {
	if a.line != nil {
		out, err := ledger.LineOut(*a.line)
		if err == nil {
			err = a.s.bus.Publish(ctx, out)
		}
		if err != nil {
			return llm.ChatResponse{}, err
		}
		a.line = nil
	}
	begun := a.s.p.Now()
	response, report, err := a.s.guard.Chat(ctx, a.guarded(ctx, c), req)
	receipt := &a.task.Receipt
	receipt.GeneratingMS += event.Milliseconds(a.s.p.Now().Sub(begun))
	for _, made := range report.Attempts {
		made.For = c.purpose
		receipt.Add(made)
		receipt.WaitingMS += made.WaitedMS
		receipt.GeneratingMS -= made.WaitedMS
		a.s.metrics.observe(made)
	}
	a.line = report.Line
	if err == nil {
		stage.Charge(ctx, int64(response.Usage.PromptTokens+response.Usage.CompletionTokens))
	}
	return response, err
}

// guarded is what the guard is told of a call.
func (a *attempt) guarded(ctx context.Context, c call) guard.Call {
	task := &a.task
	money := int64(0)
	if task.MaxCostNanoUSD > 0 {
		money = max(1, task.MaxCostNanoUSD-task.Receipt.CostNanoUSD)
	}
	tell := stage.TellWaiting(a.s.bus, task.Envelope, "generator", a.s.p.Now)
	return guard.Call{
		Tenant: task.Tenant, Job: task.ID, Step: a.step(c.purpose), Epoch: a.in.Epoch(), Lane: task.Lane, Model: c.model,
		// A call beside the answer's is not waited for when its model is not to be had.
		Fallback: task.Fallback || c.model != a.model, Attempts: max(1, a.left()), CostNanoUSD: money,
		Admitted: func() { stage.Admitted(ctx) },
		Starts:   c.starts,
		OnWait:   func(w guard.Wait) { tell(w.Reason, w.Event()) },
	}
}

// buy gets the paid signals. One that can't be had is missing, no more.
func (a *attempt) buy(ctx context.Context, g *gate.Gate, judged *event.Judged) error {
	values := map[string]float64{}
	for _, signal := range g.Paid(judged) {
		before := a.task.Receipt.CostNanoUSD
		value, known, err := a.signal(ctx, signal, judged)
		if err != nil {
			return err
		}
		if known {
			values[signal.Signal] = value
		}
		if judged.Paid == nil {
			judged.Paid = map[string]int64{}
		}
		judged.Paid[signal.Signal] += a.task.Receipt.CostNanoUSD - before
	}
	if len(values) > 0 {
		g.Weigh(judged, a.task.Task, a.task.Question, values)
	}
	return nil
}

func (a *attempt) signal(ctx context.Context, of event.PaidSignal, judged *event.Judged) (value float64, known bool, err error) {
	req := func(i int) llm.ChatRequest {
		seed, warm := int64(i+1), sampleTemperature
		return llm.ChatRequest{Messages: a.task.Messages, MaxTokens: a.task.MaxTokens, Temperature: &warm, Seed: &seed, Tooling: a.task.Tooling}
	}
	k, read := max(of.K, 1), func(text string) float64 {
		if cascade.SameAnswer(judged.Answer.Text, text) {
			return 1
		}
		return 0
	}
	if of.Signal == cascade.Judge {
		k, read = 1, gate.Verdict
		req = func(int) llm.ChatRequest {
			cold := 0.0
			return llm.ChatRequest{Messages: gate.JudgePrompt(a.task.Question, judged.Answer.Text), MaxTokens: judgeTokens, Temperature: &cold}
		}
	}
	sum, n := 0.0, 0
	for i := range min(k, max(a.left(), 0)) {
		response, err := a.call(ctx, call{purpose: fmt.Sprint(of.Signal, "-", i), model: of.Model}, req(i))
		switch {
		case err == nil:
			sum, n = sum+read(response.Text), n+1
		case ctx.Err() != nil || errors.Is(err, ledger.ErrFenced):
			return 0, false, err
		}
	}
	if n == 0 {
		return 0, false, nil
	}
	return sum / float64(n), true, nil
}

const (
	// sampleTemperature makes samples of one model differ; 0.7 to 0.8 is usual (Wang
	// et al., Self-Consistency, 2023).
	sampleTemperature = 0.7
	// judgeTokens is room for a number.
	judgeTokens = 8
)
