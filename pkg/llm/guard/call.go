package guard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weir-dev/weir/pkg/budget"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm"
)

const (
	// DefaultAttempts of a job over all retries and fallbacks.
	DefaultAttempts = 6
	// here is how many calls go to a model that has a fallback before that takes
	// over.
	here = 2
	// maxThrottles bounds how often in a row a provider may throttle one call
	// before its limits are taken to be other than the catalog's.
	maxThrottles = 20
)

// outcome is an answered call.
type outcome struct {
	usage  llm.Usage
	tier   string
	answer *ledger.Answer
}

// run is one call through the door: all its attempts at one model.
type run struct {
	g    *Guard
	c    *Call
	m    *model
	est  estimate
	meta llm.Meta
	// record keeps intents and lines; nil for calls without (embeddings, whose
	// lines are those of the documents they are made for).
	record *ledger.Entry
	books  bool
	open   bool // an intent is stored whose call has no line yet
	hold   *ledger.Hold
	// do makes one call.
	do func(ctx context.Context, meta *llm.Meta) (outcome, error)

	report    Report
	calls     int // of this model that went out
	throttles int
	waited    time.Duration // since the last call
}

// attempts calls until there is an answer, or an error that ends it here.
func (r *run) attempts(ctx context.Context) (outcome, error) {
	defer r.closeBooks(ctx)
	if limit := r.c.CostNanoUSD; limit > 0 && r.est.nanoUSD > limit {
		return outcome{}, &event.Error{Class: event.ClassQuota, Field: "max_cost_nano_usd", Final: true,
			Message: fmt.Sprintf("a call of %s may cost %d nano-USD, the job has %d left", r.m.ID, r.est.nanoUSD, limit),
			Hint:    "raise the bound, lower max_tokens, or use a cheaper model"}
	}
	for {
		out, err := r.once(ctx)
		if err == nil {
			return out, nil
		}
		cause := event.AsError(err)
		again, wait := true, ledgerEvery
		if !errors.Is(err, errLedger) {
			again, wait = r.again(cause)
		}
		if !again || ctx.Err() != nil {
			return outcome{}, r.final(cause, err)
		}
		r.waited += wait
		if wait > 0 && r.c.OnWait != nil {
			r.c.OnWait(Wait{Cause: event.WaitRetry, Name: r.m.ID, Group: r.m.group.Name, Reason: "another try after: " + cause.Message, Until: r.g.cfg.Now().Add(wait)})
		}
		if lifecycle.Sleep(ctx, wait) != nil {
			return outcome{}, err
		}
	}
}

// closeBooks leaves no intent without a line: a call that was not made after all, or
// was refused, has cost nothing.
func (r *run) closeBooks(ctx context.Context) {
	r.hold.Done(r.g.cfg.Now(), 0)
	if r.open {
		r.keep(ctx, r.line(event.Attempt{Error: event.ClassUnavailable}))
	}
}

// once is one attempt: all gates, and the call.
func (r *run) once(ctx context.Context) (outcome, error) {
	begin := r.g.cfg.Now()
	grant, permit, err := r.admit(ctx)
	if err != nil {
		return outcome{}, err
	}
	if r.c.Admitted != nil {
		r.c.Admitted()
	}
	if r.books {
		if out, done, err := r.intend(ctx); err != nil || done {
			grant.Cancel()
			permit.Cancel()
			return out, ours(err)
		}
	}
	r.waited += r.g.cfg.Now().Sub(begin)
	return r.call(ctx, grant, permit)
}

// admit waits for the breaker, the tenant's budget and the limits.
func (r *run) admit(ctx context.Context) (*budget.Grant, *Permit, error) {
	for {
		if err := r.healthy(ctx); err != nil {
			return nil, nil, err
		}
		if r.books && r.hold == nil {
			hold, err := r.g.afford(ctx, r.c, r.est.nanoUSD)
			if err != nil {
				return nil, nil, err
			}
			r.hold = hold
		}
		// A breaker that opens meanwhile ends the wait.
		changed := r.g.health.Changed(r.m.target)
		waiting, stop := context.WithCancelCause(ctx)
		go func() {
			select {
			case <-changed:
				stop(errChanged)
			case <-waiting.Done():
			}
		}()
		grant, err := r.g.limiter.Acquire(waiting, budget.Request{Group: r.m.group, Class: r.c.Lane, Cost: r.est.cost, OnWait: r.c.OnWait})
		stop(nil)
		if errors.Is(err, errChanged) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		permit, err := r.g.health.Allow(ctx, r.m.target, time.Duration(r.m.Timeouts.Total))
		if err == nil {
			return grant, permit, nil
		}
		grant.Cancel()
		if ctx.Err() != nil {
			return nil, nil, err
		}
	}
}

// errChanged ends a wait for admission because the model's health changed.
var errChanged = errors.New("the model's health changed")

// healthy waits until the model may be called. With a fallback it does not wait.
func (r *run) healthy(ctx context.Context) error {
	probed := false
	for {
		changed := r.g.health.Changed(r.m.target)
		status := r.g.health.Check(r.m.target)
		if status.Callable(r.g.cfg.Now()) {
			return nil
		}
		left := max(status.Until.Sub(r.g.cfg.Now()), 100*time.Millisecond)
		if status.State == Probing {
			left = probeSoon // to become the one that probes, or see the probe's outcome
		}
		if r.c.Fallback && (status.State != Probing || probed) {
			return &event.Error{Class: status.Class, Message: r.m.ID + ": " + status.Reason, RetryAfter: left}
		}
		probed = status.State == Probing
		if r.c.OnWait != nil {
			r.c.OnWait(Wait{Cause: event.WaitBreaker, Name: status.Target.String(), Group: r.m.group.Name, Reason: fmt.Sprintf("%s: %s", status.State, status.Reason), Until: status.Until})
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("waiting for %s (%s): %w", r.m.ID, status.Reason, context.Cause(ctx))
		}
		timer.Stop()
	}
}

// errLedger marks a failure of our own: no model is to blame, another one would
// have it as well, so the call waits. A later delivery may take over meanwhile.
var errLedger = errors.New("the ledger is out of reach")

// ledgerEvery is how often a call that waits for the ledger looks again.
const ledgerEvery = time.Second

func ours(err error) error {
	if err == nil || errors.Is(err, ledger.ErrFenced) || event.AsError(err).Class != event.ClassUnavailable {
		return err
	}
	return fmt.Errorf("%w: %w", errLedger, err)
}

// intend stores the intent, or finds that an earlier delivery has the answer.
func (r *run) intend(ctx context.Context) (out outcome, done bool, err error) {
	if r.record != nil {
		err = r.record.Next(ctx, r.est.nanoUSD)
		r.open = err == nil
		return outcome{}, false, err
	}
	r.record, err = r.g.ledger.Begin(ctx, ledger.Intent{
		Tenant: r.c.Tenant, Job: r.c.Job, Step: r.c.Step, Epoch: r.c.Epoch, Worker: r.g.cfg.Worker,
		Model: r.m.ID, Provider: r.m.Provider, Catalog: r.m.of.Revision, Estimate: r.est.nanoUSD,
	})
	if err != nil {
		return outcome{}, false, err
	}
	line := r.record.Reuse
	r.open = line == nil
	if line == nil {
		return outcome{}, false, nil
	}
	r.g.metrics.reused.Inc()
	r.report.Attempts = append(r.report.Attempts, event.Attempt{
		Model: r.m.ID, PromptTokens: line.Usage.PromptTokens, CompletionTokens: line.Usage.CompletionTokens,
		CostNanoUSD: line.CostNanoUSD, DurationMS: line.DurationMS, TTFTMS: line.TTFTMS, Reused: true, Catalog: line.Catalog,
	})
	return outcome{usage: line.Usage, tier: line.Answer.ServiceTier, answer: line.Answer}, true, nil
}

// call makes the call and tells everybody what came of it.
func (r *run) call(ctx context.Context, grant *budget.Grant, permit *Permit) (outcome, error) {
	r.meta = llm.Meta{}
	if r.c.Starts != nil {
		r.c.Starts()
	}
	sent := r.g.cfg.Now()
	out, err := r.do(ctx, &r.meta)
	took := r.g.cfg.Now().Sub(sent)
	permit.Done(err, r.meta.TTFT)
	r.g.limiter.Observe(r.m.group.Name, r.meta.Limits, sent)
	attempt := event.Attempt{Model: r.m.ID, DurationMS: event.Milliseconds(took), TTFTMS: event.Milliseconds(r.meta.TTFT),
		WaitedMS: event.Milliseconds(r.waited), Catalog: r.m.of.Revision}
	r.waited = 0
	if err != nil {
		r.failed(ctx, grant, attempt, err)
		return outcome{}, err
	}
	if out.usage == (llm.Usage{}) {
		out.usage = r.countedUsage(out)
	}
	grant.Settle(used(out.usage))
	r.g.learn(r, out.usage)
	attempt.PromptTokens, attempt.CompletionTokens = out.usage.PromptTokens, out.usage.CompletionTokens
	attempt.CostNanoUSD = r.g.price(r.m, out.usage, out.tier)
	r.report.Attempts = append(r.report.Attempts, attempt)
	r.calls++
	r.hold.Done(r.g.cfg.Now(), attempt.CostNanoUSD)
	if r.books {
		line := r.line(attempt)
		line.Usage, line.Answer = out.usage, out.answer
		r.report.Line, r.open = &line, false
	}
	return out, nil
}

// failed accounts for a call without an answer.
func (r *run) failed(ctx context.Context, grant *budget.Grant, attempt event.Attempt, err error) {
	cause := event.AsError(err)
	switch {
	case cause.Class == event.ClassThrottled && ctx.Err() == nil:
		// Its place is used up: whether a refused request counts differs.
		grant.Settle(r.est.cost)
		r.g.limiter.Throttled(r.m.group.Name, max(cause.RetryAfter, minThrottle))
		r.g.metrics.throttled.WithLabelValues(r.m.ID).Inc()
		return
	case cause.Class == event.ClassRamp:
		grant.Settle(r.est.cost)
		r.g.limiter.SlowDown(r.m.group.Name)
		return
	case !r.meta.Sent:
		grant.Cancel()
	default:
		grant.Settle(r.est.cost)
	}
	r.calls++
	attempt.Error = cause.Class
	if r.meta.MaybeBilled(err) {
		attempt.MaybeBilled, attempt.CostNanoUSD = true, r.est.nanoUSD
		r.g.metrics.maybeBilled.WithLabelValues(r.m.ID).Inc()
		r.bookFailure(ctx, attempt)
	}
	r.report.Attempts = append(r.report.Attempts, attempt)
}

// bookFailure records a call that may be billed. Without an intent it is one of
// several documents' and goes in the name of the first.
func (r *run) bookFailure(ctx context.Context, attempt event.Attempt) {
	if r.books {
		r.open = false
		r.keep(ctx, r.line(attempt))
		r.hold.Done(r.g.cfg.Now(), attempt.CostNanoUSD)
		r.hold = nil
		return
	}
	if r.c.Job == "" {
		return
	}
	r.keep(ctx, ledger.Line{
		V: event.Version, Tenant: r.c.Tenant, Job: r.c.Job, Step: r.c.Step + "-failed", Epoch: r.c.Epoch, Call: r.calls,
		Model: r.m.ID, Provider: r.m.Provider, Catalog: r.m.of.Revision, At: r.g.cfg.Now().UTC(),
		CostNanoUSD: attempt.CostNanoUSD, MaybeBilled: true, Error: attempt.Error, DurationMS: attempt.DurationMS,
	})
}

// keep stores the line of a call that may have been paid for nothing. Should that
// fail, the intent still says that a call was made.
func (r *run) keep(ctx context.Context, line ledger.Line) {
	if err := r.g.ledger.Record(context.WithoutCancel(ctx), line); err != nil {
		r.g.cfg.Logger.Warn("recording a call that may be billed", "job", r.c.Job, "error", err)
	}
}

func (r *run) line(a event.Attempt) ledger.Line {
	line := r.record.Line()
	line.CostNanoUSD, line.MaybeBilled, line.Error = a.CostNanoUSD, a.MaybeBilled, a.Error
	line.TTFTMS, line.DurationMS = a.TTFTMS, a.DurationMS
	return line
}

// minThrottle is the wait after a 429 that names none.
const minThrottle = 500 * time.Millisecond

// again decides whether the model is tried once more, and after what wait.
func (r *run) again(cause *event.Error) (bool, time.Duration) {
	switch cause.Class {
	case event.ClassThrottled, event.ClassRamp:
		r.throttles++
		if len(r.m.group.Laws) > 0 { // admission holds it until the time the provider asked for
			return r.throttles < maxThrottles, 0
		}
		return r.throttles < maxThrottles, Backoff(r.throttles, max(cause.RetryAfter, minThrottle), rand.Float64)
	}
	limit := r.c.Attempts
	if r.c.Fallback {
		limit = min(limit, here)
	}
	if !Retry(cause.Class) || errors.Is(cause, ledger.ErrFenced) || r.calls == 0 || r.calls >= limit {
		return false, 0
	}
	r.throttles = 0
	return true, Backoff(r.calls, cause.RetryAfter, rand.Float64) //nolint:gosec // jitter
}

// final says that a failure is the last one, unless another model may do.
func (r *run) final(cause *event.Error, err error) error {
	if r.calls >= r.c.Attempts && cause.Class.Retryable() {
		last := *cause
		last.Final, last.Err = true, err
		last.Message = fmt.Sprintf("%s (after %d calls, the job's last)", cause.Message, r.calls)
		return &last
	}
	return err
}
