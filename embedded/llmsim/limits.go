package llmsim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Dimensions of a limit.
const (
	DimRPM         = "rpm"  // requests per minute
	DimRPD         = "rpd"  // requests per day
	DimTPM         = "tpm"  // tokens per minute
	DimTPD         = "tpd"  // tokens per day
	DimITPM        = "itpm" // input tokens per minute
	DimOTPM        = "otpm" // output tokens per minute
	DimConcurrency = "concurrency"
	DimQueue       = "queue" // requests waiting for a place of concurrency
	DimRamp        = "ramp"  // tokens per minute up to which growth is free
)

// Laws of a limit.
const (
	lawBucket      = "bucket"
	lawFixed       = "fixed"
	lawSub         = "sub"
	lawUtil        = "util"
	lawConcurrency = "concurrency"
	lawRamp        = "ramp"
)

// What a limit of tokens counts.
const (
	chargeEst       = "est"
	chargeInput     = "input"
	chargeStreamOut = "stream_out"
	refundActual    = "actual"
	refundNone      = "none"
)

const (
	minute = Duration(time.Minute)
	day    = Duration(24 * time.Hour)
	// estimateBase and charsPerToken are OpenAI's estimate of a prompt:
	// floor(chars/4)+2, read off captured answers.
	estimateBase  = 2
	charsPerToken = 4
)

// Limit is one limit of a key and a group of models. A field left empty takes
// what the profile of the key does.
type Limit struct {
	// Dim is what is limited, one of the Dim constants.
	Dim string `json:"dim"`
	// Cap is the limit. A queue of -1 has no limit.
	Cap int64 `json:"cap"`
	// Key and Group select what the limit is for, each key and group having
	// its own; a last * stands for any end, "" for all.
	Key   string `json:"key,omitempty"`
	Group string `json:"group,omitempty"`
	// Law is bucket, fixed (counted anew each window), sub (judged over Sub),
	// or util (a bucket corrected by what was used).
	Law string `json:"law,omitempty"`
	// Window is a minute or a day unless set, Sub one second.
	Window Duration `json:"window,omitempty"`
	Sub    Duration `json:"sub,omitempty"`
	// Charge of a limit of tokens is est (the prompt's estimate and the most
	// the answer may have), input (the estimate alone) or stream_out (as they
	// are produced, which may go over the limit).
	Charge string `json:"charge,omitempty"`
	// Refund is none, or actual: at its end a request counts what it used.
	Refund string `json:"refund,omitempty"`
	// CountRejected counts rejected requests too.
	CountRejected *bool `json:"count_rejected,omitempty"`
	// DefaultMaxTokens is the charge for an answer without a limit.
	DefaultMaxTokens int64 `json:"default_max_tokens,omitempty"`
}

// isRequests reports whether the limit counts requests, not tokens.
func (l *Limit) isRequests() bool { return l.Dim == DimRPM || l.Dim == DimRPD }

// isPlace reports whether the limit is about places and not about a rate.
func (l *Limit) isPlace() bool { return l.Dim == DimConcurrency || l.Dim == DimQueue }

// validate reports the first field with a wrong value.
func (l *Limit) validate() error {
	dims := []string{DimRPM, DimRPD, DimTPM, DimTPD, DimITPM, DimOTPM, DimConcurrency, DimQueue, DimRamp}
	for _, f := range []struct {
		name, got string
		want      []string
	}{
		{"dim", l.Dim, dims},
		{"law", l.Law, []string{"", lawBucket, lawFixed, lawSub, lawUtil, lawConcurrency, lawRamp}},
		{"charge", l.Charge, []string{"", chargeEst, chargeInput, chargeStreamOut}},
		{"refund", l.Refund, []string{"", refundNone, refundActual}},
	} {
		if !slices.Contains(f.want, f.got) {
			return fmt.Errorf("%s is %q, want one of %q", f.name, f.got, f.want)
		}
	}
	least := int64(1)
	if l.Dim == DimQueue {
		least = -1
	}
	switch {
	case l.Cap < least:
		return fmt.Errorf("cap of %s is %d, want at least %d", l.Dim, l.Cap, least)
	case l.Window < 0 || l.Sub < 0 || l.DefaultMaxTokens < 0:
		return fmt.Errorf("window, sub or default_max_tokens of %s is below 0", l.Dim)
	case l.Sub > 0 && l.Window > 0 && l.Sub > l.Window:
		return fmt.Errorf("sub of %s is %s, longer than its window of %s", l.Dim, time.Duration(l.Sub), time.Duration(l.Window))
	case l.isPlace() && l.Law != "" && l.Law != lawConcurrency, !l.isPlace() && l.Law == lawConcurrency:
		return fmt.Errorf("law of %s is %q, which is not for it", l.Dim, l.Law)
	}
	return nil
}

// validateLimits checks a list and that no limit is given twice.
func validateLimits(limits []Limit) error {
	seen := map[string]bool{}
	for i := range limits {
		l := &limits[i]
		if err := l.validate(); err != nil {
			return fmt.Errorf("llmsim limits[%d]: %w", i, err)
		}
		id := strings.Join([]string{l.Dim, l.Key, l.Group, l.Law}, "\x00")
		if seen[id] {
			return fmt.Errorf("llmsim limits[%d]: %s is given twice for key %q and group %q", i, l.Dim, l.Key, l.Group)
		}
		seen[id] = true
	}
	return nil
}

// matches reports whether a pattern with an optional last * fits text.
func matches(pattern, text string) bool {
	if start, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(text, start)
	}
	return pattern == "" || pattern == text
}

// resolved fills the empty fields by the profile's ways.
func (l Limit) resolved(p *profile) Limit {
	ways := p.ways[l.Dim]
	if l.Law == "" {
		l.Law = ways.Law
	}
	if l.Law == "" {
		l.Law = lawBucket
	}
	if l.Window == 0 {
		l.Window = minute
		if l.Dim == DimRPD || l.Dim == DimTPD {
			l.Window = day
		}
	}
	if l.Sub == 0 {
		l.Sub = max(ways.Sub, Duration(time.Second))
	}
	if l.Charge == "" {
		l.Charge = ways.Charge
	}
	if l.Charge == "" {
		l.Charge = map[string]string{DimITPM: chargeInput, DimOTPM: chargeStreamOut}[l.Dim]
	}
	if l.Refund == "" {
		l.Refund = ways.Refund
	}
	if l.Law == lawUtil {
		l.Refund = refundActual
	}
	if l.CountRejected == nil {
		l.CountRejected = ways.CountRejected
	}
	if l.DefaultMaxTokens == 0 {
		l.DefaultMaxTokens = ways.DefaultMaxTokens
	}
	return l
}

// newLaw returns the law of a resolved limit at a speed.
func (l *Limit) newLaw(scale float64) law {
	window := max(1, time.Duration(float64(l.Window)*scale))
	switch {
	case l.Dim == DimRamp:
		return &ramp{floor: l.Cap, minute: window}
	case l.Law == lawFixed:
		return &fixed{limit: l.Cap, whole: window, window: window}
	case l.Law == lawSub:
		return &fixed{limit: l.Cap, whole: window, window: max(1, min(window, time.Duration(float64(l.Sub)*scale)))}
	}
	return &bucket{limit: l.Cap, window: window}
}

// estimateInput is what OpenAI takes a prompt for: a fourth of its characters
// and 2.
func estimateInput(chars int) int64 { return int64(chars)/charsPerToken + estimateBase }

// amounts returns what a request must find room for and what it is charged at
// first.
func (l *Limit) amounts(load workload) (need, take int64) {
	if l.isRequests() {
		return 1, 1
	}
	switch l.Charge {
	case chargeStreamOut:
		return 1, 0
	case chargeInput:
		n := estimateInput(load.chars)
		return n, n
	}
	n := estimate(load, l.DefaultMaxTokens)
	return n, n
}

// estimate is the whole charge of a request at OpenAI: the sum of the prompt's
// estimate and of the most tokens that the answer may have.
func estimate(load workload, unset int64) int64 {
	answer := int64(load.maxTokens)
	if answer == 0 {
		answer = unset
	}
	return estimateInput(load.chars) + answer
}
