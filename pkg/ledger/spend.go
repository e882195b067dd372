package ledger

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/lifecycle"
)

// SpendConfig is what Spend works with.
type SpendConfig struct {
	Bus *bus.Bus
	// Budget returns a tenant's budget at a time, false if it has none. Nil
	// sends no alerts.
	Budget func(tenant string, now time.Time) (Budget, bool)
	// Now defaults to time.Now, Logger to none.
	Now    func() time.Time
	Logger *slog.Logger
}

// Spend knows what every tenant has spent this month and the last: it follows
// the totals in memory. It is safe for concurrent use.
type Spend struct {
	cfg   SpendConfig
	ready chan struct{} // closed when the totals have been read once

	mu      sync.RWMutex
	known   bool
	costs   map[string]int64            // by total's key
	days    map[string]map[string]int64 // by tenant and day
	flights map[string]*flight          // by tenant

	alerted map[string]bool // keys of alerts that were sent; of Run alone
}

// NewSpend returns a Spend. It does no I/O.
func NewSpend(cfg SpendConfig) (*Spend, error) {
	if cfg.Bus == nil {
		return nil, errors.New("ledger spend: Bus: missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Spend{
		cfg: cfg, ready: make(chan struct{}), costs: map[string]int64{}, days: map[string]map[string]int64{},
		flights: map[string]*flight{}, alerted: map[string]bool{},
	}, nil
}

// Ready is closed when what was spent is known. Until then a hard budget holds
// calls back.
func (s *Spend) Ready() <-chan struct{} { return s.ready }

// Run follows the totals until ctx ends, over all outages of the server.
func (s *Spend) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.follow(ctx); err != nil {
			s.cfg.Logger.DebugContext(ctx, "following the totals", "error", err)
			lifecycle.Sleep(ctx, pause) //nolint:errcheck // the loop looks
		}
	}
	return nil
}

// Spent is what tenant has spent from start up to, but not including, end, in
// nano-USD: whole UTC days, as far as they are in the totals.
func (s *Spend) Spent(tenant string, start, end time.Time) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.spent(tenant, start, end)
}

func (s *Spend) spent(tenant string, start, end time.Time) int64 {
	first, after := day(start), day(end)
	var sum int64
	for d, cost := range s.days[tenant] {
		if d >= first && d < after {
			sum = plus(sum, cost)
		}
	}
	return sum
}

// follow watches this month's and the last one's totals until the day is over,
// or the connection was: the watch's own consumer is gone after a restart of the
// server, which the library notices only after some missed heartbeats.
func (s *Spend) follow(ctx context.Context) error {
	kv, err := s.cfg.Bus.KeyValue(ctx, bus.BucketSpend)
	if err != nil {
		return err
	}
	today := s.cfg.Now().UTC().Truncate(24 * time.Hour)
	watcher, err := kv.WatchFiltered(ctx, s.forgetBefore(today), jetstream.IgnoreDeletes())
	if err != nil {
		return unavailable("watching totals", err)
	}
	defer watcher.Stop() //nolint:errcheck // the connection may be gone
	nc := s.cfg.Bus.Conn()
	reconnected := nc.StatusChanged(nats.CONNECTED)
	defer nc.RemoveStatusListener(reconnected)
	check := time.NewTicker(flushEvery)
	defer check.Stop()
	changed := map[string]bool{} // tenants whose budget is to be looked at
	initial := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-reconnected:
			return nil
		case entry, ok := <-watcher.Updates():
			switch {
			case !ok:
				return errors.New("the watch of totals has ended")
			case entry == nil: // all that was there has come
				initial = false
				s.setKnown()
			default:
				if err := s.apply(entry, changed); err != nil {
					s.cfg.Logger.DebugContext(ctx, "skipping a total", "key", entry.Key(), "error", err)
				}
			}
		case <-check.C:
			if day(s.cfg.Now()) != day(today) {
				return nil
			}
		}
		if !initial {
			s.alert(ctx, kv, changed)
		}
	}
}

// forgetBefore drops the days before last month's first and returns the filters
// of the keys from it to the day after tomorrow: clocks differ.
func (s *Spend) forgetBefore(today time.Time) []string {
	first := time.Date(today.Year(), today.Month()-1, 1, 0, 0, 0, 0, time.UTC)
	var filters []string
	for d := first; !d.After(today.AddDate(0, 0, 2)); d = d.AddDate(0, 0, 1) {
		filters = append(filters, day(d)+".>")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.costs {
		if d, tenant, _, ok := parseTotalKey(key); ok && d < day(first) {
			delete(s.costs, key)
			delete(s.days[tenant], d)
		}
	}
	return filters
}

func (s *Spend) setKnown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		s.known = true
		close(s.ready)
	}
}

// apply takes over one total.
func (s *Spend) apply(entry jetstream.KeyValueEntry, changed map[string]bool) error {
	d, tenant, _, ok := parseTotalKey(entry.Key())
	if !ok {
		return nil
	}
	total, err := decodeTotal(entry.Key(), entry.Value())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.days[tenant] == nil {
		s.days[tenant] = map[string]int64{}
	}
	s.days[tenant][d] = plus(s.days[tenant][d]-s.costs[entry.Key()], total.CostNanoUSD)
	s.costs[entry.Key()] = total.CostNanoUSD
	changed[tenant] = true
	return nil
}
