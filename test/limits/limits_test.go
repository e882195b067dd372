package main

import (
	"strings"
	"testing"
	"time"
)

// TestSaturated is a short run of the benchmark: four workers that are offered more
// than the limit are never refused and stay within it. How much of it they use is
// for the benchmark to say: this machine may be busy.
func TestSaturated(t *testing.T) {
	t.Parallel()
	l := load{tpm: 1_200_000, offered: 1.5, seconds: 6 * time.Second, warmUp: 2 * time.Second, slots: 32, spent: 0.45}
	found := figures{}
	if err := saturated(t.Context(), l, found, "w4", inProcess(4, nil)); err != nil {
		t.Fatal(err)
	}
	if found["w4.per_10k_429"] != 0 || found["w4.max_window_utilisation"] > 1 || found["w4.calls"] < 30 {
		t.Errorf("figures %v", found)
	}
	if found["w4.utilisation"] > 1.05 { // of single seconds, whose borders calls may cross
		t.Errorf("%.3f of the limit was used", found["w4.utilisation"])
	}
	if !strings.HasPrefix(draw(found), "<svg ") {
		t.Error("no chart")
	}
}

func TestJain(t *testing.T) {
	t.Parallel()
	for want, shares := range map[float64][]float64{1: {3, 3, 3}, 0.5: {4, 0}, 0: {}} {
		if got := jain(shares); got != want {
			t.Errorf("jain(%v) is %v, want %v", shares, got, want)
		}
	}
}
