package quote

import (
	"cmp"
	"math"
	"slices"
)

// Range is an interval that at least 95 of 100 values are expected in, and the one
// that as many are above as below.
type Range struct {
	Low    int64 `json:"low"`
	Likely int64 `json:"likely"`
	High   int64 `json:"high"`
}

// within keeps a range inside bounds.
func (r Range) within(low, high int64) Range {
	clamp := func(v int64) int64 { return min(max(v, low), high) }
	return Range{clamp(r.Low), clamp(r.Likely), clamp(r.High)}
}

// sample is what one job took.
type sample struct {
	own        int // prompt tokens of its own
	prompt     int // prompt tokens of all calls
	completion int
	cost       int64
	workMS     float64 // without waiting
}

// reservoirSize bounds the samples of a class: the latest ones.
const reservoirSize = 256

// reservoir keeps the latest samples of a class.
type reservoir struct {
	samples []*sample
	next    int
	used    uint64 // when, by the learner's count
}

func (r *reservoir) add(s *sample) {
	if len(r.samples) < reservoirSize {
		r.samples = append(r.samples, s)
		return
	}
	r.samples[r.next] = s
	r.next = (r.next + 1) % reservoirSize
}

// pair is a value, and what the job's own prompt alone would make it.
type pair struct{ value, base float64 }

// predict tells from the pairs of other jobs the value of one with a base. The value
// either has the base as a part and the rest is about the same for all, or it grows
// with the base: what would have been nearer for the others is taken. Without part,
// the base is no part of it.
func predict(pairs []pair, base float64, part bool) Range {
	offset := func(base float64) float64 {
		if part {
			return base
		}
		return 0
	}
	added, times := make([]float64, len(pairs)), make([]float64, 0, len(pairs))
	for i, p := range pairs {
		added[i] = p.value - offset(p.base)
		if p.base > 0 {
			times = append(times, p.value/p.base)
		}
	}
	slices.Sort(added)
	low, likely, high := interval(added)
	sum := Range{whole(offset(base) + low), whole(offset(base) + likely), whole(offset(base) + high)}
	if len(times) < len(pairs) || base <= 0 {
		return sum
	}
	slices.Sort(times)
	lowT, likelyT, highT := interval(times)
	missAdded := miss(pairs, func(p pair) float64 { return offset(p.base) + likely })
	missTimes := miss(pairs, func(p pair) float64 { return p.base * likelyT })
	if missTimes < missAdded {
		return Range{whole(base * lowT), whole(base * likelyT), whole(base * highT)}
	}
	return sum
}

func whole(v float64) int64 { return int64(math.Round(max(v, 0))) }

// miss is the median error of a guess, relative to the values.
func miss(pairs []pair, guess func(pair) float64) float64 {
	errs := make([]float64, len(pairs))
	for i, p := range pairs {
		errs[i] = math.Abs(guess(p)-p.value) / max(p.value, 1)
	}
	slices.Sort(errs)
	return errs[len(errs)/2]
}

// outside is the share of values that an interval may miss.
const outside = 0.05

// interval is the split conformal one of sorted values: the order statistics between
// which the next value lies with a probability of 1-outside if it comes as these did.
// Where there are too few values for that, it is wider than all of them by the part
// that is missing.
func interval(sorted []float64) (low, likely, high float64) {
	n := len(sorted)
	first := int(math.Floor(float64(n+1) * outside / 2))
	last := int(math.Ceil(float64(n+1) * (1 - outside/2)))
	pad := 0.0
	if need := 2/outside - 1; float64(n) < need {
		pad = (sorted[n-1] - sorted[0]) * (need/float64(n) - 1)
	}
	low, high = sorted[max(first, 1)-1], sorted[min(last, n)-1]
	if first < 1 {
		low -= pad
	}
	if last > n {
		high += pad
	}
	return low, median(sorted), high
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// quantile is the value of sorted ones that a share q does not exceed.
func quantile[T cmp.Ordered](sorted []T, q float64) T {
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}
