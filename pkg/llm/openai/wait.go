package openai

import (
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
)

const (
	// maxRetryAfter bounds the wait a provider may ask for; quotas renew monthly.
	maxRetryAfter = 31 * 24 * time.Hour
	// longWait is the most that a limit per minute can ask for, with room: a
	// longer wait is for a quota.
	longWait = 5 * time.Minute
)

var (
	againPattern  = regexp.MustCompile(`(?i)(?:try again|retry) (?:in|after) ((?:\d+(?:\.\d+)?(?:ms|s|m|h))+|\d+(?:\.\d+)?(?: seconds?\b))`)
	regainPattern = regexp.MustCompile(`(?i)regain access on (\d{4}-\d\d-\d\d at \d\d:\d\d UTC)`)
	namesDay      = regexp.MustCompile(`(?i)\bper day\b|\((?:RPD|TPD)\)`)
)

// retryAfter is the wait a failure asks for in the first of the places hints
// that holds one, 0 if none does.
func retryAfter(f *failure, hints []string) time.Duration {
	for _, hint := range hints {
		var wait float64
		switch hint {
		case hintMillis:
			wait = seconds(f.header.Get("Retry-After-Ms")) / 1000
		case hintSeconds:
			wait = secondsOrDate(f.header.Get("Retry-After"), f.now)
		case hintBody:
			wait = f.retryDelay.Seconds()
		case hintMessage:
			wait = askedInText(f.message, f.now)
		}
		if wait > 0 {
			return time.Duration(math.Round(min(wait, maxRetryAfter.Seconds())*1e6)) * time.Microsecond
		}
	}
	return 0
}

// seconds is a number, 0 if it is none.
func seconds(s string) float64 {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil {
		return 0
	}
	return n
}

// secondsOrDate reads both forms of Retry-After.
func secondsOrDate(s string, now time.Time) float64 {
	if at, err := http.ParseTime(strings.TrimSpace(s)); err == nil {
		return at.Sub(now).Seconds()
	}
	return seconds(s)
}

// askedInText finds "try again in 1m2.5s", "retry after 6 seconds" (Azure) and
// "regain access on 2026-12-01 at 00:00 UTC" (Anthropic).
func askedInText(message string, now time.Time) float64 {
	if m := regainPattern.FindStringSubmatch(message); m != nil {
		if at, err := time.Parse("2006-01-02 at 15:04 MST", m[1]); err == nil {
			return at.Sub(now).Seconds()
		}
	}
	m := againPattern.FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	if number, _, plain := strings.Cut(m[1], " "); plain {
		return seconds(number)
	}
	d, err := time.ParseDuration(m[1])
	if err != nil {
		return 0
	}
	return d.Seconds()
}

// restOfDay is how long a daily quota that the body names stays used up where
// it is a counter set back at midnight; a shorter wait in the answer is then
// for another limit. It is 0 for other laws and failures.
func restOfDay(f *failure, l *catalog.Limiter) time.Duration {
	law, ok := l.Laws["rpd"]
	if !ok {
		law = l.Law
	}
	zone, err := time.LoadLocation(l.ResetZone)
	if !f.perDay || law != "fixed" || err != nil {
		return 0
	}
	now := f.now.In(zone)
	return time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, zone).Sub(now)
}
