package budget

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// state is what the workers share about one group. Times are nanoseconds of the
// server's clock.
type state struct {
	V int `json:"v"`
	// Arrival is the theoretical arrival time of each dimension over all calls,
	// High that over interactive calls alone. These go to the front: they push
	// what batch calls have reserved back by what they take, which Pushed sums up.
	Arrival map[string]int64 `json:"arrival"`
	High    map[string]int64 `json:"high"`
	Pushed  map[string]int64 `json:"pushed"`
	// NotBefore holds all calls: a provider asked for it.
	NotBefore int64 `json:"not_before,omitempty"`
	// Day counts fixed daily limits.
	Day map[string]day `json:"day,omitempty"`
	// Followed are limits that the provider shows lower than the catalog has them.
	Followed map[string]int64 `json:"followed,omitempty"`
	// Ramp lowers the rate after the traffic grew too fast.
	Ramp ramp `json:"ramp,omitzero"`
}

// day is the use of a fixed window.
type day struct {
	Start int64 `json:"start"`
	Used  int64 `json:"used"`
}

// ramp is a factor of the rate that recovers with time.
type ramp struct {
	Factor float64 `json:"factor"`
	At     int64   `json:"at"`
}

// rampRecovery is the time in which the rate may grow by half after the provider
// said that it grew too fast (OpenAI: at most +50 % per 15 minutes).
const rampRecovery = 15 * time.Minute

// at is the factor at a time.
func (r ramp) at(now int64) float64 {
	if r.Factor <= 0 {
		return 1
	}
	return min(1, r.Factor*math.Pow(1.5, float64(now-r.At)/float64(rampRecovery)))
}

func decode(data []byte) (*state, error) {
	s := &state{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("reading budget state: %w", err)
	}
	if s.V != 1 {
		return nil, fmt.Errorf("reading budget state: version %d, want 1", s.V)
	}
	for _, m := range []*map[string]int64{&s.Arrival, &s.High, &s.Pushed} {
		if *m == nil {
			*m = map[string]int64{}
		}
	}
	return s, nil
}

func newState() *state {
	return &state{V: 1, Arrival: map[string]int64{}, High: map[string]int64{}, Pushed: map[string]int64{}}
}

func (s *state) encode() ([]byte, error) { return json.Marshal(s) }

// limit is the one in force: the catalog's, or a lower one that the provider shows.
func (s *state) limit(l Law) int64 {
	if n := s.Followed[l.Dimension]; n > 0 && n < l.Limit {
		return n
	}
	return l.Limit
}

// pace is l's under the state.
func (s *state) pace(l Law, now int64) (rate float64, allowed time.Duration) {
	rate, allowed = l.pace(s.limit(l))
	return rate * s.Ramp.at(now), allowed
}

// arrival of a dimension, over interactive calls alone or over all. One that
// nobody has used yet starts without any burst: another process may have used the
// key just before. A daily limit starts full; the provider's headers will say
// otherwise.
func (s *state) arrival(l Law, high bool, now int64) int64 {
	times := s.Arrival
	if high {
		times = s.High
	}
	if at, ok := times[l.Dimension]; ok {
		return at
	}
	if l.long() {
		return now
	}
	_, allowed := s.pace(l, now)
	return now + int64(allowed)
}

// begin notes when dimensions that nobody has used yet were first looked at, from
// which on their time runs, and reports whether there were any. Without the note a
// call that needs more than the horizon would wait for ever.
func (s *state) begin(laws []Law, now int64) bool {
	begun := false
	for _, l := range laws {
		if _, ok := s.Arrival[l.Dimension]; ok || l.counts() {
			continue
		}
		s.Arrival[l.Dimension], s.High[l.Dimension] = s.arrival(l, false, now), s.arrival(l, true, now)
		begun = true
	}
	return begun
}

// place is where a call is in the future of its group.
type place struct {
	start   int64
	binding Law   // the limit that decides start; zero when none does
	pushed  int64 // of the binding dimension, when the place was given
}

// find looks where a call of cost would start. It changes nothing.
func (s *state) find(laws []Law, cost Cost, high bool, now int64) place {
	p := place{start: max(now, s.NotBefore)}
	for _, l := range laws {
		if at := s.earliest(l, cost[l.Dimension], high, now); at > p.start {
			p = place{start: at, binding: l, pushed: s.Pushed[l.Dimension]}
		}
	}
	return p
}

// earliest is when one limit has room for n units.
func (s *state) earliest(l Law, n int64, high bool, now int64) int64 {
	if n <= 0 {
		return now
	}
	if l.counts() {
		if d := s.today(l, now); float64(d.Used+n) > float64(s.limit(l))*dayFactor {
			return dayEnd(l, d.Start)
		}
		return now
	}
	rate, allowed := s.pace(l, now)
	takes := duration(n, rate)
	return max(s.arrival(l, high, now), now-takes) + takes - int64(allowed)
}

// take reserves cost at a place that find gave.
func (s *state) take(laws []Law, cost Cost, high bool, now int64, p place) {
	for _, l := range laws {
		n := cost[l.Dimension]
		if n <= 0 {
			continue
		}
		if l.counts() {
			s.count(l, n, now)
			continue
		}
		rate, _ := s.pace(l, now)
		takes := duration(n, rate)
		after := func(arrival int64) int64 { return max(arrival, p.start-takes) + takes + l.apart(takes) }
		all := s.arrival(l, false, now)
		if high {
			s.High[l.Dimension] = after(s.arrival(l, true, now))
			s.Pushed[l.Dimension] += after(all) - all
		}
		s.Arrival[l.Dimension] = after(all)
	}
}

// apart is the room that a large call keeps after itself under the law Fixed: a
// window may begin just before it, and what it was saved up for lies before that.
// A bucket is different: it was full then.
func (l Law) apart(takes int64) int64 {
	if l.Law != Fixed {
		return 0
	}
	return max(0, takes-int64(float64(l.Window)*(1-factor)/2))
}

// correct adds units to what is used (or, below 0, gives them back).
func (s *state) correct(laws []Law, by Cost, now int64) {
	for _, l := range laws {
		n := by[l.Dimension]
		if n == 0 {
			continue
		}
		if l.counts() {
			s.count(l, n, now)
			continue
		}
		rate, _ := s.pace(l, now)
		s.Arrival[l.Dimension] = s.arrival(l, false, now) + duration(n, rate)
		s.High[l.Dimension] = s.arrival(l, true, now) + duration(n, rate)
	}
}

// count adds to the use of a fixed day.
func (s *state) count(l Law, n, now int64) {
	d := s.today(l, now)
	d.Used = max(0, d.Used+n)
	s.setDay(l, d)
}

// today is the use of the present window.
func (s *state) today(l Law, now int64) day {
	start := dayStart(l, now)
	if d, ok := s.Day[l.Dimension]; ok && d.Start >= start {
		return d
	}
	return day{Start: start}
}

func (s *state) setDay(l Law, d day) {
	if s.Day == nil {
		s.Day = map[string]day{}
	}
	s.Day[l.Dimension] = d
}

// dayStart is the start of the window that now is in: midnight in the law's zone
// for days, else multiples of the window.
func dayStart(l Law, now int64) int64 {
	t := time.Unix(0, now)
	if l.Window != 24*time.Hour {
		return t.Truncate(l.Window).UnixNano()
	}
	zone := l.Zone
	if zone == nil {
		zone = time.UTC
	}
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone).UnixNano()
}

func dayEnd(l Law, start int64) int64 {
	if l.Window != 24*time.Hour {
		return start + int64(l.Window)
	}
	zone := l.Zone
	if zone == nil {
		zone = time.UTC
	}
	return time.Unix(0, start).In(zone).AddDate(0, 0, 1).UnixNano()
}

// duration is the time in which n units come at a rate.
func duration(n int64, rate float64) int64 { return int64(math.Round(float64(n) / rate)) }
