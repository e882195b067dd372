// Package stage runs the steps of the pipeline. A step is a function from one
// message to messages; the runner does everything else: it fetches one message
// per free slot, keeps it alive from receipt on, publishes the outputs with
// their dedupe ids, waits until they are stored, and only then acks. When the
// step fails, the class of the error decides what becomes of the message:
//
//	retryable        back to the queue after a jittered, growing delay,
//	                 until MaxDeliveries; then as any other failure
//	any other class  a failed result with the cause on the job's subject, and a
//	                 dead letter as well if a redrive could help
//	                 (event.Class.DeadLetter) or if no job id is known
//
// A process may die at any point: the message is delivered again, and outputs
// that were stored are recognised by their ids.
package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// Handler is one step of the pipeline. It returns the messages to publish and
// must give equal outputs equal ids when a message comes again. Its context
// ends at the job's deadline, the runner's Timeout, or a forced stop.
type Handler interface {
	Handle(ctx context.Context, in *bus.Message) ([]bus.Out, error)
}

// HandlerFunc makes a function a Handler.
type HandlerFunc func(ctx context.Context, in *bus.Message) ([]bus.Out, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	return f(ctx, in)
}

// Source is a consumer to pull from, tenant by tenant, with its own slots, so
// that one source's backlog never takes another's workers.
type Source struct {
	Consumer bus.Consumer
	// Slots is how many of its messages this process works on at once.
	Slots int
	// Waiting bounds those of them that are not yet Admitted; 0 is no bound. With
	// 32 slots and 8 waiting, 8 handlers at most wait for a budget, and what they
	// don't hold stays in the queue for other workers.
	Waiting int
	// Window is how many of a tenant's messages this process may have in work while
	// some are parked, see Park: at that many, no more of them are taken. It is for
	// handlers that park; 0 is no bound.
	Window int
}

// Config says how a stage runs.
type Config struct {
	// Name is the stage's name in metrics, logs, life events and dead letters.
	Name string
	// Instance tells runners of one stage in one process apart in metrics: a model,
	// say.
	Instance string
	// Sources are pulled from side by side.
	Sources []Source
	// Share is a tenant's weight: while several wait, a tenant of share 3 gets
	// three times the tokens of one of share 1. What is not above 0 counts as 1,
	// as does every tenant when Share is nil. It is asked often, so it may change.
	Share func(tenant string) float64
	// Paused reports tenants whose messages are to stay in the stream for now; nil
	// pauses nobody.
	Paused func(tenant string) bool
	// OwnDeadline leaves a job's deadline to the handler: a message is neither refused
	// nor broken off when it has passed.
	OwnDeadline bool
	// Timeout bounds one handling of one message.
	Timeout time.Duration
	// MaxDeliveries is how often a message may be delivered, crashes included,
	// before it is given up.
	MaxDeliveries int
	// PoisonAfter is how often a message may be delivered before it is given up because
	// it had no end; 0 is MaxDeliveries. A stage whose messages wait in its workers'
	// hands needs more: each stop of a worker hands them back.
	PoisonAfter int
	// BackoffBase is the mean delay before the first retry; it doubles with
	// each delivery up to BackoffCap.
	BackoffBase, BackoffCap time.Duration
	// DrainTimeout is how long messages in work may finish after a stop.
	DrainTimeout time.Duration
}

// WithDefaults fills unset fields: 5 min timeout, 8 deliveries, retries from
// 0.5 s to 30 s, 20 s to drain.
func (c Config) WithDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Minute
	}
	if c.MaxDeliveries == 0 {
		c.MaxDeliveries = 8
	}
	if c.PoisonAfter == 0 {
		c.PoisonAfter = c.MaxDeliveries
	}
	if c.BackoffBase == 0 {
		c.BackoffBase = 500 * time.Millisecond
	}
	if c.BackoffCap == 0 {
		c.BackoffCap = 30 * time.Second
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 20 * time.Second
	}
	return c
}

// Validate names the field that can't be run with.
func (c Config) Validate() error {
	if c.Name == "" {
		return errors.New("stage: Name: missing")
	}
	if len(c.Sources) == 0 {
		return fmt.Errorf("stage %s: Sources: none, want at least one consumer", c.Name)
	}
	for _, s := range c.Sources {
		if s.Slots < 1 {
			return fmt.Errorf("stage %s: Slots of %s: got %d, want at least 1", c.Name, s.Consumer.Durable, s.Slots)
		}
		if s.Window < 0 {
			return fmt.Errorf("stage %s: Window of %s: got %d, want 0 or more", c.Name, s.Consumer.Durable, s.Window)
		}
		if s.Waiting < 0 {
			return fmt.Errorf("stage %s: Waiting of %s: got %d, want 0 for no bound, or more", c.Name, s.Consumer.Durable, s.Waiting)
		}
	}
	if c.MaxDeliveries < 1 {
		return fmt.Errorf("stage %s: MaxDeliveries: got %d, want at least 1", c.Name, c.MaxDeliveries)
	}
	return nil
}

// NoTimeout is a Config.Timeout for handlers that wait for as long as the job may:
// longer than any does. The job's deadline, and the handler's own, end it sooner.
const NoTimeout = 30 * 24 * time.Hour

// ErrTaken is what a handler returns when a later delivery of its message is in
// work elsewhere: nothing is done about the message, which belongs to that.
var ErrTaken = errors.New("a later delivery has the message")

// WithReceipt makes the failed result that may become of err show receipt instead
// of the message's own.
func WithReceipt(err error, receipt event.Receipt) error { return &receiptError{err, receipt} }

type receiptError struct {
	error
	receipt event.Receipt
}

// Unwrap returns the error itself.
func (e *receiptError) Unwrap() error { return e.error }

// ErrStopped is the cause of a handler's cancelled context when the process
// stops and the drain time is over.
var ErrStopped = errors.New("stage stopped")
