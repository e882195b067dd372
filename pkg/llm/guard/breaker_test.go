package guard

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	if err := DefaultSettings().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for field, spoil := range map[string]func(*Settings){
		"CallTimeout":  func(s *Settings) { s.CallTimeout = 0 },
		"Window":       func(s *Settings) { s.Window = time.Millisecond },
		"MinCalls":     func(s *Settings) { s.MinCalls = 0 },
		"FailureRatio": func(s *Settings) { s.FailureRatio = 1.1 },
		"Consecutive":  func(s *Settings) { s.Consecutive = -1 },
		"OpenFor":      func(s *Settings) { s.OpenFor = 0 },
		"OpenMax":      func(s *Settings) { s.OpenMax = time.Second },
		"Probes":       func(s *Settings) { s.Probes = 0 },
		"ProbeTTL":     func(s *Settings) { s.ProbeTTL = 1500 * time.Millisecond },
		"SlowFactor":   func(s *Settings) { s.SlowFactor = 0 },
		"SlowFloor":    func(s *Settings) { s.SlowFloor = -1 },
		"ParkFor":      func(s *Settings) { s.ParkFor = 0 },
	} {
		s := DefaultSettings()
		spoil(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "guard: "+field+": got") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

// TestMedian follows the latest calls.
func TestMedian(t *testing.T) {
	t.Parallel()
	var m median
	for i := range 1000 {
		m.add(time.Duration(i%11+1) * time.Second)
	}
	if m.value != 6*time.Second {
		t.Errorf("median %v, want 6s", m.value)
	}
	for range medianOf {
		m.add(time.Minute)
	}
	if m.value != time.Minute || len(m.times) != medianOf {
		t.Errorf("median %v of %d, want 1m of %d", m.value, len(m.times), medianOf)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	low, high := func() float64 { return 0 }, func() float64 { return 0.999999 }
	for _, test := range []struct {
		attempt int
		atLeast time.Duration
		most    time.Duration
	}{
		{0, 0, time.Second}, {1, 0, time.Second}, {2, 0, 2 * time.Second}, {3, 0, 4 * time.Second},
		{5, 0, 16 * time.Second}, {6, 0, 20 * time.Second}, {5000, 0, 20 * time.Second},
		{1, 30 * time.Second, 31 * time.Second}, {1, -time.Second, time.Second},
	} {
		if got := Backoff(test.attempt, test.atLeast, low); got != max(0, test.atLeast) {
			t.Errorf("Backoff(%d, %v) is at least %v", test.attempt, test.atLeast, got)
		}
		if got := Backoff(test.attempt, test.atLeast, high).Round(time.Millisecond); got != test.most {
			t.Errorf("Backoff(%d, %v) is at most %v, want %v", test.attempt, test.atLeast, got, test.most)
		}
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	retried := map[event.Class]bool{event.ClassUnavailable: true, event.ClassTruncated: true, event.ClassInternal: true}
	for _, c := range []event.Class{event.ClassInvalid, event.ClassUnsupported, event.ClassTooLarge, event.ClassAuth, event.ClassQuota,
		event.ClassContent, event.ClassThrottled, event.ClassRamp, event.ClassUnavailable, event.ClassTruncated, event.ClassDeadline,
		event.ClassCanceled, event.ClassPoison, event.ClassInternal} {
		if Retry(c) != retried[c] {
			t.Errorf("Retry(%s) is %v", c, Retry(c))
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	h, err := NewHealth(HealthConfig{KV: noKV{}, JetStream: noJetStream{}, Worker: "w", Settings: DefaultSettings()})
	if err != nil {
		b.Fatal(err)
	}
	to := chatTarget()
	b.Run("check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.Check(to)
		}
	})
	b.Run("call", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p, err := h.Allow(b.Context(), to, 0)
			if err != nil {
				b.Fatal(err)
			}
			p.Done(nil, time.Second)
		}
	})
}
