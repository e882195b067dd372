package why

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

const (
	// recent is how long after it was told a wait is believed to go on; told anew
	// every few seconds.
	recent = 15 * time.Second
	// recentFlight is the same for an identical job's answer, which is looked for
	// less often.
	recentFlight = 2 * time.Minute
	// recentTurn is the same for a job's turn at a model.
	recentTurn = time.Minute
)

// Explain says what holds a tenant's job; nil when it has a result, or nothing does.
func (f *Forecaster) Explain(ctx context.Context, tenant string, job client.Job) (*Reason, error) {
	if job.State.Finished() {
		return nil, nil //nolint:nilnil // documented
	}
	now := f.cfg.Now()
	w := f.workOf(tenant, &job)
	r := told(job.Last, now)
	if r != nil && !w.inTurn(job.Last) {
		return finish(r, &w, now), nil
	}
	out, err := f.Outlook(ctx, w)
	switch {
	case err != nil:
		return nil, err
	case out.Reason != nil || r == nil:
		return out.Reason, nil
	}
	return finish(r, &w, now), nil
}

// workOf is what is known of a job as work to be done.
func (f *Forecaster) workOf(tenant string, job *client.Job) Work {
	w := Work{Tenant: tenant, Kind: job.Kind, Lane: event.LaneInteractive, Begun: job.State == client.StateRunning}
	if w.Kind == "" {
		w.Kind = event.KindGenerate
	}
	model, task := "", ""
	if r := job.Record; r != nil {
		w.Lane, w.At, w.NotBefore, w.Deadline = r.Lane, r.At, r.NotBefore, r.Deadline
		model, task = r.Model, r.Task
	}
	if l := job.Last; l != nil && (w.At.IsZero() || l.Type == event.LifePlanned) {
		w.At = l.At // when it came to the queue it is in
	}
	if job.Last != nil && w.inTurn(job.Last) {
		w.Begun, w.turn = false, true
	}
	if w.Kind == event.KindGenerate {
		w.Models = f.Models(model, task)
	}
	if w.Begun && len(w.Models) > 0 {
		w.CostNanoUSD = f.mayCost(tenant, w.Models[0])
	}
	return w
}

// mayCost is about what a call of a model may cost at most, of which no more is known:
// for a budget that is nearly spent. Where one call is a large part of the budget, it
// is half of that.
func (f *Forecaster) mayCost(tenant, model string) int64 {
	c := f.cfg.Catalog()
	m, _ := c.Model(model)
	b := c.Tenant(tenant).Budget
	price, ok := m.PriceAt(f.cfg.Now())
	if !ok || b == nil {
		return 0
	}
	return min(price.Cost(catalog.Usage{Input: cmp.Or(f.cfg.Pace(m.ID).Tokens, usualTokens), Output: m.MaxTokens}, ""), b.NanoUSD()/2)
}

// inTurn reports whether a job waits for its turn at a model, as the event says. What
// holds those before it is not said there.
func (w *Work) inTurn(last *event.Life) bool {
	return last.Type == event.LifeWaiting && last.Wait != nil && last.Stage == "router" &&
		(last.Wait.Cause == event.WaitShare || last.Wait.Cause == event.WaitWorkers)
}

// told is the reason that the job's last event names, nil when it names none, or did
// so too long ago.
func told(last *event.Life, now time.Time) *Reason {
	if last == nil || last.Type != event.LifeWaiting && last.Type != event.LifeRetrying && last.Type != event.LifeAccepted {
		return nil
	}
	until := time.Time{}
	if last.RetryMS > 0 {
		until = last.At.Add(time.Duration(last.RetryMS) * time.Millisecond)
	}
	r := &Reason{Detail: last.Detail, Since: last.At, ExpectedStart: until}
	good := recent
	switch {
	case last.Wait != nil:
		r.Cause, r.Name = last.Wait.Cause, last.Wait.Name
		if !last.Wait.Until.IsZero() {
			r.ExpectedStart = last.Wait.Until
		}
		switch r.Cause {
		case event.WaitFlight:
			good = recentFlight
		case event.WaitShare:
			good = recentTurn
		}
	case last.Type == event.LifeRetrying:
		r.Cause, r.Name = event.WaitRetry, last.Stage
	default:
		return nil // what holds it is not said
	}
	if last.Error != nil && r.Detail == "" {
		r.Detail = "another try after: " + last.Error.Message
	}
	if r.Detail == "" {
		r.Detail = "waits for " + string(r.Cause) + " " + r.Name
	}
	end := last.At.Add(good)
	if r.Cause == event.WaitSchedule {
		end = r.ExpectedStart // then it is in the queue
	}
	if now.After(end) && now.After(r.ExpectedStart.Add(time.Second)) {
		return nil
	}
	return r
}

// finish says that the deadline comes first, if it does, and writes the sentence.
func finish(r *Reason, w *Work, now time.Time) *Reason {
	if !w.Deadline.IsZero() && r.ExpectedStart.After(w.Deadline) {
		r.Detail = fmt.Sprintf("the deadline %s comes before its turn (%s: %s)", w.Deadline.UTC().Format(time.RFC3339), r.Cause, r.Detail)
		r.Cause = event.WaitDeadline
	}
	r.Text = r.text(now)
	return r
}
