package guard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// Permit is one call that was let through. The first of Done, Cancel and its
// deadline finishes it; what comes later is ignored.
type Permit struct {
	h       *Health
	target  *target
	breaker *breaker
	done    func(error)
	since   time.Time
	timeout time.Duration
	once    sync.Once
	lost    *time.Timer
}

// Reasons why a call counts as a failure that has no error, or none of a provider.
var (
	errLost = errors.New("the call never ended")
	errSlow = errors.New("the first token was slow")
)

// Done finishes the call. ttft is the time to the first token, 0 if not known.
func (p *Permit) Done(err error, ttft time.Duration) {
	p.lost.Stop()
	p.finish(err, ttft)
}

// Cancel finishes a call that was never made.
func (p *Permit) Cancel() { p.Done(context.Canceled, 0) }

// verdict is what a call says of its target.
type verdict int

const (
	success verdict = iota
	failure
	nothing // of its health: the call itself is to blame, or the rate
	parking
)

// judge sorts an outcome. A deadline is the provider's failure only if the call
// had all its time: else the job had too little left.
func judge(err error, whole bool) (verdict, *event.Error) {
	if err == nil {
		return success, nil
	}
	e := event.AsError(err)
	switch e.Class {
	case event.ClassUnavailable, event.ClassTruncated, event.ClassInternal:
		if errors.Is(err, context.Canceled) {
			return nothing, e // by us
		}
		return failure, e
	case event.ClassDeadline:
		if whole {
			return failure, e
		}
	case event.ClassQuota, event.ClassAuth:
		return parking, e
	}
	return nothing, e
}

func (p *Permit) finish(err error, ttft time.Duration) {
	p.once.Do(func() {
		p.h.mu.Lock()
		defer p.h.mu.Unlock()
		p.h.finishLocked(p, err, ttft)
	})
}

func (h *Health) finishLocked(p *Permit, err error, ttft time.Duration) {
	e := p.target
	verdict, cause := judge(err, h.cfg.Now().Sub(p.since) >= p.timeout)
	if verdict == success && ttft > 0 {
		if e.median.slow(h.cfg.Settings, ttft) {
			verdict, cause = failure, event.Errorf(event.ClassUnavailable, "%w: %v, usual are %v",
				errSlow, ttft.Round(time.Millisecond), e.median.value.Round(time.Millisecond))
			h.metrics.slow.WithLabelValues(e.Provider, e.Group).Inc()
		}
		e.median.add(ttft)
	}
	if p.breaker == e.breaker && p.breaker.probing {
		e.probe.calls--
	}
	switch verdict {
	case success:
		p.done(nil)
	case failure:
		p.done(errFailed)
	default:
		p.done(errExcluded)
	}
	if verdict == parking {
		h.parkLocked(e, cause)
		return
	}
	h.settleLocked(p, cause)
}

// settleLocked ends the phase if this call did. Calls of earlier phases don't.
func (h *Health) settleLocked(p *Permit, cause *event.Error) {
	e := p.target
	switch {
	case p.breaker != e.breaker:
	case p.breaker.opened() && p.breaker.probing:
		h.setLocked(e, h.open(e.record.Opens+1, "still failing: "+brief(cause)))
	case p.breaker.opened():
		h.setLocked(e, h.open(0, "too many calls failed, the last: "+brief(cause)))
	case p.breaker.closed():
		h.setLocked(e, record{State: Closed})
	default:
		if p.breaker.probing {
			h.tellLocked(e) // a place for a probe is free
		}
	}
}

// parkLocked leaves a target alone whose quota is used up, or the whole key when
// it is refused, for as long as the provider says.
func (h *Health) parkLocked(e *target, cause *event.Error) {
	wait := h.cfg.Settings.ParkFor
	if cause.Class == event.ClassAuth {
		e = h.target(Target{Provider: e.Provider})
	} else if cause.RetryAfter > 0 {
		wait = cause.RetryAfter
	}
	until := h.cfg.Now().Add(wait)
	if e.state(h.cfg.Now()) == Parked && !until.After(e.record.Until.Add(time.Second)) {
		return // calls that were under way say the same again
	}
	h.setLocked(e, record{State: Parked, Until: until, Reason: brief(cause), Class: cause.Class})
}

// briefly bounds a reason: providers' messages may hold pages.
const briefly = 200

func brief(cause *event.Error) string {
	text := fmt.Sprint(cause)
	if len(text) > briefly {
		return fmt.Sprintf("%.*s...", briefly, text)
	}
	return text
}
