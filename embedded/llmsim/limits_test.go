package llmsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// hands is a clock that a test moves.
type hands struct{ at time.Time }

func (h *hands) now() time.Time { return h.at }

// limited returns a server with limits and a clock that stands at a full
// minute.
func limited(t *testing.T, change func(*Config), limits ...Limit) (*Server, *hands) {
	t.Helper()
	h := &hands{time.Unix(1_700_000_040, 0)}
	return setup(t, func(c *Config) {
		c.ChatModels = []string{"gpt-4.1", "other"}
		c.Now, c.Limits, c.ContextTokens = h.now, limits, 1_000_000
		if change != nil {
			change(c)
		}
	}), h
}

// ask sends a chat request with a text of some characters and max_tokens.
func ask(t *testing.T, s *Server, chars, maxTokens int, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	limit := ""
	if maxTokens > 0 {
		limit = fmt.Sprintf(`,"max_tokens":%d`, maxTokens)
	}
	body := fmt.Sprintf(`{"model":"gpt-4.1"%s,"messages":[{"role":"user","content":%q}]}`, limit, strings.Repeat("x", chars))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, pathChat, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// use charges a number of tokens, by a request whose estimate is that.
func use(t *testing.T, s *Server, tokens int) {
	t.Helper()
	if w := ask(t, s, 4, tokens-3); w.Code != 200 {
		t.Fatalf("using %d tokens: %d %s", tokens, w.Code, w.Body)
	}
}

// TestCapturedAdmissions are answers that api.openai.com gave to the first
// request of a full bucket.
func TestCapturedAdmissions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name             string
		limit            Limit
		chars, maxTokens int
		what             string
		remaining, reset string
	}{
		{"gpt-4, 512 tokens", Limit{Dim: DimTPM, Cap: 10_000}, 21, 512, "tokens", "9481", "3.114s"},
		{"gpt-4.1", Limit{Dim: DimTPM, Cap: 30_000}, 20, 0, "tokens", "29993", "14ms"},
		// The capture had charged 22; the law says 21 with the default of 16.
		{"gpt-4o-mini", Limit{Dim: DimTPM, Cap: 200_000, DefaultMaxTokens: 16}, 12, 0, "tokens", "199979", "6ms"},
		{"gpt-4o-mini, its charge", Limit{Dim: DimTPM, Cap: 200_000}, 4, 19, "tokens", "199978", "6ms"},
		{"10000 a day", Limit{Dim: DimRPD, Cap: 10_000}, 4, 1, "requests", "9999", "8.64s"},
		{"500 a minute", Limit{Dim: DimRPM, Cap: 500}, 4, 1, "requests", "499", "120ms"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, _ := limited(t, nil, tc.limit)
			w := ask(t, s, tc.chars, tc.maxTokens)
			h := w.Header()
			if w.Code != 200 || h.Get("x-ratelimit-limit-"+tc.what) != fmt.Sprint(tc.limit.Cap) ||
				h.Get("x-ratelimit-remaining-"+tc.what) != tc.remaining || h.Get("x-ratelimit-reset-"+tc.what) != tc.reset {
				t.Errorf("status %d, headers %v; want %s left, full in %s", w.Code, h, tc.remaining, tc.reset)
			}
		})
	}
}

// TestCapturedRejections are 429s of api.openai.com.
func TestCapturedRejections(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		limit, used, requested int64
		ms, seconds, text      string
	}{
		{50_000, 47_949, 3_006, "1146", "2", "1.146s"},
		{200_000, 195_869, 4_412, "84", "1", "84ms"},
		{30_000, 22_999, 12_528, "11054", "12", "11.054s"},
		{200_000, 170_633, 180_002, "45190", "46", "45.19s"},
	} {
		t.Run(tc.text, func(t *testing.T) {
			t.Parallel()
			s, _ := limited(t, nil, Limit{Dim: DimTPM, Cap: tc.limit})
			use(t, s, int(tc.used))
			w := ask(t, s, 4, int(tc.requested)-3)
			want := fmt.Sprintf("Rate limit reached for gpt-4.1 in organization org-llmsim on tokens per min (TPM): Limit %d, Used %d, Requested %d. Please try again in %s. Visit", tc.limit, tc.used, tc.requested, tc.text)
			e := wireErrorOf(t, w)
			if w.Code != 429 || e.Type != "tokens" || e.Code != "rate_limit_exceeded" || !strings.HasPrefix(e.Message, want) {
				t.Errorf("got %d %s, want %s", w.Code, w.Body, want)
			}
			if h := w.Header(); h.Get("Retry-After") != tc.seconds || h.Get("Retry-After-Ms") != tc.ms {
				t.Errorf("retry-after %q, retry-after-ms %q; want %s, %s", h.Get("Retry-After"), h.Get("Retry-After-Ms"), tc.seconds, tc.ms)
			}
		})
	}
}

// wireError is an error of the API.
type wireError struct{ Message, Type, Code string }

func wireErrorOf(t *testing.T, w *httptest.ResponseRecorder) wireError {
	t.Helper()
	var got struct{ Error wireError }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	return got.Error
}

// TestCapturedProbe is the probe of 12 August 2026: a prompt too long for the
// context is charged, the 429 after it is not.
func TestCapturedProbe(t *testing.T) {
	t.Parallel()
	s, clock := limited(t, func(c *Config) { c.ContextTokens = 128_000 }, Limit{Dim: DimTPM, Cap: 200_000})
	first := ask(t, s, 720_000, 0)
	if first.Code != 400 || wireErrorOf(t, first).Code != "context_length_exceeded" || first.Header().Get("x-ratelimit-remaining-tokens") != "19998" {
		t.Fatalf("got %d %v %.200s", first.Code, first.Header(), first.Body)
	}
	clock.at = clock.at.Add((180_002 - 170_633) * time.Minute / 200_000)
	for range 2 {
		w := ask(t, s, 720_000, 0)
		h := w.Header()
		if w.Code != 429 || !strings.Contains(w.Body.String(), "Limit 200000, Used 170633, Requested 180002. Please try again in 45.19s.") ||
			h.Get("x-ratelimit-remaining-tokens") != "29367" || h.Get("x-ratelimit-reset-tokens") != "51.189s" || h.Get("Retry-After") != "46" || h.Get("Retry-After-Ms") != "45190" {
			t.Errorf("got %d %v %.300s", w.Code, h, w.Body)
		}
	}
}

func TestTooLargeChargesNothing(t *testing.T) {
	t.Parallel()
	s, _ := limited(t, nil, Limit{Dim: DimTPM, Cap: 30_000}, Limit{Dim: DimRPM, Cap: 500})
	w := ask(t, s, 4, 30_000)
	h := w.Header()
	if e := wireErrorOf(t, w); w.Code != 429 || !strings.HasPrefix(e.Message, "Request too large for gpt-4.1") || !strings.Contains(e.Message, "Limit 30000, Requested 30003.") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if h.Get("x-ratelimit-remaining-tokens") != "30000" || h.Get("x-ratelimit-reset-tokens") != "0s" || h.Get("x-ratelimit-remaining-requests") != "500" || h.Get("Retry-After") != "" {
		t.Errorf("headers %v", h)
	}
}

// TestAllDimensionsOrNone: a request that one limit refuses is charged by none.
func TestAllDimensionsOrNone(t *testing.T) {
	t.Parallel()
	s, _ := limited(t, nil, Limit{Dim: DimRPM, Cap: 2}, Limit{Dim: DimTPM, Cap: 1000})
	use(t, s, 900)
	if w := ask(t, s, 4, 200); w.Code != 429 || w.Header().Get("x-ratelimit-remaining-requests") != "1" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	use(t, s, 100)
	if w := ask(t, s, 4, 1); w.Code != 429 || wireErrorOf(t, w).Type != "requests" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestGroupsAndKeys(t *testing.T) {
	t.Parallel()
	s, _ := limited(t, func(c *Config) { c.ModelGroups = map[string]string{"gpt-4.1": "luna", "other": "luna"} },
		Limit{Dim: DimRPM, Cap: 1, Key: "poor-*"}, Limit{Dim: DimTPM, Cap: 1000, Group: "luna"})
	for i, tc := range []struct {
		key, model string
		status     int
	}{
		{"poor-1", "gpt-4.1", 200}, {"poor-1", "other", 429}, {"poor-2", "other", 200}, {"rich", "other", 200}, {"rich", "gpt-4.1", 200},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, pathChat, strings.NewReader(`{"model":"`+tc.model+`","messages":[{"role":"user","content":"a"}]}`))
		r.Header.Set("Authorization", "Bearer "+tc.key)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != tc.status {
			t.Errorf("request %d: %d %s, want %d", i, w.Code, w.Body, tc.status)
		}
	}
}

// TestSubWindow: 600 requests per minute judged by the second are ten in each.
func TestSubWindow(t *testing.T) {
	t.Parallel()
	for sub, most := range map[time.Duration]int{time.Second: 10, 10 * time.Second: 100} {
		s, clock := limited(t, func(c *Config) { c.Profile = ProfileAzure }, Limit{Dim: DimRPM, Cap: 600, Sub: Duration(sub)})
		for range 3 {
			for i := range most {
				if w := ask(t, s, 4, 1); w.Code != 200 {
					t.Fatalf("request %d within %s: %d", i+1, sub, w.Code)
				}
			}
			clock.at = clock.at.Add(sub / 4)
			if w := ask(t, s, 4, 1); w.Code != 429 || w.Header().Get("Retry-After-Ms") != fmt.Sprint((sub-sub/4).Milliseconds()) {
				t.Errorf("request %d within %s: %d %v, want 429", most+1, sub, w.Code, w.Header())
			}
			clock.at = clock.at.Add(sub - sub/4)
		}
	}
}

func TestFixedMinute(t *testing.T) {
	t.Parallel()
	s, clock := limited(t, func(c *Config) { c.Profile = ProfileAzure }, Limit{Dim: DimTPM, Cap: 1000})
	clock.at = clock.at.Add(50 * time.Second)
	use(t, s, 1000)
	w := ask(t, s, 4, 1)
	if h := w.Header(); w.Code != 429 || h.Get("x-ratelimit-reset-tokens") != "10" || h.Get("Retry-After-Ms") != "10000" {
		t.Errorf("got %d %v", w.Code, h)
	}
	clock.at = clock.at.Add(10 * time.Second)
	use(t, s, 1000)
}

func TestCountRejected(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for count, status := range map[*bool]int{&yes: 429, &no: 200} {
		s, clock := limited(t, nil, Limit{Dim: DimRPM, Cap: 60, CountRejected: count}, Limit{Dim: DimTPM, Cap: 1000})
		use(t, s, 1000)
		for range 59 {
			if w := ask(t, s, 4, 100); w.Code != 429 {
				t.Fatalf("got %d", w.Code)
			}
		}
		if err := s.SetLimits([]Limit{{Dim: DimRPM, Cap: 60, CountRejected: count}}); err != nil {
			t.Fatal(err)
		}
		clock.at = clock.at.Add(time.Millisecond)
		if w := ask(t, s, 4, 1); w.Code != status {
			t.Errorf("counted %v: %d, want %d", *count, w.Code, status)
		}
	}
}

// TestUtilisation: provisioned throughput is charged by the estimate and
// corrected by what was used.
func TestUtilisation(t *testing.T) {
	t.Parallel()
	s, _ := limited(t, func(c *Config) { c.Profile = ProfileAzurePTU }, Limit{Dim: DimTPM, Cap: 1000})
	for i := range 3 {
		if w := ask(t, s, 4, 900); w.Code != 200 {
			t.Fatalf("request %d: %d %s", i, w.Code, w.Body)
		}
	}
	e := s.Ledger().Last[0]
	level := s.limitsOf(t, "gpt-4.1")[0]
	if want := int64(3 * (e.PromptTokens + e.CompletionTokens)); level.Used != want {
		t.Errorf("used %d, want the %d that were", level.Used, want)
	}
}

// limitsOf returns the state of a group's limits.
func (s *Server) limitsOf(t *testing.T, model string) []dimState {
	t.Helper()
	for _, g := range s.allGroups() {
		if g.id.group == model {
			return g.show(s.clock.now()).Limits
		}
	}
	t.Fatalf("no group %s", model)
	return nil
}

// TestAnthropic: input is estimated and corrected, output counts as it comes
// and may go over the limit, max_tokens does not count.
func TestAnthropic(t *testing.T) {
	t.Parallel()
	s, clock := limited(t, func(c *Config) { c.Profile = ProfileAnthropic },
		Limit{Dim: DimRPM, Cap: 100}, Limit{Dim: DimITPM, Cap: 50_000}, Limit{Dim: DimOTPM, Cap: 5})
	w := ask(t, s, 4000, 99_000)
	h := w.Header()
	if w.Code != 200 || h.Get("anthropic-ratelimit-input-tokens-remaining") != "49000" || h.Get("anthropic-ratelimit-input-tokens-limit") != "50000" ||
		h.Get("anthropic-ratelimit-requests-remaining") != "99" || h.Get("anthropic-ratelimit-requests-reset") != clock.at.Add(600*time.Millisecond).UTC().Format(time.RFC3339) {
		t.Fatalf("got %d %v", w.Code, h)
	}
	e := s.Ledger().Last[0]
	states := s.limitsOf(t, "gpt-4.1")
	if states[1].Used != int64(e.PromptTokens) || states[2].Used != int64(e.CompletionTokens) || e.CompletionTokens <= 5 {
		t.Errorf("states %+v after %+v", states, e)
	}
	w = ask(t, s, 4, 1)
	var got struct {
		Type      string
		Error     wireError
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 429 || got.Type != "error" || got.Error.Type != "rate_limit_error" || got.RequestID != w.Header().Get("X-Request-Id") || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %v %s, %v", w.Code, w.Header(), w.Body, err)
	}
}

func TestRamp(t *testing.T) {
	t.Parallel()
	s, clock := limited(t, nil, Limit{Dim: DimRamp, Cap: 1000})
	for range 14 {
		use(t, s, 1000)
		clock.at = clock.at.Add(time.Minute)
	}
	use(t, s, 1500)
	if w := ask(t, s, 4, 100); w.Code != 429 || wireErrorOf(t, w).Code != "slow_down" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// TestLimitsWhileServing: a limit lowered live keeps what is used.
func TestLimitsWhileServing(t *testing.T) {
	t.Parallel()
	s, _ := limited(t, nil, Limit{Dim: DimTPM, Cap: 1000})
	use(t, s, 600)
	if err := s.SetLimits([]Limit{{Dim: DimTPM, Cap: 700}}); err != nil {
		t.Fatal(err)
	}
	if w := ask(t, s, 4, 98); w.Code != 429 || !strings.Contains(w.Body.String(), "Limit 700, Used 600, Requested 101") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	use(t, s, 100)
}

func TestTimeScale(t *testing.T) {
	t.Parallel()
	s, clock := limited(t, func(c *Config) { c.TimeScale = 0.1 }, Limit{Dim: DimTPM, Cap: 1000})
	use(t, s, 1000)
	if w := ask(t, s, 4, 497); w.Header().Get("Retry-After-Ms") != "3000" {
		t.Errorf("got %v", w.Header())
	}
	clock.at = clock.at.Add(3 * time.Second)
	use(t, s, 500)
}

func TestWrongLimits(t *testing.T) {
	t.Parallel()
	for want, limits := range map[string][]Limit{
		`dim is "rps"`:         {{Dim: "rps", Cap: 1}},
		"cap of tpm is 0":      {{Dim: DimTPM}},
		`law is "leaky"`:       {{Dim: DimTPM, Cap: 1, Law: "leaky"}},
		`charge is "output"`:   {{Dim: DimTPM, Cap: 1, Charge: "output"}},
		"longer than its":      {{Dim: DimTPM, Cap: 1, Window: 1, Sub: 2}},
		"which is not for it":  {{Dim: DimTPM, Cap: 1, Law: lawConcurrency}},
		"tpm is given twice":   {{Dim: DimTPM, Cap: 1}, {Dim: DimTPM, Cap: 2}},
		"cap of queue is -2":   {{Dim: DimQueue, Cap: -2}},
		"below 0":              {{Dim: DimTPM, Cap: 1, Window: -1}},
		`refund is "half"`:     {{Dim: DimTPM, Cap: 1, Refund: "half"}},
		"limits[1]: dim is \"": {{Dim: DimTPM, Cap: 1}, {}},
	} {
		cfg := DefaultConfig()
		cfg.Limits = limits
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
