package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/event"
)

// Worker handles the messages of one durable, of all tenants in the order of arrival.
// It is for what is no stage: its handler says itself what becomes of a message.
type Worker struct {
	Consumer Consumer
	// Slots is how many messages are in work at once.
	Slots int
	// Drain is how long those may finish after a stop.
	Drain time.Duration
	// Handle acks the message or hands it back, within AckWait; what it leaves comes
	// again after that.
	Handle func(ctx context.Context, msg *Message)
}

// Run works until ctx ends, over all outages of the server, and calls ready when the
// durable is there. It then stops pulling, hands back what no handler has, and waits
// for the handlers. It returns early only for what waiting does not lift.
func (w Worker) Run(ctx context.Context, b *Bus, ready func()) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(w.Drain, cancel) })()
	ready = sync.OnceFunc(ready)
	for ctx.Err() == nil {
		err := b.EnsureConsumer(ctx, w.Consumer)
		if err == nil {
			ready()
			err = w.pull(ctx, work, b)
		}
		if ctx.Err() == nil && (errors.Is(err, nats.ErrConnectionClosed) || !event.AsError(err).Class.Retryable()) {
			return fmt.Errorf("working on %s: %w", w.Consumer.Durable, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pullPause):
		}
	}
	return nil
}

// pull works until ctx ends or the durable is gone.
func (w Worker) pull(ctx, work context.Context, b *Bus) error {
	puller := NewPuller(b.nc, w.Consumer.Stream, w.Consumer.Durable, w.Slots)
	pulled := make(chan error, 1)
	go func() { pulled <- puller.Run(ctx) }()
	var handlers sync.WaitGroup
	for msg := range puller.Messages() {
		if ctx.Err() != nil {
			msg.Retry(0) //nolint:errcheck // comes again after AckWait otherwise
			continue
		}
		handlers.Go(func() {
			defer puller.Done()
			w.Handle(work, msg)
		})
	}
	handlers.Wait()
	return <-pulled
}
