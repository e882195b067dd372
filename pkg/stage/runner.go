package stage

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
)

// Runner runs one stage.
type Runner struct {
	cfg     Config
	bus     *bus.Bus
	handler Handler
	p       platform.Platform
	metrics *metrics
	beats   *heartbeat
	hints   *hints
	cancels *cancels
	ready   chan struct{}
}

// New returns a runner of h. It does no I/O.
func New(cfg Config, b *bus.Bus, h Handler, p platform.Platform) (*Runner, error) {
	cfg, p = cfg.WithDefaults(), p.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m := newMetrics(cfg, b, p.Registerer)
	return &Runner{
		cfg: cfg, bus: b, p: p, metrics: m, ready: make(chan struct{}),
		handler: traced(cfg.Name, p.Tracer, measured(m, recovered(h))),
		beats:   newHeartbeat(beatInterval(cfg.Sources)),
		hints:   newHints(),
		cancels: newCancels(),
	}, nil
}

// Ready is closed when the runner pulls.
func (r *Runner) Ready() <-chan struct{} { return r.ready }

// Run pulls and handles messages until ctx ends. It then stops pulling, hands
// back what no handler has, lets messages in work finish for DrainTimeout,
// cancels the rest and hands them back, too. It returns early only for what
// waiting does not lift: a connection closed for good, a consumer refused.
func (r *Runner) Run(ctx context.Context) error {
	pulling, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	sources := make([]*source, len(r.cfg.Sources))
	for i, cfg := range r.cfg.Sources {
		sources[i] = newSource(r, cfg, fail)
		if err := sources[i].open(pulling); err != nil {
			return fmt.Errorf("starting stage %s: %w", r.cfg.Name, err)
		}
	}
	// Work outlives ctx: stopping to fetch is not stopping to work.
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(pulling, func() {
		time.AfterFunc(r.cfg.DrainTimeout, func() { cancel(ErrStopped) })
	})()
	beating, stopBeating := context.WithCancel(work)
	defer stopBeating()
	go r.beats.run(beating)
	go r.cancels.run(beating, r.bus)

	var running sync.WaitGroup
	for _, src := range sources {
		running.Go(func() { src.run(pulling, work) })
	}
	close(r.ready)
	running.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("stage %s: %w", r.cfg.Name, context.Cause(pulling))
}

// process takes one delivery from receipt to its end.
func (r *Runner) process(work context.Context, msg *bus.Message) {
	if msg.Deliveries > 1 {
		r.metrics.redeliveries.Inc()
	}
	d := r.delivery(msg)
	outs, err := r.work(work, d)
	Admitted(work)
	r.settle(work, d, outs, err)
}

// work returns the outputs of a delivery; none, when its job is finished.
func (r *Runner) work(ctx context.Context, d *delivery) ([]bus.Out, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	if err := r.checkFinished(ctx, d); err != nil || d.finished {
		return nil, err
	}
	if d.claimed() {
		if err := r.bus.Resolve(ctx, d.msg); err != nil {
			return nil, err
		}
		// The payload is the truth about the job, whatever a header said.
		*d = *r.delivery(d.msg)
		if err := r.checkFinished(ctx, d); err != nil || d.finished {
			return nil, err
		}
	}
	if !d.head.Deadline.IsZero() && !r.cfg.OwnDeadline {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, d.head.Deadline)
		defer stop()
	}
	return r.unlessCanceled(ctx, d, func(ctx context.Context) ([]bus.Out, error) { return r.admit(ctx, d) })
}

// admit refuses what must not be handled, and handles the rest.
func (r *Runner) admit(ctx context.Context, d *delivery) ([]bus.Out, error) {
	switch {
	case d.msg.Deliveries > r.cfg.PoisonAfter:
		return nil, &event.Error{Class: event.ClassPoison,
			Message: fmt.Sprintf("delivered %d times without an end; its worker crashed, froze or was stopped each time", d.msg.Deliveries-1),
			Hint:    "look at the stage's logs, then redrive the dead letter"}
	case r.deadlinePassed(d):
		return nil, &event.Error{Class: event.ClassDeadline, Field: "deadline",
			Message: fmt.Sprintf("%s passed while the job waited", d.head.Deadline.Format(time.RFC3339Nano)),
			Hint:    "set a later deadline, or add workers"}
	case r.early(d):
		return r.schedule(ctx, d)
	}
	return r.handler.Handle(ctx, d.msg)
}

// checkFinished looks whether the job has its result already: a redelivery or a
// second submission of the same id costs nothing more.
func (r *Runner) checkFinished(ctx context.Context, d *delivery) (err error) {
	if d.head.ID == "" || d.msg.Deliveries == 1 && d.msg.Stream != bus.StreamJobs {
		return nil
	}
	d.finished, err = r.bus.Finished(ctx, d.tenant, d.head.ID)
	return ours(err)
}

// oursAgain is the least wait after trouble of the queue itself. A server that stops
// or starts refuses for a moment, in no time: without a wait that would use up all
// deliveries of a job that has nothing to do with it.
const oursAgain = 500 * time.Millisecond

// ours marks an error of the queue itself.
func ours(err error) error {
	if err == nil {
		return nil
	}
	e := *event.AsError(err)
	e.RetryAfter, e.Err = max(e.RetryAfter, oursAgain), err
	return &e
}
