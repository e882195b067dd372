package stage

import (
	"context"
	"errors"
)

// Bounds of what is parked of a source, of all tenants together: when one is reached,
// no more messages are taken until some go on.
const (
	maxParked      = 8192
	maxParkedBytes = 256 << 20
	// fewParked is how many a tenant may have, however many tenants share the room.
	fewParked = 16
	// tenantParkedBytes bounds a tenant's.
	tenantParkedBytes = 32 << 20
)

// Park calls wait without a slot: other messages are handled meanwhile, and this one
// is kept alive. When wait returns nil, Park returns as soon as a slot is free. How
// many of a tenant's messages are in work, or wait so, is bounded by the source's Window. The wait's
// context ends when the runner stops; the handler should then return Park's error,
// ErrStopped, by which the message is handed back at once. Outside a runner, Park just
// calls wait.
func Park(ctx context.Context, wait func(context.Context) error) error {
	h, ok := ctx.Value(heldKey{}).(*held)
	if !ok {
		return wait(ctx)
	}
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !h.src.park(h, cancel) {
		return ErrStopped
	}
	err := wait(waiting)
	h.src.unpark(h, err == nil)
	if err != nil && errors.Is(context.Cause(waiting), ErrStopped) {
		return ErrStopped
	}
	return err
}

// park gives the slot of a message to a goroutine of its own; false when the source
// is closed.
func (s *source) park(h *held, cancel context.CancelCauseFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.parked[h] = cancel
	s.weigh(h, len(h.msg.Data))
	s.busy--
	if s.workers-len(s.parked) < s.cfg.Slots {
		s.workers++
		s.slots.Go(func() { s.slot(h.work) })
	}
	s.resume.Signal()
	s.moved()
	return true
}

// unpark ends the parking of a message. With claim it waits for a slot, before those
// that would take another message; without, the handler is about to end.
func (s *source) unpark(h *held, claim bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.parked, h)
	s.weigh(h, -len(h.msg.Data))
	s.moved()
	s.claims++
	for claim && s.busy >= s.cfg.Slots && !s.closed {
		s.resume.Wait()
	}
	s.claims--
	s.busy++
}

// weigh adds to what is parked.
func (s *source) weigh(h *held, bytes int) {
	s.parkedBytes += bytes
	h.tenant.parkedBytes += bytes
}

// moved is called when the parking has changed.
func (s *source) moved() {
	for _, t := range s.active {
		s.fit(t)
	}
	s.balance()
	s.wake.Signal()
}

// fit takes no more of a tenant's messages while it has as many as it may, or all
// tenants have. What is in hand of one that is let go of is taken all the same.
func (s *source) fit(t *tenant) { s.queue.block(&t.flow, !t.gone && s.full(t)) }

func (s *source) full(t *tenant) bool {
	if len(s.parked) == 0 {
		return false
	}
	if len(s.parked) >= maxParked || s.parkedBytes >= maxParkedBytes || t.parkedBytes >= tenantParkedBytes {
		return true
	}
	return s.cfg.Window > 0 && t.working >= min(s.cfg.Window, max(fewParked, maxParked/max(1, len(s.active))))
}
