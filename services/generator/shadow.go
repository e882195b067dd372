package generator

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// lessons are what the accepted answer teaches: the outcome of the task's models,
// and, of a share of them, the comparison with another model's.
func (a *attempt) lessons(judged *event.Judged) ([]bus.Out, error) {
	task := &a.task
	if task.Task == "" || len(judged.Answer.ToolCalls) > 0 { // a call is no answer to compare
		return nil, nil
	}
	observed, err := cascade.Observe(task, judged, a.s.p.Now())
	if err != nil {
		return nil, fmt.Errorf("recording the outcome: %w", err)
	}
	if c := task.Cache; c != nil && c.Audit != nil {
		same := sameSense(c.Audit.Answer.Text, judged.Answer.Text)
		observed.SemanticHit = &same
	}
	out, err := a.observation(observed)
	if err != nil {
		return nil, err
	}
	outs := []bus.Out{out}
	if a.compares(judged) {
		env := task.Envelope
		env.Deadline = time.Time{} // that was the answer's
		compare, err := stage.StepOut(event.RouteSubject(event.LaneBatch, task.Tenant), fmt.Sprint("compare-", task.Hop), env,
			event.RouteTask{Envelope: env, Task: *task, Judged: judged, Compare: true})
		if err != nil {
			return nil, err
		}
		outs = append(outs, compare)
	}
	return outs, nil
}

// compares reports whether other models are to give the answer, too: for an audit one
// that the reference did not give, else one that it did.
func (a *attempt) compares(judged *event.Judged) bool {
	c, r := a.task.Compare, a.task.Receipt.Routing
	return c != nil && r != nil && c.Audit == (judged.Answer.Model != r.Reference) && cascade.Sampled(a.task.Tenant+"."+a.task.ID, c.Rate)
}

// prose is the length from which two answers with the same meaning are hardly ever
// the same words.
const prose = 80

var figures = regexp.MustCompile(`\d+(?:[.,]\d+)*`)

// sameSense reports whether an answer may stand for another one: short ones must be
// the same, longer ones name the same figures.
func sameSense(a, b string) bool {
	if cascade.SameAnswer(a, b) {
		return true
	}
	return len(a) > prose && len(b) > prose && !json.Valid([]byte(a)) && slices.Equal(numbers(a), numbers(b))
}

func numbers(text string) []string {
	out := figures.FindAllString(text, -1)
	slices.Sort(out)
	return slices.Compact(out)
}

// compared is the end of a shadow: it has no result, but teaches.
func (a *attempt) compared(judged *event.Judged) ([]bus.Out, error) {
	observed, err := cascade.Compare(&a.task, judged, a.s.p.Now())
	if err != nil {
		return nil, fmt.Errorf("recording the comparison: %w", err)
	}
	out, err := a.observation(observed)
	if err != nil {
		return nil, err
	}
	return a.outs([]bus.Out{out})
}

func (a *attempt) observation(o event.Observation) (bus.Out, error) {
	return stage.StepOut(event.OutcomeSubject(a.task.Tenant, a.task.ID), fmt.Sprint("outcome-", a.task.Hop), a.task.Envelope, o)
}

// keep puts the accepted answer where identical jobs find it. A cache never fails
// a job.
func (a *attempt) keep(ctx context.Context, judged *event.Judged) {
	plan, task := a.task.Cache, &a.task
	if plan == nil {
		return
	}
	_, err := a.s.cache.Put(ctx, plan.Key, cache.Entry{
		Tenant: task.Tenant, Task: task.Task, Scope: plan.Scope, Question: task.Question, Answer: judged.Answer, Model: a.model,
		CostNanoUSD: task.Receipt.CostNanoUSD, CreatedAt: a.s.p.Now().UTC(), Job: task.ID, Sources: a.cited(judged),
	}, time.Duration(plan.TTLMS)*time.Millisecond)
	if err != nil {
		a.s.p.Logger.WarnContext(ctx, "keeping an answer", "job", task.ID, "error", err)
	}
	a.land(ctx) // those that wait look for it now
}

// cited are the sources of the prompt that the answer cites.
func (a *attempt) cited(judged *event.Judged) []event.SourceVersion {
	r := a.task.Receipt.Retrieval
	if r == nil {
		return nil
	}
	var out []event.SourceVersion
	for _, c := range judged.Answer.Citations {
		if c.Number >= 1 && c.Number <= len(r.Sources) {
			out = append(out, r.Sources[c.Number-1])
		}
	}
	return out
}

// land lets identical jobs go: this one is at its end.
func (a *attempt) land(ctx context.Context) {
	if a.task.Cache == nil {
		return
	}
	if err := a.s.cache.Release(context.WithoutCancel(ctx), a.task.Tenant, a.task.Cache.Flight, a.task.ID); err != nil {
		a.s.p.Logger.WarnContext(ctx, "letting identical jobs go", "job", a.task.ID, "error", err)
	}
}
