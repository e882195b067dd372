package tokens

import (
	"maps"
	"math"
	"math/bits"
	"slices"
)

const (
	// subBuckets is how many buckets each power of two has: a value is at most
	// an eighth below the end of its bucket.
	subBuckets = 8
	// maxValue is the largest value told apart, far above any completion.
	maxValue = 1<<24 - 1
	// recentValues bounds the sum of the counts: reaching it halves them, so
	// that the latest one or two thousand values decide.
	recentValues = 2048
)

// histogram counts values in buckets that grow with the value.
type histogram map[int]int

// add counts a value.
func (h histogram) add(value int) {
	h[bucket(value)]++
	if h.total() < recentValues {
		return
	}
	for b, n := range h {
		if h[b] = n / 2; n < 2 {
			delete(h, b)
		}
	}
}

func (h histogram) total() int {
	n := 0
	for count := range maps.Values(h) {
		n += count
	}
	return n
}

// quantile returns a value that a share q of the values does not exceed: the
// end of its bucket. It is 0 for an empty histogram.
func (h histogram) quantile(q float64) int {
	rest := int(math.Ceil(q * float64(h.total())))
	end := 0
	for _, b := range slices.Sorted(maps.Keys(h)) {
		if rest <= 0 {
			break
		}
		rest -= h[b]
		end = bucketEnd(b)
	}
	return end
}

// bucket returns the bucket of a value: below 16 each has its own.
func bucket(value int) int {
	value = min(max(value, 0), maxValue)
	shift := max(0, bits.Len(uint(value))-4)
	return shift*subBuckets + value>>shift
}

// bucketEnd returns the largest value of bucket b.
func bucketEnd(b int) int {
	if b < 2*subBuckets {
		return b
	}
	shift := b/subBuckets - 1
	return (b-shift*subBuckets+1)<<shift - 1
}
