package why

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// line is what is before work in a queue.
type line struct {
	own      uint64 // jobs of its tenant
	others   uint64 // jobs that other tenants are served meanwhile
	other    string // the tenant that has most of them
	most     uint64 // of it
	position int
}

// add puts another queue before this one.
func (l *line) add(o line) {
	l.own, l.others = l.own+o.own, l.others+o.others
	if o.most > l.most {
		l.other, l.most = o.other, o.most
	}
	if o.position > 0 {
		l.position = int(l.own) + 1 //nolint:gosec // a count
	}
}

// look says how to look at a queue.
type look struct {
	in bool // the work itself is in it
	// own and others say that messages of the tenant, and of others, wait in the hands
	// of workers, too.
	own, others bool
}

// line counts what is served before work in the queue of a consumer: what its tenant
// has there before it, and as much of others as their shares give them meanwhile.
func (f *Forecaster) line(ctx context.Context, c bus.Consumer, w *Work, look look) (line, error) {
	var l line
	stream, err := f.cfg.Bus.JetStream().Stream(ctx, c.Stream)
	if err != nil {
		return l, event.Errorf(event.ClassUnavailable, "opening %s: %w", c.Stream, err)
	}
	tenants, err := c.Tenants(ctx, stream)
	if err != nil {
		return l, err
	}
	if l.own, err = f.waiting(ctx, c, w.Tenant, tenants[w.Tenant], look.own); err != nil {
		return l, err
	}
	if look.in && l.own == 0 {
		return l, nil // it is in work
	}
	if look.in {
		if l.position, err = f.position(ctx, stream, c.Tenant(w.Tenant).Filter, w.At, l.own); err != nil {
			return l, err
		}
		l.own = uint64(l.position - 1) //nolint:gosec // from 1
	}
	return l, f.share(ctx, c, w, tenants, &l, look)
}

// share adds to a line what others are served before the work.
func (f *Forecaster) share(ctx context.Context, c bus.Consumer, w *Work, tenants map[string]uint64, l *line, look look) error {
	agreed := f.cfg.Catalog()
	mine := agreed.Tenant(w.Tenant).Share
	for tenant, stored := range tenants {
		if tenant == w.Tenant || stored == 0 {
			continue
		}
		n := min(stored, uint64(math.Ceil(float64(l.own+1)*agreed.Tenant(tenant).Share/mine)))
		l.others += n
		if n > l.most || n == l.most && stored > tenants[l.other] {
			l.most, l.other = n, tenant
		}
	}
	if l.other == "" || look.others {
		return nil
	}
	waits, err := f.waiting(ctx, c, l.other, tenants[l.other], false)
	if err == nil && waits == 0 { // what is in work does not wait; nor do those that have less
		l.others, l.most, l.other = 0, 0, ""
	}
	return err
}

// waiting is how many of a tenant's stored messages wait, those held by workers or not.
func (f *Forecaster) waiting(ctx context.Context, c bus.Consumer, tenant string, stored uint64, held bool) (uint64, error) {
	if stored == 0 || held {
		return stored, nil
	}
	consumer, err := f.cfg.Bus.JetStream().Consumer(ctx, c.Stream, c.Tenant(tenant).Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return stored, nil // no worker has come to it yet
	}
	if err != nil {
		return 0, event.Errorf(event.ClassUnavailable, "looking for the work of tenant %s: %w", tenant, err)
	}
	return min(stored, consumer.CachedInfo().NumPending), nil
}

// position is about the place of the message that was stored at a time among n of a
// subject: as if they had come evenly.
func (f *Forecaster) position(ctx context.Context, stream jetstream.Stream, subject string, at time.Time, n uint64) (int, error) {
	last, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 1, nil // just served
	}
	if err != nil {
		return 0, event.Errorf(event.ClassUnavailable, "reading the end of a queue: %w", err)
	}
	if at.IsZero() || !at.Before(last.Time) || n < 2 {
		return int(n), nil //nolint:gosec // a count
	}
	first, err := stream.GetMsg(ctx, 0, jetstream.WithGetMsgSubject(subject))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 1, nil
	}
	if err != nil {
		return 0, event.Errorf(event.ClassUnavailable, "reading the start of a queue: %w", err)
	}
	span := last.Time.Sub(first.Time)
	if span <= 0 || !at.After(first.Time) {
		return 1, nil
	}
	return 1 + int(math.Round(float64(n-1)*float64(at.Sub(first.Time))/float64(span))), nil
}

// takes is how long the tasks before work take: what the model's limits let through, or
// else what was done lately. One task never takes longer than its call, by that.
func (f *Forecaster) takes(q *queued) time.Duration {
	each := q.limits.perTask
	if p := f.cfg.Pace(q.model.ID); each == 0 && p.PerSecond > 0 {
		each = min(time.Duration(float64(time.Second)/p.PerSecond), max(p.Took, time.Millisecond))
	}
	return time.Duration(float64(q.own+q.others) * float64(each))
}

// nearLimit is the part of what a limit lets through from which on it is the limit
// that makes a queue wait.
const nearLimit = 0.7

// paced is the limit that work in the queue waits for although it lets a call through
// just now, nil when there is none: tasks end about as fast as it lets them begin.
func (f *Forecaster) paced(q *queued, now time.Time) *hold {
	wait := f.takes(q)
	if q.limits.held != nil || q.limits.pacing == nil || wait < noticeable {
		return nil
	}
	if p := f.cfg.Pace(q.model.ID); p.PerSecond > 0 && p.PerSecond*q.limits.perTask.Seconds() < nearLimit {
		return nil
	}
	h := *q.limits.pacing
	h.until = now.Add(q.limits.perTask)
	return &h
}

// turn is what holds work behind others in its queue. While a limit holds the queue's
// head, it is that which holds work that nothing else is much before.
func (f *Forecaster) turn(w *Work, q *queued) *hold {
	switch {
	case q.others > q.own && (q.limits.held == nil || q.others > 1):
		name := "others"
		if f.cfg.Names {
			name = q.other
		}
		return &hold{Reason: Reason{Cause: event.WaitShare, Name: name,
			Detail: fmt.Sprintf("others' turn by their shares: about %d of their jobs and %d of the tenant's own are before it", q.others, q.own)}}
	case q.own > 0 && q.limits.held == nil:
		return &hold{Reason: Reason{Cause: event.WaitShare, Name: w.Tenant,
			Detail: fmt.Sprintf("the tenant's own backlog: about %d of its jobs are before it", q.own)}}
	}
	return nil
}
