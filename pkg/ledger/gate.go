package ledger

import (
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// Policy says what becomes of a job whose tenant's budget is used up.
type Policy string

// The policies.
const (
	PolicyWait Policy = "wait" // until the next window
	PolicyFail Policy = "fail"
)

// Budget bounds what a tenant spends from Start up to, but not including, End.
// Both are midnights, UTC: totals are kept by day.
type Budget struct {
	// NanoUSD is the bound; 0 is no bound.
	NanoUSD    int64
	Start, End time.Time
	// Policy defaults to PolicyWait.
	Policy Policy
	// AlertAt is the part of the bound at which an alert is sent besides the one
	// at the whole; 0 sends that one alone.
	AlertAt float64
	// Soft sends alerts and holds nothing back.
	Soft bool
}

// Decision is what a budget says to a call.
type Decision string

// The decisions.
const (
	Allow Decision = "allow"
	Wait  Decision = "wait"
	Fail  Decision = "fail"
)

// Verdict is a decision and its reason.
type Verdict struct {
	Decision Decision
	// Until is when to ask again (Wait).
	Until time.Time
	// Reason says why not, for people.
	Reason string
}

// Err is the verdict as an error, nil when the call is allowed. After it waited
// for the window, or got a larger budget, the job can be run again.
func (v Verdict) Err(now time.Time) error {
	if v.Decision == Allow {
		return nil
	}
	e := &event.Error{Class: event.ClassQuota, Field: "tenant", Message: v.Reason, Hint: "raise the tenant's budget in the catalog, or wait for its next window"}
	if v.Decision == Wait {
		e.RetryAfter = max(v.Until.Sub(now), 0)
	}
	return e
}

const (
	// recheck is when to ask again while calls in flight decide, or while the
	// totals are not known yet.
	recheck = time.Second
	// settling is how long a call that ended counts by itself: its line is in
	// the totals after flushEvery, and seen here a moment later.
	settling = 3 * time.Second
)

// Hold is a call's place in its tenant's budget while it is in flight.
type Hold struct {
	spend    *Spend
	tenant   string
	estimate int64
}

// Gate asks whether tenant may make a call of at most estimate nano-USD. If so,
// the estimate counts until Hold.Done. Otherwise the hold is nil.
//
// A hard budget lets no call start that does not fit beside what is spent and
// this process's calls in flight. The spend of other processes is known about
// flushEvery after it is stored: a fleet stops within 2 s of reaching a budget,
// and goes over it at most by what the other processes had in flight or settled
// in that time. A call that costs nothing is always allowed.
func (s *Spend) Gate(b Budget, tenant string, now time.Time, estimate int64) (Verdict, *Hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.judge(b, tenant, now, estimate); v.Decision != Allow {
		return v, nil
	}
	s.flight(tenant).held += estimate
	return Verdict{Decision: Allow}, &Hold{spend: s, tenant: tenant, estimate: estimate}
}

func (s *Spend) judge(b Budget, tenant string, now time.Time, estimate int64) Verdict {
	if b.Soft || b.NanoUSD <= 0 || estimate <= 0 {
		return Verdict{Decision: Allow}
	}
	if estimate > b.NanoUSD {
		return Verdict{Decision: Fail, Reason: fmt.Sprintf("a call of up to %s does not fit into tenant %s's whole budget of %s", usd(estimate), tenant, usd(b.NanoUSD))}
	}
	if !s.known {
		return Verdict{Decision: Wait, Until: now.Add(recheck), Reason: "what tenant " + tenant + " has spent is not known yet"}
	}
	spent := plus(s.spent(tenant, b.Start, b.End), estimate)
	if spent > b.NanoUSD {
		v := Verdict{Decision: Wait, Until: b.End, Reason: fmt.Sprintf("tenant %s has spent %s of its budget of %s until %s; the call may cost %s",
			tenant, usd(spent-estimate), usd(b.NanoUSD), b.End.UTC().Format(time.DateOnly), usd(estimate))}
		if b.Policy == PolicyFail {
			v.Decision = Fail
		}
		return v
	}
	if pending := s.flight(tenant).pending(now); plus(spent, pending) > b.NanoUSD {
		return Verdict{Decision: Wait, Until: now.Add(recheck), Reason: fmt.Sprintf("tenant %s's calls in flight may use up its budget of %s", tenant, usd(b.NanoUSD))}
	}
	return Verdict{Decision: Allow}
}

// Done says what the call cost: its line's cost, 0 when it was not made. It may
// be called again; only the first counts. A nil hold is no hold.
func (h *Hold) Done(now time.Time, cost int64) {
	if h == nil {
		return
	}
	h.spend.mu.Lock()
	defer h.spend.mu.Unlock()
	if h.tenant == "" {
		return
	}
	f := h.spend.flight(h.tenant)
	f.held -= h.estimate
	if cost > 0 {
		f.settled = append(f.settled, settled{now.Add(settling), cost})
	}
	f.pending(now)
	if f.held == 0 && len(f.settled) == 0 {
		delete(h.spend.flights, h.tenant)
	}
	h.tenant = ""
}

// flight is what this process has spent of a tenant's and is not in the totals.
type flight struct {
	held    int64
	settled []settled // in the order of their end
}

type settled struct {
	until time.Time
	cost  int64
}

func (s *Spend) flight(tenant string) *flight {
	f, ok := s.flights[tenant]
	if !ok {
		f = &flight{}
		s.flights[tenant] = f
	}
	return f
}

// pending adds up what is in flight or just ended, and forgets what is not.
func (f *flight) pending(now time.Time) int64 {
	over := 0
	for over < len(f.settled) && !now.Before(f.settled[over].until) {
		over++
	}
	f.settled = f.settled[over:]
	sum := f.held
	for _, s := range f.settled {
		sum = plus(sum, s.cost)
	}
	return sum
}

// usd writes an amount for people: cents, and more digits when it is small.
func usd(nano int64) string {
	if nano > 0 && nano < 1e7 {
		return fmt.Sprintf("$%.6f", float64(nano)/1e9)
	}
	return fmt.Sprintf("$%.2f", float64(nano)/1e9)
}
