package llmsim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// admin calls the admin API and decodes what it answers.
func admin(t *testing.T, s *Server, method, path, body string, into any) int {
	t.Helper()
	w := httptest.NewRecorder()
	s.Admin().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("%s %s: %s: %v", method, path, w.Body, err)
		}
	}
	return w.Code
}

// TestWindows: aligned and sliding windows differ, and a full bucket may let
// in almost twice the limit within one minute.
func TestWindows(t *testing.T) {
	t.Parallel()
	s, clock := limited(t, nil, Limit{Dim: DimTPM, Cap: 6000})
	clock.at = clock.at.Add(55 * time.Second) // of a full minute
	use(t, s, 6000)
	for range 10 {
		clock.at = clock.at.Add(5 * time.Second)
		use(t, s, 500)
	}
	if w := ask(t, s, 4, 1000); w.Code != 429 {
		t.Fatalf("got %d", w.Code)
	}
	var got []Windows
	if status := admin(t, s, "GET", "/_sim/windows?width=60s", "", &got); status != 200 || len(got) != 1 {
		t.Fatalf("%d: %+v", status, got)
	}
	w := got[0]
	if w.MaxSliding != 11_000.0/6000 || w.MaxAligned != 1 || len(w.List) != 2 || w.List[1].Estimated != 5000 || w.List[1].Rejected != 1 || w.Total.Admitted != 11 || w.Group != "gpt-4.1" {
		t.Errorf("minutes %+v", w)
	}
	seconds, err := s.Windows(time.Second)
	if err != nil || len(seconds[0].List) != 11 || seconds[0].MaxSliding != 60 {
		t.Errorf("seconds %+v, %v", seconds, err)
	}
	if _, err := s.Windows(2 * time.Second); err == nil || !strings.Contains(err.Error(), "width is 2s") {
		t.Errorf("got %v", err)
	}
}

// TestOverallUtilisation counts the windows without requests.
func TestOverallUtilisation(t *testing.T) {
	t.Parallel()
	s, clock := limited(t, nil, Limit{Dim: DimRPM, Cap: 60})
	for i, n := range []int{1, 10, 0, 5, 1} { // in 10 s each, of 10
		for range n {
			ask(t, s, 4, 1)
		}
		if i < 4 {
			clock.at = clock.at.Add(10 * time.Second)
		}
	}
	w, err := s.Windows(10 * time.Second)
	if err != nil || w[0].Utilisation != 0.5 {
		t.Errorf("got %+v, %v; want 15 of 30", w, err)
	}
}

func TestAssertAPI(t *testing.T) {
	t.Parallel()
	s, _ := limited(t, nil, Limit{Dim: DimRPM, Cap: 2})
	for range 4 {
		ask(t, s, 4, 1)
	}
	var got struct {
		OK     bool
		Failed []string
	}
	for query, want := range map[string]string{
		"max_429_ratio=0.5&min_requests=4":                "",
		"max_429_ratio=0.4":                               "429 ratio is 0.5, want at most 0.4",
		"min_utilisation=1":                               "",
		"min_utilisation=1.5":                             "utilisation is 1, want at least 1.5",
		"max_window_utilisation=1":                        "",
		"max_window_utilisation=0.9":                      "window utilisation is 1, want at most 0.9",
		"min_requests=5":                                  "requests is 4, want at least 5",
		"max_duplicate_unexplained=0":                     "duplicates unexplained is 1, want at most 0",
		"max_attempts=4&width=10s&max_client_gone=0":      "",
		"max_forbidden_retries=0&max_cost_nano_usd=0":     "",
		"max_error_ratio=0&max_truncated_accepted=0":      "",
		"width=10s&max_window_utilisation=5&max_attempts": "max_attempts is",
		"max_429=1": "max_429 is unknown, want max_429_ratio, ",
		"width=1m1": "width is",
	} {
		w := httptest.NewRecorder()
		s.Admin().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/_sim/assert?"+query, nil))
		status := 200
		switch {
		case strings.Contains(want, ", want at"):
			status = 412
		case want != "":
			status = 400
		}
		if w.Code != status || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %d %s", query, w.Code, w.Body, status, want)
		}
	}
	if status := admin(t, s, "GET", "/_sim/assert?max_429_ratio=0&min_requests=9", "", &got); status != 412 || got.OK || len(got.Failed) != 2 {
		t.Errorf("%d %+v", status, got)
	}
}

// TestForbiddenRetries counts what comes again although it can't succeed.
func TestForbiddenRetries(t *testing.T) {
	t.Parallel()
	for preset, want := range map[string]int{"openai.invalid_api_key": 1, "openai.insufficient_quota": 1, "openai.rate_limit": 0, "openai.overloaded": 0, "openai.context_length": 1} {
		s := setup(t, func(c *Config) { c.Faults = Faults{Rules: []Fault{{Do: Action{Preset: preset}}}} })
		post(t, s, pathChat, plainBody)
		post(t, s, pathChat, plainBody)
		if got := s.Ledger().ForbiddenRetries; got != want {
			t.Errorf("%s: %d, want %d", preset, got, want)
		}
	}
}

func TestAdminSetsAndShows(t *testing.T) {
	t.Parallel()
	s, _ := limited(t, func(c *Config) { c.Prices = map[string]Price{"gpt-4.1": {Input: 2, Output: 8}} })
	for path, body := range map[string]string{
		"limits":  `[{"dim":"tpm","cap":1000,"window":"2m"},{"dim":"rpm","cap":60,"sub":10,"law":"sub"}]`,
		"faults":  `{"rules":[{"name":"third","match":{"nth":3},"do":{"preset":"html.502","delay":"0s"}}]}`,
		"profile": `{"profile":"azure"}`, "seed": `{"seed":7}`, "clock": `{"advance":"90s"}`,
	} {
		if status := admin(t, s, "POST", "/_sim/"+path, body, nil); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
	ask(t, s, 4, 100, "X-Request-Attempt", "3", "traceparent", "00-a-b-01", "Idempotency-Key", "k1", "Authorization", "Bearer sk-something-long-and-secret")
	ask(t, s, 8, 1000)
	ask(t, s, 8, 100)
	var entries []Entry
	admin(t, s, "GET", "/_sim/requests?since=0&model=gpt-*", "", &entries)
	if len(entries) != 3 || entries[1].Status != 429 || !entries[1].TooLarge || entries[2].Status != 502 || entries[2].Fault != "third" {
		t.Fatalf("entries %+v", entries)
	}
	e := entries[0]
	if e.Attempt != 3 || e.Traceparent != "00-a-b-01" || e.IdempotencyKey != "k1" || e.Key != "sk-som...cret" || e.Estimated != 103 || !e.Admitted ||
		e.LevelBefore != 1000 || e.LevelAfter != 897 || e.PromptHash == "" || e.CostNanoUSD != int64(2*e.PromptTokens+8*e.CompletionTokens) ||
		e.Received.Unix() != 1_700_000_040+90 || e.Received.After(e.First) || e.First.After(e.Done) {
		t.Errorf("entry %+v", e)
	}
	if admin(t, s, "GET", "/_sim/requests?status=429", "", &entries); len(entries) != 1 {
		t.Errorf("entries %+v", entries)
	}
	var l Ledger
	if admin(t, s, "GET", "/_sim/ledger", "", &l); l.Requests != 3 || l.Paid != 1 || l.Statuses[502] != 1 {
		t.Errorf("ledger %+v", l)
	}
	var limits struct {
		Limits []Limit
		Groups []groupLimits
	}
	if admin(t, s, "GET", "/_sim/limits", "", &limits); len(limits.Limits) != 2 || len(limits.Groups) != 2 || limits.Groups[0].Profile != "azure" || limits.Groups[1].Limits[0].Used != 103 {
		t.Errorf("limits %+v", limits)
	}
	var faults Faults
	if admin(t, s, "GET", "/_sim/faults", "", &faults); len(faults.Rules) != 1 || faults.Rules[0].Match.Nth != 3 {
		t.Errorf("faults %+v", faults)
	}
	admin(t, s, "POST", "/_sim/reset", "", nil)
	if l := s.Ledger(); l.Requests != 0 || len(l.Last) != 0 || len(s.allGroups()) != 0 || len(s.Duplicates()) != 0 {
		t.Errorf("after a reset: %+v", l)
	}
}

func TestAdminRefuses(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	for _, tc := range []struct{ method, path, body, want string }{
		{"POST", "limits", `[{"dim":"tpm"}]`, "cap of tpm is 0"},
		{"POST", "limits", `[{"dim":"tpm","cap":1,"window":"soon"}]`, `"soon" is not a duration`},
		{"POST", "faults", `{"rule":[]}`, `unknown field "rule"`},
		{"POST", "faults", `{} {}`, "more than one JSON value"},
		{"POST", "profile", `{"profile":"bing"}`, `profile is "bing"`},
		{"POST", "clock", `{"advance":-1}`, "advance is -1s"},
		{"POST", "seed", `{"seed":-1}`, "not as expected"},
		{"GET", "windows?width=5s", "", "width is 5s"},
		{"GET", "requests?status=x", "", `status is "x"`},
	} {
		var got struct{ Error string }
		if status := admin(t, s, tc.method, "/_sim/"+tc.path, tc.body, &got); status != 400 || !strings.Contains(got.Error, tc.want) {
			t.Errorf("%s %s: %d %q, want %q", tc.path, tc.body, status, got.Error, tc.want)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s, _ := limited(t, func(c *Config) { c.Prices = map[string]Price{"gpt-4.1": {Input: 1000}} }, Limit{Dim: DimTPM, Cap: 1000})
	ask(t, s, 4, 97, "api-key", "k")
	ask(t, s, 4, 997, "api-key", "k")
	post(t, s, pathChat, `{"model":"nothing","messages":[{"role":"user","content":"a"}]}`)
	w := httptest.NewRecorder()
	s.Admin().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	e := s.Ledger().Last[0]
	for _, want := range []string{
		`llmsim_requests_total{model="gpt-4.1",code="200"} 1`, `llmsim_requests_total{model="gpt-4.1",code="429"} 1`,
		`llmsim_requests_total{model="other",code="404"} 1`, `llmsim_limit_level{key="k",group="gpt-4.1",dim="tpm"} 900`,
		fmt.Sprintf(`llmsim_tokens_total{kind="prompt"} %d`, e.PromptTokens), "llmsim_inflight 0", "llmsim_paid_duplicates_total 0",
		fmt.Sprintf("llmsim_cost_nano_usd_total %d", 1000*e.PromptTokens), "# TYPE llmsim_inflight gauge",
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
}

// TestRunServesBoth on the addresses it says, and frees them.
func TestRunServesBoth(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *Config) { c.AdminAddr, c.Now = "127.0.0.1:0", time.Now })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	for _, url := range []string{"http://" + s.AdminAddr() + "/_sim/ledger", s.URL() + "/models"} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != 200 {
			t.Errorf("%s: %s", url, res.Status)
		}
	}
	taken := setup(t, func(c *Config) { c.AdminAddr = s.AdminAddr() })
	if err := taken.Run(ctx); err == nil || !strings.Contains(err.Error(), "listening on "+s.AdminAddr()) {
		t.Errorf("got %v, want the address that is in use", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
