package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/event"
)

// Target is what a breaker stands before: a provider's group of models, which
// fail together. An empty Group is the whole key.
type Target struct{ Provider, Group string }

// String is "provider/group", or "provider".
func (t Target) String() string {
	if t.Group == "" {
		return t.Provider
	}
	return t.Provider + "/" + t.Group
}

// State of a target.
type State string

// The states.
const (
	// Closed: calls go out.
	Closed State = "closed"
	// Open: it fails; no call goes out until Status.Until.
	Open State = "open"
	// Probing: one worker tries whether it works again.
	Probing State = "probing"
	// Parked: the account has no quota or the key is refused, until Status.Until.
	Parked State = "parked"
)

func (s State) level() float64 {
	switch s {
	case Probing:
		return 1
	case Open:
		return 2
	case Parked:
		return 3
	}
	return 0
}

// Status is what is known of a target.
type Status struct {
	Target Target
	State  State
	// Until is when an open target may be probed and a parked one called again.
	Until time.Time
	// Reason says what happened, Class what to tell who can't wait; By is the
	// worker that found out.
	Reason string
	Class  event.Class
	By     string
	// probe says that a call may go out although the target is probed.
	probe bool
}

// Callable reports whether a call may be tried at now. Where calls wait, while the
// target is probed, that is so for the worker that probes; where none does (in a
// router) it is always so: a probe needs calls.
func (s Status) Callable(now time.Time) bool {
	switch s.State {
	case Closed:
		return true
	case Parked:
		return !now.Before(s.Until)
	}
	return s.probe
}

// HealthConfig is what a Health works with.
type HealthConfig struct {
	// KV is the bucket all workers share, with per-key TTL, JetStream where it is.
	KV        jetstream.KeyValue
	JetStream jetstream.JetStream
	// Worker is this process's name, unique in the fleet.
	Worker     string
	Settings   Settings
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Health knows which targets work. What one worker finds out, all act on; while
// the shared state is out of reach each acts on what it sees itself. It is safe
// for concurrent use.
type Health struct {
	cfg     HealthConfig
	metrics *healthMetrics
	ready   chan struct{}
	wake    chan struct{} // something for Run to do
	alone   atomic.Bool   // the shared state is out of reach

	mu      sync.RWMutex
	targets map[Target]*target
}

// target is the state of one. What is shared is in record; breaker is made for
// the phase that record is in.
type target struct {
	Target
	record   record
	revision uint64 // of record in the bucket
	dirty    bool   // record is not in the bucket yet
	breaker  *breaker
	median   median
	changed  chan struct{} // closed at the next change
	probe    probe
}

// NewHealth returns a Health. It does no I/O.
func NewHealth(cfg HealthConfig) (*Health, error) {
	if cfg.KV == nil || cfg.JetStream == nil || cfg.Worker == "" {
		return nil, errors.New("guard: KV, JetStream and Worker: missing")
	}
	if err := cfg.Settings.Validate(); err != nil {
		return nil, err
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
	h := &Health{cfg: cfg, ready: make(chan struct{}), wake: make(chan struct{}, 1), targets: map[Target]*target{}}
	h.alone.Store(true) // until Run has seen the bucket
	h.metrics = newHealthMetrics(h, cfg.Registerer)
	return h, nil
}

// Ready is closed when the fleet's state is known.
func (h *Health) Ready() <-chan struct{} { return h.ready }

// Run follows the fleet's state and tells this worker's until ctx ends. It waits
// for NATS as long as it takes; the breakers work meanwhile.
func (h *Health) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	loops.Go(func() { h.follow(ctx) })
	loops.Go(func() { h.keep(ctx) })
	loops.Wait()
	return nil
}

// Check returns the target's state, or that of its key when that is worse. It is
// a look at memory.
func (h *Health) Check(t Target) Status {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.checkLocked(t, h.cfg.Now())
}

func (h *Health) checkLocked(t Target, now time.Time) Status {
	if key, ok := h.targets[Target{Provider: t.Provider}]; ok && t.Group != "" {
		if s := h.statusLocked(key, now); s.State != Closed {
			return s
		}
	}
	if e, ok := h.targets[t]; ok {
		return h.statusLocked(e, now)
	}
	return Status{Target: t, State: Closed}
}

func (h *Health) statusLocked(e *target, now time.Time) Status {
	s := Status{Target: e.Target, State: e.state(now)}
	if s.State == Closed {
		return s
	}
	r := &e.record
	s.Until, s.Reason, s.Class, s.By = r.Until, r.Reason, r.Class, r.By
	s.probe = s.State == Probing && (!e.probe.waiting(now) || h.mayProbe(e, now) && e.breaker.free(h.cfg.Settings))
	return s
}

// state is the record's, as time has moved it on.
func (e *target) state(now time.Time) State {
	past := !now.Before(e.record.Until)
	switch {
	case e.record.State == Parked && !past, e.record.State == Open && !past:
		return e.record.State
	case e.record.State == Open && !e.probe.abandoned(now, e.record.Until):
		return Probing
	}
	return Closed
}

// Statuses returns all targets that were ever called or heard of, sorted.
func (h *Health) Statuses() []Status {
	h.mu.RLock()
	defer h.mu.RUnlock()
	now := h.cfg.Now()
	out := make([]Status, 0, len(h.targets))
	for _, e := range h.targets {
		out = append(out, h.statusLocked(e, now))
	}
	slices.SortFunc(out, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.Target.Provider, b.Target.Provider), cmp.Compare(a.Target.Group, b.Target.Group))
	})
	return out
}

// Changed returns a channel that is closed when the state of the target or its
// key changes next; what passes by mere time (Status.Until) is no change. To ask
// means to wait for a call: it makes this worker a candidate for the probe.
func (h *Health) Changed(t Target) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.target(t)
	h.wantLocked(e, h.cfg.Now())
	return e.changed
}

// target finds or makes the state of t.
func (h *Health) target(t Target) *target {
	e, ok := h.targets[t]
	if !ok {
		e = &target{Target: t, changed: make(chan struct{})}
		h.targets[t] = e
	}
	return e
}

// probeSoon is when to try again where a probe is under way.
const probeSoon = time.Second

// Allow asks to make a call that ends after timeout at most, 0 for the usual. It
// does not wait: what the fleet knows not to work is refused with the class of the
// cause and RetryAfter. The permit must be finished; one that is not counts as
// lost after its deadline.
func (h *Health) Allow(ctx context.Context, t Target, timeout time.Duration) (*Permit, error) {
	if ctx.Err() != nil {
		return nil, event.AsError(context.Cause(ctx))
	}
	if timeout <= 0 {
		timeout = h.cfg.Settings.CallTimeout
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.cfg.Now()
	e := h.target(t)
	h.wantLocked(e, now)
	s := h.checkLocked(t, now)
	if !s.Callable(now) {
		return nil, refusal(s, now)
	}
	if s.State == Closed {
		e.close(h.cfg.Settings, timeout)
	}
	done, err := e.breaker.two.Allow()
	if err != nil {
		return nil, refusal(s, now)
	}
	p := &Permit{h: h, target: e, breaker: e.breaker, done: done, since: now, timeout: timeout}
	if s.State == Probing {
		e.probe.calls++
	}
	p.lost = time.AfterFunc(timeout+lostAfter, func() { p.finish(errLost, 0) })
	return p, nil
}

// close forgets a record whose time is over, and sees to a breaker that is good
// for calls of up to timeout.
func (e *target) close(s Settings, timeout time.Duration) {
	if e.record.State == Open || e.record.State == Parked {
		e.record, e.breaker, e.dirty = record{}, nil, false
	}
	if e.breaker == nil || e.breaker.timeout < timeout {
		e.breaker = newBreaker(s, timeout)
	}
}

func refusal(s Status, now time.Time) error {
	after := max(s.Until.Sub(now), probeSoon)
	return &event.Error{Class: s.Class, RetryAfter: after,
		Message: fmt.Sprintf("%s is %s: %s", s.Target, s.State, s.Reason), Hint: "weir limits shows the state of all providers"}
}

// setLocked begins a phase and tells everybody.
func (h *Health) setLocked(e *target, r record) {
	r.V, r.Provider, r.Group, r.By = recordVersion, e.Provider, e.Group, h.cfg.Worker
	h.adoptLocked(e, r)
	e.dirty = true
	h.metrics.changed(e.Target, r.State)
	h.poke()
	if r.State == Closed {
		h.cfg.Logger.Info("provider works again", "target", e.String())
		return
	}
	h.cfg.Logger.Warn("provider is not called for a while", "target", e.String(), "state", r.State, "reason", r.Reason, "until", r.Until)
}

// adoptLocked makes r the target's record and begins its phase.
func (h *Health) adoptLocked(e *target, r record) {
	e.record = r
	e.breaker = nil
	if r.State == Open {
		e.breaker = newProbe(h.cfg.Settings)
	}
	e.probe.calls = 0
	h.tellLocked(e)
}

// tellLocked wakes who waits for a change. A key's change is one of its groups.
func (h *Health) tellLocked(e *target) {
	for t, other := range h.targets {
		if t == e.Target || e.Group == "" && t.Provider == e.Provider {
			close(other.changed)
			other.changed = make(chan struct{})
		}
	}
}

func (h *Health) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// open makes the record of a breaker that opens for the nth time in a row.
func (h *Health) open(n int, reason string) record {
	return record{State: Open, Opens: n, Until: h.cfg.Now().Add(h.cfg.Settings.openFor(n, rand.Float64())), //nolint:gosec // jitter
		Reason: reason, Class: event.ClassUnavailable}
}
