package cascade_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/cascade"
)

// state reads "small large +other" as candidates, + for fallbacks, a model with !
// blocked for ever and one with ~N back in N seconds; "small=0.4 large?" as tries, ?
// for unavailable and small=x for an answer that failed a hard gate.
func state(candidates, tried string) cascade.State {
	s := cascade.State{CallsLeft: 6, BestEffort: true}
	for _, c := range strings.Fields(candidates) {
		made := cascade.Candidate{}
		if made.Model, made.Fallback = strings.CutPrefix(c, "+"); made.Fallback {
			c = c[1:]
		}
		name, until, back := strings.Cut(c, "~")
		switch {
		case back:
			made.Blocked, made.Until = "parked", time.Unix(int64(until[0]-'0'), 0)
		case strings.HasSuffix(name, "!"):
			name, made.Blocked = name[:len(name)-1], "too small"
		}
		made.Model = name
		s.Candidates = append(s.Candidates, made)
	}
	for _, t := range strings.Fields(tried) {
		name, p, answered := strings.Cut(t, "=")
		try := cascade.Try{Model: strings.TrimSuffix(name, "?"), Unavailable: !answered, Usable: answered && p != "x"}
		if try.Usable {
			try.P = float64(p[len(p)-1]-'0') / 10
		}
		s.Tried = append(s.Tried, try)
	}
	return s
}

func TestDecide(t *testing.T) {
	t.Parallel()
	explicit := func(s *cascade.State) { s.Explicit, s.BestEffort = true, false }
	again := func(s *cascade.State) { s.Again = true }
	for _, tc := range []struct {
		name, candidates, tried string
		change                  func(*cascade.State)
		want                    cascade.Decision
	}{
		{"the first", "small large", "", nil, cascade.Decision{Action: cascade.Call, Model: "small", Fallback: true}},
		{"a single one", "large", "", nil, cascade.Decision{Action: cascade.Call, Model: "large"}},
		{"escalate", "small mid large", "small=.4", nil, cascade.Decision{Action: cascade.Call, Model: "mid", Fallback: true}},
		{"never back down", "small mid large", "mid=.4", nil, cascade.Decision{Action: cascade.Call, Model: "large"}},
		{"pass over what is too small", "small! large", "", nil, cascade.Decision{Action: cascade.Call, Model: "large"}},
		{"pass over what is parked", "small~5 large", "", nil, cascade.Decision{Action: cascade.Call, Model: "large"}},
		{"wait for the last one", "small large~5", "small=.4", nil, cascade.Decision{Action: cascade.Wait, Model: "large"}},
		{"wait for the first that is back", "small~5 large~3", "", nil, cascade.Decision{Action: cascade.Wait, Model: "large"}},
		{"stand-in for a parked one", "small large~5 +other", "small=.4", nil, cascade.Decision{Action: cascade.Call, Model: "other"}},
		{"no stand-in for a poor answer", "small large +other", "small=.2 large=.3", nil, cascade.Decision{Action: cascade.Give, Best: 1}},
		{"the best answer, the later of equals", "a b c", "a=.7 b=.3 c=.7", nil, cascade.Decision{Action: cascade.Give, Best: 2}},
		{"hard failures are no answers", "small large", "small=.4 large=x", nil, cascade.Decision{Action: cascade.Give, Best: 0}},
		{"nothing usable", "small large", "small=x large=x", nil, cascade.Decision{Action: cascade.Exhausted}},
		{"the policy wants no best effort", "small large", "small=.4 large=.3", func(s *cascade.State) { s.BestEffort = false }, cascade.Decision{Action: cascade.Exhausted}},
		{"no calls left", "small large", "small=.4", func(s *cascade.State) { s.CallsLeft = 0 }, cascade.Decision{Action: cascade.Give, Best: 0}},
		{"nobody can take it", "small! large!", "", nil, cascade.Decision{Action: cascade.Exhausted}},
		{"unavailable, the next", "small +mid +large", "small?", explicit, cascade.Decision{Action: cascade.Call, Model: "mid", Fallback: true}},
		{"unavailable, the last", "small +mid +large", "small? mid?", explicit, cascade.Decision{Action: cascade.Call, Model: "large"}},
		{"all unavailable, may be back", "small~5 +mid~3 +large", "small? mid? large?", func(s *cascade.State) { explicit(s); again(s) }, cascade.Decision{Action: cascade.Wait, Model: "large"}},
		{"all unavailable, won't be back", "small +mid", "small? mid?", explicit, cascade.Decision{Action: cascade.Exhausted}},
		{"the named model's answer is not given to another", "small +mid", "small=x", explicit, cascade.Decision{Action: cascade.Exhausted}},
		{"answered once, the rest unavailable", "small large", "small=.4 large?", again, cascade.Decision{Action: cascade.Give, Best: 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := state(tc.candidates, tc.tried)
			if tc.change != nil {
				tc.change(&s)
			}
			got := cascade.Decide(s)
			if got.Reason == "" {
				t.Error("no reason")
			}
			got.Reason = ""
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// FuzzDecide: every job comes to an end, asks no model twice, and never goes back to
// a model before one that gave an answer.
func FuzzDecide(f *testing.F) {
	f.Add(uint64(0x1234), uint8(3))
	f.Fuzz(func(t *testing.T, bits uint64, n uint8) {
		names := []string{"a", "b", "c", "d", "e"}
		s := cascade.State{CallsLeft: 10, BestEffort: bits&1 == 0, Explicit: bits&2 == 0}
		for i := range int(n)%len(names) + 1 {
			c := cascade.Candidate{Model: names[i], Fallback: i > 0 && bits>>(3*i+2)&1 == 1}
			switch bits >> (3*i + 3) & 3 {
			case 1:
				c.Blocked = "too small"
			case 2:
				c.Blocked, c.Until = "parked", time.Unix(int64(i+1), 0)
			}
			s.Candidates = append(s.Candidates, c)
		}
		last := -1
		for step := range 2 * len(names) {
			d := cascade.Decide(s)
			if d.Action == cascade.Give || d.Action == cascade.Exhausted {
				if d.Action == cascade.Give && !s.Tried[d.Best].Usable {
					t.Fatalf("gives %+v of %+v", d, s)
				}
				return
			}
			at := -1
			for i, c := range s.Candidates {
				if c.Model == d.Model {
					at = i
				}
			}
			for _, tried := range s.Tried {
				if tried.Model == d.Model {
					t.Fatalf("asks %s twice: %+v", d.Model, s)
				}
			}
			if at < 0 || at < last {
				t.Fatalf("asks %q after number %d: %+v", d.Model, last, s)
			}
			answer := bits>>(40+step)&1 == 0
			s.Tried = append(s.Tried, cascade.Try{Model: d.Model, Unavailable: !answer, Usable: answer && bits>>(50+step)&1 == 0})
			if answer {
				last = at
			}
		}
		t.Fatalf("no end: %+v", s)
	})
}
