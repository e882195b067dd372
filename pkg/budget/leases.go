package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

const (
	// leaseTTL is how long a dead worker's leases are kept for it. A provider that
	// counts calls at once still works on them for a while, too.
	leaseTTL = 6 * time.Second
	// leaseRenew is how often a worker that holds some says so.
	leaseRenew = 2 * time.Second
	// leaseTry is how often a worker that wants more asks.
	leaseTry = 100 * time.Millisecond
)

// leaseTable is the shared state of a limit on calls at once: who may have how
// many under way.
type leaseTable struct {
	V       int               `json:"v"`
	Holders map[string]holder `json:"holders"`
}

type holder struct {
	Has   int64 `json:"has"`
	Wants int64 `json:"wants"`
	Until int64 `json:"until"` // server time, nanoseconds
}

// settleFor gives a worker what it wants of cap, as far as that is free, and its
// fair share at most when others want more as well. Calls under way are never
// taken back.
func (t *leaseTable) settleFor(worker string, limit, wants, inUse, now int64) holder {
	maps.DeleteFunc(t.Holders, func(_ string, h holder) bool { return h.Until <= now })
	others, wanting, unmet := int64(0), int64(1), false
	for name, h := range t.Holders {
		if name == worker {
			continue
		}
		others += h.Has
		if h.Wants > 0 {
			wanting++
		}
		unmet = unmet || h.Wants > h.Has
	}
	has := min(wants, max(0, limit-others))
	if fair := (limit + wanting - 1) / wanting; unmet && has > fair {
		has = fair
	}
	h := holder{Has: max(has, min(inUse, t.Holders[worker].Has)), Wants: wants, Until: now + int64(leaseTTL)}
	if h.Has == 0 && h.Wants == 0 {
		delete(t.Holders, worker)
	} else {
		t.Holders[worker] = h
	}
	return h
}

// leases are this worker's part of a limit on calls at once.
type leases struct {
	l    *Limiter
	name string
	wake chan struct{}

	mu      sync.Mutex
	limit   int64 // as the last caller had it
	has     int64
	until   int64 // server time to which has is good
	inUse   int64
	waiting int64
	freed   chan struct{} // closed and replaced when callers may look again
}

func newLeases(l *Limiter, name string) *leases {
	return &leases{l: l, name: name, wake: make(chan struct{}, 1), freed: make(chan struct{})}
}

// acquire waits for a lease of limit.
func (s *leases) acquire(ctx context.Context, limit int64, req Request) error {
	notice := time.NewTimer(noticeable)
	defer notice.Stop()
	s.mu.Lock()
	s.limit = limit
	s.waiting++
	defer func() {
		s.waiting--
		s.mu.Unlock()
	}()
	for {
		if s.inUse < s.has && s.l.clock.server() < s.until {
			s.inUse++
			return nil
		}
		freed := s.freed
		s.mu.Unlock()
		s.poke()
		select {
		case <-freed:
		case <-notice.C:
			if req.OnWait != nil {
				req.OnWait(Wait{Cause: event.WaitLimit, Dimension: Concurrency, Limit: limit, Group: s.name,
					Reason: fmt.Sprintf("limit of calls at once of %s (%d)", s.name, limit)})
			}
		case <-ctx.Done():
			s.mu.Lock()
			return fmt.Errorf("waiting for %s: %w", s.name, context.Cause(ctx))
		}
		s.mu.Lock()
	}
}

func (s *leases) release() {
	s.mu.Lock()
	s.inUse--
	s.tellLocked()
	s.mu.Unlock()
	s.poke()
}

// tellLocked lets callers look again.
func (s *leases) tellLocked() {
	close(s.freed)
	s.freed = make(chan struct{})
}

func (s *leases) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run keeps the leases until ctx ends, and then gives back what is not in use.
func (s *leases) run(ctx context.Context) {
	timer := time.NewTimer(never)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			if s.next() == never {
				return // holds nothing
			}
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), opTimeout)
			defer cancel()
			s.sync(last, true) //nolint:errcheck // it expires otherwise
			return
		case <-s.wake:
		case <-timer.C:
		}
		if s.l.clock.wait(ctx) != nil {
			continue
		}
		err := s.sync(ctx, false)
		if errors.Is(err, errConflict) {
			timer.Reset(time.Millisecond)
			continue
		}
		s.setDegraded(err)
		timer.Reset(s.next())
	}
}

// never is when to look again without any lease or caller.
const never = time.Hour

// next is when to look again.
func (s *leases) next() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.waiting > 0 && s.inUse >= s.has:
		return leaseTry
	case s.has > 0 || s.inUse > 0:
		return leaseRenew
	}
	return never
}

// needed says whether the table must be read and written now.
func (s *leases) needed(now int64) (wants, inUse, limit int64, yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wants, inUse, limit = s.inUse+s.waiting, s.inUse, s.limit
	short := wants > s.has
	spare := s.has > 0 && wants < s.has
	stale := s.has > 0 && s.until-now < int64(leaseTTL-leaseRenew)
	return wants, inUse, limit, short || spare || stale
}

// sync asks for what is wanted and gives back what is not.
func (s *leases) sync(ctx context.Context, stopping bool) error {
	now := s.l.clock.server()
	wants, inUse, limit, yes := s.needed(now)
	if stopping {
		wants = inUse
	} else if !yes {
		return nil
	}
	table, rev, err := s.load(ctx)
	if err != nil {
		return err
	}
	h := table.settleFor(s.l.cfg.Worker, limit, wants, inUse, now)
	data, err := json.Marshal(table)
	if err != nil {
		return fmt.Errorf("writing leases: %w", err)
	}
	writing, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	s.l.metrics.operations.Inc()
	if _, err = s.l.cfg.KV.Update(writing, s.key(), data, rev); bus.IsConflict(err) {
		return errConflict
	} else if err != nil {
		return fmt.Errorf("writing leases: %w", err)
	}
	s.mu.Lock()
	s.has, s.until = h.Has, h.Until
	s.tellLocked()
	s.mu.Unlock()
	return nil
}

// leaseSuffix of the key beside the group's.
const leaseSuffix = ".leases"

func (s *leases) key() string { return s.name + leaseSuffix }

func (s *leases) load(ctx context.Context) (*leaseTable, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	s.l.metrics.operations.Inc()
	entry, err := s.l.cfg.KV.Get(ctx, s.key())
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return &leaseTable{V: 1, Holders: map[string]holder{}}, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading leases: %w", err)
	}
	table := &leaseTable{Holders: map[string]holder{}}
	if err := json.Unmarshal(entry.Value(), table); err != nil {
		return nil, 0, fmt.Errorf("reading leases of %s: %w", s.name, err)
	}
	return table, entry.Revision(), nil
}

func (s *leases) setDegraded(err error) {
	if err == nil {
		s.l.metrics.setDegraded(s.key(), false)
		return
	}
	s.l.metrics.setDegraded(s.key(), true)
	s.l.cfg.Logger.Error("leases of calls are out of reach", "group", s.name, "error", err)
}
