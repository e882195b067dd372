package platform

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/lifecycle"
)

// Keeper makes the streams in memory again when NATS is back, for they go with its
// process.
type Keeper struct {
	p      Platform
	limits bus.Limits
	ready  chan struct{}
}

// NewKeeper returns a keeper of streams that EnsureStreams made. It does no I/O.
func NewKeeper(p Platform, limits bus.Limits) *Keeper {
	return &Keeper{p: p, limits: limits, ready: make(chan struct{})}
}

// Ready is closed when it works.
func (k *Keeper) Ready() <-chan struct{} { return k.ready }

// Run keeps the streams until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	b, err := bus.New(k.p.NATS)
	if err != nil {
		return err
	}
	back := k.p.NATS.StatusChanged(nats.CONNECTED)
	defer k.p.NATS.RemoveStatusListener(back)
	close(k.ready)
	for {
		select {
		case <-back:
		case <-ctx.Done():
			return nil
		}
		err := lifecycle.Retry(ctx, k.p.Logger, "NATS JetStream", func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			return b.EnsureMemory(ctx, k.limits)
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}
