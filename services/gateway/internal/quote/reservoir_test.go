package quote

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestIntervalCovers: the next value lies in the interval of those before it, however
// few they are, and whatever their distribution.
func TestIntervalCovers(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	for name, draw := range map[string]func() float64{
		"normal": rnd.NormFloat64, "exponential": rnd.ExpFloat64, "log normal": func() float64 { return math.Exp(rnd.NormFloat64()) },
		"one value": func() float64 { return 3 }, "two values": func() float64 { return float64(rnd.IntN(2)) },
	} {
		for _, n := range []int{enough, 40, reservoirSize} {
			const rounds = 4000
			in := 0
			for range rounds {
				values := make([]float64, n)
				for i := range values {
					values[i] = draw()
				}
				slices.Sort(values)
				low, likely, high := interval(values)
				if low > likely || likely > high {
					t.Fatalf("%s of %d: %g, %g, %g", name, n, low, likely, high)
				}
				if next := draw(); low <= next && next <= high {
					in++
				}
			}
			if covered := float64(in) / rounds; covered < 0.94 {
				t.Errorf("%s of %d values: %.3f covered, want 0.95", name, n, covered)
			}
		}
	}
}

// TestPredict: what is the same for all is added, what grows with the prompt is
// multiplied.
func TestPredict(t *testing.T) {
	t.Parallel()
	var added, times, none []pair
	for i := range 100 {
		base := float64(10 + 17*i%200)
		added = append(added, pair{base + 500 + float64(i%5), base})
		times = append(times, pair{base * (3 + float64(i%5)/100), base})
		none = append(none, pair{float64(7 + i%2), 0})
	}
	for _, tc := range []struct {
		name  string
		pairs []pair
		base  float64
		part  bool
		want  Range
	}{
		{"no part of it", []pair{{500, 10}, {500, 90}, {500, 900}}, 1000, false, Range{500, 500, 500}},
		{"the same for all", added, 1000, true, Range{1500, 1502, 1504}},
		{"grows with the prompt", times, 1000, true, Range{3000, 3020, 3040}},
		{"no prompt", none, 0, true, Range{7, 8, 8}},
		{"nothing is negative", []pair{{0, 10}, {0, 10}}, 1, true, Range{0, 0, 0}},
	} {
		if got := predict(tc.pairs, tc.base, tc.part); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}
