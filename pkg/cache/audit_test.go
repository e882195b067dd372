package cache_test

import (
	"math"
	"testing"

	"github.com/weir-dev/weir/pkg/cache"
)

func TestFalseHits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		audits, wrong int
		lower, upper  float64
		allowed       bool
	}{
		"none yet":         {0, 0, 0, 1, true},
		"few, one wrong":   {100, 1, 0.00177, 0.05449, true},
		"one wrong of few": {10, 1, 0.01788, 0.40415, true},
		"two wrong of few": {50, 2, 0.01104, 0.13460, true},
		"too few":          {49, 3, 0.02104, 0.16520, true},
		"just many enough": {50, 3, 0.02061, 0.16217, false},
		"few, three wrong": {100, 3, 0.01025, 0.08452, false},
		"three, fading":    {300, 3, 0.00341, 0.02898, true},
		"enough":           {2000, 2, 0.00027, 0.00364, true},
		"enough, too many": {2000, 6, 0.00138, 0.00653, false},
		"just not enough":  {1999, 6, 0.00138, 0.00653, true},
	} {
		f := cache.FalseHits{}
		for i := range tt.audits {
			f.Observe(i < tt.wrong)
		}
		lower, upper := f.Bounds()
		if math.Abs(lower-tt.lower) > 1e-5 || math.Abs(upper-tt.upper) > 1e-5 || f.Allowed() != tt.allowed {
			t.Errorf("%s: %v to %v, allowed %t; want %v to %v, %t", name, lower, upper, f.Allowed(), tt.lower, tt.upper, tt.allowed)
		}
	}
}

// TestFalseHitsComeBack: further audits without a false one allow hits again.
func TestFalseHitsComeBack(t *testing.T) {
	t.Parallel()
	f := cache.FalseHits{Audits: 50, False: 3}
	if f.Allowed() {
		t.Errorf("%+v is allowed", f)
	}
	for range 200 {
		f.Observe(false)
	}
	if !f.Allowed() {
		t.Errorf("%+v is not allowed", f)
	}
}

// TestFalseHitsForget: what was long ago counts less.
func TestFalseHitsForget(t *testing.T) {
	t.Parallel()
	f := cache.FalseHits{}
	for range 100 {
		f.Observe(true)
	}
	for range 100_000 {
		f.Observe(false)
	}
	if f.Audits >= 10_000 || !f.Allowed() {
		t.Errorf("%+v, rate %v, allowed %t", f, f.Rate(), f.Allowed())
	}
}
