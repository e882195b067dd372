package notifier

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// gates decides which deliveries may be tried now, so that a receiver that hangs or
// fails takes no more than its own share of the notifier: so many tries at once to a
// receiver and to a tenant's receivers, and none for a while after several failures
// in a row. A delivery that may not waits a moment for its turn, if that is near; else
// it is told when to come again, waits in the stream and holds nothing here.
//
// Each process decides by what it has seen itself.
type gates struct {
	cfg Config
	now func() time.Time

	mu      sync.Mutex
	gates   map[string]*gate
	tenants map[string]int // tries under way
	swept   time.Time
}

// gate is one receiver's.
type gate struct {
	trying   int
	limit    int
	waiting  []chan bool   // for a turn, the first one first; true is the turn
	failures int           // in a row
	pause    time.Duration // the last one of the breaker
	until    time.Time     // no try before then
	probing  bool          // a single try is under way to see whether it works again
	mean     time.Duration // of a try
	line     time.Time     // when the last of those told to come again will
	shared   bool          // it stands for all of a tenant
	crowd    int           // those of all that wait for a turn
	used     time.Time
}

const (
	// sweepEvery is how often receivers are forgotten that were not used for keepFor.
	sweepEvery = time.Minute
	keepFor    = time.Hour
	// turnWait is how long a delivery waits here. What waits in the stream comes four
	// times a second, so that much work must be at hand.
	turnWait = 300 * time.Millisecond
	// maxWait bounds how long a delivery is sent away by a busy receiver.
	maxWait = 5 * time.Minute
	// firstMean is taken for the time of a try until one was seen.
	firstMean = 20 * time.Millisecond
	// maxGates bounds the receivers that are remembered while nothing is sent to them.
	maxGates = 1 << 14
)

// verdict is what a try says of the receiver.
type verdict int

const (
	unknown verdict = iota // nothing: it was not asked
	works                  // it answered as one that works
	fails
)

func newGates(cfg Config, now func() time.Time) *gates {
	return &gates{cfg: cfg, now: now, gates: map[string]*gate{}, tenants: map[string]int{}}
}

// why a delivery is sent away.
type why string

const (
	whyBusy    why = "busy"
	whyBreaker why = "breaker"
)

// enter admits a try to a receiver, or says why not and when to come again. Each try
// that is admitted is ended by leave.
func (g *gates) enter(ctx context.Context, tenant, receiver string, limit int) (ok bool, w why, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.gate(receiver, limit)
	if w, at := g.broken(r); w != "" {
		return false, w, at
	}
	if g.take(tenant, r) {
		return true, "", time.Time{}
	}
	all := g.all(tenant)
	if g.near(r) && g.nearAll(tenant, all) && g.turn(ctx, r, all) {
		return true, "", time.Time{}
	}
	if w, at := g.broken(r); w != "" {
		return false, w, at
	}
	at = r.queue(g.now())
	if g.tenants[tenant] >= g.cfg.TenantSlots {
		if last := all.queue(g.now()); last.After(at) {
			at = last
		}
	}
	return false, whyBusy, at
}

// all stands for all receivers of a tenant. No receiver has its name.
func (g *gates) all(tenant string) *gate {
	all := g.gate(tenant, g.cfg.TenantSlots)
	all.shared = true
	return all
}

// gate returns the gate of a receiver.
func (g *gates) gate(receiver string, limit int) *gate {
	now := g.now()
	g.sweep(now)
	r := g.gates[receiver]
	if r == nil {
		r = &gate{mean: firstMean}
		g.gates[receiver] = r
	}
	r.used, r.limit = now, limit
	return r
}

// broken says when to come again to a receiver that fails.
func (g *gates) broken(r *gate) (why, time.Time) {
	now := g.now()
	switch open := r.failures >= g.cfg.BreakAfter; {
	case open && now.Before(r.until):
		return whyBreaker, r.until.Add(spread(r.pause))
	case open && r.trying > 0:
		return whyBreaker, now.Add(spread(g.cfg.Timeout + r.pause))
	}
	return "", now
}

// take begins a try if there is room for one.
func (g *gates) take(tenant string, r *gate) bool {
	if r.trying >= r.limit || g.tenants[tenant] >= g.cfg.TenantSlots {
		return false
	}
	r.trying++
	g.tenants[tenant]++
	r.probing = r.failures >= g.cfg.BreakAfter
	return true
}

// near reports whether a turn may be expected in time.
func (g *gates) near(r *gate) bool {
	ahead := time.Duration(len(r.waiting)) * r.mean / time.Duration(r.limit)
	return ahead < turnWait && len(r.waiting) < g.cfg.Slots/2
}

// nearAll reports whether the tenant's tries end soon enough for a turn, if it has as
// many as it may.
func (g *gates) nearAll(tenant string, all *gate) bool {
	return g.tenants[tenant] < all.limit || time.Duration(all.crowd)*all.mean/time.Duration(all.limit)+all.mean/2 < turnWait
}

// turn waits for a turn; leave gives it, with the place taken.
func (g *gates) turn(ctx context.Context, r, all *gate) bool {
	all.crowd++
	defer func() { all.crowd-- }() // the lock is held
	mine := make(chan bool, 1)
	r.waiting = append(r.waiting, mine)
	g.mu.Unlock()
	timer := time.NewTimer(turnWait)
	defer timer.Stop()
	select {
	case got := <-mine:
		g.mu.Lock()
		return got
	case <-timer.C:
	case <-ctx.Done():
	}
	g.mu.Lock()
	if i := slices.Index(r.waiting, mine); i >= 0 {
		r.waiting = slices.Delete(r.waiting, i, i+1)
		return false
	}
	return <-mine // it was given while we gave up
}

// queue is when the next in line may come: as fast as the receiver takes them.
func (r *gate) queue(now time.Time) time.Time {
	if r.line.Before(now) {
		r.line = now
	}
	if r.line.Before(now.Add(maxWait)) {
		r.line = r.line.Add(r.mean / time.Duration(r.limit))
	}
	return r.line
}

// leave ends a try that took so long.
func (g *gates) leave(tenant, receiver string, took time.Duration, v verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tenants[tenant]--; g.tenants[tenant] <= 0 {
		delete(g.tenants, tenant)
	}
	r := g.gates[receiver]
	if all := g.all(tenant); v != unknown {
		all.mean += (took - all.mean) / 4
	}
	r.trying--
	g.judge(r, took, v)
	broken := r.failures >= g.cfg.BreakAfter
	for len(r.waiting) > 0 && (broken || g.take(tenant, r)) {
		r.waiting[0] <- !broken
		r.waiting = r.waiting[1:]
	}
}

// judge notes what a try says of the receiver.
func (g *gates) judge(r *gate, took time.Duration, v verdict) {
	probe := r.probing
	r.probing = false
	if v == unknown {
		return
	}
	r.mean += (took - r.mean) / 4
	if v == works {
		r.failures, r.pause, r.until = 0, 0, time.Time{}
		return
	}
	if r.failures++; r.failures < g.cfg.BreakAfter {
		return
	}
	// Those that were under way when the breaker opened don't make its pause longer.
	if now := g.now(); probe || r.pause == 0 {
		r.pause = min(max(2*r.pause, g.cfg.BreakFor), g.cfg.BreakCap)
		r.until = now.Add(r.pause)
	}
}

// sweep forgets receivers that nobody sends to any more; with too many of them, all
// that nothing is sent to at the moment.
func (g *gates) sweep(now time.Time) {
	crowded := len(g.gates) >= maxGates
	if now.Sub(g.swept) < sweepEvery && !crowded {
		return
	}
	g.swept = now
	for name, r := range g.gates {
		if r.trying == 0 && len(r.waiting) == 0 && (crowded && !r.shared || now.Sub(r.used) > keepFor) {
			delete(g.gates, name)
		}
	}
}

// open counts the receivers that are left alone.
func (g *gates) open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, r := range g.gates {
		if r.failures >= g.cfg.BreakAfter {
			n++
		}
	}
	return n
}

// spread has those that wait for the same moment come one after the other.
func spread(d time.Duration) time.Duration {
	return rand.N(d/2 + time.Millisecond) //nolint:gosec // jitter
}
