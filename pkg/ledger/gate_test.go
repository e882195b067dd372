package ledger

import (
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// noon is in the middle of a window of one day.
func noon() time.Time { return time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC) }

func budget(nano int64) Budget {
	midnight := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	return Budget{NanoUSD: nano, Start: midnight, End: midnight.AddDate(0, 0, 1)}
}

// knows is a Spend that has read acme's totals: spent today, and 5,000 the day before.
func knows(t *testing.T, spent int64) *Spend {
	t.Helper()
	s, err := NewSpend(SpendConfig{Bus: new(bus.Bus)})
	if err != nil {
		t.Fatal(err)
	}
	s.setKnown()
	s.days["acme"] = map[string]int64{"2026-11-25": spent, "2026-11-24": 5000}
	return s
}

func TestGate(t *testing.T) {
	t.Parallel()
	failing, soft, month := budget(1000), budget(1000), budget(1000)
	failing.Policy, soft.Soft = PolicyFail, true
	month.Start = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	midnight, soon := budget(0).End, noon().Add(recheck)
	for _, c := range []struct {
		name     string
		budget   Budget
		spent    int64
		estimate int64
		want     Decision
		until    time.Time
	}{
		{"nothing spent", budget(1000), 0, 1000, Allow, time.Time{}},
		{"just fits", budget(1000), 900, 100, Allow, time.Time{}},
		{"does not fit", budget(1000), 900, 101, Wait, midnight},
		{"does not fit, policy fail", failing, 900, 101, Fail, time.Time{}},
		{"used up", budget(1000), 1000, 1, Wait, midnight},
		{"used up, free call", budget(1000), 2000, 0, Allow, time.Time{}},
		{"larger than the whole", budget(1000), 0, 1001, Fail, time.Time{}},
		{"soft", soft, 5000, 100, Allow, time.Time{}},
		{"no bound", budget(0), 5000, 100, Allow, time.Time{}},
		{"the day before counts in the month", month, 0, 1, Wait, midnight},
		{"overflow", budget(math.MaxInt64 - 1), math.MaxInt64 - 1, 1, Wait, midnight},
	} {
		v, hold := knows(t, c.spent).Gate(c.budget, "acme", noon(), c.estimate)
		if v.Decision != c.want || (hold != nil) != (c.want == Allow) || c.want == Wait && !v.Until.Equal(c.until) {
			t.Errorf("%s: got %+v, hold %v; want %s until %s", c.name, v, hold, c.want, c.until)
		}
		if err := v.Err(noon()); (err == nil) != (c.want == Allow) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
	s := knows(t, 0)
	s.known = false
	if v, _ := s.Gate(budget(1000), "acme", noon(), 1); v.Decision != Wait || !v.Until.Equal(soon) {
		t.Errorf("before the totals are known: %+v", v)
	}
}

// TestGateCountsCallsInFlight: what a process has under way, or has just paid,
// is held against the budget, and never fails a job by itself.
func TestGateCountsCallsInFlight(t *testing.T) {
	t.Parallel()
	s, b := knows(t, 400), budget(1000)
	b.Policy = PolicyFail
	_, first := s.Gate(b, "acme", noon(), 300)
	_, second := s.Gate(b, "acme", noon(), 300)
	if first == nil || second == nil {
		t.Fatal("two calls that fit were held back")
	}
	if v, _ := s.Gate(b, "acme", noon(), 1); v.Decision != Wait || !v.Until.Equal(noon().Add(recheck)) {
		t.Errorf("with the rest in flight: %+v, want a second's wait", v)
	}
	first.Done(noon(), 100)
	first.Done(noon(), 100) // counts once
	if v, hold := s.Gate(b, "acme", noon(), 201); v.Decision != Wait {
		t.Errorf("201 beside 400, 300 in flight and 100 just paid: %+v", v)
	} else {
		hold.Done(noon(), 5) // none: no effect
	}
	v, third := s.Gate(b, "acme", noon(), 200)
	if v.Decision != Allow {
		t.Errorf("200 beside 400, 300 in flight and 100 just paid: %+v", v)
	}
	second.Done(noon(), 0) // was not made
	third.Done(noon(), 0)
	if v, hold := s.Gate(b, "acme", noon().Add(settling), 600); v.Decision != Allow {
		t.Errorf("600 beside 400, once the line is in the totals: %+v", v)
	} else {
		hold.Done(noon().Add(settling), 0)
	}
	if len(s.flights) != 0 {
		t.Errorf("%d tenants remembered, want none", len(s.flights))
	}
}

// TestGateRaces: however many ask at once, no more are let through than fit.
func TestGateRaces(t *testing.T) {
	t.Parallel()
	s := knows(t, 0)
	var mu sync.Mutex
	var wg sync.WaitGroup
	allowed := 0
	for range 50 {
		wg.Go(func() {
			if v, _ := s.Gate(budget(1000), "acme", noon(), 100); v.Decision == Allow {
				mu.Lock()
				allowed++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if allowed != 10 {
		t.Errorf("%d calls of 100 allowed by a budget of 1000", allowed)
	}
}

func TestVerdictSaysWhy(t *testing.T) {
	t.Parallel()
	v, _ := knows(t, 9e9).Gate(budget(10e9), "acme", noon(), 2e9)
	err := v.Err(noon())
	wantClass(t, err, event.ClassQuota, "tenant acme has spent $9.00 of its budget of $10.00 until 2026-11-26", "$2.00", "raise the tenant's budget")
	if got := event.AsError(err).RetryAfter; got != 12*time.Hour {
		t.Errorf("retry after %s, want 12h", got)
	}
	if v, _ := knows(t, 0).Gate(budget(1e6), "acme", noon(), 2e6); !strings.Contains(v.Reason, "$0.002000") || !strings.Contains(v.Reason, "$0.001000") {
		t.Errorf("small amounts: %q", v.Reason)
	}
}
