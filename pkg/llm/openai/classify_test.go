package openai

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

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
	const visit = " Visit https://platform.openai.com/account/rate-limits to learn more."
	for _, tc := range []struct {
		name   string
		status int
		body   string
		header http.Header
		class  event.Class
		retry  time.Duration
		field  string
	}{
		{"throttle", 429, errorBody("rate_limit_exceeded", "tokens", "Rate limit reached for m in organization o on tokens per min (TPM): Limit 200000, Used 170633, Requested 180002. Please try again in 45.19s."+visit),
			header("Retry-After-Ms", "45190", "Retry-After", "46"), event.ClassThrottled, 45190 * time.Millisecond, ""},
		{"throttle, seconds only", 429, errorBody("rate_limit_exceeded", "requests", "Rate limit reached: Limit 500, Used 500, Requested 1."), header("Retry-After", "2"), event.ClassThrottled, 2 * time.Second, ""},
		{"throttle, wait in the message", 429, errorBody("rate_limit_exceeded", "tokens", "Limit 200000, Used 195869, Requested 4412. Please try again in 84ms."), nil, event.ClassThrottled, 84 * time.Millisecond, ""},
		{"throttle, date", 429, errorBody("", "", "slow"), header("Retry-After", now.Add(90*time.Second).Format(http.TimeFormat)), event.ClassThrottled, 90 * time.Second, ""},
		{"throttle, past date", 429, errorBody("", "", "slow"), header("Retry-After", now.Add(-time.Hour).Format(http.TimeFormat)), event.ClassThrottled, 0, ""},
		{"throttle, nonsense", 429, errorBody("", "", "slow"), header("Retry-After", "soon", "Retry-After-Ms", "-5"), event.ClassThrottled, 0, ""},
		{"throttle, absurd", 429, errorBody("", "", "slow"), header("Retry-After", "1e300"), event.ClassThrottled, maxRetryAfter, ""},
		{"slow_down", 429, errorBody("slow_down", "rate_limit_error", "Traffic grew too fast."), nil, event.ClassThrottled, 0, ""},
		{"slow_down, old", 503, errorBody("slow_down", "", "Slow down"), nil, event.ClassThrottled, 0, ""},
		{"requested above the limit", 429, errorBody("rate_limit_exceeded", "tokens", "Rate limit reached for m: Limit 30000, Requested 45000."), header("Retry-After", "9"), event.ClassTooLarge, 0, ""},
		{"request too large", 429, errorBody("rate_limit_exceeded", "tokens", "Request too large for m in organization o on tokens per min (TPM): Limit 30000, Requested 45000."), nil, event.ClassTooLarge, 0, ""},
		{"no quota", 429, errorBody("insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan and billing details."), nil, event.ClassQuota, 0, ""},
		{"no credit", 429, errorBody("credit_balance_exhausted", "insufficient_quota", "x"), nil, event.ClassQuota, 0, ""},
		{"overloaded", 503, errorBody("server_is_overloaded", "service_unavailable_error", "x"), nil, event.ClassUnavailable, 0, ""},
		{"server error", 500, errorBody("", "server_error", "The server had an error"), header("Retry-After", "1"), event.ClassUnavailable, time.Second, ""},
		{"server blames us", 500, errorBody("", "invalid_request_error", "x"), nil, event.ClassUnavailable, 0, ""},
		{"context length", 400, `{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`, nil, event.ClassTooLarge, 0, ""},
		{"context length, vLLM", 400, `{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.","type":"BadRequestError","param":null,"code":400}`, nil, event.ClassTooLarge, 0, ""},
		{"no model", 404, `{"error":{"message":"The model does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}`, nil, event.ClassInvalid, 0, "model"},
		{"bad parameter", 400, `{"error":{"message":"bad","type":"invalid_request_error","param":"temperature","code":null}}`, nil, event.ClassInvalid, 0, "temperature"},
		{"unprocessable, FastAPI", 422, `{"detail":[{"loc":["body"],"msg":"field required"}]}`, nil, event.ClassInvalid, 0, ""},
		{"bad key", 401, errorBody("invalid_api_key", "invalid_request_error", "Incorrect API key"), nil, event.ClassAuth, 0, ""},
		{"forbidden page", 403, "<html><head><title>Forbidden</title></head></html>", nil, event.ClassAuth, 0, ""},
		{"content filter, Azure", 400, `{"error":{"message":"filtered","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, nil, event.ClassContent, 0, ""},
		{"Azure, high demand", 429, `{"error":{"code":"429","message":"The system is experiencing high demand. Please retry after 10 seconds."}}`, header("retry-after-ms", "10000"), event.ClassThrottled, 10 * time.Second, ""},
		{"Anthropic, overloaded", 529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}`, nil, event.ClassUnavailable, 0, ""},
		{"Anthropic, spend limit", 429, `{"type":"error","error":{"type":"rate_limit_error","message":"limit","details":{"error_code":"enforced_spend_limit_reached"}}}`, nil, event.ClassQuota, 0, ""},
		{"Anthropic, rate limit", 429, `{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your rate limit"}}`, header("retry-after", "12"), event.ClassThrottled, 12 * time.Second, ""},
		{"Gemini, list", 429, `[{"error":{"code":429,"message":"Quota exceeded, limit: 15","status":"RESOURCE_EXHAUSTED","details":[{"violations":[]},{"retryDelay":"55s"}]}}]`, nil, event.ClassThrottled, 55 * time.Second, ""},
		{"Gemini, limit 0", 429, `[{"error":{"code":429,"message":"Quota exceeded for metric x, limit: 0","status":"RESOURCE_EXHAUSTED"}}]`, nil, event.ClassQuota, 0, ""},
		{"Gemini, unavailable", 503, `{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}`, nil, event.ClassUnavailable, 0, ""},
		{"Groq, capacity", 498, errorBody("capacity_exceeded", "", "x"), nil, event.ClassThrottled, 0, ""},
		{"OpenRouter, no credit", 402, `{"error":{"code":402,"message":"Insufficient credits","metadata":{}}}`, nil, event.ClassQuota, 0, ""},
		{"Ollama, queue full", 503, `{"error":"server busy, please try again"}`, nil, event.ClassUnavailable, 0, ""},
		{"TEI, overloaded", 429, `{"error":"Model is overloaded","error_type":"overloaded"}`, nil, event.ClassThrottled, 0, ""},
		{"TEI, backend", 424, `{"error":"backend","error_type":"backend"}`, nil, event.ClassUnavailable, 0, ""},
		{"body too large", 413, "", nil, event.ClassTooLarge, 0, ""},
		{"gateway page", 502, "<html><body><h1>Bad Gateway</h1></body></html>", nil, event.ClassUnavailable, 0, ""},
		{"gateway timeout", 504, "", nil, event.ClassUnavailable, 0, ""},
		{"request timeout", 408, "", nil, event.ClassUnavailable, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := parseFailure(tc.status, []byte(tc.body))
			f.header, f.now = tc.header, now
			got := classify(f)
			if got.Class != tc.class || got.RetryAfter != tc.retry || got.Field != tc.field {
				t.Errorf("got %s, retry %s, field %q; want %s, %s, %q", got, got.RetryAfter, got.Field, tc.class, tc.retry, tc.field)
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
		if e := classify(failed); e.RetryAfter < 0 || e.RetryAfter > maxRetryAfter {
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
