package llmsim

import (
	"math/bits"
	"time"
)

// law decides whether an amount fits into a limit. Its caller holds a lock.
type law interface {
	// room reports whether n more fit at now; wait is how long until they do,
	// tooLarge that they never will.
	room(now time.Time, n int64) (ok bool, wait time.Duration, tooLarge bool)
	// take adds n, which may be negative and may go over the limit.
	take(now time.Time, n int64)
	// level is the amount used and the time until nothing of it is left.
	level(now time.Time) (used int64, reset time.Duration)
	// resize changes the limit and keeps the amount used.
	resize(now time.Time, limit int64)
}

// mulDiv is a*b/c without overflow of the product, rounded down; all three are
// at least 0 and c is not 0.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi >= uint64(c) {
		return 1<<63 - 1
	}
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int64(min(q, 1<<63-1))
}

// mulDivUp is mulDiv rounded up.
func mulDivUp(a, b, c int64) int64 {
	q := mulDiv(a, b, c)
	if hi, lo := bits.Mul64(uint64(a), uint64(b)); q < 1<<63-1 {
		if qhi, qlo := bits.Mul64(uint64(q), uint64(c)); qhi != hi || qlo != lo {
			q++
		}
	}
	return q
}

// bucket is a continuous bucket that drains the whole limit in one window. Its
// content is kept as the time it takes to drain, so that no rounding adds up.
type bucket struct {
	limit  int64
	window time.Duration
	debt   time.Duration
	at     time.Time
}

func (b *bucket) drain(now time.Time) {
	if passed := now.Sub(b.at); passed > 0 {
		b.debt = max(0, b.debt-passed)
		b.at = now
	}
}

func (b *bucket) used() int64 { return mulDivUp(int64(b.debt), b.limit, int64(b.window)) }

func (b *bucket) duration(n int64) time.Duration {
	return time.Duration(mulDiv(n, int64(b.window), b.limit))
}

// room implements law.
func (b *bucket) room(now time.Time, n int64) (bool, time.Duration, bool) {
	b.drain(now)
	if n > b.limit {
		return false, 0, true
	}
	if over := b.used() + n - b.limit; over > 0 {
		return false, b.duration(over), false
	}
	return true, 0, false
}

// take implements law.
func (b *bucket) take(now time.Time, n int64) {
	b.drain(now)
	if n < 0 {
		b.debt = max(0, b.debt-b.duration(-n))
		return
	}
	b.debt += b.duration(n)
}

// level implements law.
func (b *bucket) level(now time.Time) (int64, time.Duration) {
	b.drain(now)
	used := b.used()
	return used, b.duration(used)
}

// resize implements law.
func (b *bucket) resize(now time.Time, limit int64) {
	b.drain(now)
	used := b.used()
	b.limit = limit
	b.debt = b.duration(used)
}

// fixed counts in windows that begin at multiples of their length: minutes, or
// the seconds a minute's limit is judged over. A sub-window has its share of
// the limit, at least 1.
type fixed struct {
	limit  int64 // of whole
	whole  time.Duration
	window time.Duration
	start  time.Time
	count  int64
}

func (f *fixed) share() int64 { return max(1, mulDiv(f.limit, int64(f.window), int64(f.whole))) }

func (f *fixed) turn(now time.Time) (left time.Duration) {
	if start := now.Truncate(f.window); start.After(f.start) {
		f.start, f.count = start, 0
	}
	return f.start.Add(f.window).Sub(now)
}

// room implements law.
func (f *fixed) room(now time.Time, n int64) (bool, time.Duration, bool) {
	left := f.turn(now)
	switch {
	case n > f.share():
		return false, 0, true
	case f.count+n > f.share():
		return false, left, false
	}
	return true, 0, false
}

// take implements law.
func (f *fixed) take(now time.Time, n int64) {
	f.turn(now)
	f.count = max(0, f.count+n)
}

// level implements law. Of a sub-window it is the share used, as if all were
// like it.
func (f *fixed) level(now time.Time) (int64, time.Duration) {
	left := f.turn(now)
	return min(f.limit, mulDivUp(f.count, int64(f.whole), int64(f.window))), left
}

// resize implements law.
func (f *fixed) resize(_ time.Time, limit int64) { f.limit = limit }

// rampMinutes and rampFactor are the rule of thumb of OpenAI's "slow down": not
// more than half as much again within fifteen minutes.
const (
	rampMinutes = 15
	rampFactor  = 1.5
)

// ramp refuses what makes the last minute larger than one and a half times the
// mean of the last fifteen, above a floor.
type ramp struct {
	floor   int64
	minute  time.Duration
	minutes [rampMinutes]int64
	newest  int64 // number of the last minute
}

func (p *ramp) turn(now time.Time) {
	minute := now.UnixNano() / int64(p.minute)
	for i := max(p.newest+1, minute-rampMinutes+1); i <= minute; i++ {
		p.minutes[i%rampMinutes] = 0
	}
	p.newest = max(p.newest, minute)
}

func (p *ramp) most() int64 {
	sum := int64(0)
	for _, n := range p.minutes {
		sum += n
	}
	sum -= p.minutes[p.newest%rampMinutes]
	return max(p.floor, int64(rampFactor*float64(sum)/(rampMinutes-1)))
}

// room implements law.
func (p *ramp) room(now time.Time, n int64) (bool, time.Duration, bool) {
	p.turn(now)
	if p.minutes[p.newest%rampMinutes]+n <= p.most() {
		return true, 0, false
	}
	return false, now.Truncate(p.minute).Add(p.minute).Sub(now), false
}

// take implements law.
func (p *ramp) take(now time.Time, n int64) {
	p.turn(now)
	p.minutes[p.newest%rampMinutes] = max(0, p.minutes[p.newest%rampMinutes]+n)
}

// level implements law.
func (p *ramp) level(now time.Time) (int64, time.Duration) {
	p.turn(now)
	return p.minutes[p.newest%rampMinutes], now.Truncate(p.minute).Add(p.minute).Sub(now)
}

// resize implements law.
func (p *ramp) resize(_ time.Time, limit int64) { p.floor = limit }
