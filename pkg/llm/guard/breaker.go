package guard

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Settings of the breakers.
type Settings struct {
	// CallTimeout is the deadline of a call that names none.
	CallTimeout time.Duration `split_words:"true"`
	// Window is how far back calls count; it is at least two and a half deadlines
	// of a call, or the failures of slow calls would be forgotten as they arrive.
	Window time.Duration
	// MinCalls is how many finished calls FailureRatio takes.
	MinCalls int `split_words:"true"`
	// FailureRatio of the finished calls in the window opens the breaker.
	FailureRatio float64 `split_words:"true"`
	// Consecutive failures open the breaker, too.
	Consecutive int
	// OpenFor is how long a breaker stays open at first. It grows by half with each
	// probe that fails, to OpenMax: a probe is one call, so it is cheap to look
	// often, and traffic is back that soon after a recovery.
	OpenFor time.Duration `split_words:"true"`
	OpenMax time.Duration `split_words:"true"`
	// Probes in a row must succeed to close a breaker; no more are under way at once.
	Probes int
	// ProbeTTL is how long the lease of the worker that probes outlives it; whole
	// seconds, as NATS counts.
	ProbeTTL time.Duration `split_words:"true"`
	// A success is slow, and counts as a failure, when its first token took more
	// than SlowFactor times the target's median and more than SlowFloor.
	SlowFactor float64       `split_words:"true"`
	SlowFloor  time.Duration `split_words:"true"`
	// ParkFor is how long a target without quota or credentials is left alone when
	// the provider does not say.
	ParkFor time.Duration `split_words:"true"`
}

// DefaultSettings fit calls of seconds to minutes.
func DefaultSettings() Settings {
	return Settings{
		CallTimeout: 2 * time.Minute, Window: time.Minute, MinCalls: 20, FailureRatio: 0.5, Consecutive: 8,
		OpenFor: 15 * time.Second, OpenMax: 25 * time.Second, Probes: 3, ProbeTTL: 30 * time.Second,
		SlowFactor: 4, SlowFloor: 10 * time.Second, ParkFor: 10 * time.Minute,
	}
}

// Validate reports every setting that is out of its range.
func (s Settings) Validate() error {
	var errs []error
	need := func(ok bool, field string, got any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("guard: %s: got %v, want %s", field, got, want))
		}
	}
	need(s.CallTimeout > 0, "CallTimeout", s.CallTimeout, "more than 0, like 2m")
	need(s.Window >= time.Second, "Window", s.Window, "at least 1s")
	need(s.MinCalls > 0, "MinCalls", s.MinCalls, "at least 1")
	need(s.FailureRatio > 0 && s.FailureRatio <= 1, "FailureRatio", s.FailureRatio, "over 0, at most 1")
	need(s.Consecutive > 0, "Consecutive", s.Consecutive, "at least 1")
	need(s.OpenFor > 0, "OpenFor", s.OpenFor, "more than 0, like 15s")
	need(s.OpenMax >= s.OpenFor, "OpenMax", s.OpenMax, "at least OpenFor")
	need(s.Probes > 0 && s.Probes <= 100, "Probes", s.Probes, "1 to 100")
	need(s.ProbeTTL >= time.Second && s.ProbeTTL%time.Second == 0, "ProbeTTL", s.ProbeTTL, "whole seconds, at least 1s")
	need(s.SlowFactor >= 1, "SlowFactor", s.SlowFactor, "at least 1")
	need(s.SlowFloor >= 0, "SlowFloor", s.SlowFloor, "0 or more")
	need(s.ParkFor > 0, "ParkFor", s.ParkFor, "more than 0, like 10m")
	return errors.Join(errs...)
}

const (
	// reopen is the factor of the open time with each probe that fails.
	reopen = 1.5
	// spread is how much of an open time is left to chance.
	spread = 0.2
)

// openFor is how long the breaker stays open the nth time in a row (from 0):
// at most OpenMax, and up to a fifth less.
func (s Settings) openFor(n int, rnd float64) time.Duration {
	full := min(float64(s.OpenMax), float64(s.OpenFor)*math.Pow(reopen, float64(n)))
	return time.Duration(full * (1 - spread*rnd))
}

const (
	// lostAfter is how long after its deadline a call that nobody finished is taken
	// for lost.
	lostAfter = 5 * time.Second
	// buckets of the rolling window.
	buckets = 30
)

// What gobreaker is told of a call that is not an answer.
var (
	errExcluded = errors.New("says nothing of the provider's health")
	errFailed   = errors.New("failed")
)

// breaker counts the calls of one phase: closed (until too many fail) or probing
// (until all succeed or one fails). What comes of it is up to the owner, who
// begins the next phase with a new one; calls of an earlier phase thus never
// count in a later one.
type breaker struct {
	two     *gobreaker.TwoStepCircuitBreaker[struct{}]
	timeout time.Duration // of the longest call it was made for
	probing bool
	// verdict is the state gobreaker has changed to, -1 before. gobreaker reports
	// it with its lock held: nothing but this store may be done there.
	verdict atomic.Int32
}

// newBreaker begins a closed phase for calls of up to timeout.
func newBreaker(s Settings, timeout time.Duration) *breaker {
	b := &breaker{timeout: timeout}
	window := max(s.Window, (timeout+lostAfter)*5/2)
	b.start(gobreaker.Settings{
		Interval: window, BucketPeriod: window / buckets, Timeout: math.MaxInt64,
		// Requests counts calls under way as well, so it is of no use here.
		ReadyToTrip: func(c gobreaker.Counts) bool {
			finished := c.TotalFailures + c.TotalSuccesses
			return int(c.ConsecutiveFailures) >= s.Consecutive || int(finished) >= s.MinCalls &&
				float64(c.TotalFailures) >= s.FailureRatio*float64(finished)
		},
	})
	return b
}

// newProbe begins a probing phase. A gobreaker gets there only by a failure.
func newProbe(s Settings) *breaker {
	b := &breaker{probing: true}
	b.start(gobreaker.Settings{
		MaxRequests: uint32(s.Probes), //nolint:gosec // 1 to 100
		Timeout:     time.Nanosecond,
		ReadyToTrip: func(gobreaker.Counts) bool { return true },
	})
	if done, err := b.two.Allow(); err == nil {
		done(errFailed)
	}
	b.verdict.Store(-1)
	return b
}

func (b *breaker) start(s gobreaker.Settings) {
	s.IsExcluded = func(err error) bool { return errors.Is(err, errExcluded) }
	s.OnStateChange = func(_ string, _, to gobreaker.State) { b.verdict.Store(int32(to)) } //nolint:gosec // 0 to 2
	b.verdict.Store(-1)
	b.two = gobreaker.NewTwoStepCircuitBreaker[struct{}](s)
}

// free reports whether a probe may go out.
func (b *breaker) free(s Settings) bool {
	c := b.two.Counts()
	return c.Requests < c.TotalExclusions+uint32(s.Probes) //nolint:gosec // 1 to 100
}

// opened and closed report how the phase has ended.
func (b *breaker) opened() bool { return b.verdict.Load() == int32(gobreaker.StateOpen) }
func (b *breaker) closed() bool { return b.verdict.Load() == int32(gobreaker.StateClosed) }

const (
	// medianOf so many calls. A provider that stays slower than it was becomes the
	// new normal after half as many.
	medianOf = 256
	// medianEvery so many calls it is worked out anew.
	medianEvery = 16
)

// median is the running median of the latest times.
type median struct {
	times []time.Duration // a ring
	n     int
	value time.Duration
}

func (m *median) add(d time.Duration) {
	if len(m.times) < medianOf {
		m.times = append(m.times, d)
	} else {
		m.times[m.n%medianOf] = d
	}
	m.n++
	if m.n%medianEvery == 0 {
		sorted := slices.Sorted(slices.Values(m.times))
		m.value = sorted[len(sorted)/2]
	}
}

// slow reports whether d is out of the ordinary; the first calls never are.
func (m *median) slow(s Settings, d time.Duration) bool {
	return m.value > 0 && d > s.SlowFloor && float64(d) > s.SlowFactor*float64(m.value)
}
