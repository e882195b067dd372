package llmsim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Profiles: the providers whose limits, headers, errors and streams are known.
const (
	ProfileOpenAI     = "openai"
	ProfileAzure      = "azure"
	ProfileAzurePTU   = "azure_ptu"
	ProfileAnthropic  = "anthropic"
	ProfileGemini     = "gemini"
	ProfileGroq       = "groq"
	ProfileMistral    = "mistral"
	ProfileOpenRouter = "openrouter"
	ProfileVLLM       = "vllm"
	ProfileOllama     = "ollama"
	ProfileTEI        = "tei"
)

// ollamaQueue is OLLAMA_MAX_QUEUE, unset.
const ollamaQueue = 512

// profile is how one provider behaves.
type profile struct {
	name string
	// ways are the laws of limits that do not say their own.
	ways map[string]Limit
	// headers are the rate limit headers of all answers.
	headers []limitHeader
	// retryAfter and retryAfterMS say which hints a 429 carries.
	retryAfter, retryAfterMS bool
	// overload is the answer when all places and the queue are taken.
	overload *apiError
	queue    int64 // requests that may wait for a place, -1 for all
	// body writes an error; prelude is sent before a stream's first chunk.
	body    func(e *apiError, f failure) any
	prelude string
}

// limitHeader shows one dimension in three headers.
type limitHeader struct {
	dims                    []string // the first that is limited
	limit, remaining, reset string
	format                  func(s dimState, now resetTime) (remaining, reset string)
}

// profiles returns all profiles by name.
func profiles() map[string]*profile {
	yes := true
	input := Limit{Charge: chargeInput}
	corrected := Limit{Charge: chargeInput, Refund: refundActual}
	azureTokens := Limit{Law: lawFixed}
	slow := &apiError{status: http.StatusServiceUnavailable, Type: "service_unavailable_error", Code: "server_is_overloaded",
		Message: "The server is currently overloaded with other requests. Sorry about that! You can retry your request."}
	plain := xRateLimit(goDuration, DimRPM, DimRPD)
	list := []*profile{
		{name: ProfileOpenAI, headers: plain, retryAfter: true, retryAfterMS: true, overload: slow, body: openAIBody},
		{name: ProfileAzure, headers: xRateLimit(plainSeconds, DimRPM, DimRPD), retryAfter: true, retryAfterMS: true, overload: slow, body: azureBody, prelude: azurePrelude,
			ways: map[string]Limit{DimTPM: azureTokens, DimRPM: {Law: lawSub, CountRejected: &yes}}},
		{name: ProfileAzurePTU, headers: xRateLimit(plainSeconds, DimRPM, DimRPD), retryAfter: true, retryAfterMS: true, overload: slow, body: azureBody, prelude: azurePrelude,
			ways: map[string]Limit{DimTPM: {Law: lawUtil}}},
		{name: ProfileAnthropic, headers: anthropicHeaders(), retryAfter: true, body: anthropicBody,
			overload: &apiError{status: statusOverloaded, Type: "overloaded_error", Message: "Overloaded"},
			ways:     map[string]Limit{DimITPM: corrected, DimTPM: corrected}},
		{name: ProfileGemini, body: geminiBody, overload: &apiError{status: http.StatusServiceUnavailable, Type: "UNAVAILABLE", Message: "The model is overloaded. Please try again later."},
			ways: map[string]Limit{DimTPM: input}},
		{name: ProfileGroq, headers: xRateLimit(goDuration, DimRPD), retryAfter: true, overload: slow, body: openAIBody},
		{name: ProfileMistral, headers: mistralHeaders(), retryAfter: true, overload: slow, body: mistralBody,
			ways: map[string]Limit{DimRPM: {Law: lawSub}}},
		{name: ProfileOpenRouter, overload: slow, body: openRouterBody, prelude: ": OPENROUTER PROCESSING\n\n"},
		{name: ProfileVLLM, queue: -1, overload: slow, body: vllmBody},
		{name: ProfileOllama, queue: ollamaQueue, body: textBody,
			overload: &apiError{status: http.StatusServiceUnavailable, Message: "server busy, please try again.  maximum pending requests exceeded"}},
		{name: ProfileTEI, body: teiBody, overload: &apiError{status: http.StatusTooManyRequests, Type: "overloaded", Message: "Model is overloaded"}},
	}
	out := map[string]*profile{}
	for _, p := range list {
		out[p.name] = p
	}
	return out
}

// ProfileNames lists the profiles.
func ProfileNames() []string { return slices.Sorted(maps.Keys(profiles())) }

// findProfile returns a profile by name; "" is that of OpenAI.
func (s *Server) findProfile(name string) (*profile, error) {
	if name == "" {
		name = ProfileOpenAI
	}
	if p, ok := s.profiles[name]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("llmsim profile is %q, want one of %q", name, ProfileNames())
}

// keyPrefixes are those by which a key tells its provider.
func keyPrefixes() map[string]string {
	out := map[string]string{"sk-ant-": ProfileAnthropic, "sk-or-": ProfileOpenRouter, "gsk_": ProfileGroq, "AIza": ProfileGemini}
	for _, name := range ProfileNames() {
		out[name+"-"] = name
	}
	return out
}

// profileOf chooses by the path, else by the longest fitting prefix of the key,
// else the server's.
func (s *Server) profileOf(r *http.Request, key string) *profile {
	if name, ok := r.Context().Value(profileKey{}).(string); ok {
		return s.profiles[name]
	}
	longest, name := 0, ""
	for _, prefixes := range []map[string]string{s.keyPrefixes, s.cfg.KeyProfiles} {
		for prefix, to := range prefixes {
			if strings.HasPrefix(key, prefix) && len(prefix) >= longest {
				longest, name = len(prefix), to
			}
		}
	}
	if longest > 0 {
		return s.profiles[name]
	}
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	return s.control.profile
}

// SetProfile makes a profile that of all keys which have no own. Limits keep
// what they were made with until they are set again.
func (s *Server) SetProfile(name string) error {
	p, err := s.findProfile(name)
	if err != nil {
		return err
	}
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	s.control.profile = p
	clear(s.control.groups)
	return nil
}

// keyOf is the key of a request, wherever its provider has it.
func keyOf(h http.Header) string {
	if key, ok := strings.CutPrefix(h.Get("Authorization"), "Bearer "); ok {
		return key
	}
	for _, name := range []string{"api-key", "x-api-key", "x-goog-api-key"} {
		if key := h.Get(name); key != "" {
			return key
		}
	}
	return ""
}

// masked is what is shown of a key: all of a short one, else both ends.
func masked(key string) string {
	const short, head, tail = 16, 6, 4
	if len(key) <= short {
		return key
	}
	return key[:head] + "..." + key[len(key)-tail:]
}
