package generator

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/gate"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/stage"
)

// attempt is one task at one model.
type attempt struct {
	s      *Service
	in     *bus.Message
	model  string
	task   event.GenerateTask
	tokens *tokenStream
	// line is the record of the last answered call, stored with what becomes of the
	// task.
	line *ledger.Line
}

// attempt asks the model and applies the task's gates. It returns the result to
// store, or the task for the router when another model is to do it or its answer
// was not accepted.
func (s *Service) attempt(ctx context.Context, model string, in *bus.Message) ([]bus.Out, error) {
	a, received := &attempt{s: s, in: in, model: model}, s.p.Now()
	var err error
	if a.task, err = event.Decode[event.GenerateTask](in.Data); err != nil {
		return nil, err
	}
	g, err := s.gates.Compile(a.task.Gates)
	if err != nil {
		return nil, stage.WithReceipt(err, a.task.Receipt)
	}
	if a.late(ctx) {
		return nil, nil
	}
	a.task.Receipt.WaitingMS += event.Milliseconds(received.Sub(in.Stored))
	a.tokens = &tokenStream{bus: s.bus, now: s.p.Now, task: &a.task, epoch: in.Epoch() << event.EpochBits, held: a.task.Hold}
	judged, err := a.answer(ctx, g)
	switch {
	case err != nil:
		return a.failed(ctx, err)
	case a.task.Shadow != nil:
		return a.compared(judged)
	case gate.Accepts(judged):
		return a.accepted(ctx, judged)
	case a.task.Alone: // the other one's answer counts
		return a.outs(nil)
	}
	return a.route(event.RouteTask{Judged: judged})
}

// late says that a task beside this one has ended the job already.
func (a *attempt) late(ctx context.Context) bool {
	r := a.task.Receipt.Routing
	if r == nil || r.Start != catalog.StartParallel {
		return false
	}
	finished, err := a.s.bus.Finished(ctx, a.task.Tenant, a.task.ID)
	return err == nil && finished
}

// step names a call of the task, the same at every delivery.
func (a *attempt) step(purpose string) string {
	step := fmt.Sprint("generate-", a.task.Hop)
	if purpose != "" {
		step += "-" + purpose
	}
	return step
}

// accepted is the job's end.
func (a *attempt) accepted(ctx context.Context, judged *event.Judged) ([]bus.Out, error) {
	if a.late(ctx) {
		return a.outs(nil)
	}
	ended := a.s.p.Now()
	a.tokens.show(judged.Answer.Text, ended)
	task := &a.task
	task.Receipt.TotalMS = event.Milliseconds(ended.Sub(task.SubmittedAt))
	a.s.metrics.accepted(&task.Receipt, a.model)
	outs, err := a.lessons(judged)
	if err != nil {
		return nil, err
	}
	a.keep(ctx, judged)
	end := task.ResultOf(event.KindGenerate, ended)
	end.Answer, end.Receipt = &judged.Answer, task.Receipt
	result, err := stage.ResultOut(end)
	if err != nil {
		return nil, err
	}
	// The result ends the job: it comes last.
	return a.outs(append(append(outs, a.tokens.done()...), result))
}

// route hands the task to the router.
func (a *attempt) route(to event.RouteTask) ([]bus.Out, error) {
	to.Envelope, to.Task = a.task.Envelope, a.task
	out, err := stage.StepOut(event.RouteSubject(a.task.Lane, a.task.Tenant), fmt.Sprint("route-", a.task.Hop), a.task.Envelope, to)
	if err != nil {
		return nil, err
	}
	return a.outs([]bus.Out{out})
}

// outs are the messages to store, with the ledger's line before them.
func (a *attempt) outs(outs []bus.Out) ([]bus.Out, error) {
	if a.line == nil {
		return outs, nil
	}
	line, err := ledger.LineOut(*a.line)
	return append([]bus.Out{line}, outs...), err
}

// failed decides who is told: the router when it may know what to do, else the
// runner.
func (a *attempt) failed(ctx context.Context, err error) ([]bus.Out, error) {
	task := &a.task
	if errors.Is(err, ledger.ErrFenced) {
		return nil, fmt.Errorf("calling %s: %w (%w)", a.model, stage.ErrTaken, err)
	}
	cause := event.AsError(err)
	switch {
	case ctx.Err() != nil:
	case task.Shadow != nil || task.Alone: // nobody waits for it
		a.s.metrics.dropped.Inc()
		return a.outs(nil)
	case a.routable(cause):
		return a.route(event.RouteTask{Error: cause, RetryAfterMS: cause.RetryAfter.Milliseconds()})
	}
	if cause.Final || !cause.Class.Retryable() {
		a.land(ctx)
	}
	return nil, stage.WithReceipt(fmt.Errorf("calling %s: %w", a.model, err), task.Receipt)
}

// routable says that the router may have another model for what failed, an answer of
// an earlier one, or what the policy gives instead of a refused one.
func (a *attempt) routable(cause *event.Error) bool {
	switch {
	case len(a.task.Prior) > 0 && (cause.Final || !cause.Class.Retryable()):
		return true
	case a.task.Task != "" && (cause.Class == event.ClassContent || cause.Field == "max_tokens"):
		return true // refused, or used up in thought: another one may answer
	}
	return !cause.Final && a.task.Fallback && anotherMay(cause.Class)
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

// left is how many calls the job may still make.
func (a *attempt) left() int {
	return cmp.Or(a.task.MaxAttempts, guard.DefaultAttempts) - a.task.Receipt.Calls()
}
