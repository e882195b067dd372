package budget

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// clock tells the server's time: workers whose own clocks differ share one.
type clock struct {
	kv     jetstream.KeyValue
	worker string
	now    func() time.Time
	offset atomic.Int64 // server - own, nanoseconds
	known  chan struct{}
	once   sync.Once
}

func newClock(cfg Config) *clock {
	return &clock{kv: cfg.KV, worker: cfg.Worker, now: cfg.Now, known: make(chan struct{})}
}

// ready says that the offset is known.
func (c *clock) ready() { c.once.Do(func() { close(c.known) }) }

// wait waits until it is.
func (c *clock) wait(ctx context.Context) error {
	select {
	case <-c.known:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	// syncEvery is how often the offset is measured; clocks drift by less than
	// 1 ms in that time.
	syncEvery = 10 * time.Second
	// syncTries is how many measurements are made; the quickest one counts.
	syncTries = 3
)

func (c *clock) server() int64 { return c.now().UnixNano() + c.offset.Load() }

// local is a server's time on the own clock.
func (c *clock) local(server int64) time.Time { return time.Unix(0, server-c.offset.Load()) }

// sync measures the offset: the server stamps what is written, between the two
// times at which the own clock is read.
func (c *clock) sync(ctx context.Context) error {
	best := time.Duration(-1)
	var offset int64
	for range syncTries {
		sent := c.now()
		rev, err := c.kv.Put(ctx, "clock."+c.worker, []byte(strconv.FormatInt(sent.UnixNano(), 10)))
		took := c.now().Sub(sent)
		if err != nil {
			return fmt.Errorf("measuring the server's clock: %w", err)
		}
		entry, err := c.kv.GetRevision(ctx, "clock."+c.worker, rev)
		if err != nil {
			return fmt.Errorf("measuring the server's clock: %w", err)
		}
		if best < 0 || took < best {
			best, offset = took, entry.Created().UnixNano()-sent.Add(took/2).UnixNano()
		}
	}
	c.offset.Store(offset)
	return nil
}
