package budget

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
)

const (
	// horizon is how far ahead calls reserve. It bounds what is lost when workers
	// die with places they had reserved.
	horizon = 2500 * time.Millisecond
	// firm is how shortly before its start a batch call must know whether
	// interactive calls pushed it back.
	firm = 20 * time.Millisecond
	// late is how long after its place a call may still start. A worker that slept
	// longer (a paused machine) reserves again instead of bursting.
	late = 500 * time.Millisecond
	// opTimeout bounds one read or write of the bucket.
	opTimeout = 2 * time.Second
	// noticeable is the wait from which on a caller is told of it.
	noticeable = 500 * time.Millisecond
	// maxWait is the longest wait for a place. What takes longer (a daily limit) is
	// no matter of pacing: another model may do, or tomorrow.
	maxWait = 2 * time.Minute
	// refundWithin is how long what was given back counts: later, the time it
	// stood for has passed.
	refundWithin = 500 * time.Millisecond
)

// group reserves for this process's callers of one group.
type group struct {
	l        *Limiter
	name     string
	leases   *leases
	degraded atomic.Bool
	wake     chan struct{}

	mu      sync.Mutex
	laws    []Law
	high    []*waiter
	low     []*waiter
	learned feedback
	refund  Cost
	refused time.Time // when refund was begun
	pending time.Time // since when corrections wait to be written; zero if none

	look look
}

// waiter is one caller of Acquire.
type waiter struct {
	req     Request
	granted chan place // holds one place
	told    time.Time
}

func newGroup(l *Limiter, cfg Group) *group {
	return &group{l: l, name: cfg.Name, laws: cfg.rates(), wake: make(chan struct{}, 1), leases: newLeases(l, cfg.Name)}
}

// setLaws follows the catalog.
func (g *group) setLaws(cfg Group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.laws = cfg.rates()
}

// admit waits for a place and until it comes.
func (g *group) admit(ctx context.Context, req Request) error {
	g.mu.Lock()
	none := len(g.laws) == 0
	g.mu.Unlock()
	for !none {
		w := g.enqueue(req)
		var p place
		select {
		case p = <-w.granted:
		case <-ctx.Done():
			g.leave(w)
			return fmt.Errorf("waiting for %s: %w", g.name, context.Cause(ctx))
		}
		if err := g.tooFar(p); err != nil {
			return err
		}
		slept, err := g.sleep(ctx, w, p)
		if err != nil {
			return err
		}
		if slept {
			return nil
		}
	}
	return nil
}

// tooFar refuses a wait that a slot should not be held for.
func (g *group) tooFar(p place) error {
	if !p.hopeless(g.l.clock.server()) {
		return nil
	}
	wait := g.until(p.start)
	return &event.Error{Class: event.ClassQuota, RetryAfter: wait,
		Message: fmt.Sprintf("%s is used up until %s", describe(g.name, p), g.l.clock.local(p.start).UTC().Format(time.RFC3339)),
		Hint:    "raise the limit, or give the model a fallback"}
}

// sleep waits for the place; false when it was missed by too much.
func (g *group) sleep(ctx context.Context, w *waiter, p place) (bool, error) {
	g.tell(w, p, g.until(p.start))
	asked := g.l.clock.server()
	for {
		wait := g.until(p.start)
		if wait > 0 && lifecycle.Sleep(ctx, wait) != nil {
			g.giveBack(w.req.Cost)
			return false, fmt.Errorf("waiting for %s: %w", g.name, context.Cause(ctx))
		}
		if w.req.Class == event.LaneInteractive || p.start-asked <= int64(firm) {
			break
		}
		asked = g.l.clock.server()
		pushed, err := g.pushed(ctx, p.binding.Dimension)
		if err != nil {
			return false, nil //nolint:nilerr // out of reach: reserve again, which waits for it
		}
		if pushed <= p.pushed {
			break
		}
		p.start, p.pushed = p.start+pushed-p.pushed, pushed
	}
	if g.until(p.start) < -late {
		g.l.metrics.missed.WithLabelValues(g.name).Inc()
		return false, nil
	}
	return true, nil
}

// until is the time to a time of the server's clock.
func (g *group) until(at int64) time.Duration { return time.Duration(at - g.l.clock.server()) }

// look is the last look at the shared state, which callers that start about the
// same time share.
type look struct {
	mu    sync.Mutex
	at    int64
	state *state
}

// pushed reads how far interactive calls have pushed batch calls back.
func (g *group) pushed(ctx context.Context, dimension string) (int64, error) {
	g.look.mu.Lock()
	defer g.look.mu.Unlock()
	if g.look.state == nil || g.l.clock.server()-g.look.at > int64(firm/2) {
		s, _, err := g.load(ctx)
		if err != nil {
			return 0, err
		}
		g.look.state, g.look.at = s, g.l.clock.server()
	}
	return g.look.state.Pushed[dimension], nil
}

// tell says to the caller why it waits.
func (g *group) tell(w *waiter, p place, wait time.Duration) {
	if w.req.OnWait == nil || wait < noticeable {
		return
	}
	w.req.OnWait(g.explain(p, wait))
}

func (g *group) explain(p place, wait time.Duration) Wait {
	return Wait{Cause: event.WaitLimit, Dimension: p.binding.Dimension, Limit: p.binding.Limit, Group: g.name,
		Reason: describe(g.name, p), Until: g.l.cfg.Now().Add(wait)}
}

func describe(name string, p place) string {
	if p.binding.Limit == 0 {
		return "the provider of " + name + " asked to wait"
	}
	return fmt.Sprintf("limit %s of %s (%d)", p.binding.Dimension, name, p.binding.Limit)
}

func (g *group) enqueue(req Request) *waiter {
	w := &waiter{req: req, granted: make(chan place, 1)}
	g.mu.Lock()
	if req.Class == event.LaneInteractive {
		g.high = append(g.high, w)
	} else {
		g.low = append(g.low, w)
	}
	g.mu.Unlock()
	g.poke()
	return w
}

// leave takes a caller out; a place it was given meanwhile is given back.
func (g *group) leave(w *waiter) {
	g.mu.Lock()
	is := func(o *waiter) bool { return o == w }
	g.high, g.low = slices.DeleteFunc(g.high, is), slices.DeleteFunc(g.low, is)
	g.mu.Unlock()
	select {
	case <-w.granted:
		g.giveBack(w.req.Cost)
	default:
	}
}

func (g *group) poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *group) feed(change func(*feedback)) {
	g.mu.Lock()
	change(&g.learned)
	due := g.learned.due
	g.mu.Unlock()
	if due {
		g.poke()
	}
}

// settle notes what a call used beside its estimate, for laws that correct it.
func (g *group) settle(diff Cost) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.laws {
		if n := diff[l.Dimension]; n != 0 && l.Settle {
			if g.learned.correction == nil {
				g.learned.correction = Cost{}
			}
			g.learned.correction[l.Dimension] += n
			if g.pending.IsZero() {
				g.pending = g.l.cfg.Now()
			}
		}
	}
	if !g.pending.IsZero() {
		g.poke()
	}
}

// giveBack returns what was reserved and not used, as far as it is not too late.
func (g *group) giveBack(cost Cost) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.l.cfg.Now()
	if g.refund == nil || now.Sub(g.refused) > refundWithin {
		g.refund, g.refused = Cost{}, now
	}
	for d, n := range cost {
		g.refund[d] -= n
	}
}

// run reserves until ctx ends.
func (g *group) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
		case <-timer.C:
		}
		timer.Reset(g.work(ctx))
	}
}

// work reserves for who waits, and says when to come again.
func (g *group) work(ctx context.Context) time.Duration {
	if err := g.l.clock.wait(ctx); err != nil {
		return 0
	}
	losses := 0
	for ctx.Err() == nil {
		high, low := g.waiting()
		if len(high)+len(low) == 0 {
			if idle := g.idle(); idle > 0 {
				return idle
			}
		}
		again, err := g.reserve(ctx, high, low)
		g.setDegraded(err)
		switch {
		case errors.Is(err, errConflict):
			g.l.metrics.conflicts.WithLabelValues(g.name).Inc()
			losses = min(losses+1, 8)
			lifecycle.Sleep(ctx, rand.N(300*time.Microsecond<<losses)) //nolint:errcheck,gosec // the loop looks; jitter
			continue
		case err != nil:
			g.tellDegraded(slices.Concat(high, low))
			lifecycle.Sleep(ctx, 200*time.Millisecond+rand.N(200*time.Millisecond)) //nolint:errcheck,gosec // the loop looks; jitter
		case again > 0:
			return again
		}
		losses = 0
	}
	return time.Hour
}

// flushAfter is how long corrections wait for a reservation to ride along with.
const flushAfter = time.Second

// idle is how long nothing must be written while nobody waits.
func (g *group) idle() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.learned.due {
		return 0
	}
	if g.pending.IsZero() {
		return time.Hour
	}
	left := flushAfter - g.l.cfg.Now().Sub(g.pending)
	if left <= 0 {
		g.learned.due = true
	}
	return left
}

func (g *group) waiting() (high, low []*waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.high), slices.Clone(g.low)
}

// errConflict says that another worker wrote in between.
var errConflict = errors.New("another worker was first")

// retry is the mean time between two looks of a worker for whose calls the future
// is taken up to the horizon.
const retry = 250 * time.Millisecond

// reserve finds places for the callers and writes them. When the future is taken
// up to the horizon it returns how long to stay away.
func (g *group) reserve(ctx context.Context, high, low []*waiter) (again time.Duration, err error) {
	s, rev, err := g.load(ctx)
	if err != nil {
		return 0, err
	}
	learned, laws := g.takeFeedback()
	now := g.l.clock.server()
	begun := s.begin(laws, now)
	worth := s.apply(laws, learned, now) || begun
	var served []*waiter
	var places []place
	for _, w := range slices.Concat(high, low) {
		urgent := w.req.Class == event.LaneInteractive
		p := s.find(laws, w.req.Cost, urgent, now)
		if lead := time.Duration(p.start - now); lead > horizon && !p.hopeless(now) {
			g.foresee(w, p)
			again = lead - horizon + rand.N(2*retry) //nolint:gosec // jitter
			if urgent {
				continue
			}
			break
		}
		if !p.hopeless(now) {
			s.take(laws, w.req.Cost, urgent, now, p)
		}
		served, places = append(served, w), append(places, p)
	}
	if len(served) > 0 || worth {
		err = g.store(ctx, s, rev)
	}
	if err != nil || len(served) == 0 && !worth {
		g.feed(func(f *feedback) { f.merge(learned) })
		return again, err
	}
	g.deliver(served, places)
	return again, nil
}

// hopeless says that the wait is for a day to end, and not to be held for.
func (p place) hopeless(now int64) bool {
	return p.binding.long() && p.start-now > int64(maxWait)
}

// foresee tells a caller that has no place yet what it waits for: at once, for the
// next look may be a minute away.
func (g *group) foresee(w *waiter, p place) {
	now := g.l.cfg.Now()
	if w.req.OnWait == nil || now.Sub(w.told) < 5*time.Second {
		return
	}
	w.told = now
	w.req.OnWait(g.explain(p, g.until(p.start)))
}

// takeFeedback takes what was learned, with refunds that are not too old.
func (g *group) takeFeedback() (feedback, []Law) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.learned
	g.learned, g.pending = feedback{}, time.Time{}
	if g.refund != nil && g.l.cfg.Now().Sub(g.refused) <= refundWithin {
		f.merge(feedback{correction: g.refund})
	}
	g.refund = nil
	return f, g.laws
}

// deliver hands the places to the callers.
func (g *group) deliver(served []*waiter, places []place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	is := func(w *waiter) bool { return slices.Contains(served, w) }
	g.high, g.low = slices.DeleteFunc(g.high, is), slices.DeleteFunc(g.low, is)
	for i, w := range served {
		w.granted <- places[i]
	}
}

// load reads the shared state.
func (g *group) load(ctx context.Context) (*state, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	g.l.metrics.operations.Inc()
	entry, err := g.l.cfg.KV.Get(ctx, g.name)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return newState(), 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading the budget of %s: %w", g.name, err)
	}
	s, err := decode(entry.Value())
	return s, entry.Revision(), err
}

// store writes the state if nobody wrote since rev.
func (g *group) store(ctx context.Context, s *state, rev uint64) error {
	data, err := s.encode()
	if err != nil {
		return fmt.Errorf("writing the budget of %s: %w", g.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	g.l.metrics.operations.Inc()
	_, err = g.l.cfg.KV.Update(ctx, g.name, data, rev)
	if bus.IsConflict(err) {
		return errConflict
	}
	if err != nil {
		return fmt.Errorf("writing the budget of %s: %w", g.name, err)
	}
	return nil
}

// setDegraded says, loudly, when the shared state is out of reach, and when it
// is back.
func (g *group) setDegraded(err error) {
	bad := err != nil && !errors.Is(err, errConflict)
	if g.degraded.Swap(bad) == bad {
		return
	}
	g.l.metrics.setDegraded(g.name, bad)
	if bad {
		g.l.cfg.Logger.Error("rate limits are out of reach: no call is admitted", "group", g.name, "error", err)
		return
	}
	g.l.cfg.Logger.Warn("rate limits are in reach again", "group", g.name)
}

// tellDegraded says to those who wait that the state is out of reach.
func (g *group) tellDegraded(waiting []*waiter) {
	now := g.l.cfg.Now()
	for _, w := range waiting {
		if w.req.OnWait != nil && now.Sub(w.told) > 5*time.Second {
			w.told = now
			w.req.OnWait(Wait{Cause: event.WaitLimit, Group: g.name, Reason: "the shared state of the limits of " + g.name + " is out of reach"})
		}
	}
}
