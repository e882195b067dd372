package openai

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i+1 < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	const (
		visit     = " Visit https://platform.openai.com/account/rate-limits to learn more."
		reached   = "Rate limit reached for gpt-4.1 in organization org-x on "
		billing   = "plan and the billing"
		anthropic = `{"type":"error","error":{"type":"rate_limit_error","message":`
		gemini    = `"You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."`
		perDay    = `[{"error":{"code":429,"message":` + gemini + `,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"generativelanguage.googleapis.com/generate_content_free_tier_requests","quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"55s"}]}}]`
	)
	fixedDay := &catalog.Dialect{Limiter: catalog.Limiter{Law: "bucket", Laws: map[string]string{"rpd": "fixed"}, ResetZone: "UTC"}}
	own := &catalog.Dialect{
		RetryHints: []string{hintMessage, hintSeconds},
		Errors: []catalog.ErrorRule{
			{Status: []int{400}, Code: []string{"odd"}, Contains: []string{"BUSY"}, Class: event.ClassUnavailable, Hint: "own rule"},
			{Status: []int{503}, Class: event.ClassThrottled},
		},
	}
	for _, tc := range []struct {
		name    string
		status  int
		body    string
		header  http.Header
		class   event.Class
		retry   time.Duration
		field   string
		hint    string // part of it
		dialect *catalog.Dialect
	}{
		{name: "TPM", status: 429, body: errorBody("rate_limit_exceeded", "tokens", reached+"tokens per min (TPM): Limit 200000, Used 170633, Requested 180002. Please try again in 45.19s."+visit),
			header: header("Retry-After-Ms", "45190", "Retry-After", "46"), class: event.ClassThrottled, retry: 45190 * time.Millisecond},
		{name: "TPM, another", status: 429, body: errorBody("rate_limit_exceeded", "tokens", reached+"tokens per min (TPM): Limit 50000, Used 47949, Requested 3006. Please try again in 1.146s."+visit), class: event.ClassThrottled, retry: 1146 * time.Millisecond},
		{name: "TPM, long", status: 429, body: errorBody("rate_limit_exceeded", "tokens", reached+"tokens per min (TPM): Limit 30000, Used 22999, Requested 12528. Please try again in 11.054s."+visit), class: event.ClassThrottled, retry: 11054 * time.Millisecond},
		{name: "TPM, milliseconds", status: 429, body: errorBody("rate_limit_exceeded", "tokens", reached+"tokens per min (TPM): Limit 200000, Used 195869, Requested 4412. Please try again in 84ms."+visit), class: event.ClassThrottled, retry: 84 * time.Millisecond},
		{name: "RPM, seconds only", status: 429, body: errorBody("rate_limit_exceeded", "requests", reached+"requests per min (RPM): Limit 500, Used 500, Requested 1."), header: header("Retry-After", "2"), class: event.ClassThrottled, retry: 2 * time.Second},
		{name: "RPD, soon", status: 429, body: errorBody("rate_limit_exceeded", "requests", reached+"requests per day (RPD): Limit 10000, Used 10000, Requested 1. Please try again in 8.64s."+visit), class: event.ClassThrottled, retry: 8640 * time.Millisecond},
		{name: "RPD, wait not known", status: 429, body: errorBody("rate_limit_exceeded", "requests", reached+"requests per day (RPD): Limit 200, Used 200, Requested 1."), class: event.ClassQuota, hint: "day or longer"},
		{name: "TPD, ten minutes", status: 429, body: errorBody("rate_limit_exceeded", "tokens", "Rate limit reached for model `m` in organization `o` on tokens per day (TPD): Limit 100000, Used 99500, Requested 1200. Please try again in 10m4.8s."), class: event.ClassQuota, retry: 10*time.Minute + 4800*time.Millisecond, hint: "day or longer"},
		{name: "five minutes are not long", status: 429, body: errorBody("", "", "slow"), header: header("Retry-After", "300"), class: event.ClassThrottled, retry: 5 * time.Minute},
		{name: "more are", status: 429, body: errorBody("", "", "slow"), header: header("Retry-After", "301"), class: event.ClassQuota, retry: 301 * time.Second, hint: "day or longer"},
		{name: "date", status: 429, body: errorBody("", "", "slow"), header: header("Retry-After", now.Add(90*time.Second).Format(http.TimeFormat)), class: event.ClassThrottled, retry: 90 * time.Second},
		{name: "past date", status: 429, body: errorBody("", "", "slow"), header: header("Retry-After", now.Add(-time.Hour).Format(http.TimeFormat)), class: event.ClassThrottled},
		{name: "past date, then the message", status: 429, body: errorBody("", "", "Please try again in 3s."), header: header("Retry-After", now.Add(-time.Hour).Format(http.TimeFormat)), class: event.ClassThrottled, retry: 3 * time.Second},
		{name: "nonsense", status: 429, body: errorBody("", "", "slow"), header: header("Retry-After", "soon", "Retry-After-Ms", "-5"), class: event.ClassThrottled},
		{name: "not a number", status: 429, body: errorBody("", "", "slow"), header: header("Retry-After", "NaN"), class: event.ClassThrottled},
		{name: "absurd", status: 429, body: errorBody("", "", "slow"), header: header("Retry-After", "1e300"), class: event.ClassQuota, retry: maxRetryAfter},
		{name: "slow_down", status: 429, body: errorBody("slow_down", "rate_limit_error", "Traffic grew too fast."), header: header("Retry-After", "4"), class: event.ClassRamp, retry: 4 * time.Second, hint: rampHint},
		{name: "slow_down, old", status: 503, body: errorBody("slow_down", "", "Slow down"), class: event.ClassRamp, hint: rampHint},
		{name: "slow down in words", status: 503, body: errorBody("", "", "Slow Down"), class: event.ClassRamp, hint: rampHint},
		{name: "request too large", status: 429, body: errorBody("rate_limit_exceeded", "tokens", "Request too large for gpt-4.1 in organization org-x on tokens per min (TPM): Limit 30000, Requested 180002. The input or output tokens must be reduced in order to run successfully."+visit),
			header: header("Retry-After", "9"), class: event.ClassTooLarge, hint: "larger than the account's limit"},
		{name: "requested above the limit", status: 429, body: errorBody("rate_limit_exceeded", "tokens", "Rate limit reached for m: Limit 30000, Requested 45000."), class: event.ClassTooLarge},
		{name: "commas in numbers", status: 429, body: errorBody("rate_limit_exceeded", "tokens", "Rate limit reached for m: Limit 4,000, Used 3,500, Requested 900."), class: event.ClassThrottled},
		{name: "no quota", status: 429, body: errorBody("insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs."), header: header("Retry-After", "20"), class: event.ClassQuota, hint: billing},
		{name: "no credit", status: 429, body: errorBody("credit_balance_exhausted", "insufficient_quota", "You exceeded your current quota"), class: event.ClassQuota, hint: billing},
		{name: "overloaded", status: 503, body: errorBody("server_is_overloaded", "service_unavailable_error", "x"), class: event.ClassUnavailable},
		{name: "server error", status: 500, body: errorBody("", "server_error", "The server had an error"), header: header("Retry-After", "1"), class: event.ClassUnavailable, retry: time.Second},
		{name: "server blames us", status: 500, body: errorBody("", "invalid_request_error", "x"), class: event.ClassUnavailable},
		{name: "flex", status: 429, body: errorBody("resource_unavailable", "", "Resource unavailable"), class: event.ClassThrottled},
		{name: "context length", status: 400, body: `{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`, class: event.ClassTooLarge, hint: "shorten the input"},
		{name: "context length, vLLM", status: 400, body: `{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.","type":"BadRequestError","param":null,"code":400}`, class: event.ClassTooLarge, hint: "shorten the input"},
		{name: "no model", status: 404, body: `{"error":{"message":"The model does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}`, class: event.ClassInvalid, field: "model", hint: "endpoint serves"},
		{name: "bad parameter", status: 400, body: `{"error":{"message":"bad","type":"invalid_request_error","param":"temperature","code":null}}`, class: event.ClassInvalid, field: "temperature"},
		{name: "numeric param", status: 400, body: `{"error":{"message":"bad","param":3,"code":null}}`, class: event.ClassInvalid, field: "3"},
		{name: "unprocessable, FastAPI", status: 422, body: `{"detail":[{"loc":["body"],"msg":"field required"}]}`, class: event.ClassInvalid},
		{name: "bad key", status: 401, body: errorBody("invalid_api_key", "invalid_request_error", "Incorrect API key"), class: event.ClassAuth, hint: "API key"},
		{name: "forbidden page", status: 403, body: "<html><head><title>Forbidden</title></head></html>", class: event.ClassAuth, hint: "API key"},
		{name: "Azure, content filter", status: 400, body: `{"error":{"message":"filtered","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, class: event.ClassContent, hint: "content filter"},
		{name: "Azure, high demand", status: 429, body: `{"error":{"code":"429","message":"The system is experiencing high demand. Please retry after 10 seconds."}}`, header: header("retry-after-ms", "9500"), class: event.ClassThrottled, retry: 9500 * time.Millisecond},
		{name: "Azure, wait in the message", status: 429, body: `{"error":{"code":"429","message":"The system is experiencing high demand. Please retry after 10 seconds."}}`, class: event.ClassThrottled, retry: 10 * time.Second},
		{name: "Anthropic, overloaded", status: 529, body: `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}`, class: event.ClassUnavailable},
		{name: "Anthropic, internal", status: 500, body: `{"type":"error","error":{"type":"api_error","message":"Internal server error"}}`, class: event.ClassUnavailable},
		{name: "Anthropic, timeout", status: 504, body: `{"type":"error","error":{"type":"timeout_error","message":"Timeout"}}`, class: event.ClassUnavailable},
		{name: "Anthropic, acceleration", status: 429, body: anthropic + `"This request would exceed your organization's acceleration limit"}}`, header: header("retry-after", "12"), class: event.ClassRamp, retry: 12 * time.Second, hint: rampHint},
		{name: "Anthropic, spend limit", status: 429, body: anthropic + `"limit","details":{"error_code":"enforced_spend_limit_reached"}}}`, class: event.ClassQuota, hint: billing},
		{name: "Anthropic, own spend limit", status: 400, body: `{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-06-01 at 00:00 UTC."}}`, class: event.ClassQuota, retry: 30*24*time.Hour + 12*time.Hour, hint: "spend limit"},
		{name: "Anthropic, rate limit", status: 429, body: anthropic + `"This request would exceed the rate limit for your organization of 40,000 input tokens per minute."}}`, header: header("retry-after", "12"), class: event.ClassThrottled, retry: 12 * time.Second},
		{name: "Gemini, list", status: 429, body: `[{"error":{"code":429,"message":"Quota exceeded, limit: 15","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel"}]},{"retryDelay":"55s"}]}}]`, class: event.ClassThrottled, retry: 55 * time.Second},
		{name: "Gemini, hours", status: 429, body: `[{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"7200s"}]}}]`, class: event.ClassQuota, retry: 2 * time.Hour, hint: "day or longer"},
		{name: "Gemini, daily quota", status: 429, body: perDay, class: event.ClassQuota, retry: 55 * time.Second, hint: "day or longer"},
		{name: "Gemini, daily quota until midnight", status: 429, body: perDay, dialect: fixedDay, class: event.ClassQuota, retry: 12 * time.Hour, hint: "day or longer"},
		{name: "Gemini, limit 0", status: 429, body: `[{"error":{"code":429,"message":"Quota exceeded for metric x, limit: 0, model: m","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"55s"}]}}]`, class: event.ClassQuota, hint: "no quota for this model"},
		{name: "Gemini, unavailable", status: 503, body: `{"error":{"code":503,"message":"This model is currently experiencing high demand.","status":"UNAVAILABLE"}}`, class: event.ClassUnavailable},
		{name: "Groq, capacity", status: 498, body: errorBody("capacity_exceeded", "", "x"), class: event.ClassThrottled},
		{name: "OpenRouter, no credit", status: 402, body: `{"error":{"code":402,"message":"Insufficient credits","metadata":{}}}`, class: event.ClassQuota, hint: "credit"},
		{name: "OpenRouter, upstream", status: 502, body: `{"error":{"code":502,"message":"Provider returned error","metadata":{"provider_name":"p"}}}`, class: event.ClassUnavailable},
		{name: "OpenRouter, inside a stream", status: 0, body: `{"error":{"code":"rate_limit_exceeded","message":"Rate limit exceeded"},"choices":[{"finish_reason":"error"}]}`, class: event.ClassThrottled},
		{name: "OpenRouter, moderation", status: 403, body: `{"error":{"code":403,"message":"m requires moderation on p. Your input was flagged for \"violence\"","metadata":{}}}`, class: event.ClassContent, hint: "moderation"},
		{name: "Mistral, bare fields", status: 429, body: `{"message":"Requests rate limit exceeded"}`, class: event.ClassThrottled},
		{name: "Ollama, queue full", status: 503, body: `{"error":"server busy, please try again"}`, class: event.ClassUnavailable},
		{name: "TEI, overloaded", status: 429, body: `{"error":"Model is overloaded","error_type":"overloaded"}`, class: event.ClassThrottled},
		{name: "TEI, backend", status: 424, body: `{"error":"backend","error_type":"backend"}`, class: event.ClassUnavailable},
		{name: "body too large", status: 413, class: event.ClassTooLarge, hint: "send less"},
		{name: "gateway page", status: 502, body: "<html><body><h1>Bad Gateway</h1></body></html>", class: event.ClassUnavailable},
		{name: "gateway timeout", status: 504, class: event.ClassUnavailable},
		{name: "request timeout", status: 408, class: event.ClassUnavailable},
		{name: "a dialect's rule", status: 400, body: errorBody("odd", "", "We are busy now"), dialect: own, class: event.ClassUnavailable, hint: "own rule"},
		{name: "a dialect's rule that only half matches", status: 400, body: errorBody("odd", "", "No"), dialect: own, class: event.ClassInvalid},
		{name: "a dialect's order of hints", status: 503, body: errorBody("", "", "Please retry in 2s"), header: header("Retry-After", "9", "Retry-After-Ms", "1"), dialect: own, class: event.ClassThrottled, retry: 2 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := parseFailure(tc.status, []byte(tc.body))
			f.header, f.now = tc.header, now
			dialect := Config{Dialect: catalog.Dialect{}}.withDefaults().Dialect
			if tc.dialect != nil {
				dialect = Config{Dialect: *tc.dialect}.withDefaults().Dialect
			}
			got := classify(f, &dialect)
			if got.Class != tc.class || got.RetryAfter != tc.retry || got.Field != tc.field {
				t.Errorf("got %s, retry %s, field %q; want %s, %s, %q", got, got.RetryAfter, got.Field, tc.class, tc.retry, tc.field)
			}
			if !strings.Contains(got.Hint, tc.hint) {
				t.Errorf("hint %q, want %q in it", got.Hint, tc.hint)
			}
			if strings.ContainsAny(got.Message, "<>{") || len(got.Message) <= len("status 400: ") {
				t.Errorf("message %q", got.Message)
			}
		})
	}
}

func TestParseFailure(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"error":{"message":"m","type":"t","code":"c","param":"p"}}`: "m|t|c|p",
		`{"error":{"message":["a","b"]}}`:                             "a, b|||",
		`{"error":{"message":null,"type":"t","code":7}}`:              "t 7|t|7|",
		`{"error":{"code":null,"message":"m","param":3}}`:             "m|||3",
		`{"error":"text"}`:               "text|||",
		`{"message":"m","code":400}`:     "m||400|",
		`{"detail":"d"}`:                 "d|||",
		`[]`:                             "[]|||",
		`{"error":null}`:                 `{"error":null}|||`,
		"":                               "Teapot|||",
		"\xff\xfe <b>plain</b> &amp; so": "plain & so|||",
	} {
		f := parseFailure(418, []byte(body))
		got := strings.Join([]string{f.message, f.kind, f.code, f.param}, "|")
		if body == "" {
			want = http.StatusText(http.StatusTeapot) + "|||"
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

func FuzzParseFailure(f *testing.F) {
	f.Add(429, `{"error":{"message":"Limit 1, Requested 2","details":[{"retryDelay":"5s"}]}}`)
	f.Add(200, "<title>\xff")
	f.Fuzz(func(t *testing.T, status int, body string) {
		failed := parseFailure(status, []byte(body))
		if failed.message == "" || !json.Valid([]byte(failed.json())) {
			t.Errorf("message %q, JSON %s", failed.message, failed.json())
		}
		dialect := Config{}.withDefaults().Dialect
		if e := classify(failed, &dialect); e.RetryAfter < 0 || e.RetryAfter > maxRetryAfter {
			t.Errorf("RetryAfter %s", e.RetryAfter)
		}
	})
}

func FuzzEventReader(f *testing.F) {
	f.Add(wholeStream)
	f.Add("event: error\n\ndata:x\r\n\r\n:c\ndata: [DONE]")
	f.Fuzz(func(t *testing.T, stream string) {
		r := newEventReader(strings.NewReader(stream))
		for range len(stream) + 1 {
			if _, err := r.next(func() {}); err != nil {
				return
			}
		}
		t.Error("more events than bytes")
	})
}
