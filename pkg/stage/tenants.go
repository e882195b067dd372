package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
)

const (
	// lookEvery is how often a source asks the server which tenants have messages,
	// so the longest that a tenant's first job waits to be seen. With more than
	// manyTenants it is lookSlowly, for the answer grows with them.
	lookEvery   = 250 * time.Millisecond
	lookSlowly  = time.Second
	manyTenants = 64
	// lookTimeout bounds the question: one that was under way when the server
	// went down is never answered.
	lookTimeout = 2 * time.Second
	// idleAfter is when a tenant without messages is no longer pulled from.
	idleAfter = 5 * time.Minute
	// maxPulled bounds the tenants that a source pulls from at once. While more
	// have messages, up to rotateBy of them change places at each look.
	maxPulled = 256
	rotateBy  = 32
)

// tenant is one that a source pulls from. Its fields are the source's.
type tenant struct {
	flow

	name        string
	puller      *bus.Puller
	stop        context.CancelFunc
	ahead       int // slots of the puller
	working     int // messages in work
	active      bool
	paused      bool // its messages stay in the stream
	parkedBytes int
	opened      time.Time
	arrived     time.Time // when its last message did
}

func (t *tenant) setAhead(n int) {
	if t.paused || t.blocked {
		n = 0
	}
	if n != t.ahead {
		t.ahead = n
		t.puller.SetSlots(n)
	}
}

// open waits for the stream, listens for hints and looks for tenants once.
func (s *source) open(ctx context.Context) error {
	return lifecycle.Retry(ctx, s.r.p.Logger, "stream "+s.cfg.Consumer.Stream, func(ctx context.Context) (err error) {
		s.stream, err = s.r.bus.JetStream().Stream(ctx, s.cfg.Consumer.Stream)
		if err != nil {
			return fmt.Errorf("opening stream %s: %w", s.cfg.Consumer.Stream, err)
		}
		return nil
	})
}

// discover finds the tenants that have messages and pulls from them, until ctx
// ends: by looking, and at once by the hints of those who publish. It ends the
// runner when the connection is closed for good.
func (s *source) discover(ctx context.Context) {
	hinted, err := s.r.bus.Conn().Subscribe(hintSubject(s.cfg.Consumer.Filter), func(msg *nats.Msg) {
		if msg.Reply != "" { // see Listening
			msg.Respond(nil) //nolint:errcheck // who asks takes silence for an answer, too
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pull(ctx, event.TenantOf(msg.Subject))
	})
	if err != nil {
		s.fail(fmt.Errorf("listening for hints: %w", err))
		return
	}
	defer hinted.Unsubscribe() //nolint:errcheck // the connection may be gone
	for {
		wait := lookEvery
		stored, err := s.look(ctx)
		switch {
		case errors.Is(err, nats.ErrConnectionClosed):
			s.fail(err)
			return
		case err == nil:
			s.review(ctx, stored)
			if len(stored) > manyTenants {
				wait = lookSlowly
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait - rand.N(wait/5)): //nolint:gosec // jitter
		}
	}
}

// look returns the tenants that have messages.
func (s *source) look(ctx context.Context) (map[string]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return s.cfg.Consumer.Tenants(ctx, s.stream)
}

// review lets go of tenants that are idle, and pulls from those that have
// messages, as many as there is room for.
func (s *source) review(ctx context.Context, stored map[string]uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.r.p.Now()
	for _, t := range s.tenants {
		s.pause(t)
		t.share = s.share(t.name)
		s.rest(t, now)
		if !t.active && stored[t.name] == 0 && now.Sub(t.arrived) > idleAfter {
			s.drop(t)
		}
	}
	s.balance()
	unseen := maps.Clone(stored)
	maps.DeleteFunc(unseen, func(name string, _ uint64) bool { return s.tenants[name] != nil })
	s.makeRoom(min(len(s.tenants)+len(unseen)-maxPulled, rotateBy), now)
	for name := range unseen { // in random order
		s.pull(ctx, name)
	}
}

// share is a tenant's weight now.
func (s *source) share(name string) float64 {
	if s.r.cfg.Share == nil {
		return 1
	}
	if share := s.r.cfg.Share(name); share > 0 {
		return share
	}
	return 1 // NaN, too
}

// pause follows what Config.Paused says of a tenant.
func (s *source) pause(t *tenant) {
	if s.r.cfg.Paused == nil {
		return
	}
	if paused := s.r.cfg.Paused(t.name); paused != t.paused {
		t.paused, t.more = paused, false
		t.setAhead(1)
	}
}

// rest notes what a tenant no longer is: one from which nothing came for a while,
// although it was asked, has nothing that waits.
func (s *source) rest(t *tenant, now time.Time) {
	if now.Sub(t.arrived) < recent || len(t.hand) > 0 {
		return
	}
	if t.ahead > 0 {
		t.more = false
	}
	if t.active && t.working == 0 && !t.more {
		t.active = false
		s.active = slices.DeleteFunc(s.active, func(other *tenant) bool { return other == t })
		s.queue.block(&t.flow, false) // nobody looks at it until its next message
		t.setAhead(1)
	}
}

// makeRoom drops up to n tenants so that others have their turn: those with no
// messages first, then those that were served most.
func (s *source) makeRoom(n int, now time.Time) {
	if n <= 0 {
		return
	}
	var had []*tenant
	for _, t := range s.tenants {
		if now.Sub(t.opened) >= recent {
			had = append(had, t)
		}
	}
	slices.SortFunc(had, func(a, b *tenant) int {
		if a.waits() != b.waits() {
			if b.waits() {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.time, a.time)
	})
	for _, t := range had[:min(n, len(had))] {
		s.drop(t)
	}
}

// pull starts to pull from a tenant, if it is not yet and there is room.
func (s *source) pull(ctx context.Context, name string) {
	if s.closed || s.tenants[name] != nil || len(s.tenants) >= maxPulled || name == "*" || name == ">" {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	now := s.r.p.Now()
	c := s.cfg.Consumer.Tenant(name)
	t := &tenant{name: name, stop: stop, opened: now, arrived: now, ahead: s.cfg.Slots,
		puller: bus.NewPuller(s.r.bus.Conn(), c.Stream, c.Durable, s.cfg.Slots)}
	t.paused = s.r.cfg.Paused != nil && s.r.cfg.Paused(name)
	t.setAhead(1)
	s.queue.add(&t.flow, s.share(name))
	s.tenants[name] = t
	s.r.metrics.tenants.Inc()
	s.pulls.Go(func() {
		defer s.forget(t)
		if err := s.pullFrom(ctx, t, c); err != nil {
			s.fail(err)
		}
	})
}

// pullFrom pulls until ctx ends. When the durable is gone it returns as well: the
// next look finds the tenant again, if it has messages.
func (s *source) pullFrom(ctx context.Context, t *tenant, c bus.Consumer) error {
	err := lifecycle.Retry(ctx, s.r.p.Logger, "consumer "+c.Durable, func(ctx context.Context) error {
		return s.r.bus.EnsureConsumer(ctx, c)
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was asked to stop
	}
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- t.puller.Run(ctx) }()
	for msg := range t.puller.Messages() {
		s.arrived(t, msg)
	}
	if err := <-done; !errors.Is(err, bus.ErrNoConsumer) {
		return err
	}
	return nil
}

// drop ends the pulling from a tenant. What it has in hand is still served.
func (s *source) drop(t *tenant) {
	t.stop()
	if s.tenants[t.name] != t {
		return
	}
	delete(s.tenants, t.name)
	s.active = slices.DeleteFunc(s.active, func(other *tenant) bool { return other == t })
	t.active = true // what still arrives must not make it active again
	if t.blocked {  // its turn would never come
		for _, h := range s.queue.discard(&t.flow) {
			s.handBack(h)
		}
	}
	s.queue.remove(&t.flow)
	s.r.metrics.tenants.Dec()
}

func (s *source) forget(t *tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(t)
	s.balance()
}

// hints tell the workers of the next stage that a tenant has messages, so that
// they need not look for it first. A hint that is lost costs a look.
type hints struct {
	mu    sync.Mutex
	sent  map[string]struct{} // subjects hinted at since
	since time.Time
}

// hintEvery is how often a process hints at the same subject: well before its
// tenant counts as idle.
const hintEvery = time.Minute

func newHints() *hints { return &hints{sent: map[string]struct{}{}} }

// send hints at the subjects of steps that were published.
func (h *hints) send(nc *nats.Conn, now time.Time, outs []bus.Out) {
	for _, out := range outs {
		if strings.HasPrefix(out.Subject, stepPrefix) && h.due(out.Subject, now) {
			nc.Publish(hintSubject(out.Subject), nil) //nolint:errcheck // a look finds the tenant, too
		}
	}
}

// due reports whether to hint at subject now.
func (h *hints) due(subject string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.since) > hintEvery {
		clear(h.sent)
		h.since = now
	}
	_, known := h.sent[subject]
	h.sent[subject] = struct{}{}
	return !known
}

const stepPrefix = "weir.steps."

// hintSubject is where messages on subject, or on a filter, are hinted at.
func hintSubject(subject string) string { return "weir.hints." + strings.TrimPrefix(subject, "weir.") }
