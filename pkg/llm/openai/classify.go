package openai

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// rule gives failures a class. All conditions that are set must hold.
type rule struct {
	statuses []int    // HTTP status, if set
	from, to int      // range of statuses, if set
	words    []string // code or type, if set
	contains []string // any of these in the message in lower case, if set
	match    func(f *failure) bool
	class    event.Class
	hint     string
}

// rules are tried in order; the first that matches decides. Codes and texts of
// OpenAI, Azure, Anthropic, Gemini, Groq, OpenRouter, vLLM, Ollama and TEI.
var rules = []rule{ //nolint:gochecknoglobals // a table, never written
	// Waiting does not help: no money or no quota at all.
	{words: []string{"insufficient_quota", "credit_balance_exhausted", "enforced_spend_limit_reached", "billing_hard_limit_reached", "billing_not_active", "billing_error", "insufficient_credits"},
		class: event.ClassQuota, hint: "check the plan and the billing of the provider account"},
	{statuses: []int{402}, class: event.ClassQuota, hint: "check the credit of the provider account"},
	{statuses: []int{429}, match: zeroLimit, class: event.ClassQuota, hint: "the account has no quota for this model"},

	// Waiting does not help: larger than a limit.
	{words: []string{"context_length_exceeded", "string_above_max_length", "array_above_max_length", "max_tokens_per_request", "request_too_large"},
		class: event.ClassTooLarge, hint: "shorten the input or use a model with a larger limit"},
	{statuses: []int{413}, class: event.ClassTooLarge, hint: "send less in one request"},
	{statuses: []int{429}, match: aboveWholeLimit, class: event.ClassTooLarge, hint: "the request is larger than the account's limit per minute: shorten it or raise the limit"},
	{from: 400, to: 422, contains: []string{"maximum context length", "prompt is too long", "context window", "too many tokens", "must have less than"},
		class: event.ClassTooLarge, hint: "shorten the input or use a model with a larger limit"},

	{words: []string{"content_filter", "content_policy_violation", "responsibleaipolicyviolation", "moderation_blocked"},
		class: event.ClassContent, hint: "the provider's content filter refused it"},
	{words: []string{"invalid_api_key", "authentication_error", "permission_error", "permission_denied", "unauthenticated"},
		class: event.ClassAuth, hint: "check the API key and its permissions"},
	{statuses: []int{401, 403}, class: event.ClassAuth, hint: "check the API key and its permissions"},

	{words: []string{"slow_down", "rate_limit_exceeded", "rate_limit_error", "too_many_requests", "tokens", "requests", "resource_exhausted", "capacity_exceeded"},
		class: event.ClassThrottled},
	{statuses: []int{429, 498}, class: event.ClassThrottled},

	{words: []string{"server_error", "api_error", "overloaded_error", "overloaded", "service_unavailable_error", "server_is_overloaded", "timeout_error", "internal_error", "unavailable", "engine_overloaded"},
		class: event.ClassUnavailable},
	{from: 500, to: 599, class: event.ClassUnavailable},
	{words: []string{"model_not_found", "invalid_request_error", "not_found_error", "bad_request", "badrequesterror", "invalid_argument"},
		class: event.ClassInvalid},
	{statuses: []int{408, 409, 424, 425}, class: event.ClassUnavailable},
	{from: 400, to: 499, class: event.ClassInvalid},
}

// classify turns a provider's failure into an error of our own: the one place
// where status, code, type and message become a class and a wait.
func classify(f *failure) *event.Error {
	out := &event.Error{Class: event.ClassUnavailable, Message: f.message, Err: f}
	if i := slices.IndexFunc(rules, func(r rule) bool { return r.matches(f) }); i >= 0 {
		out.Class, out.Hint = rules[i].class, rules[i].hint
	}
	if out.Class.Retryable() {
		out.RetryAfter = retryAfter(f)
	}
	if out.Class == event.ClassInvalid {
		out.Field = f.param
		if f.code == "model_not_found" {
			out.Field, out.Hint = "model", "use a model the endpoint serves"
		}
	}
	if f.status > 0 {
		out.Message = "status " + strconv.Itoa(f.status) + ": " + out.Message
	}
	return out
}

func (r *rule) matches(f *failure) bool {
	message := strings.ToLower(f.message)
	is := func(word string) bool { return strings.EqualFold(word, f.code) || strings.EqualFold(word, f.kind) }
	has := func(part string) bool { return strings.Contains(message, part) }
	return (len(r.statuses) == 0 || slices.Contains(r.statuses, f.status)) &&
		(r.to == 0 || f.status >= r.from && f.status <= r.to) &&
		(len(r.words) == 0 || slices.ContainsFunc(r.words, is)) &&
		(len(r.contains) == 0 || slices.ContainsFunc(r.contains, has)) &&
		(r.match == nil || r.match(f))
}

var (
	limitPattern     = regexp.MustCompile(`(?i)\blimit:?\s+(\d+)`)
	requestedPattern = regexp.MustCompile(`(?i)\brequested:?\s+(\d+)`)
)

// zeroLimit finds "limit: 0": a model the account may not use at all.
func zeroLimit(f *failure) bool {
	m := limitPattern.FindStringSubmatch(f.message)
	return m != nil && strings.Trim(m[1], "0") == ""
}

// aboveWholeLimit finds a request that is larger than the whole limit per
// minute, which no waiting makes possible.
func aboveWholeLimit(f *failure) bool {
	if strings.HasPrefix(strings.ToLower(f.message), "request too large") {
		return true
	}
	limit, requested := limitPattern.FindStringSubmatch(f.message), requestedPattern.FindStringSubmatch(f.message)
	if limit == nil || requested == nil {
		return false
	}
	l, errL := strconv.ParseInt(limit[1], 10, 64)
	r, errR := strconv.ParseInt(requested[1], 10, 64)
	return errL == nil && errR == nil && r > l
}

// maxRetryAfter bounds the wait a provider may ask for; quotas renew monthly.
const maxRetryAfter = 31 * 24 * time.Hour

var tryAgainPattern = regexp.MustCompile(`(?i)(?:try again|retry) in ((?:\d+(?:\.\d+)?(?:ms|s|m|h))+)`)

// retryAfter is the wait a failure asks for, 0 if none: the headers
// retry-after-ms and retry-after (seconds or an HTTP date), the body's
// retryDelay, "try again in 1.2s" in the message.
func retryAfter(f *failure) time.Duration {
	if ms, err := strconv.ParseFloat(strings.TrimSpace(f.header.Get("Retry-After-Ms")), 64); err == nil && ms > 0 {
		return bounded(ms * float64(time.Millisecond))
	}
	value := strings.TrimSpace(f.header.Get("Retry-After"))
	if s, err := strconv.ParseFloat(value, 64); err == nil && s > 0 {
		return bounded(s * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil && at.After(f.now) {
		return bounded(float64(at.Sub(f.now)))
	}
	if f.retryDelay > 0 {
		return bounded(float64(f.retryDelay))
	}
	if m := tryAgainPattern.FindStringSubmatch(f.message); m != nil {
		if d, err := time.ParseDuration(m[1]); err == nil {
			return bounded(float64(d))
		}
	}
	return 0
}

// bounded limits a wait in nanoseconds to maxRetryAfter.
func bounded(ns float64) time.Duration {
	if !(ns < float64(maxRetryAfter)) {
		return maxRetryAfter
	}
	return time.Duration(ns)
}
