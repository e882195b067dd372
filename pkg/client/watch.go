package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/event"
)

// lookAgain is how often a watcher thinks of looking for a result it was not told
// of, and as much as half again, so that those who wait don't ask in step.
const lookAgain = 2 * time.Second

// maxTicks is how many of these times pass, at the most, between two looks: ten
// thousand that wait must not keep the server busy.
const maxTicks = 16

// watcher says when to look for the result of a job: when it is told of it, when the
// connection was lost and is back, for notices are lost with it, and now and then,
// first soon and then ever more rarely, for notices that were lost without a sign.
type watcher struct {
	nc      *nats.Conn
	notices chan *nats.Msg
	sub     *nats.Subscription
	tick    *time.Ticker

	reconnects  uint64
	ticks, next int
	// failed says that the last look got no answer: the next tick is another one.
	failed bool
}

// watch subscribes to the notice of a job's result. It is to be stopped.
func (c *Client) watch(tenant, job string) (*watcher, error) {
	nc := c.bus.Conn()
	w := &watcher{nc: nc, notices: make(chan *nats.Msg, 1), reconnects: nc.Stats().Reconnects, next: 1}
	sub, err := nc.ChanSubscribe(event.ResultSubject(tenant, job), w.notices)
	if err != nil {
		return nil, event.Errorf(event.ClassUnavailable, "subscribing to the result: %w", err)
	}
	w.sub, w.tick = sub, time.NewTicker(lookAgain+rand.N(lookAgain/2)) //nolint:gosec // spreads load
	return w, nil
}

func (w *watcher) stop() {
	w.tick.Stop()
	w.sub.Unsubscribe() //nolint:errcheck // the connection may be gone
}

// due reports at a tick whether to look.
func (w *watcher) due() bool {
	w.ticks++
	reconnects := w.nc.Stats().Reconnects
	if w.ticks < w.next && reconnects == w.reconnects && !w.failed {
		return false
	}
	w.reconnects, w.ticks, w.next = reconnects, 0, min(2*w.next, maxTicks)
	return true
}

// wait returns when it is time to look, or with the cause of ctx's end.
func (w *watcher) wait(ctx context.Context) error {
	for {
		select {
		case <-w.notices:
			return nil
		case <-w.tick.C:
			if w.due() {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("%w", context.Cause(ctx))
		}
	}
}
