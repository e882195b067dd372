package openai

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/llm"
)

// rateLimits reads what the headers h say about the rate limits in groups, in
// their order. Of several groups for one dimension the tighter counts.
func rateLimits(h http.Header, groups []catalog.LimitHeader, now time.Time) []llm.RateLimit {
	var out []llm.RateLimit
	for _, g := range groups {
		l := llm.RateLimit{
			Dimension: g.Dimension,
			Limit:     count(h.Get(g.Limit)),
			Remaining: count(h.Get(g.Remaining)),
			Reset:     reset(h.Get(g.Reset), now),
		}
		if l.Limit < 0 && l.Remaining < 0 {
			continue
		}
		same := slices.IndexFunc(out, func(o llm.RateLimit) bool { return o.Dimension == l.Dimension })
		switch {
		case same < 0:
			out = append(out, l)
		case tighter(l, out[same]):
			out[same] = l
		}
	}
	return out
}

// tighter compares what remains, or the limits where that is not shown.
func tighter(a, b llm.RateLimit) bool {
	if a.Remaining >= 0 && b.Remaining >= 0 && a.Remaining != b.Remaining {
		return a.Remaining < b.Remaining
	}
	return a.Limit >= 0 && (b.Limit < 0 || a.Limit < b.Limit)
}

// count is a number of requests or tokens, -1 if s is none.
func count(s string) int64 {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(n >= 0 && n < math.MaxInt64) {
		return -1
	}
	return int64(n)
}

// reset is the wait that s gives: seconds, a Go duration or a time of RFC 3339,
// whichever it is, since no text is two of them; -1 if it is none.
func reset(s string, now time.Time) time.Duration {
	s = strings.TrimSpace(s)
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		if !(seconds >= 0 && seconds <= maxRetryAfter.Seconds()) {
			return -1
		}
		return time.Duration(math.Round(seconds*1e6)) * time.Microsecond
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return d
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return max(at.Sub(now), 0)
	}
	return -1
}

// serverTime is the provider's clock in an answer, to the second, or now if the
// answer has no date. Times in its other headers count from there.
func serverTime(h http.Header, now time.Time) time.Time {
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		return at
	}
	return now
}
