// Package budget admits calls to providers, for the whole fleet, just under the
// provider's rate limits. A call that must wait is held until its time; nobody
// is refused because of a rate.
//
// The state of one group of limits (one key of one provider, one group of its
// models) is one value in a key-value bucket: for each dimension (requests,
// tokens) the theoretical arrival time of GCRA, the generic cell rate algorithm:
// the moment up to which the limit is spoken for. A worker reserves by
// compare-and-set: it moves that time forward by what its calls cost and sleeps
// until their place in it comes. A place in the future is always granted, so
// there is no herd and no retry; a worker that dies loses only what it had
// reserved and not used. All dimensions of a call are reserved in one write.
//
//	start = max(now, arrival + cost/rate - burst)      over all dimensions
//	arrival' = max(arrival, start - cost/rate) + cost/rate
//
// which keeps what is admitted in any span of length T within rate*T + burst.
//
// Interactive calls have an arrival time of their own and go to the front: what
// batch calls have reserved is pushed back by what they take, and a batch call
// looks for that just before it starts. When the state is out of
// reach nothing is admitted (fail closed), and the limiter says so.
package budget

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// The dimensions of limits.
const (
	Requests    = "rpm"
	Tokens      = "tpm"
	Input       = "itpm"
	Output      = "otpm"
	DayRequests = "rpd"
	DayTokens   = "tpd"
	Concurrency = "concurrency" // calls at once
)

// The laws of limits.
const (
	// Bucket refills continuously; its capacity is the limit.
	Bucket = "bucket"
	// Fixed is a counter that is reset at the start of each window. Where in the
	// minute that is, is not known, so short windows are paced evenly; of a day it
	// is known.
	Fixed = "fixed"
	// Sub is a limit per minute that is judged over Sub.
	Sub = "sub"
)

// Law is one limit.
type Law struct {
	Dimension string
	Law       string // Bucket, Fixed or Sub; not used for Concurrency
	Limit     int64  // units per Window, or calls at once
	Window    time.Duration
	Sub       time.Duration // of the law Sub
	// Settle corrects the reservation by what was really used; else the provider
	// keeps what it estimated.
	Settle bool
	// Zone is where the days of a fixed daily limit begin; nil is UTC.
	Zone *time.Location
}

// long says that waiting for the window is no way: days, not minutes.
func (l Law) long() bool { return l.Window >= time.Hour }

// counts says that the use is counted, not paced: of a day that ends at a known
// time, all may be used at once.
func (l Law) counts() bool { return l.Law == Fixed && l.long() }

// The settings below were measured in reference runs with 1 to 64 workers.
const (
	// factor of the limit that is used. What is left absorbs errors of estimates
	// and of timing: over 60 s it is 0.6 s of traffic.
	factor = 0.99
	// subFactor is the factor under the law Sub: with 10 requests per sub-window,
	// one may slip into a neighbour on its way to the provider.
	subFactor = 0.9
	// burst is how far behind its pace the fleet may catch up, which makes up for
	// a worker that is late.
	burst = 250 * time.Millisecond
	// dayFactor is the factor of daily limits.
	dayFactor = 0.97
)

// pace is the rate in units per nanosecond and the burst of a law, when limit is
// in force.
func (l Law) pace(limit int64) (rate float64, allowed time.Duration) {
	perNano := float64(limit) / float64(l.Window)
	switch {
	case l.long():
		return perNano, time.Duration(float64(l.Window) * dayFactor)
	case l.Law == Sub:
		return perNano * subFactor, 0
	default:
		return perNano * factor, min(burst, l.Window*3/10)
	}
}

// Group is a set of limits that calls share.
type Group struct {
	// Name is the group's key: the provider's and the group's name.
	Name string
	Laws []Law
}

// Validate names the law that can't be worked with.
func (g Group) Validate() error {
	for _, l := range g.Laws {
		switch {
		case l.Limit <= 0:
			return fmt.Errorf("budget group %s: %s: limit %d, want more than 0", g.Name, l.Dimension, l.Limit)
		case l.Dimension != Concurrency && l.Window <= 0:
			return fmt.Errorf("budget group %s: %s: window %s, want more than 0", g.Name, l.Dimension, l.Window)
		}
	}
	return nil
}

func (g Group) concurrency() int64 {
	for _, l := range g.Laws {
		if l.Dimension == Concurrency {
			return l.Limit
		}
	}
	return 0
}

// rates are the laws but concurrency.
func (g Group) rates() []Law {
	return slices.DeleteFunc(slices.Clone(g.Laws), func(l Law) bool { return l.Dimension == Concurrency })
}

// Cost is what a call uses of each dimension. Dimensions that are not named cost
// nothing.
type Cost map[string]int64

// sub returns c - o.
func (c Cost) sub(o Cost) Cost {
	out := maps.Clone(c)
	if out == nil {
		out = Cost{}
	}
	for d, n := range o {
		out[d] -= n
	}
	return out
}

// Request asks for the admission of one call.
type Request struct {
	Group Group
	Class event.Lane
	// Cost is the estimate, in the provider's own way of counting.
	Cost Cost
	// OnWait, when set, is called when it is known that the call waits longer
	// than a moment, and again when that changes by much.
	OnWait func(Wait)
}

// Wait says why a call waits, and until when.
type Wait struct {
	// Cause is what kind of thing holds it: WaitLimit here, others beside the limits.
	Cause event.WaitCause
	// Name of what holds it; "" is that of Group and Dimension.
	Name string
	// Dimension is the limit that binds: rpm, tpm, ..., concurrency; "" when the
	// shared state is out of reach or the provider asked everybody to wait.
	Dimension string
	Limit     int64
	Group     string
	Reason    string    // in words
	Until     time.Time // expected, in local time; zero when unknown
}

// Event is the wait as jobs are told of it.
func (w Wait) Event() event.Wait {
	return event.Wait{Cause: w.Cause, Name: cmp.Or(w.Name, strings.TrimSpace(w.Group+" "+w.Dimension)), Until: w.Until}
}

// tooLarge refuses a call that no waiting makes possible.
func (r Request) tooLarge() error {
	for _, l := range r.Group.rates() {
		if n := r.Cost[l.Dimension]; n > l.Limit {
			return &event.Error{Class: event.ClassTooLarge, Field: "messages",
				Message: fmt.Sprintf("the call takes %d of the limit %s of %s, which is %d", n, l.Dimension, r.Group.Name, l.Limit),
				Hint:    "shorten the input or max_tokens, use a model with a larger limit, or raise the limit in the catalog"}
		}
	}
	return nil
}
