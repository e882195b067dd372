package bus_test

import (
	"context"
	"testing"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
)

// TestStoppedPullerHoldsNothing: what is on its way when a puller stops goes
// back to the queue at once, and not after AckWait. Each round stops in the
// middle of a delivery.
func TestStoppedPullerHoldsNothing(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	const slots, rounds = 200, 15
	publish(t, b, slots)
	if err := b.EnsureConsumer(t.Context(), consumer); err != nil {
		t.Fatal(err)
	}
	for range rounds {
		p := bus.NewPuller(b.Conn(), consumer.Stream, consumer.Durable, slots)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		first := receive(t, p)
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		first.Retry(0) //nolint:errcheck // the next round tells
		for m := range p.Messages() {
			m.Retry(0) //nolint:errcheck // the next round tells
		}
	}
	// All of them can be had now.
	p, stop := pull(t, b, consumer, slots)
	defer stop()
	for range slots {
		if err := receive(t, p).Ack(); err != nil {
			t.Fatal(err)
		}
	}
}
