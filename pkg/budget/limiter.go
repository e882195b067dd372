package budget

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// Config is what a limiter works with.
type Config struct {
	// KV is the bucket all workers share.
	KV jetstream.KeyValue
	// Worker is this process's name, unique in the fleet.
	Worker string
	Now    func() time.Time
	Logger *slog.Logger
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
}

// Limiter admits calls. It is safe for concurrent use; Run must be running.
type Limiter struct {
	cfg     Config
	clock   *clock
	metrics *metrics
	running chan struct{} // closed when Run has begun

	mu     sync.Mutex
	groups map[string]*group
	spawn  chan *group
}

// New returns a limiter. It does no I/O.
func New(cfg Config) (*Limiter, error) {
	if cfg.KV == nil || cfg.Worker == "" {
		return nil, errors.New("budget: KV and Worker: missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	return &Limiter{
		cfg: cfg, clock: newClock(cfg), metrics: newMetrics(cfg.Registerer),
		running: make(chan struct{}), groups: map[string]*group{}, spawn: make(chan *group),
	}, nil
}

// Run works for the callers of Acquire until ctx ends.
func (l *Limiter) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	defer loops.Wait()
	loops.Go(func() { l.keepTime(ctx) })
	close(l.running)
	for {
		select {
		case <-ctx.Done():
			return nil
		case g := <-l.spawn:
			loops.Go(func() { g.run(ctx) })
			loops.Go(func() { g.leases.run(ctx) })
		}
	}
}

// keepTime measures the server's clock at the start and then every syncEvery.
func (l *Limiter) keepTime(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next := syncEvery
		trying, cancel := context.WithTimeout(ctx, opTimeout)
		if err := l.clock.sync(trying); err != nil {
			next = time.Second
		} else {
			l.clock.ready()
		}
		cancel()
		timer.Reset(next)
	}
}

// Acquire waits until the call may start. It returns an error when ctx ends
// first, when the call can never be admitted (event.ClassTooLarge), or when the
// limit's window is so long that waiting is no way (event.ClassQuota with
// RetryAfter).
func (l *Limiter) Acquire(ctx context.Context, req Request) (*Grant, error) {
	if len(req.Group.Laws) == 0 {
		return &Grant{}, nil
	}
	if err := req.tooLarge(); err != nil {
		return nil, err
	}
	g, err := l.group(ctx, req.Group)
	if err != nil {
		return nil, err
	}
	begin := l.cfg.Now()
	defer func() { l.metrics.waited(req.Group.Name, req.Class, l.cfg.Now().Sub(begin)) }()
	grant := &Grant{group: g, cost: req.Cost}
	if n := req.Group.concurrency(); n > 0 {
		if err := g.leases.acquire(ctx, n, req); err != nil {
			return nil, err
		}
		grant.leased = true
	}
	if err := g.admit(ctx, req); err != nil {
		grant.releaseLease()
		return nil, err
	}
	return grant, nil
}

// group returns the group's loop, started on first use, with the laws of now.
func (l *Limiter) group(ctx context.Context, cfg Group) (*group, error) {
	l.mu.Lock()
	g, ok := l.groups[cfg.Name]
	if ok {
		l.mu.Unlock()
		g.setLaws(cfg)
		return g, nil
	}
	defer l.mu.Unlock()
	if err := cfg.Validate(); err != nil {
		return nil, event.Errorf(event.ClassInvalid, "%w", err)
	}
	select {
	case <-l.running:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the limiter: %w", context.Cause(ctx))
	}
	g = newGroup(l, cfg)
	select {
	case l.spawn <- g:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the limiter: %w", context.Cause(ctx))
	}
	l.groups[cfg.Name] = g
	return g, nil
}

// Throttled holds the whole fleet's calls of a group: a provider answered 429
// and asked to wait.
func (l *Limiter) Throttled(name string, wait time.Duration) {
	l.feed(name, func(f *feedback) {
		f.notBefore = max(f.notBefore, l.clock.server()+int64(wait))
		f.due = true
	})
}

// SlowDown halves the group's rate for a while: a provider said that the traffic
// grew too fast.
func (l *Limiter) SlowDown(name string) {
	l.feed(name, func(f *feedback) { f.slow, f.due = true, true })
}

// Observe takes the limits that an answer's headers show, of a call that was sent
// at a time: what they show is how it was then.
func (l *Limiter) Observe(name string, limits []llm.RateLimit, sent time.Time) {
	if len(limits) == 0 {
		return
	}
	shown := make(map[string]llm.RateLimit, len(limits))
	for _, r := range limits {
		shown[r.Dimension] = r
	}
	at := sent.UnixNano() + l.clock.offset.Load()
	l.feed(name, func(f *feedback) { f.shown, f.shownAt = shown, at })
}

func (l *Limiter) feed(name string, change func(*feedback)) {
	l.mu.Lock()
	g := l.groups[name]
	l.mu.Unlock()
	if g != nil {
		g.feed(change)
	}
}

// Degraded lists the groups whose shared state is out of reach: their calls wait.
func (l *Limiter) Degraded() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for name, g := range l.groups {
		if g.degraded.Load() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Grant is an admitted call. Exactly one of Settle and Cancel ends it; what
// comes later is ignored.
type Grant struct {
	group  *group
	cost   Cost
	leased bool // has one of the calls at once
	once   sync.Once
}

// Settle ends the call with what it really used. Where the provider corrects its
// own estimate, the difference rides along with the next reservation.
func (g *Grant) Settle(actual Cost) {
	if g.group == nil {
		return
	}
	g.once.Do(func() {
		g.releaseLease()
		g.group.settle(actual.sub(g.cost))
	})
}

// Cancel ends a call that was not made: what it reserved is given back.
func (g *Grant) Cancel() {
	if g.group == nil {
		return
	}
	g.once.Do(func() {
		g.releaseLease()
		g.group.giveBack(g.cost)
	})
}

func (g *Grant) releaseLease() {
	if g.leased {
		g.group.leases.release()
	}
}
