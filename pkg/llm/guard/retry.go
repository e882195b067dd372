package guard

import (
	"math"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

const (
	// backoffBase and backoffMax bound the mean wait: half a second before the
	// first repetition, 10 s in the end.
	backoffBase = time.Second
	backoffMax  = 20 * time.Second
)

// Backoff is how long to wait before repeating a call for the nth time (from 1):
// anything from 0 to a bound that doubles each time, because callers that failed
// together must not come back together. It comes on top of atLeast, the wait the
// provider asked for. rnd returns numbers in [0, 1).
func Backoff(attempt int, atLeast time.Duration, rnd func() float64) time.Duration {
	bound := min(float64(backoffMax), float64(backoffBase)*math.Pow(2, float64(max(0, attempt-1))))
	return max(0, atLeast) + time.Duration(bound*rnd())
}

// Retry reports whether a call that failed so may be repeated at the same model.
// Throttled calls are not failed attempts: admission holds them.
func Retry(c event.Class) bool {
	switch c {
	case event.ClassUnavailable, event.ClassTruncated, event.ClassInternal:
		return true
	}
	return false
}
