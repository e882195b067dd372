package stage

import (
	"context"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
)

// heartbeat keeps the messages a runner holds from being delivered elsewhere,
// from receipt to the end of their handling: one ticker for all of them.
type heartbeat struct {
	every time.Duration
	mu    sync.Mutex
	held  map[*bus.Message]struct{}
}

func newHeartbeat(every time.Duration) *heartbeat {
	return &heartbeat{every: every, held: map[*bus.Message]struct{}{}}
}

// beatInterval is a third of the shortest AckWait.
func beatInterval(sources []Source) time.Duration {
	wait := bus.AckWait
	for _, s := range sources {
		if w := s.Consumer.AckWait; w != 0 && w < wait {
			wait = w
		}
	}
	return wait / 3
}

func (h *heartbeat) add(m *bus.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held[m] = struct{}{}
}

func (h *heartbeat) remove(m *bus.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.held, m)
}

func (h *heartbeat) run(ctx context.Context) {
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.beat()
		}
	}
}

func (h *heartbeat) beat() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for m := range h.held {
		m.InProgress() //nolint:errcheck // the next beat or a redelivery repairs it
	}
}
