package openai

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-dev/weir/pkg/catalog"
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

const rampHint = "let the traffic grow more slowly"

// rules are tried in order; the first that matches decides. Codes and texts of
// OpenAI, Azure, Anthropic, Gemini, Groq, OpenRouter, vLLM, Ollama and TEI.
var rules = []rule{ //nolint:gochecknoglobals // a table, never written
	// Waiting does not help: no money or no quota at all.
	{words: []string{"insufficient_quota", "credit_balance_exhausted", "enforced_spend_limit_reached", "billing_hard_limit_reached", "billing_not_active", "billing_error", "insufficient_credits"},
		class: event.ClassQuota, hint: "check the plan and the billing of the provider account"},
	{statuses: []int{402}, class: event.ClassQuota, hint: "check the credit of the provider account"},
	{from: 400, to: 429, contains: []string{"credit balance is too low", "specified api usage limits"},
		class: event.ClassQuota, hint: "check the credit and the spend limit of the provider account"},
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
	{statuses: []int{403}, contains: []string{"input was flagged"}, class: event.ClassContent, hint: "the provider's moderation refused it"},
	{words: []string{"invalid_api_key", "authentication_error", "permission_error", "permission_denied", "unauthenticated"},
		class: event.ClassAuth, hint: "check the API key and its permissions"},
	{statuses: []int{401, 403}, class: event.ClassAuth, hint: "check the API key and its permissions"},

	// Within the limits, but the traffic grew too fast.
	{words: []string{"slow_down"}, class: event.ClassRamp, hint: rampHint},
	{statuses: []int{429, 503}, contains: []string{"slow down", "acceleration limit", "usage increase rate"}, class: event.ClassRamp, hint: rampHint},

	{words: []string{"rate_limit_exceeded", "rate_limit_error", "too_many_requests", "tokens", "requests", "resource_exhausted", "capacity_exceeded"},
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
// where status, code, type and message become a class and a wait. The dialect's
// rules come before the common ones.
func classify(f *failure, d *catalog.Dialect) *event.Error {
	out := &event.Error{Class: event.ClassUnavailable, Message: f.message, Err: f}
	all := slices.Concat(ownRules(d.Errors), rules)
	if i := slices.IndexFunc(all, func(r rule) bool { return r.matches(f) }); i >= 0 {
		out.Class, out.Hint = all[i].class, all[i].hint
	}
	wait := retryAfter(f, d.RetryHints)
	if out.Class == event.ClassThrottled {
		wait = max(wait, restOfDay(f, &d.Limiter))
		if wait > longWait || f.perDay || wait == 0 && namesDay.MatchString(f.message) {
			out.Class, out.Hint = event.ClassQuota, "the quota of a day or longer is used up"
		}
	}
	if out.Class.Retryable() || out.Class == event.ClassQuota && (wait > longWait || f.perDay) {
		out.RetryAfter = wait
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

// ownRules are a dialect's rules.
func ownRules(own []catalog.ErrorRule) []rule {
	out := make([]rule, 0, len(own))
	for _, r := range own {
		parts := make([]string, len(r.Contains))
		for i, part := range r.Contains {
			parts[i] = strings.ToLower(part)
		}
		out = append(out, rule{statuses: r.Status, words: r.Code, contains: parts, class: r.Class, hint: r.Hint})
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
	limitPattern     = regexp.MustCompile(`(?i)\blimit:?\s+(\d[\d,.]*)`)
	requestedPattern = regexp.MustCompile(`(?i)\brequested:?\s+(\d[\d,.]*)`)
)

// number is the first count that pattern finds in message, with or without
// commas; -1 if there is none.
func number(pattern *regexp.Regexp, message string) float64 {
	m := pattern.FindStringSubmatch(message)
	if m == nil {
		return -1
	}
	n, err := strconv.ParseFloat(strings.TrimRight(strings.ReplaceAll(m[1], ",", ""), "."), 64)
	if err != nil {
		return -1
	}
	return n
}

// zeroLimit finds "limit: 0": a model the account may not use at all.
func zeroLimit(f *failure) bool { return number(limitPattern, f.message) == 0 }

// aboveWholeLimit finds a request that is larger than the whole limit per
// minute, which no waiting makes possible.
func aboveWholeLimit(f *failure) bool {
	if strings.HasPrefix(strings.ToLower(f.message), "request too large") {
		return true
	}
	limit := number(limitPattern, f.message)
	return limit >= 0 && number(requestedPattern, f.message) > limit
}
