package stage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
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
	}, nil
}

// Ready is closed when the runner pulls.
func (r *Runner) Ready() <-chan struct{} { return r.ready }

// Run pulls and handles messages until ctx ends. It then stops pulling, lets
// messages in work finish for DrainTimeout, cancels the rest and hands them
// back. It returns early only when the connection is closed for good.
func (r *Runner) Run(ctx context.Context) error {
	for _, src := range r.cfg.Sources {
		err := lifecycle.Retry(ctx, r.p.Logger, "consumer "+src.Consumer.Durable, func(ctx context.Context) error {
			return r.bus.EnsureConsumer(ctx, src.Consumer)
		})
		if err != nil {
			return fmt.Errorf("starting stage %s: %w", r.cfg.Name, err)
		}
	}
	// Work outlives ctx: stopping to fetch is not stopping to work.
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(r.cfg.DrainTimeout, func() { cancel(ErrStopped) })
	})()
	beating, stopBeating := context.WithCancel(work)
	defer stopBeating()
	go r.beats.run(beating)

	errs := make([]error, len(r.cfg.Sources))
	var sources sync.WaitGroup
	for i, src := range r.cfg.Sources {
		sources.Go(func() { errs[i] = r.runSource(ctx, work, src) })
	}
	close(r.ready)
	sources.Wait()
	return errors.Join(errs...)
}

// runSource pulls from one consumer. Each slot is a goroutine: slots bound the
// messages in work, and their stacks, once grown, are used again.
func (r *Runner) runSource(ctx, work context.Context, src Source) error {
	puller := bus.NewPuller(r.bus.Conn(), src.Consumer.Stream, src.Consumer.Durable, src.Slots)
	done := make(chan error, 1)
	go func() { done <- puller.Run(ctx) }()
	var slots sync.WaitGroup
	for range src.Slots {
		slots.Go(func() {
			for msg := range puller.Messages() {
				r.take(ctx, work, msg)
				puller.Done()
			}
		})
	}
	slots.Wait()
	return <-done
}

// take works on a message, or hands it back when the runner is stopping: any
// other worker may have it at once.
func (r *Runner) take(ctx, work context.Context, msg *bus.Message) {
	if ctx.Err() != nil {
		msg.Retry(0) //nolint:errcheck // redelivered after AckWait otherwise
		return
	}
	r.beats.add(msg)
	defer r.beats.remove(msg)
	r.process(work, msg)
}

// process takes one delivery from receipt to its end.
func (r *Runner) process(work context.Context, msg *bus.Message) {
	if msg.Deliveries > 1 {
		r.metrics.redeliveries.Inc()
	}
	d := r.delivery(msg)
	outs, err := r.work(work, d)
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
	if !d.head.Deadline.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, d.head.Deadline)
		defer stop()
	}
	return r.admit(ctx, d)
}

// admit refuses what must not be handled, and handles the rest.
func (r *Runner) admit(ctx context.Context, d *delivery) ([]bus.Out, error) {
	switch {
	case d.msg.Deliveries > r.cfg.MaxDeliveries:
		return nil, &event.Error{Class: event.ClassPoison,
			Message: fmt.Sprintf("delivered %d times without an end; its worker crashed, froze or was stopped each time", d.msg.Deliveries-1),
			Hint:    "look at the stage's logs, then redrive the dead letter"}
	case !d.head.Deadline.IsZero() && !r.p.Now().Before(d.head.Deadline):
		return nil, &event.Error{Class: event.ClassDeadline, Field: "deadline",
			Message: fmt.Sprintf("%s passed while the job waited", d.head.Deadline.Format(time.RFC3339Nano)),
			Hint:    "set a later deadline, or add workers"}
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
	return err
}
