package llmsim

import (
	"maps"
	"slices"
	"time"
)

// presetOverloaded is what a brownout answers.
const presetOverloaded = "openai.overloaded"

// errorPreset is a provider's error answer.
type errorPreset struct {
	status  int
	body    string
	headers map[string]string
}

// ErrorPresets lists the errors that a fault can answer with by name.
func ErrorPresets() []string { return slices.Sorted(maps.Keys(errorPresets())) }

// FaultPresets lists the sets of faults that have a name.
func FaultPresets() []string { return slices.Sorted(maps.Keys(faultPresets())) }

// errorPresets are answers as providers sent or documented them.
func errorPresets() map[string]errorPreset {
	retry := func(seconds string) map[string]string { return map[string]string{"Retry-After": seconds} }
	return map[string]errorPreset{
		"openai.rate_limit": {429, `{"error":{"message":"Rate limit reached for gpt-4.1 in organization org-llmsim on tokens per min (TPM): Limit 200000, Used 195869, Requested 4412. Please try again in 84ms. Visit https://platform.openai.com/account/rate-limits to learn more.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`,
			map[string]string{"Retry-After": "1", "Retry-After-Ms": "84"}},
		"openai.too_large":          {429, `{"error":{"message":"Request too large for gpt-4.1 in organization org-llmsim on tokens per min (TPM): Limit 30000, Requested 180002. The input or output tokens must be reduced in order to run successfully. Visit https://platform.openai.com/account/rate-limits to learn more.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`, nil},
		"openai.insufficient_quota": {429, `{"error":{"message":"You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`, nil},
		"openai.credit_exhausted":   {429, `{"error":{"message":"Your credit balance is exhausted.","type":"insufficient_quota","param":null,"code":"credit_balance_exhausted"}}`, nil},
		"openai.slow_down":          {429, `{"error":{"message":"Your traffic has grown too fast. Please slow down and ramp up more gradually.","type":"rate_limit_error","param":null,"code":"slow_down"}}`, retry("10")},
		presetOverloaded:            {503, `{"error":{"message":"The server is currently overloaded with other requests. Sorry about that! You can retry your request.","type":"service_unavailable_error","param":null,"code":"server_is_overloaded"}}`, nil},
		"openai.server_error":       {500, `{"error":{"message":"The server had an error while processing your request. Sorry about that!","type":"server_error","param":null,"code":null}}`, nil},
		"openai.context_length":     {400, `{"error":{"message":"This model's maximum context length is 128000 tokens. However, your messages resulted in 180010 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`, nil},
		"openai.model_not_found":    {404, `{"error":{"message":"The model does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}`, nil},
		"openai.invalid_api_key":    {401, `{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, nil},
		"openai.flex_unavailable":   {429, `{"error":{"message":"Resource unavailable. Please try again later.","type":"resource_unavailable","param":null,"code":"resource_unavailable"}}`, nil},
		"anthropic.rate_limit":      {429, `{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization's rate limit."},"request_id":"req_llmsim"}`, retry("20")},
		"anthropic.overloaded":      {statusOverloaded, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_llmsim"}`, nil},
		"anthropic.api_error":       {500, `{"type":"error","error":{"type":"api_error","message":"Internal server error"},"request_id":"req_llmsim"}`, nil},
		"anthropic.timeout":         {504, `{"type":"error","error":{"type":"timeout_error","message":"Request timed out"},"request_id":"req_llmsim"}`, nil},
		"anthropic.spend_limit":     {429, `{"type":"error","error":{"type":"rate_limit_error","message":"You have reached your spend limit.","details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"req_llmsim"}`, nil},
		"azure.rate_limit": {429, `{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded the token rate limit of your current pricing tier. Please retry after 10 seconds."}}`,
			map[string]string{"Retry-After": "10", "Retry-After-Ms": "10000"}},
		"azure.high_demand":    {429, `{"error":{"code":"429","message":"The system is currently experiencing high demand and cannot process your request. Your request exceeds the maximum usage size allowed during peak load."}}`, retry("60")},
		"gemini.exhausted":     {429, `[{"error":{"code":429,"message":"You exceeded your current quota. Please retry in 55s.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"55s"}]}}]`, nil},
		"gemini.no_quota":      {429, `{"error":{"code":429,"message":"You exceeded your current quota. Quota exceeded for metric: generate_content_free_tier_requests, limit: 0","status":"RESOURCE_EXHAUSTED"}}`, nil},
		"gemini.unavailable":   {503, `{"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}`, nil},
		"groq.498":             {498, `{"error":{"message":"Flex tier capacity exceeded.","type":"capacity_exceeded","code":"capacity_exceeded"}}`, nil},
		"openrouter.no_credit": {402, `{"error":{"code":402,"message":"This request requires more credits, or fewer max_tokens.","metadata":{}}}`, nil},
		"openrouter.upstream":  {502, `{"error":{"code":502,"message":"Provider returned error","metadata":{"provider_name":"llmsim"}}}`, nil},
		"ollama.queue_full":    {503, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`, nil},
		"tei.overloaded":       {429, `{"error":"Model is overloaded","error_type":"overloaded"}`, nil},
		"tei.backend":          {424, `{"error":"Inference failed","error_type":"backend"}`, nil},
		"html.502":             {502, "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n", nil},
	}
}

// faultPresets are the weather in one word.
func faultPresets() map[string]Faults {
	seconds := func(n int) Duration { return Duration(time.Duration(n) * time.Second) }
	share := func(name string, prob float64, do Action) Fault {
		return Fault{Name: name, Match: Match{Prob: prob}, Do: do}
	}
	return map[string]Faults{
		"calm": {},
		"bursty-429": {Rules: []Fault{{Name: "burst", Match: Match{Prob: 0.5, Until: seconds(10), Cycle: seconds(30)},
			Do: Action{Preset: "openai.rate_limit", RetryAfter: "2", Headers: map[string]string{"Retry-After-Ms": "2000"}}}}},
		"brownout":     {Brownouts: []Brownout{{Until: seconds(120), ErrorRate: 0.2, LatencyX: 4, LimitX: 0.5}}},
		"blackout-60s": {Rules: []Fault{{Name: "blackout", Match: Match{Until: seconds(60)}, Do: Action{Preset: presetOverloaded}}}},
		"flaky-stream": {Rules: []Fault{
			share("abort", 0.06, Action{Cut: cutAbort, After: 3}), share("eof", 0.06, Action{Cut: cutEOF, After: 3}),
			share("no done", 0.03, Action{Cut: cutNoDone}), share("error frame", 0.06, Action{Error: errorFrame, After: 2}),
			share("error chunk", 0.03, Action{Error: errorChunk, After: 2}), share("malformed", 0.03, Action{MalformedChunk: true, After: 2}),
			share("split", 0.1, Action{SplitUTF8: true}), share("comments", 0.1, Action{Comments: 3, CRLF: true}),
		}},
		"bad-json": {Rules: []Fault{
			share("invalid", 0.08, Action{Content: contentInvalid}), share("fenced", 0.08, Action{Content: contentFenced}),
			share("cut", 0.08, Action{Content: contentCut}), share("schema", 0.08, Action{Content: contentSchema}),
		}},
		"quota-out":     {Rules: []Fault{{Name: "quota", Do: Action{Preset: "openai.insufficient_quota"}}}},
		"slow-provider": {Brownouts: []Brownout{{LatencyX: 10, Delay: seconds(2)}}},
		"chaos": {Rules: []Fault{
			share("500", 0.03, Action{Preset: "openai.server_error"}), share("503", 0.03, Action{Preset: presetOverloaded}),
			share("502", 0.01, Action{Preset: "html.502"}), share("429", 0.03, Action{Preset: "openai.rate_limit"}),
			share("reset", 0.01, Action{Reset: true}), share("close", 0.01, Action{Close: true}),
			share("lost", 0.01, Action{LostResponse: true}), share("hang", 0.005, Action{Hang: hangAfterHeaders, HangFor: seconds(60)}),
			share("abort", 0.02, Action{Cut: cutAbort, After: 3}), share("eof", 0.02, Action{Cut: cutEOF, After: 3}),
			share("error frame", 0.02, Action{Error: errorFrame, After: 2}), share("200 error", 0.01, Action{Status200Error: true, Status: 200}),
			share("invalid", 0.02, Action{Content: contentInvalid}), share("no choices", 0.01, Action{Content: contentNoChoices}),
			share("slow", 0.02, Action{Slow: 5, Delay: seconds(1)}),
		}},
	}
}
