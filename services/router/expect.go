package router

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/budget"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

// expect guesses when a model could begin with another task: what is reserved of
// its limits, and what waits in its queue, at the rate that the limits let through.
// What a call takes is not in it, nor do limits on calls at once count.
type expect struct {
	s *Service

	mu    sync.Mutex
	known map[expectKey]expected
}

type expectKey struct {
	model  string
	lane   event.Lane
	tenant string
}

type expected struct {
	at   time.Time
	wait time.Duration
}

const (
	// expectFor is how long a guess is used.
	expectFor = time.Second
	// expectTimeout bounds the making of one: without an answer nothing is expected.
	expectTimeout = 250 * time.Millisecond
	// usualTokens are those of a task whose size is not known.
	usualTokens = 1000
)

// wait is how long a new task of the model, lane and tenant would wait. While one
// asks, the others take what was known before.
func (e *expect) wait(model string, lane event.Lane, tenant string) time.Duration {
	now, key := e.s.p.Now(), expectKey{model, lane, tenant}
	e.mu.Lock()
	last, ok := e.known[key]
	if ok && now.Sub(last.at) < expectFor {
		e.mu.Unlock()
		return last.wait
	}
	e.note(key, expected{now, last.wait})
	e.mu.Unlock()
	wait, err := e.ask(key, now)
	if err != nil {
		e.s.p.Logger.Debug("guessing a wait", "model", model, "error", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.note(key, expected{now, wait})
	return wait
}

// maxExpected bounds the guesses kept.
const maxExpected = 10_000

func (e *expect) note(key expectKey, k expected) {
	if e.known == nil || len(e.known) >= maxExpected {
		e.known = map[expectKey]expected{}
	}
	e.known[key] = k
}

func (e *expect) ask(key expectKey, now time.Time) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), expectTimeout)
	defer cancel()
	c := e.s.ports.Catalog.Current()
	m, ok := c.Model(key.model)
	if !ok {
		return 0, nil
	}
	p, _ := c.Provider(m.Provider)
	kv, err := e.s.bus.KeyValue(ctx, bus.BucketBudget)
	if err != nil {
		return 0, err
	}
	limits, err := budget.Read(ctx, kv, guard.LimitGroup(p, m), now)
	if err != nil {
		return 0, err
	}
	reserved := time.Duration(0)
	for _, l := range limits {
		ahead := l.Reserved
		if key.lane == event.LaneInteractive {
			ahead = l.Interactive
		}
		reserved = max(reserved, ahead, l.NotBefore.Sub(now))
	}
	before, err := e.before(ctx, key)
	return reserved + queued(before, m), err
}

// before is how many tasks are served before a new one: those of its tenant in its
// lane, as many of each other tenant, for they take turns, and all of lanes that are
// more urgent.
func (e *expect) before(ctx context.Context, key expectKey) (uint64, error) {
	stream, err := e.s.bus.JetStream().Stream(ctx, bus.StreamSteps)
	if err != nil {
		return 0, fmt.Errorf("opening %s: %w", bus.StreamSteps, err)
	}
	n := uint64(0)
	for _, lane := range event.Lanes() { // the most urgent first
		tenants, err := bus.GenerateConsumer(key.model, lane, 1).Tenants(ctx, stream)
		if err != nil {
			return 0, err
		}
		for _, count := range tenants {
			if lane == key.lane {
				count = min(count, tenants[key.tenant]+1)
			}
			n += count
		}
		if lane == key.lane {
			break
		}
	}
	return n, nil
}

// queued is how long the limits take for n tasks.
func queued(n uint64, m catalog.Model) time.Duration {
	perTask := time.Duration(0)
	if m.Limits.RPM > 0 {
		perTask = time.Minute / time.Duration(m.Limits.RPM)
	}
	for _, tokens := range []int64{m.Limits.TPM, m.Limits.ITPM} {
		if tokens > 0 {
			perTask = max(perTask, time.Duration(float64(time.Minute)*usualTokens/float64(tokens)))
		}
	}
	return time.Duration(n) * perTask //nolint:gosec // a count of messages
}
