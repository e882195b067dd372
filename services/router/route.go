package router

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/stage"
)

// probeEvery is how often a router sends a task to a model that is being probed.
const probeEvery = time.Second

// probes lets through a trickle of tasks by which it is found out that a model
// works again.
type probes struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// due says whether it is time for another one.
func (p *probes) due(model string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Sub(p.last[model]) >= probeEvery
}

// took notes that one is sent.
func (p *probes) took(model string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = map[string]time.Time{}
	}
	p.last[model] = now
}

// wayOf is that of a task under way.
func (s *Service) wayOf(task *event.GenerateTask) (*way, error) {
	name := task.Named
	if name == "" && task.Task == "" { // the default model's, or one of an older version
		name = append(task.Tried, task.Model)[0]
	}
	return s.way(name, task.Task)
}

// decide names the next step of a task that was tried as it says.
func (s *Service) decide(w *way, task *event.GenerateTask, again bool) cascade.Decision {
	state := cascade.State{
		Candidates: s.candidates(w, task), Explicit: w.task == "", Again: again, Parallel: parallel(task),
		CallsLeft:  cmp.Or(task.MaxAttempts, guard.DefaultAttempts) - task.Receipt.Calls(),
		BestEffort: w.task != "" && w.policy.Exhausted == catalog.ExhaustedBestEffort,
	}
	for i := range task.Prior {
		j := &task.Prior[i]
		state.Tried = append(state.Tried, cascade.Try{Model: j.Answer.Model, Usable: !j.Hard, P: j.P})
	}
	for _, model := range task.Tried {
		state.Tried = append(state.Tried, cascade.Try{Model: model, Unavailable: true})
	}
	d := cascade.Decide(state)
	if s.guard.Status(d.Model).State == guard.Probing {
		s.probes.took(d.Model, s.p.Now())
	}
	if r := task.Receipt.Routing; r != nil {
		r.Skipped = nil
		for _, c := range state.Candidates {
			if c.Blocked != "" && c.Model != d.Model {
				r.Skipped = append(r.Skipped, event.Skipped{Model: c.Model, Reason: c.Blocked})
			}
		}
	}
	return d
}

// send makes the task that asks the model that was decided on.
func (s *Service) send(w *way, task *event.GenerateTask, d cascade.Decision) (bus.Out, error) {
	task.Model, task.Fallback = d.Model, d.Fallback
	task.Gates = w.gates(d.Model, task.Gates)
	task.Hold = w.holds(task)
	return taskOut(task)
}

// taskOut is the message that sends a task to its model's generators.
func taskOut(task *event.GenerateTask) (bus.Out, error) {
	out, err := stage.StepOut(event.GenerateSubject(task.Model, task.Lane, task.Tenant), fmt.Sprint("generate-", task.Hop), task.Envelope, task)
	if err == nil {
		out.Header.Set(stage.HeaderTokens, fmt.Sprint(weight(task)))
	}
	return out, err
}

// holds says that nothing is shown of an answer before it is accepted. Of two models
// that began at once only one may be shown.
func (w *way) holds(task *event.GenerateTask) bool {
	return w.task != "" && w.policy.Stream == catalog.StreamFinal || parallel(task)
}

// parallel says that two models of the task began at once.
func parallel(task *event.GenerateTask) bool {
	r := task.Receipt.Routing
	return r != nil && r.Start == catalog.StartParallel
}

// route decides what becomes of a task that its model could not do, or whose answer
// was not accepted, or is to be compared.
func (s *Service) route(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	msg, err := event.Decode[event.RouteTask](in.Data)
	if err != nil {
		return nil, err
	}
	task := &msg.Task
	w, err := s.wayOf(task)
	if err != nil {
		s.land(ctx, task)
		return nil, stage.WithReceipt(err, task.Receipt) // the catalog lost the model meanwhile
	}
	if msg.Compare {
		return s.compare(ctx, w, &msg)
	}
	if parallel(task) {
		if finished, err := s.bus.Finished(ctx, task.Tenant, task.ID); err != nil || finished {
			return nil, err // the other one's answer was accepted
		}
	}
	s.dropCache(ctx, w, task)
	from := task.Model
	again := msg.Error != nil && (msg.Error.Class.Retryable() || msg.RetryAfterMS > 0) && len(task.Prior) == 0
	life := event.Life{Type: event.LifeFallback, Stage: "router", Attempt: in.Deliveries, Error: msg.Error}
	if msg.Judged != nil {
		task.Prior = append(task.Prior, *msg.Judged)
		life.Type = event.LifeEscalated
		if r := task.Receipt.Routing; r != nil {
			r.Escalated = append(r.Escalated, event.Escalation{Model: from, Gate: msg.Judged.Reason, P: msg.Judged.P})
		}
	} else {
		task.Tried = append(task.Tried, from)
	}
	d := s.decide(w, task, again)
	switch d.Action {
	case cascade.Give:
		s.land(ctx, task)
		return s.give(in, task, d)
	case cascade.Exhausted:
		return s.exhausted(ctx, w, in, &msg, d)
	case cascade.Wait:
		if again {
			task.Tried = nil // all of them may be back
		}
	}
	task.Hop++
	out, err := s.send(w, task, d)
	if err != nil {
		return nil, err
	}
	life.Detail = fmt.Sprintf("model %s: %s", d.Model, why(&msg))
	s.metrics.moved(life.Type, from, d.Model, w.task)
	return []bus.Out{out, stage.LifeOut(task.Tenant, task.ID, s.p.Now(), life)}, nil
}

// why says what was wrong with the model before.
func why(msg *event.RouteTask) string {
	if j := msg.Judged; j != nil {
		if len(j.Violations) > 0 {
			return j.Reason + ": " + j.Violations[0].Message
		}
		return fmt.Sprintf("the answer of %s is acceptable with probability %.2f only", j.Answer.Model, j.P)
	}
	return msg.Error.Message
}

// give ends a job with the best answer there is, though it was not accepted.
func (s *Service) give(in *bus.Message, task *event.GenerateTask, d cascade.Decision) ([]bus.Out, error) {
	best := task.Prior[d.Best]
	task.Receipt.Routing.Exhausted = true
	outs, err := s.ended(in, task, best.Answer)
	if err != nil {
		return nil, err
	}
	others := append(append([]event.Judged{}, task.Prior[:d.Best]...), task.Prior[d.Best+1:]...)
	taught := *task
	taught.Prior = others
	observed, err := cascade.Observe(&taught, &best, s.p.Now())
	if err != nil {
		return nil, fmt.Errorf("recording the outcome: %w", err)
	}
	observed.Escalated = observed.Accepted || observed.Escalated
	observed.Accepted = false
	lesson, err := stage.StepOut(event.OutcomeSubject(task.Tenant, task.ID), "outcome-given", task.Envelope, observed)
	return append([]bus.Out{lesson}, outs...), err
}

// exhausted ends a job without an answer that was accepted: with the policy's
// template, or as failed.
func (s *Service) exhausted(ctx context.Context, w *way, in *bus.Message, msg *event.RouteTask, d cascade.Decision) ([]bus.Out, error) {
	task := &msg.Task
	s.land(ctx, task)
	if w.task != "" && w.policy.Exhausted == catalog.ExhaustedTemplate && s.fits(task, w.policy.Template) {
		task.Receipt.Routing.Exhausted = true
		return s.ended(in, task, event.Answer{Text: w.policy.Template, FinishReason: event.FinishTemplate})
	}
	if len(task.Prior) == 0 {
		names := make([]string, len(w.tiers))
		for i, t := range w.tiers {
			names[i] = t.model
		}
		return nil, stage.WithReceipt(fmt.Errorf("no model of %s is left: %w", strings.Join(names, ", "), msg.Error), task.Receipt)
	}
	last := &task.Prior[len(task.Prior)-1]
	err := event.Errorf(event.ClassRejected, "no answer was accepted (%s): %s", d.Reason, why(&event.RouteTask{Judged: last}))
	err.Violations = last.Violations
	err.Hint = "the receipt says what each gate found; relax the gates, or add a better model to the chain"
	if last.Reason == "schema" || last.Reason == "checks" {
		err.Field = last.Reason
	}
	return nil, stage.WithReceipt(err, task.Receipt)
}

// fits reports whether a text is what the task's schema wants, if it has one.
func (s *Service) fits(task *event.GenerateTask, text string) bool {
	if task.Gates == nil || task.Gates.Schema == nil {
		return true
	}
	g, err := s.gates.Compile(&event.Gates{Schema: task.Gates.Schema, Checks: task.Gates.Checks})
	if err != nil {
		return false
	}
	_, wrong := g.Schema().Check(text)
	return len(wrong) == 0
}

// dropCache forgets where the answer was to be kept when other policies are in force
// by now: it is the answer to another request.
func (s *Service) dropCache(ctx context.Context, w *way, task *event.GenerateTask) {
	if r := task.Receipt.Routing; task.Cache != nil && (r == nil || w.routing == nil || r.Policy != w.routing.Policy) {
		s.land(ctx, task)
		task.Cache = nil
	}
}

// ended is a result that no generator stores, and its stream.
func (s *Service) ended(in *bus.Message, task *event.GenerateTask, answer event.Answer) ([]bus.Out, error) {
	now := s.p.Now().UTC()
	task.Receipt.TotalMS = event.Milliseconds(now.Sub(task.SubmittedAt))
	end := task.ResultOf(event.KindGenerate, now)
	end.Answer, end.Receipt = &answer, task.Receipt
	result, err := stage.ResultOut(end)
	if err != nil {
		return nil, err
	}
	var outs []bus.Out
	if task.Stream {
		for _, token := range []event.Token{{Type: event.TokenDelta, Text: answer.Text}, {Type: event.TokenDone}} {
			token.V, token.ID, token.Epoch = event.Version, task.ID, in.Epoch()<<event.EpochBits
			out, err := stage.JSONOut(event.TokenSubject(task.Tenant, task.ID), "", token)
			if err != nil {
				return nil, err
			}
			out.View = true
			outs = append(outs, out)
		}
	}
	return append(outs, result), nil
}

// weight is about how many tokens a task takes, for the fairness among tenants.
func weight(task *event.GenerateTask) int {
	const answer = 256 // of an answer of usual length
	return answer + promptTokens(task)
}
