package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Status is how one limit of a group stands.
type Status struct {
	Group     string `json:"group"`
	Dimension string `json:"dimension"`
	Limit     int64  `json:"limit"` // the catalog's
	// InForce is less than Limit while the provider shows less, or slowed traffic.
	InForce int64 `json:"in_force"`
	// Reserved is how far the future is taken: a new batch call starts so much
	// later. Interactive is the same for an interactive call.
	Reserved    time.Duration `json:"reserved_ns"`
	Interactive time.Duration `json:"interactive_ns"`
	// Used of a limit that is counted: calls at once, or a day's.
	Used int64 `json:"used"`
	// NotBefore is when the provider lets the fleet call again; zero when it may.
	NotBefore time.Time `json:"not_before,omitzero"`
}

// Read reads how a group stands, from the bucket, at the server's time now.
func Read(ctx context.Context, kv jetstream.KeyValue, g Group, now time.Time) ([]Status, error) {
	s := newState()
	entry, err := kv.Get(ctx, g.Name)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		err = nil
	case err != nil:
		return nil, fmt.Errorf("reading the budget of %s: %w", g.Name, err)
	default:
		if s, err = decode(entry.Value()); err != nil {
			return nil, err
		}
	}
	var out []Status
	for _, l := range g.Laws {
		status := Status{Group: g.Name, Dimension: l.Dimension, Limit: l.Limit, InForce: l.Limit}
		if l.Dimension == Concurrency {
			status.Used, err = leased(ctx, kv, g.Name, now.UnixNano())
		} else {
			s.report(l, now.UnixNano(), &status)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, status)
	}
	return out, nil
}

// report fills in what the state knows of a limit.
func (s *state) report(l Law, now int64, out *Status) {
	out.InForce = int64(float64(s.limit(l)) * s.Ramp.at(now))
	if s.NotBefore > now {
		out.NotBefore = time.Unix(0, s.NotBefore)
	}
	if l.counts() {
		out.Used = s.today(l, now).Used
		return
	}
	_, allowed := s.pace(l, now)
	ahead := func(high bool) time.Duration {
		return max(0, time.Duration(s.arrival(l, high, now)-int64(allowed)-now))
	}
	if _, known := s.Arrival[l.Dimension]; known {
		out.Reserved, out.Interactive = ahead(false), ahead(true)
	}
}

// leased is how many calls at once are leased.
func leased(ctx context.Context, kv jetstream.KeyValue, name string, now int64) (int64, error) {
	entry, err := kv.Get(ctx, name+leaseSuffix)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading leases: %w", err)
	}
	var table leaseTable
	if err := json.Unmarshal(entry.Value(), &table); err != nil {
		return 0, fmt.Errorf("reading leases of %s: %w", name, err)
	}
	total := int64(0)
	for _, h := range table.Holders {
		if h.Until > now {
			total += h.Has
		}
	}
	return total, nil
}
