package llmsim

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// resetTime is the clock that resets are counted from.
type resetTime = time.Time

// goDuration writes a reset as OpenAI and Groq do: a Go duration, to the
// millisecond, cut off.
func goDuration(s dimState, _ resetTime) (remaining, reset string) {
	return strconv.FormatInt(s.Remaining, 10), s.Reset.Truncate(time.Millisecond).String()
}

// plainSeconds writes a reset as Azure does: whole seconds.
func plainSeconds(s dimState, _ resetTime) (remaining, reset string) {
	return strconv.FormatInt(s.Remaining, 10), strconv.FormatInt(ceilSeconds(s.Reset), 10)
}

// rfc3339 writes a reset as Anthropic does, as a time.
func rfc3339(s dimState, now resetTime) (remaining, reset string) {
	return strconv.FormatInt(s.Remaining, 10), now.Add(s.Reset).UTC().Format(time.RFC3339)
}

// thousands is rfc3339 with the tokens rounded to 1,000.
func thousands(s dimState, now resetTime) (remaining, reset string) {
	const unit = 1000
	_, reset = rfc3339(s, now)
	return strconv.FormatInt((s.Remaining+unit/2)/unit*unit, 10), reset
}

func ceilSeconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

// xRateLimit are OpenAI's header names; requests are shown of the first
// dimension that is limited.
func xRateLimit(format func(dimState, resetTime) (string, string), requests ...string) []limitHeader {
	name := func(what, of string) string { return "x-ratelimit-" + what + "-" + of }
	headers := func(of string, dims ...string) limitHeader {
		return limitHeader{dims: dims, limit: name("limit", of), remaining: name("remaining", of), reset: name("reset", of), format: format}
	}
	return []limitHeader{headers("requests", requests...), headers("tokens", DimTPM, DimTPD)}
}

func anthropicHeaders() []limitHeader {
	headers := func(of, dim string, format func(dimState, resetTime) (string, string)) limitHeader {
		name := "anthropic-ratelimit-" + of
		return limitHeader{dims: []string{dim}, limit: name + "-limit", remaining: name + "-remaining", reset: name + "-reset", format: format}
	}
	return []limitHeader{headers("requests", DimRPM, rfc3339), headers("tokens", DimTPM, thousands),
		headers("input-tokens", DimITPM, thousands), headers("output-tokens", DimOTPM, thousands)}
}

func mistralHeaders() []limitHeader {
	return []limitHeader{
		{dims: []string{DimRPM}, limit: "x-ratelimit-limit-req-minute", remaining: "x-ratelimit-remaining-req-minute", format: goDuration},
		{dims: []string{DimTPM}, limit: "x-ratelimit-limit-tokens-minute", remaining: "x-ratelimit-remaining-tokens-minute", format: goDuration},
	}
}

// limitHeaders shows the limits.
func (p *profile) limitHeaders(h http.Header, states []dimState, now time.Time) {
	for _, header := range p.headers {
		for _, dim := range header.dims {
			at := slices.IndexFunc(states, func(s dimState) bool { return s.Dim == dim })
			if at < 0 {
				continue
			}
			remaining, reset := header.format(states[at], now)
			h.Set(header.limit, strconv.FormatInt(states[at].Cap, 10))
			h.Set(header.remaining, remaining)
			if header.reset != "" {
				h.Set(header.reset, reset)
			}
			break
		}
	}
}

// retryHeaders tells when to come again: whole seconds rounded up,
// milliseconds cut off.
func (p *profile) retryHeaders(h http.Header, wait time.Duration) {
	if p.retryAfter {
		h.Set("Retry-After", strconv.FormatInt(ceilSeconds(wait), 10))
	}
	if p.retryAfterMS {
		h.Set("Retry-After-Ms", strconv.FormatInt(wait.Milliseconds(), 10))
	}
}

// failure is what an error's body may tell beside the error.
type failure struct {
	wait      time.Duration // 0 for none
	requestID string
	quota     string // the dimension that had no room
}

func openAIBody(e *apiError, _ failure) any { return map[string]any{"error": e} }

func azureBody(e *apiError, _ failure) any {
	code := e.Code
	if code == "" || e.status == http.StatusTooManyRequests {
		code = strconv.Itoa(e.status)
	}
	return map[string]any{"error": map[string]any{"code": code, "message": e.Message}}
}

// azurePrelude is the first event of Azure's streams.
const azurePrelude = `data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}` + "\n\n"

func anthropicBody(e *apiError, f failure) any {
	kind, ok := map[int]string{
		http.StatusBadRequest: typeInvalid, http.StatusUnauthorized: "authentication_error", http.StatusForbidden: "permission_error",
		http.StatusNotFound: "not_found_error", http.StatusRequestEntityTooLarge: "request_too_large", http.StatusTooManyRequests: "rate_limit_error",
		http.StatusGatewayTimeout: "timeout_error", statusOverloaded: "overloaded_error",
	}[e.status]
	if !ok {
		kind = "api_error"
	}
	return map[string]any{"type": "error", "error": map[string]any{"type": kind, "message": e.Message}, "request_id": f.requestID}
}

func geminiBody(e *apiError, f failure) any {
	status, ok := map[int]string{
		http.StatusBadRequest: "INVALID_ARGUMENT", http.StatusUnauthorized: "UNAUTHENTICATED", http.StatusForbidden: "PERMISSION_DENIED",
		http.StatusNotFound: "NOT_FOUND", http.StatusTooManyRequests: "RESOURCE_EXHAUSTED", http.StatusServiceUnavailable: "UNAVAILABLE",
		http.StatusGatewayTimeout: "DEADLINE_EXCEEDED",
	}[e.status]
	if !ok {
		status = "INTERNAL"
	}
	body := map[string]any{"code": e.status, "message": e.Message, "status": status}
	if f.wait > 0 {
		body["details"] = []any{
			map[string]any{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []any{map[string]string{"quotaId": geminiQuota(f.quota)}}},
			map[string]any{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": strconv.FormatInt(ceilSeconds(f.wait), 10) + "s"},
		}
	}
	return map[string]any{"error": body}
}

func geminiQuota(dim string) string {
	return map[string]string{
		DimRPM: "GenerateRequestsPerMinutePerProjectPerModel", DimRPD: "GenerateRequestsPerDayPerProjectPerModel",
		DimTPM: "GenerateContentInputTokensPerModelPerMinute", DimITPM: "GenerateContentInputTokensPerModelPerMinute",
	}[dim]
}

func mistralBody(e *apiError, _ failure) any {
	return map[string]any{"object": "error", "message": e.Message, "type": e.Type, "param": nullable(e.Param), "code": nullable(e.Code)}
}

func openRouterBody(e *apiError, _ failure) any {
	return map[string]any{"error": map[string]any{"code": e.status, "message": e.Message, "metadata": map[string]any{"provider_name": "llmsim"}}}
}

func vllmBody(e *apiError, _ failure) any {
	return map[string]any{"error": map[string]any{"message": e.Message, "type": e.Type, "param": nullable(e.Param), "code": e.status}}
}

func textBody(e *apiError, _ failure) any { return map[string]string{"error": e.Message} }

func teiBody(e *apiError, _ failure) any {
	kind := map[int]string{http.StatusTooManyRequests: "overloaded", http.StatusFailedDependency: "backend", http.StatusRequestEntityTooLarge: "validation", http.StatusUnprocessableEntity: "tokenizer"}[e.status]
	if kind == "" {
		kind = "validation"
	}
	return map[string]string{"error": e.Message, "error_type": kind}
}

// statusOverloaded is Anthropic's status for overload.
const statusOverloaded = 529

// limitError is the answer to a request that a limit has no room for, in the
// words of OpenAI.
func (v *verdict) limitError(model string, p *profile) *apiError {
	if v.dim == nil {
		return p.overload
	}
	e := &apiError{status: http.StatusTooManyRequests, Type: "tokens", Code: "rate_limit_exceeded"}
	if v.dim.isRequests() {
		e.Type = "requests"
	}
	if v.dim.Dim == DimRamp {
		e.Type, e.Code, e.Message = "rate_limit_error", "slow_down", "Your traffic has grown too fast. Please slow down and ramp up more gradually."
		return e
	}
	on := map[string]string{
		DimRPM: "requests per min (RPM)", DimRPD: "requests per day (RPD)", DimTPM: "tokens per min (TPM)", DimTPD: "tokens per day (TPD)",
		DimITPM: "input tokens per min (ITPM)", DimOTPM: "output tokens per min (OTPM)",
	}[v.dim.Dim]
	const visit = "Visit https://platform.openai.com/account/rate-limits to learn more."
	if v.tooLarge {
		e.Message = fmt.Sprintf("Request too large for %s in organization org-llmsim on %s: Limit %d, Requested %d. The input or output tokens must be reduced in order to run successfully. %s", model, on, v.cap, v.requested, visit)
		return e
	}
	e.Message = fmt.Sprintf("Rate limit reached for %s in organization org-llmsim on %s: Limit %d, Used %d, Requested %d. Please try again in %s. %s", model, on, v.cap, v.used, v.requested, v.wait.Truncate(time.Millisecond), visit)
	return e
}
