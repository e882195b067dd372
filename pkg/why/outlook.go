package why

import (
	"context"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/stage"
)

// Work is a job, submitted or not, as the state of things bears on it.
type Work struct {
	Tenant string
	Kind   event.Kind
	Lane   event.Lane
	// Models are those that may take it, the first one first.
	Models []string
	// Begun says that a stage has begun with it: it is in a queue between stages.
	Begun bool
	// At is when it was submitted; zero is now, behind all others.
	At time.Time
	// NotBefore and Deadline are the job's.
	NotBefore, Deadline time.Time
	// CostNanoUSD is what it may cost at most, for the tenant's budget.
	CostNanoUSD int64

	turn bool // it is told to wait for its turn at a model
}

// Outlook is when work is expected to start, and what holds it until then.
type Outlook struct {
	// Reason is nil when nothing holds it.
	Reason *Reason
	// Earliest leaves out the queue; Expected is zero when nothing tells.
	Earliest, Expected time.Time
	// Model is the one that it is expected to be asked first.
	Model string
	// Ahead is about how many tasks are served before it.
	Ahead uint64
}

// hold is one thing that holds work. A zero until is not known.
type hold struct {
	Reason
	until time.Time
}

// Outlook says when work would start by the state of things, and what holds it.
func (f *Forecaster) Outlook(ctx context.Context, w Work) (Outlook, error) {
	now := f.cfg.Now()
	out := Outlook{Earliest: now, Expected: now}
	var first *hold
	consider := func(h *hold) {
		if h == nil {
			return
		}
		if first == nil || h.until.After(first.until) {
			first = h
		}
		out.Earliest, out.Expected = later(out.Earliest, h.until), later(out.Expected, h.until)
	}
	if w.NotBefore.After(now) {
		consider(&hold{until: w.NotBefore, Reason: Reason{Cause: event.WaitSchedule, Name: "not_before",
			Detail: "it waits for its time, " + w.NotBefore.UTC().Format(time.RFC3339)}})
	}
	broke, err := f.budget(ctx, &w, now)
	if err != nil {
		return out, err
	}
	consider(broke)
	queue, err := f.queue(ctx, &w, now)
	if err != nil {
		return out, err
	}
	out.Model, out.Ahead = queue.model.ID, queue.own+queue.others
	if paced := f.paced(&queue, now); paced != nil {
		queue.limits.held = paced
		consider(paced)
	}
	consider(queue.held)
	out.Expected = out.Expected.Add(f.takes(&queue))
	turn := f.turn(&w, &queue)
	switch {
	case queue.idle != nil && (first == nil || first.Cause != event.WaitSchedule):
		first, out.Expected = queue.idle, time.Time{} // until somebody comes, nothing else counts
	case turn != nil && (first == nil || first.Cause == event.WaitLimit):
		first = turn
	}
	if first == nil {
		return out, nil
	}
	r := first.Reason
	r.Since, r.ExpectedStart, r.Position = w.At, out.Expected, queue.position
	if first == turn && out.Expected.Equal(now) {
		r.ExpectedStart = time.Time{} // how fast the queue moves is not known
	}
	out.Reason = finish(&r, &w, now)
	return out, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// budget holds work of a tenant that has spent what it may.
func (f *Forecaster) budget(ctx context.Context, w *Work, now time.Time) (*hold, error) {
	b := f.cfg.Catalog().Tenant(w.Tenant).Budget
	if b == nil || b.Soft || b.NanoUSD() <= 0 || free(w.Kind) {
		return nil, nil //nolint:nilnil // nothing does
	}
	start, end := b.Window(now)
	spent, err := f.cfg.Spent(ctx, w.Tenant, start, end)
	if err != nil {
		return nil, err
	}
	if left := b.NanoUSD() - spent; left >= max(w.CostNanoUSD, 1) {
		return nil, nil //nolint:nilnil // nothing does
	}
	h := &hold{until: end, Reason: Reason{Cause: event.WaitBudget, Name: w.Tenant,
		Detail: fmt.Sprintf("tenant %s has spent $%.6f of its budget of $%s until %s", w.Tenant, float64(spent)/1e9, b.USD, end.UTC().Format(time.RFC3339))}}
	if b.Policy == catalog.PolicyFail {
		h.until, h.Detail = now, h.Detail+"; its calls fail"
	}
	return h, nil
}

// free says that jobs of a kind call no model that is paid for.
func free(k event.Kind) bool {
	return k == event.KindDelete || k == event.KindVerify || k == event.KindReindex || k == event.KindBatch
}

// queued is how work stands before a model that may take it.
type queued struct {
	line

	model  catalog.Model
	limits limits
	held   *hold // by the model's limits or breaker
	idle   *hold // by nobody taking it
}

// queue looks at the stage that work is before, and at the model that would take it
// first.
func (f *Forecaster) queue(ctx context.Context, w *Work, now time.Time) (queued, error) {
	var best queued
	c := f.cfg.Catalog()
	for i, model := range f.models(w) {
		q, err := f.before(ctx, c, w, model, now)
		if err != nil {
			return best, err
		}
		if i == 0 || q.sooner(&best) {
			best = q
		}
		if q.held == nil && q.idle == nil {
			break // the first one that can be had is asked
		}
	}
	return best, f.intake(ctx, w, &best)
}

// models are those that work may be held by.
func (f *Forecaster) models(w *Work) []string {
	if len(w.Models) == 0 && (w.Kind == event.KindIngest || w.Kind == event.KindEmbed) {
		return []string{f.cfg.EmbeddingModel}
	}
	return w.Models
}

// sooner reports whether the model of q would take the work before that of other.
func (q *queued) sooner(other *queued) bool {
	if (q.idle == nil) != (other.idle == nil) {
		return q.idle == nil
	}
	return q.held == nil || other.held != nil && q.held.until.Before(other.held.until)
}

// before looks at the queue of one model.
func (f *Forecaster) before(ctx context.Context, c *catalog.Catalog, w *Work, name string, now time.Time) (queued, error) {
	var q queued
	var ok bool
	if q.model, ok = c.Model(name); !ok {
		return q, nil
	}
	p, _ := c.Provider(q.model.Provider)
	var err error
	if q.limits, err = f.limits(ctx, p, q.model, w.Lane, now); err != nil {
		return q, err
	}
	q.held = q.limits.held
	if broken := f.breaker(q.model, now); broken != nil && (q.held == nil || broken.until.After(q.held.until)) {
		q.held = broken
	}
	if w.Kind == event.KindEmbed { // its intake is all the queue there is
		return q, nil
	}
	consumer := bus.GenerateConsumer(q.model.ID, w.Lane, 1)
	if q.model.Mode == catalog.ModeEmbedding {
		consumer = bus.EmbedConsumer(q.model.ID, w.Lane, 1)
	}
	if !stage.Listening(ctx, f.cfg.Bus.Conn(), consumer) {
		q.idle = idle(consumer, w.Lane)
	}
	limited := q.limits.held != nil
	q.line, err = f.line(ctx, consumer, w, look{in: w.Begun, own: limited, others: limited})
	return q, err
}

// intake adds the queue in which jobs wait for their first stage, and their turn.
func (f *Forecaster) intake(ctx context.Context, w *Work, q *queued) error {
	name := map[event.Kind]string{
		event.KindGenerate: "router", event.KindIngest: "ingestor", event.KindDelete: "ingestor-delete",
		event.KindVerify: "embedder-verify", event.KindReindex: "embedder-reindex", event.KindEmbed: "embedder-texts",
	}[w.Kind]
	if name == "" || w.Begun {
		return nil
	}
	c := bus.JobConsumer(name, w.Kind, w.Lane, 1)
	if !stage.Listening(ctx, f.cfg.Bus.Conn(), c) {
		q.idle = idle(c, w.Lane)
	}
	// Jobs that the router has wait for their turn at some model: the tenant's at this
	// one, if it has others there.
	l, err := f.line(ctx, c, w, look{in: !w.At.IsZero(), own: w.turn || q.own > 0})
	if err == nil {
		q.add(l)
	}
	return err
}

// idle says that nobody takes the messages of a consumer.
func idle(c bus.Consumer, lane event.Lane) *hold {
	name := c.Durable[:len(c.Durable)-len(lane)-1]
	return &hold{Reason: Reason{Cause: event.WaitWorkers, Name: name, Detail: "no worker of " + name + " runs"}}
}

// breaker holds work for a provider that is down or parked.
func (f *Forecaster) breaker(m catalog.Model, now time.Time) *hold {
	s := f.cfg.Status(m)
	if s.State == "" || s.State == guard.Closed || s.State == guard.Parked && !now.Before(s.Until) {
		return nil
	}
	return &hold{until: later(s.Until, now), Reason: Reason{Cause: event.WaitBreaker, Name: s.Target.String(),
		Detail: fmt.Sprintf("%s is %s: %s", s.Target, s.State, s.Reason)}}
}
