package budget

import (
	"time"

	"github.com/weir-dev/weir/pkg/llm"
)

// keepFull is the part of the provider's bucket that must stay filled: when its
// headers show less, somebody else uses the key, or an estimate was too low, and
// the fleet waits until it is filled to here. The rest is room for headers that
// are late by the calls in flight.
const keepFull = 0.5

// feedback is what the workers learned from answers and what is to be written
// into the state.
type feedback struct {
	correction Cost
	notBefore  int64 // server time
	slow       bool  // the traffic grew too fast
	shown      map[string]llm.RateLimit
	shownAt    int64
	// due says that it must be written even when nobody waits for admission.
	due bool
}

// merge returns feedback that could not be written to what came since.
func (f *feedback) merge(old feedback) {
	if f.correction == nil {
		f.correction = Cost{}
	}
	for d, n := range old.correction {
		f.correction[d] += n
	}
	f.notBefore, f.slow, f.due = max(f.notBefore, old.notBefore), f.slow || old.slow, f.due || old.due
	if f.shownAt < old.shownAt {
		f.shown, f.shownAt = old.shown, old.shownAt
	}
}

// apply changes the state by what was learned. It reports whether that is worth
// a write of its own.
func (s *state) apply(laws []Law, f feedback, now int64) (worth bool) {
	s.correct(laws, f.correction, now)
	if f.notBefore > s.NotBefore {
		s.NotBefore, worth = f.notBefore, true
	}
	if f.slow {
		// Once per minute: all the calls in flight say the same.
		if factor := s.Ramp.at(now); s.Ramp.Factor <= 0 || now-s.Ramp.At > int64(time.Minute) {
			s.Ramp, worth = ramp{Factor: max(factor/2, 1.0/64), At: now}, true
		}
	}
	for _, l := range laws {
		if shown, ok := f.shown[l.Dimension]; ok && s.observe(l, shown, f.shownAt) {
			worth = true
		}
	}
	return worth || f.due
}

// observe follows a limit that the provider shows, and lowers the level when it
// shows less than keepFull left. It never raises the level: answers are late.
func (s *state) observe(l Law, shown llm.RateLimit, at int64) (changed bool) {
	if shown.Limit > 0 {
		follow := shown.Limit
		if follow >= l.Limit {
			follow = 0
		}
		if s.Followed[l.Dimension] != follow {
			if s.Followed == nil {
				s.Followed = map[string]int64{}
			}
			changed = true
			if follow == 0 {
				delete(s.Followed, l.Dimension)
			} else {
				s.Followed[l.Dimension] = follow
			}
		}
	}
	if shown.Remaining < 0 || l.Law == Sub {
		return changed
	}
	if l.counts() {
		d := s.today(l, at)
		if used := s.limit(l) - shown.Remaining; used > d.Used {
			d.Used = used
			s.setDay(l, d)
			return true
		}
		return changed
	}
	return s.lower(l, shown, at) || changed
}

// lower moves the arrival time after what the provider shows as left.
func (s *state) lower(l Law, shown llm.RateLimit, at int64) bool {
	full, left := float64(s.limit(l)), float64(shown.Remaining)
	rate, allowed := s.pace(l, at)
	arrival := at
	switch {
	case l.long(): // all that is left may be used
		arrival += int64((full*dayFactor - left) / rate)
	case l.Law == Fixed: // it counts down to 0 in each window: only its end says something
		if left > full/50 {
			return false
		}
		arrival += int64(shown.Reset) + int64(allowed)
	case left >= full*keepFull:
		return false
	default:
		arrival += int64((full*keepFull-left)/rate) + int64(allowed)
	}
	const least = int64(50 * time.Millisecond)
	changed := false
	for _, high := range []bool{true, false} {
		if arrival <= s.arrival(l, high, at)+least {
			continue
		}
		changed = true
		if high {
			s.High[l.Dimension] = arrival
		} else {
			s.Arrival[l.Dimension] = arrival
		}
	}
	return changed
}
