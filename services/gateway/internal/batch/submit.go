package batch

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tenant"
	"github.com/weir-dev/weir/services/gateway/internal/intake"
)

// Bounds of what is published at once; the line that goes over the bytes is part of it.
const (
	bunchLines = 256
	bunchBytes = 4 << 20
)

// bunch is lines to be published at once.
type bunch struct {
	outs  []bus.Out
	bytes int
}

// add takes a line in and reports whether the bunch is full.
func (b *bunch) add(out bus.Out) (full bool) {
	b.outs = append(b.outs, out)
	b.bytes += len(out.Data)
	return len(b.outs) == bunchLines || b.bytes >= bunchBytes
}

// submit sends all lines that have no result, no more than the window at a time.
func (r *run) submit(ctx context.Context) error {
	var b bunch
	flush := func() error {
		err := r.publish(ctx, b.outs)
		clear(b.outs)
		b = bunch{outs: b.outs[:0]}
		return err
	}
	places := 0 // taken in the window and not used yet
	defer func() { r.free(places) }()
	for i := range r.in.lines {
		if r.state(i) != waiting {
			continue
		}
		if places == 0 {
			if len(r.window) == cap(r.window) { // full: what there is goes first
				if err := flush(); err != nil {
					return err
				}
			}
			var err error
			if places, err = r.places(ctx); err != nil {
				return err
			}
		}
		out, ok, err := r.prepare(i)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		places--
		if b.add(out) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// gather is how long a full window is waited for to have more than one place, so
// that lines go out in bunches at its rim, too.
const gather = 5 * time.Millisecond

// places takes one place in the window or, when it is full, as many as get free.
func (r *run) places(ctx context.Context) (int, error) {
	select {
	case r.window <- struct{}{}:
		return 1, nil
	default:
	}
	select {
	case r.window <- struct{}{}:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	timer := time.NewTimer(gather)
	defer timer.Stop()
	for n := 1; ; n++ {
		if n == bunchLines {
			return n, nil
		}
		select {
		case r.window <- struct{}{}:
		case <-timer.C:
			return n, nil
		}
	}
}

// free gives places in the window back.
func (r *run) free(n int) {
	for range n {
		<-r.window
	}
}

func (r *run) state(i int) state {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.states[i]
}

// prepare makes the job of a line; it reports false when there is none to be sent,
// because the line asks for what can't be done.
func (r *run) prepare(i int) (bus.Out, bool, error) {
	l, err := r.in.read(i)
	if err != nil {
		return bus.Out{}, false, err
	}
	id := r.jobID(i)
	kind, body, err := r.translate(l.Body)
	var checked intake.Checked
	if err == nil {
		checked, err = r.s.cfg.Intake.Check(tenant.Principal{Tenant: r.job.Tenant}, intake.Job{
			Kind: kind, Lane: event.LaneBatch, ID: id, Body: body, Batch: r.job.ID})
	}
	if err != nil {
		return bus.Out{}, false, r.settle(i, failing, refusedLine(id, l.CustomID, err), nil)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.states[i] != waiting {
		return bus.Out{}, false, nil // it was done meanwhile
	}
	r.states[i] = sent
	return bus.Out{Subject: checked.Address.Subject(), ID: event.JobKey(r.job.Tenant, id), Data: checked.Body, Header: nats.Header{bus.HeaderJob: {id}}}, true, nil
}

// The wait before a line is published again that a full queue refused.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// publish stores lines' jobs. When the queue is full, or away, it waits. Those that
// were stored at the first try are recognised at the second.
func (r *run) publish(ctx context.Context, outs []bus.Out) error {
	if len(outs) == 0 || r.s.cfg.Bus.Publish(ctx, outs...) == nil {
		return nil
	}
	for _, out := range outs {
		for pause := firstPause; ; pause = min(2*pause, lastPause) {
			err := r.s.cfg.Bus.Publish(ctx, out)
			if err == nil {
				break
			}
			if ctx.Err() != nil || !event.AsError(err).Class.Retryable() {
				return fmt.Errorf("submitting a line: %w", err)
			}
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return context.Cause(ctx)
			}
		}
	}
	return nil
}
