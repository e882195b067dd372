package budget

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/llm"
)

const second = int64(time.Second)

func perMinute(dimension, law string, limit int64) Law {
	return Law{Dimension: dimension, Law: law, Limit: limit, Window: time.Minute, Sub: time.Second}
}

type admitted struct{ at, tokens int64 }

// TestNoWindowAboveTheLimit: whatever comes, in any minute at most the limit is
// admitted, and under load nearly all of it is. Large calls may stick out of a
// minute under the law Bucket only, whose provider looks at the level.
func TestNoWindowAboveTheLimit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		law  string
		mean int64 // tokens of a call
		gap  time.Duration
		full bool
	}{
		{"saturated", Bucket, 1000, 0, true},
		{"saturated fixed", Fixed, 1000, 0, true},
		{"large calls", Bucket, 40_000, 0, true},
		{"large calls fixed", Fixed, 40_000, 0, false},
		{"half load", Bucket, 1000, 120 * time.Millisecond, false},
		{"idle spells", Bucket, 5000, time.Second, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			laws := []Law{perMinute(Tokens, tc.law, 1_000_000), perMinute(Requests, tc.law, 100_000)}
			s, now := newState(), int64(1_700_000_000)*second
			begin := now
			r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible
			var log []admitted
			for now-begin < 5*60*second {
				cost := Cost{Requests: 1, Tokens: 1 + r.Int64N(2*tc.mean)}
				p := s.find(laws, cost, false, now)
				s.take(laws, cost, false, now, p)
				log = append(log, admitted{p.start, cost[Tokens]})
				now = max(now, p.start) + int64(float64(tc.gap)*2*r.Float64())
			}
			most, total := windows(log, 60*second)
			if level := lowest(log, 1_000_000); level < 0 {
				t.Errorf("the provider's bucket is at %d", level)
			}
			largest := 2 * tc.mean
			if tc.law == Fixed || largest < 10_000 {
				largest = 0 // within the margin
			}
			if most > 1_000_000+largest {
				t.Errorf("%d tokens in one minute", most)
			}
			if used := float64(total) / 5_000_000; tc.full && used < 0.98 {
				t.Errorf("only %.3f of the limit used", used)
			}
		})
	}
}

// windows is the most in any window that begins with a call, and the sum.
func windows(log []admitted, width int64) (most, total int64) {
	slices.SortFunc(log, func(a, b admitted) int { return int(a.at - b.at) })
	sum, first := int64(0), 0
	for _, a := range log {
		sum, total = sum+a.tokens, total+a.tokens
		for log[first].at <= a.at-width {
			sum -= log[first].tokens
			first++
		}
		most = max(most, sum)
	}
	return most, total
}

// lowest is the lowest level of a bucket of limit per minute, full at first.
func lowest(log []admitted, limit float64) int64 {
	level, low, at := limit, limit, log[0].at
	for _, a := range log {
		level = min(limit, level+float64(a.at-at)*limit/float64(60*second)) - float64(a.tokens)
		low, at = min(low, level), a.at
	}
	return int64(low)
}

// TestSubWindows: 600 requests per minute judged per second are 10 in each.
func TestSubWindows(t *testing.T) {
	t.Parallel()
	laws := []Law{perMinute(Requests, Sub, 600)}
	s, now := newState(), int64(1_700_000_000)*second
	var log []admitted
	for range 300 {
		p := s.find(laws, Cost{Requests: 1}, false, now)
		s.take(laws, Cost{Requests: 1}, false, now, p)
		log = append(log, admitted{p.start, 1})
	}
	if most, _ := windows(log, second); most > 10 {
		t.Errorf("%d requests in a second", most)
	}
	if took := log[299].at - now; took > 34*second {
		t.Errorf("300 requests took %s", time.Duration(took))
	}
}

// TestAllDimensionsBind: a mix in which now requests, now tokens are scarce uses
// up the scarcer one.
func TestAllDimensionsBind(t *testing.T) {
	t.Parallel()
	laws := []Law{perMinute(Tokens, Bucket, 600_000), perMinute(Requests, Bucket, 6000)}
	s, now := newState(), int64(1_700_000_000)*second
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // reproducible
	var tokens, calls int64
	var last int64
	for range 20_000 {
		cost := Cost{Requests: 1, Tokens: 20}
		if r.IntN(4) == 0 {
			cost[Tokens] = 300
		}
		p := s.find(laws, cost, false, now)
		s.take(laws, cost, false, now, p)
		last, tokens, calls = p.start, tokens+cost[Tokens], calls+1
	}
	minutes := float64(last-now) / float64(60*second)
	if used := max(float64(tokens)/minutes/600_000, float64(calls)/minutes/6000); used < 0.97 || used > 1 {
		t.Errorf("the scarcest limit is used at %.3f", used)
	}
}

func TestFreshStateStartsWithoutBurst(t *testing.T) {
	t.Parallel()
	laws := []Law{perMinute(Requests, Bucket, 6000)}
	s, now := newState(), int64(1_700_000_000)*second
	for i := range int64(3) {
		p := s.find(laws, Cost{Requests: 1}, false, now)
		s.take(laws, Cost{Requests: 1}, false, now, p)
		if want := now + (i+1)*10*int64(time.Millisecond); p.start < want {
			t.Errorf("call %d starts %s after the first could", i, time.Duration(p.start-now))
		}
	}
}

// TestDailyLimits: a bucket starts full, a counter ends at midnight of its zone.
// TestSlowLimitComesUp: a call that takes longer than the horizon on a key that
// nobody has used gets nearer as time goes by.
func TestSlowLimitComesUp(t *testing.T) {
	t.Parallel()
	laws := []Law{perMinute("rpm", Bucket, 6)} // one in 10 s
	s := newState()
	now := int64(time.Hour)
	if !s.begin(laws, now) || s.begin(laws, now) {
		t.Error("a fresh key was not noted, or noted twice")
	}
	cost := Cost{"rpm": 1}
	first := s.find(laws, cost, false, now)
	if lead := time.Duration(first.start - now); lead <= horizon {
		t.Fatalf("the call starts after %s, want more than the horizon", lead)
	}
	later := first.start - int64(horizon)
	if p := s.find(laws, cost, false, later); p.start != first.start {
		t.Errorf("it starts at %s, want %s as before", time.Duration(p.start), time.Duration(first.start))
	}
}

func TestDailyLimits(t *testing.T) {
	t.Parallel()
	day := Law{Dimension: DayRequests, Law: Bucket, Limit: 1000, Window: 24 * time.Hour}
	s, now := newState(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano()
	take := func(l Law) int64 {
		p := s.find([]Law{l}, Cost{DayRequests: 1}, false, now)
		s.take([]Law{l}, Cost{DayRequests: 1}, false, now, p)
		return p.start - now
	}
	for i := range 970 {
		if wait := take(day); wait > 0 {
			t.Fatalf("call %d waits %s", i, time.Duration(wait))
		}
	}
	if wait := time.Duration(take(day)); wait < 30*time.Second || wait > 2*time.Minute {
		t.Errorf("after the day's calls one waits %s, want about 86.4 s", wait)
	}
	pacific, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	day.Law, day.Zone, s = Fixed, pacific, newState()
	for range 970 {
		take(day)
	}
	if wait := time.Duration(s.find([]Law{day}, Cost{DayRequests: 1}, false, now).start - now); wait != 20*time.Hour {
		t.Errorf("the next call waits %s, want 20 h until midnight Pacific", wait)
	}
}

func TestCorrection(t *testing.T) {
	t.Parallel()
	laws := []Law{perMinute(Tokens, Bucket, 60_000)}
	s, now := newState(), int64(1_700_000_000)*second
	cost := Cost{Tokens: 3000}
	s.take(laws, cost, false, now, s.find(laws, cost, false, now))
	before := s.Arrival[Tokens]
	s.correct(laws, Cost{Tokens: -1000}, now)
	s.correct(laws, Cost{Tokens: 500}, now)
	if got := before - s.Arrival[Tokens]; got < second/2 || got > second*6/10 {
		t.Errorf("500 of 1,000 tokens per second were given back, the future shrank by %s", time.Duration(got))
	}
}

func shown(limit, remaining int64) llm.RateLimit {
	return llm.RateLimit{Dimension: Tokens, Limit: limit, Remaining: remaining, Reset: -1}
}

// TestHeaders: they lower the level, never raise it; a lower limit is followed,
// and left again.
func TestHeaders(t *testing.T) {
	t.Parallel()
	law := perMinute(Tokens, Bucket, 60_000)
	laws, now := []Law{law}, int64(1_700_000_000)*second
	start := func(s *state) time.Duration {
		return time.Duration(s.find(laws, Cost{Tokens: 10}, false, now).start - now)
	}
	s := newState()
	s.Arrival[Tokens] = now
	if s.observe(law, shown(60_000, 59_000), now) || start(s) > 0 {
		t.Error("a full bucket changed something")
	}
	if !s.observe(law, shown(60_000, 10_000), now) || start(s) < 20*time.Second || start(s) > 21*time.Second {
		t.Errorf("with a sixth left the next call starts after %s, want 20 s: until half is left", start(s))
	}
	held := start(s)
	if s.observe(law, shown(60_000, 60_000), now) || start(s) != held {
		t.Error("a late answer raised the level")
	}
	s = newState()
	s.Arrival[Tokens] = now
	if s.observe(law, llm.RateLimit{Dimension: Tokens, Limit: -1, Remaining: -1}, now) {
		t.Error("absent headers were taken as zero")
	}
	if !s.observe(law, shown(30_000, 30_000), now) || s.limit(law) != 30_000 {
		t.Errorf("a lower limit was not followed: %d", s.limit(law))
	}
	if !s.observe(law, shown(90_000, 90_000), now) || s.limit(law) != 60_000 {
		t.Errorf("the limit is %d, want the catalog's again", s.limit(law))
	}
}

func TestRamp(t *testing.T) {
	t.Parallel()
	laws, now := []Law{perMinute(Tokens, Bucket, 60_000)}, int64(1_700_000_000)*second
	s := newState()
	s.apply(laws, feedback{slow: true}, now)
	s.apply(laws, feedback{slow: true}, now+second) // of a call in flight at the time
	if got := s.Ramp.at(now + second); got < 0.5 || got > 0.51 {
		t.Errorf("factor %.3f, want a half", got)
	}
	if got := s.Ramp.at(now + int64(15*time.Minute)); got < 0.74 || got > 0.76 {
		t.Errorf("factor %.3f after 15 minutes, want three quarters", got)
	}
	if got := s.Ramp.at(now + int64(time.Hour)); got != 1 {
		t.Errorf("factor %.3f after an hour, want 1", got)
	}
}

func TestStateSurvivesTheWire(t *testing.T) {
	t.Parallel()
	s := newState()
	s.Arrival[Tokens], s.NotBefore, s.Ramp = 5, 7, ramp{0.5, 9}
	data, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(data)
	if err != nil || got.Arrival[Tokens] != 5 || got.NotBefore != 7 || got.Ramp != s.Ramp {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, wrong := range []string{"", "{", `{"v":2}`} {
		if _, err := decode([]byte(wrong)); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

// TestLeaseTable: the cap holds, shares are fair, the dead lose theirs.
func TestLeaseTable(t *testing.T) {
	t.Parallel()
	table := &leaseTable{Holders: map[string]holder{}}
	now := int64(1_700_000_000) * second
	if h := table.settleFor("a", 10, 20, 0, now); h.Has != 10 {
		t.Errorf("alone: %+v, want all 10", h)
	}
	if h := table.settleFor("b", 10, 20, 0, now); h.Has != 0 {
		t.Errorf("b: %+v, want none yet", h)
	}
	if h := table.settleFor("a", 10, 20, 8, now); h.Has != 8 {
		t.Errorf("a: %+v, want what is in use", h)
	}
	if h := table.settleFor("a", 10, 20, 5, now); h.Has != 5 {
		t.Errorf("a: %+v, want its half", h)
	}
	if h := table.settleFor("b", 10, 20, 0, now); h.Has != 5 {
		t.Errorf("b: %+v, want its half", h)
	}
	if h := table.settleFor("c", 10, 1, 0, now+int64(leaseTTL)); h.Has != 1 {
		t.Errorf("c: %+v, want one of the dead's", h)
	}
}

// TestInteractiveGoesFirst: with a second of batch calls reserved, interactive
// calls start at once up to the whole rate, batch calls are pushed back by just
// that, and both together stay within the limit.
func TestInteractiveGoesFirst(t *testing.T) {
	t.Parallel()
	laws := []Law{perMinute(Tokens, Bucket, 600_000)} // 10 per ms
	s, now := newState(), int64(1_700_000_000)*second
	r := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // reproducible
	type ticket struct {
		place
		cost Cost
	}
	var queue []ticket
	var log []admitted
	var high, low, longest int64
	begin, next := now, now
	for ; now-begin < 180*second; now += int64(time.Millisecond) {
		for len(queue) < 100 { // about a second
			c := Cost{Tokens: 1 + r.Int64N(200)}
			p := s.find(laws, c, false, now)
			s.take(laws, c, false, now, p)
			queue = append(queue, ticket{p, c})
		}
		for now >= next { // 40 % of the rate, as it comes
			c := Cost{Tokens: 1 + r.Int64N(200)}
			p := s.find(laws, c, true, now)
			s.take(laws, c, true, now, p)
			longest = max(longest, p.start-now)
			high += c[Tokens]
			log = append(log, admitted{p.start, c[Tokens]})
			next += int64(r.ExpFloat64() * float64(25*time.Millisecond))
		}
		for len(queue) > 0 && queue[0].start+s.Pushed[Tokens]-queue[0].pushed <= now {
			low += queue[0].cost[Tokens]
			log = append(log, admitted{now, queue[0].cost[Tokens]})
			queue = queue[1:]
		}
	}
	most, total := windows(log, 60*second)
	if most > 600_000 {
		t.Errorf("%d tokens in one minute", most)
	}
	if used := float64(total) / 1_800_000; used < 0.98 {
		t.Errorf("only %.3f of the limit used", used)
	}
	if longest > int64(100*time.Millisecond) {
		t.Errorf("an interactive call waited %s", time.Duration(longest))
	}
	if part := float64(high) / float64(total); part < 0.35 || part > 0.46 {
		t.Errorf("interactive calls had %.2f of the tokens, want what they asked for", part)
	}
	t.Logf("interactive %d, batch %d tokens, longest interactive wait %s", high, low, time.Duration(longest))
}
