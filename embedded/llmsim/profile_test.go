package llmsim

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestProfileOf: the path goes before the key, the key before the server's.
func TestProfileOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ path, header, key, want string }{
		{pathChat, "Authorization", "Bearer x", ProfileGroq},
		{pathChat, "Authorization", "Bearer sk-ant-x", ProfileAnthropic},
		{pathChat, "Authorization", "Bearer sk-or-v1-x", ProfileOpenRouter},
		{pathChat, "Authorization", "Bearer azure_ptu-1", ProfileAzurePTU},
		{pathChat, "api-key", "tenant-9", ProfileVLLM},
		{"/anthropic/v1/chat/completions", "x-api-key", "tenant-9", ProfileAnthropic},
		{"/openai/deployments/sim-small/chat/completions?api-version=2024-10-21", "api-key", "gsk_x", ProfileAzure},
	} {
		s := setup(t, func(c *Config) { c.Profile, c.KeyProfiles = ProfileGroq, map[string]string{"tenant-": ProfileVLLM} })
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, tc.path, strings.NewReader(`{"model":"sim-small","messages":[{"role":"user","content":"a"}]}`))
		r.Header.Set(tc.header, tc.key)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		groups := s.allGroups()
		if w.Code != 200 || len(groups) != 1 || groups[0].profile.name != tc.want {
			t.Errorf("%s with %s: %d %s, %d groups, want %s", tc.path, tc.key, w.Code, w.Body, len(groups), tc.want)
		}
	}
}

func TestAzureDeployment(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *Config) { c.APIKey = "right" })
	for _, tc := range []struct {
		path, key string
		status    int
	}{
		{"/openai/deployments/sim-small/chat/completions?api-version=1", "right", 200},
		{"/openai/deployments/sim-small/chat/completions?api-version=1", "wrong", 401},
		{"/openai/deployments/sim-small/chat/completions", "right", 404},
		{"/openai/deployments/nothing/chat/completions?api-version=1", "right", 404},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, tc.path, strings.NewReader(`{"messages":[{"role":"user","content":"a"}]}`))
		r.Header.Set("api-key", tc.key)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != tc.status {
			t.Errorf("%s with %s: %d %s, want %d", tc.path, tc.key, w.Code, w.Body, tc.status)
		}
	}
}

// TestRejectionsByProfile: the bodies and hints of a rejected request.
func TestRejectionsByProfile(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		body, header, value string
	}{
		ProfileOpenAI:     {`{"error":{"message":"Rate limit reached for gpt-4.1 in organization`, "x-ratelimit-reset-tokens", "1m0s"},
		ProfileAzure:      {`{"error":{"code":"429","message":"Rate limit reached`, "x-ratelimit-reset-tokens", "60"},
		ProfileAnthropic:  {`{"error":{"message":"Rate limit reached`, "anthropic-ratelimit-tokens-remaining", "0"},
		ProfileGemini:     {`{"error":{"code":429,"details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateContentInputTokensPerModelPerMinute"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"2s"}]`, "Retry-After", ""},
		ProfileGroq:       {`{"error":{"message":"Rate limit reached`, "Retry-After", "2"},
		ProfileMistral:    {`{"code":"rate_limit_exceeded","message":"Rate limit reached`, "x-ratelimit-remaining-tokens-minute", "0"},
		ProfileOpenRouter: {`{"error":{"code":429,"message":"Rate limit reached`, "Retry-After", ""},
		ProfileVLLM:       {`{"error":{"code":429,"message":"Rate limit reached`, "Retry-After", ""},
		ProfileOllama:     {`{"error":"Rate limit reached`, "Retry-After", ""},
		ProfileTEI:        {`{"error":"Rate limit reached`, "Retry-After", ""},
	} {
		// Counted by input and not corrected, so that all are full after one.
		s, _ := limited(t, func(c *Config) { c.Profile = name }, Limit{Dim: DimTPM, Cap: 100, Charge: chargeInput, Refund: refundNone})
		if w := ask(t, s, 392, 1); w.Code != 200 {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		w := ask(t, s, 4, 1)
		if w.Code != 429 || !strings.HasPrefix(w.Body.String(), want.body) || w.Header().Get(want.header) != want.value {
			t.Errorf("%s: %d %v %s; want %s and %s %q", name, w.Code, w.Header(), w.Body, want.body, want.header, want.value)
		}
	}
}

func TestPreludes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{ProfileOpenRouter: ": OPENROUTER PROCESSING\n\n", ProfileAzure: `data: {"choices":[],`, ProfileOpenAI: `data: {"id":"chatcmpl-`} {
		s := setup(t, func(c *Config) { c.Profile = name })
		if got := post(t, s, pathChat, streamBody).Body.String(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "data: [DONE]\n\n") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestPlaces: with two places, those of vllm and ollama wait in line, as far as
// their queues go; TEI refuses.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		profile  string
		queue    int64
		ok, busy int // of six requests at once
		status   int
		rounds   int
	}{
		{ProfileVLLM, 0, 6, 0, 0, 3}, {ProfileOllama, 1, 3, 3, 503, 2}, {ProfileTEI, 0, 2, 4, 429, 1},
	} {
		t.Run(tc.profile, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				limits := []Limit{{Dim: DimConcurrency, Cap: 2}}
				if tc.queue > 0 {
					limits = append(limits, Limit{Dim: DimQueue, Cap: tc.queue})
				}
				s := setup(t, func(c *Config) {
					c.Profile, c.Limits, c.Now = tc.profile, limits, time.Now
					c.Latency = map[string]Latency{"sim-small": {TTFT: time.Second, Slots: 1_000_000}}
				})
				start := time.Now()
				statuses := make(chan int, 6)
				for range 6 {
					go func() { statuses <- post(t, s, pathChat, plainBody).Code }()
				}
				counts := map[int]int{}
				for range 6 {
					counts[<-statuses]++
				}
				if counts[200] != tc.ok || counts[tc.status] != tc.busy {
					t.Errorf("statuses %v, want %d and %d of %d", counts, tc.ok, tc.busy, tc.status)
				}
				if took := time.Since(start).Round(time.Millisecond); took != time.Duration(tc.rounds)*time.Second {
					t.Errorf("took %s, want %d rounds of a second", took, tc.rounds)
				}
				if l := s.limits().(map[string]any)["groups"].([]groupLimits)[0]; l.Running != 0 || l.Waiting != 0 {
					t.Errorf("left %+v", l)
				}
			})
		})
	}
}

// TestPlacesAreGivenBack by clients that leave in line, that hang and that get
// an error.
func TestPlacesAreGivenBack(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]Action{"hang": {Hang: hangAfterHeaders, HangFor: Duration(time.Hour)}, "error": {Status: 500, Delay: Duration(time.Hour)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := setup(t, func(c *Config) {
					c.Profile, c.Now, c.Limits = ProfileVLLM, time.Now, []Limit{{Dim: DimConcurrency, Cap: 1}}
					c.Faults = Faults{Rules: []Fault{{Do: do}}}
				})
				done := make(chan int)
				leave := make([]chan struct{}, 3)
				for i := range leave {
					leave[i] = make(chan struct{})
					ctx, cancel := contextUntil(t, leave[i])
					go func() {
						defer cancel()
						r := httptest.NewRequestWithContext(ctx, http.MethodPost, pathChat, strings.NewReader(plainBody))
						s.ServeHTTP(httptest.NewRecorder(), r)
						done <- i
					}()
					synctest.Wait()
				}
				for _, i := range []int{1, 0, 2} { // one in line, one in work, the last
					close(leave[i])
					if got := <-done; got != i {
						t.Errorf("%d ended, want %d", got, i)
					}
					synctest.Wait()
				}
				if l := s.limits().(map[string]any)["groups"].([]groupLimits)[0]; l.Running != 0 || l.Waiting != 0 {
					t.Errorf("left %+v", l)
				}
			})
		})
	}
}

// TestMorePlaces lets in who waits at once.
func TestMorePlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, func(c *Config) {
			c.Profile, c.Now, c.Limits = ProfileVLLM, time.Now, []Limit{{Dim: DimConcurrency, Cap: 1}}
			c.Latency = map[string]Latency{"sim-small": {TTFT: time.Minute, Slots: 1_000_000}}
		})
		start := time.Now()
		done := make(chan struct{}, 3)
		for range 3 {
			go func() { post(t, s, pathChat, plainBody); done <- struct{}{} }()
		}
		synctest.Wait()
		if err := s.SetLimits([]Limit{{Dim: DimConcurrency, Cap: 3}}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			<-done
		}
		if took := time.Since(start).Round(time.Second); took != time.Minute {
			t.Errorf("took %s, want all in the first minute", took)
		}
	})
}

// TestLatencyModel: medians, spread, prefill and load are as configured, and
// the same request takes as long on every server.
func TestLatencyModel(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *Config) {
		c.TimeScale = 0.5
		c.Latency = map[string]Latency{"sim-small": {TTFT: time.Second, TTFTSigma: 0.4, Prefill: time.Millisecond, Slots: 4}}
	})
	draw := func(i int, prompt int, busy load) time.Duration {
		c := &call{server: s, entry: &Entry{Model: "sim-small", Attempt: 1}, identity: strconv.Itoa(i), latencyX: 1}
		return c.firstToken(prompt, busy)
	}
	var logs []float64
	for i := range 4001 {
		logs = append(logs, math.Log(draw(i, 0, load{}).Seconds()))
	}
	slices.Sort(logs)
	if median, high := math.Exp(logs[2000]), logs[3364]-logs[2000]; math.Abs(median-0.5) > 0.02 || math.Abs(high-0.4) > 0.03 {
		t.Errorf("median %.3f s and spread %.3f, want 0.5 and 0.4", median, high)
	}
	if plain, long := draw(1, 0, load{}), draw(1, 1000, load{}); (long - plain).Round(time.Microsecond) != 500*time.Millisecond {
		t.Errorf("a thousand tokens take %s, want 500ms", long-plain)
	}
	if idle, busy := draw(1, 0, load{}), draw(1, 0, load{running: 8}); math.Abs(float64(busy)/float64(idle)-5) > 1e-6 {
		t.Errorf("eight of four places: %s instead of %s, want five times", busy, idle)
	}
}

// TestPromptCache: the same beginning of a long prompt is cached, for five
// minutes, in blocks of 128 tokens.
func TestPromptCache(t *testing.T) {
	t.Parallel()
	s, clock := limited(t, func(c *Config) {
		c.PromptCache, c.Prices = true, map[string]Price{"gpt-4.1": {Input: 10, Cached: 1}}
	})
	cached := func(text string) int {
		t.Helper()
		post(t, s, pathChat, `{"model":"gpt-4.1","max_tokens":1,"messages":[{"role":"system","content":"`+strings.Repeat("long ", 1200)+`"},{"role":"user","content":"`+text+`"}]}`)
		last := s.Ledger().Last
		e := last[len(last)-1]
		if e.Status != 200 || e.CostNanoUSD != int64(10*(e.PromptTokens-e.CachedTokens)+e.CachedTokens) {
			t.Fatalf("entry %+v", e)
		}
		return e.CachedTokens
	}
	if n := cached("one"); n != 0 {
		t.Errorf("%d cached at first", n)
	}
	if n := cached("two"); n < cacheFrom || n%cacheBlock != 0 {
		t.Errorf("%d cached, want blocks of the common beginning", n)
	}
	clock.at = clock.at.Add(cacheLife)
	if n := cached("three"); n != 0 {
		t.Errorf("%d cached after five minutes", n)
	}
}

// contextUntil returns a context that ends when leave is closed.
func contextUntil(t *testing.T, leave <-chan struct{}) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		select {
		case <-leave:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
