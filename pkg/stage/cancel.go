package stage

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// ErrCanceled is the cause of a handler's cancelled context when somebody asked for
// the job to stop. Its result is stored already, and what the handler returns with an
// error is dropped.
var ErrCanceled error = &event.Error{Class: event.ClassCanceled, Message: "somebody asked for the job to stop"}

// cancels knows which jobs are to stop: it follows the bucket of marks. A mark says
// where to look; that a job is over is said by its result alone.
type cancels struct {
	seed maphash.Seed

	mu     sync.Mutex
	inHand map[uint64]map[*canceling]struct{}
	// Marks are kept as hashes, in two generations, so that memory is bounded: one
	// that is forgotten costs work on a job that is over.
	recent, older map[uint64]struct{}
}

// maxMarks bounds a generation of marks.
const maxMarks = 1 << 16

// canceling stops one handler.
type canceling struct{ stop context.CancelCauseFunc }

func newCancels() *cancels {
	return &cancels{seed: maphash.MakeSeed(), inHand: map[uint64]map[*canceling]struct{}{}, recent: map[uint64]struct{}{}, older: map[uint64]struct{}{}}
}

// run follows the marks until ctx ends.
func (c *cancels) run(ctx context.Context, b *bus.Bus) {
	b.Watch(ctx, bus.BucketCancels, jetstream.AllKeys, func(entry jetstream.KeyValueEntry) { c.mark(entry.Key()) }, nil)
}

// mark stops the handlers of a job, and has its messages looked at when they come.
func (c *cancels) mark(key string) {
	hash := maphash.String(c.seed, key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.recent) >= maxMarks {
		c.recent, c.older = map[uint64]struct{}{}, c.recent
	}
	c.recent[hash] = struct{}{}
	for handler := range c.inHand[hash] {
		handler.stop(ErrCanceled)
	}
}

// hold returns a context that ends when the job is to stop, now or until release is
// called.
func (c *cancels) hold(ctx context.Context, tenant, job string) (held context.Context, release func()) {
	held, stop := context.WithCancelCause(ctx)
	hash, own := maphash.String(c.seed, event.JobKey(tenant, job)), &canceling{stop}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inHand[hash] == nil {
		c.inHand[hash] = map[*canceling]struct{}{}
	}
	c.inHand[hash][own] = struct{}{}
	_, recent := c.recent[hash]
	_, older := c.older[hash]
	if recent || older {
		stop(ErrCanceled)
	}
	return held, func() {
		stop(nil)
		c.mu.Lock()
		defer c.mu.Unlock()
		if delete(c.inHand[hash], own); len(c.inHand[hash]) == 0 {
			delete(c.inHand, hash)
		}
	}
}

// unlessCanceled handles a delivery whose job may be asked to stop meanwhile, or was
// before it came. Without the result of such a job the mark was wrong, or another
// job's of the same hash: then handle decides, and is called again if it was stopped.
func (r *Runner) unlessCanceled(ctx context.Context, d *delivery, handle func(context.Context) ([]bus.Out, error)) ([]bus.Out, error) {
	if d.head.ID == "" {
		return handle(ctx)
	}
	held, release := r.cancels.hold(ctx, d.tenant, d.head.ID)
	defer release()
	if !canceled(held) {
		outs, err := handle(held)
		if err == nil || !canceled(held) {
			return outs, err // what was done counts, and its result comes second
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	finished, err := r.bus.Finished(ctx, d.tenant, d.head.ID)
	if err != nil {
		return nil, ours(err)
	}
	if d.finished = finished; finished {
		r.metrics.canceled.Inc()
		return nil, nil
	}
	return handle(ctx)
}

func canceled(ctx context.Context) bool { return errors.Is(context.Cause(ctx), ErrCanceled) }
