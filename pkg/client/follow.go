package client

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/event"
)

// Follower is told what happens to a job while it runs. Its functions are
// called from one goroutine; a nil one is not called.
type Follower struct {
	// Life is called with each event in the life of the job.
	Life func(event.Life)
	// Delta is called with each piece of the answer as it arrives; joined, the
	// pieces are the answer. Restart is called when an attempt broke off: the
	// pieces so far are void and the answer starts over.
	Delta   func(text string)
	Restart func()
}

// Follow reports the life and the answer of a job from their beginning, and
// returns the result when there is one.
func (c *Client) Follow(ctx context.Context, tenant, job string, f Follower) (event.Result, error) {
	var result event.Result
	err := c.Stream(ctx, tenant, job, StreamOptions{Life: f.Life != nil}, func(e StreamEvent) error {
		switch e.Type {
		case StreamLife:
			f.Life(*e.Life)
		case StreamDelta:
			if f.Delta != nil {
				f.Delta(e.Text)
			}
		case StreamRestart:
			if f.Restart != nil {
				f.Restart()
			}
		case StreamDone, StreamError:
			result = *e.Result
		}
		return nil
	})
	return result, err
}

// Lives calls fn with the events in the lives of all of a tenant's jobs, from now
// on until the returned function is called.
func (c *Client) Lives(tenant string, fn func(event.Life)) (stop func(), err error) {
	if err := event.CheckName("tenant", tenant); err != nil {
		return nil, err
	}
	sub, err := c.bus.Conn().Subscribe(event.LifeSubject(tenant, "*"), func(msg *nats.Msg) {
		if life, err := event.Decode[event.Life](msg.Data); err == nil {
			fn(life)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("subscribing to events: %w", err)
	}
	return func() { sub.Unsubscribe() }, nil //nolint:errcheck // the connection may be gone
}
