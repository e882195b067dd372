package router

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// compare has other models give an answer that was accepted, too, in the batch
// lane, as far as the day's money for that goes.
func (s *Service) compare(ctx context.Context, w *way, msg *event.RouteTask) ([]bus.Out, error) {
	c := msg.Task.Compare
	if c == nil || msg.Judged == nil {
		return nil, event.Invalid("task.compare", "send the accepted answer and what to compare it with", "missing")
	}
	if w.task == "" {
		return nil, nil // the policy is gone
	}
	var outs []bus.Out
	for _, model := range c.Models {
		if model == msg.Judged.Answer.Model {
			continue // it has answered
		}
		price := s.guard.Price(model, llm.Usage{PromptTokens: promptTokens(&msg.Task), CompletionTokens: len(msg.Judged.Answer.Text)/4 + 1})
		if !s.spendAudit(ctx, w.policy.Audit.NanoUSDPerDay(), price) {
			s.metrics.unaudited.Inc()
			continue
		}
		out, err := s.shadow(w, msg, model)
		if err != nil {
			return nil, err
		}
		outs = append(outs, out)
	}
	return outs, nil
}

// shadow is the task of a comparison. It is a job of its own, which no one awaits.
func (s *Service) shadow(w *way, msg *event.RouteTask, model string) (bus.Out, error) {
	task := msg.Task
	task.ID = fmt.Sprintf("shadow-%x", sha256.Sum256([]byte(task.Tenant+"."+task.ID+"."+model)))[:48]
	task.Lane, task.Deadline, task.Model, task.Hop = event.LaneBatch, time.Time{}, model, 0
	task.Webhook, task.Metadata, task.NotBefore = "", nil, time.Time{}
	task.Shadow = &event.Shadow{Of: *msg.Judged, Audit: msg.Task.Compare.Audit, Rate: msg.Task.Compare.Rate}
	task.Stream, task.Hold, task.Alone, task.Fallback = false, false, false, false
	task.Prior, task.Tried, task.Compare, task.Cache, task.Receipt = nil, nil, nil, nil, event.Receipt{}
	task.MaxAttempts, task.MaxCostNanoUSD = 0, 0 // those were for the answer
	task.Gates = w.gates(model, task.Gates)
	if g := task.Gates; g != nil { // it is to be measured, not judged
		g.Tau, g.Calibration, g.Paid = 0, nil, nil
	}
	return taskOut(&task)
}

// audited is what comparisons have cost on a day.
type audited struct {
	Day     string `json:"day"`
	NanoUSD int64  `json:"nano_usd"`
	// Refused says that there was no money for one.
	Refused bool `json:"refused,omitempty"`
}

func (s *Service) audits(ctx context.Context) (bus.Value[audited], error) {
	kv, err := s.bus.KeyValue(ctx, bus.BucketCascade)
	return bus.Value[audited]{KV: kv, Key: "audits", Name: "what comparisons cost"}, err
}

func (s *Service) today() string { return s.p.Now().UTC().Format(time.DateOnly) }

// spendAudit takes the price of a comparison from the day's money, if it is there.
// Without an answer of the bucket there is no money: a comparison can wait.
func (s *Service) spendAudit(ctx context.Context, limit, price int64) bool {
	value, err := s.audits(ctx)
	if err != nil {
		return false
	}
	granted := false
	_, err = value.Change(ctx, func(a *audited) error {
		if today := s.today(); a.Day != today {
			*a = audited{Day: today}
		}
		granted = a.NanoUSD+price <= limit
		switch {
		case granted:
			a.NanoUSD += price
		case a.Refused:
			return bus.ErrKeep
		default:
			a.Refused = true
		}
		return nil
	})
	return err == nil && granted
}

// unaudited reports whether comparisons were refused today: the labels that are left
// say too little of what is accepted.
func (s *Service) unaudited(ctx context.Context) bool {
	value, err := s.audits(ctx)
	if err != nil {
		return true
	}
	a, _, err := value.Get(ctx)
	return err != nil || a.Day == s.today() && a.Refused
}
