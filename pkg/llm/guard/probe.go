package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
)

const (
	// abandonAfter is when an open target that nobody probes is called again as if
	// nothing had been: there is so little traffic that no breaker is needed.
	abandonAfter = time.Minute
	// probeIdle is when a lease is given up for want of calls to probe with: other
	// workers may have some.
	probeIdle = 5 * time.Second
	// opTimeout bounds one read or write of the bucket.
	opTimeout = 2 * time.Second
	// retryEvery is how often what failed is tried again.
	retryEvery = 500 * time.Millisecond
)

// probe is this worker's part in probing a target. Only the holder of the lease
// does; the others see its key come and go.
type probe struct {
	held     time.Time // to when a worker has the lease, as far as we heard
	wanted   time.Time // when a call last waited here
	revision uint64    // of our lease, 0 without
	until    time.Time // our lease's end
	tried    time.Time // when we last asked for it
	calls    int       // under way
}

// abandoned reports whether nobody cares for a target that is due since until.
func (p *probe) abandoned(now, until time.Time) bool {
	return !now.Before(p.held) && p.calls == 0 && now.After(until.Add(abandonAfter))
}

// waiting reports whether calls wait here.
func (p *probe) waiting(now time.Time) bool { return now.Sub(p.wanted) < probeIdle }

// mayProbe: this worker holds the lease, or there is nobody to ask for it.
func (h *Health) mayProbe(e *target, now time.Time) bool {
	return h.alone.Load() || e.probe.revision != 0 && now.Before(e.probe.until)
}

// wantLocked notes that a call waits, so that Run asks for the lease.
func (h *Health) wantLocked(e *target, now time.Time) {
	if e.state(now) != Probing {
		return
	}
	e.probe.wanted = now
	if e.probe.revision == 0 && now.Sub(e.probe.tried) >= retryEvery {
		h.poke()
	}
}

// lease is an operation on a target's lease.
type lease int

const (
	leaveIt lease = iota
	takeIt
	renewIt
	dropIt
)

// due says what to do about the lease.
func (e *target) due(now time.Time, ttl time.Duration) lease {
	p := &e.probe
	wanted := e.state(now) == Probing && (p.calls > 0 || p.waiting(now))
	switch {
	case p.revision == 0 && wanted && !now.Before(p.held) && now.Sub(p.tried) >= retryEvery:
		return takeIt
	case p.revision != 0 && !wanted:
		return dropIt
	case p.revision != 0 && p.until.Sub(now) < ttl*2/3:
		return renewIt
	}
	return leaveIt
}

// keep tells the fleet of this worker's changes and keeps its leases until ctx
// ends, and then gives them back.
func (h *Health) keep(ctx context.Context) {
	timer := time.NewTicker(retryEvery / 2)
	defer timer.Stop()
	select {
	case <-h.ready:
	case <-ctx.Done():
		return
	}
	for {
		var err error
		if h.alone.Load() {
			err = h.ping(ctx)
		}
		if err == nil {
			err = h.sync(ctx)
		}
		if ctx.Err() != nil {
			break
		}
		h.reached(err)
		if err != nil {
			select { // no wake shortens this wait
			case <-ctx.Done():
			case <-time.After(retryEvery):
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-h.wake:
		case <-timer.C:
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), opTimeout)
	defer cancel()
	for _, e := range h.all() {
		if err := h.lease(last, e, dropIt); err != nil {
			return // they expire
		}
	}
}

// ping reports whether the bucket answers.
func (h *Health) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	_, err := h.cfg.KV.Get(ctx, "ping")
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	return err
}

// reached notes whether the shared state is within reach.
func (h *Health) reached(err error) {
	if h.alone.Swap(err != nil) == (err != nil) {
		return
	}
	if err == nil {
		h.cfg.Logger.Info("breakers share the fleet's state")
		return
	}
	h.cfg.Logger.Warn("breakers act alone, the shared state is out of reach", "error", err)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.targets {
		h.tellLocked(e)
	}
}

func (h *Health) all() []*target {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]*target, 0, len(h.targets))
	for _, e := range h.targets {
		out = append(out, e)
	}
	return out
}

// sync does all that is due, up to the first error.
func (h *Health) sync(ctx context.Context) error {
	for _, e := range h.all() {
		if err := h.publish(ctx, e); err != nil {
			return err
		}
		h.mu.RLock()
		op := e.due(h.cfg.Now(), h.cfg.Settings.ProbeTTL)
		h.mu.RUnlock()
		if err := h.lease(ctx, e, op); err != nil {
			return fmt.Errorf("the lease to probe %s: %w", e.Target, err)
		}
	}
	return nil
}

// lease does op. Only Run's goroutine changes leases.
func (h *Health) lease(ctx context.Context, e *target, op lease) error {
	h.mu.Lock()
	revision, now := e.probe.revision, h.cfg.Now()
	switch op {
	case takeIt:
		e.probe.tried = now
	case dropIt: // from here on nothing is probed with it
		e.probe.revision = 0
	}
	h.mu.Unlock()
	if op == leaveIt || op != takeIt && revision == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	revision, err := h.writeLease(ctx, probePrefix+e.key(), op, revision)
	if bus.IsConflict(err) {
		revision, err = 0, nil // another has it
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	e.probe.revision, e.probe.until = revision, now.Add(h.cfg.Settings.ProbeTTL)
	if op == takeIt && revision != 0 {
		h.tellLocked(e)
	}
	return nil
}

// writeLease returns the new revision, 0 when the lease is given up.
func (h *Health) writeLease(ctx context.Context, key string, op lease, revision uint64) (uint64, error) {
	ttl := h.cfg.Settings.ProbeTTL
	switch op {
	case takeIt:
		return h.cfg.KV.Create(ctx, key, []byte(h.cfg.Worker), jetstream.KeyTTL(ttl))
	case dropIt:
		return 0, h.cfg.KV.Purge(ctx, key, jetstream.LastRevision(revision))
	}
	// KeyValue.Update would drop the key's TTL.
	msg := &nats.Msg{Subject: "$KV." + h.cfg.KV.Bucket() + "." + key, Data: []byte(h.cfg.Worker)}
	ack, err := h.cfg.JetStream.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(revision), jetstream.WithMsgTTL(ttl))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}
