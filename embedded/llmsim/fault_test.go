package llmsim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

// serve returns a server behind a real port with one fault for all requests.
func serve(t *testing.T, do Action, change func(*Config)) (*Server, string) {
	t.Helper()
	s := setup(t, func(c *Config) {
		c.Faults = Faults{Rules: []Fault{{Name: "f", Do: do}}}
		c.Now = time.Now
		if change != nil {
			change(c)
		}
	})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

// received is what a client got, as far as it came.
type received struct {
	status int
	header http.Header
	body   string
	err    error
}

var created = regexp.MustCompile(`"created":[0-9]+`)

func fetchChat(t *testing.T, url, body string, header ...string) received {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+pathChat, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		return received{err: err}
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	// Answers of different seconds are to compare equal.
	return received{res.StatusCode, res.Header, created.ReplaceAllString(string(data), `"created":0`), err}
}

const (
	plainBody  = `{"model":"sim-small","messages":[{"role":"user","content":"one två three four"}]}`
	streamBody = `{"model":"sim-small","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"one två three four"}]}`
)

// TestLyingStreams are the ways a stream ends that a client may take for the
// end of an answer.
func TestLyingStreams(t *testing.T) {
	t.Parallel()
	whole := fetchWhole(t)
	for _, tc := range []struct {
		name  string
		do    Action
		check func(t *testing.T, got received)
	}{
		{"eof without the end mark", Action{Cut: cutEOF, After: 3}, func(t *testing.T, got received) {
			if got.err != nil || strings.Contains(got.body, "[DONE]") || strings.Count(got.body, "data: ") != 3 {
				t.Errorf("got %+v, want 3 events and a clean end", got)
			}
		}},
		{"whole but for the end mark", Action{Cut: cutNoDone}, func(t *testing.T, got received) {
			if got.err != nil || got.body != strings.TrimSuffix(whole, "data: [DONE]\n\n") {
				t.Errorf("got %+v", got)
			}
		}},
		{"aborted inside of an event", Action{Cut: cutAbort, After: 3}, func(t *testing.T, got received) {
			if !errors.Is(got.err, io.ErrUnexpectedEOF) || strings.HasSuffix(got.body, "\n\n") || !strings.HasPrefix(whole, got.body) {
				t.Errorf("got %+v, want half an event and a broken end", got)
			}
		}},
		{"a page with status 200", Action{Status: 200, Body: "<html>hello</html>"}, func(t *testing.T, got received) {
			if got.status != 200 || got.header.Get("Content-Type") != "text/html" || got.body != "<html>hello</html>" {
				t.Errorf("got %+v", got)
			}
		}},
		{"an error with status 200", Action{Status200Error: true}, func(t *testing.T, got received) {
			if got.status != 200 || got.header.Get("Content-Type") != "application/json" || !strings.HasPrefix(got.body, `{"error":`) {
				t.Errorf("got %+v", got)
			}
		}},
		{"an error frame", Action{Error: errorFrame, After: 2}, func(t *testing.T, got received) {
			if !strings.Contains(got.body, "\n\ndata: {\"error\":{") || strings.Contains(got.body, "[DONE]") {
				t.Errorf("got %+v", got)
			}
		}},
		{"an error chunk", Action{Error: errorChunk, After: 2}, func(t *testing.T, got received) {
			if !strings.Contains(got.body, `"finish_reason":"error"`) || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
				t.Errorf("got %+v", got)
			}
		}},
		{"an error event", Action{Error: errorEvent, After: 2}, func(t *testing.T, got received) {
			if !strings.Contains(got.body, "\n\nevent: error\ndata: {\"type\":\"error\"") {
				t.Errorf("got %+v", got)
			}
		}},
		{"a malformed chunk", Action{MalformedChunk: true, After: 2}, func(t *testing.T, got received) {
			bad := 0
			for _, line := range strings.Split(got.body, "\n") {
				data, ok := strings.CutPrefix(line, "data: ")
				if ok && data != "[DONE]" && !json.Valid([]byte(data)) {
					bad++
				}
			}
			if bad != 1 {
				t.Errorf("%d bad chunks in %s", bad, got.body)
			}
		}},
		{"comments and CRLF", Action{Comments: 2, CRLF: true}, func(t *testing.T, got received) {
			plain := strings.ReplaceAll(strings.ReplaceAll(got.body, "\r\n", "\n"), ": keep-alive\n\n", "")
			if plain != whole || strings.Count(got.body, ": keep-alive\r\n\r\n") != 2*strings.Count(whole, "data: ") {
				t.Errorf("got %q", got.body)
			}
		}},
		{"no usage", Action{NoUsage: true}, func(t *testing.T, got received) {
			if strings.Contains(got.body, "prompt_tokens") || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
				t.Errorf("got %+v", got)
			}
		}},
		{"split characters", Action{SplitUTF8: true}, func(t *testing.T, got received) {
			if got.body != whole {
				t.Errorf("got %+v", got)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, url := serve(t, tc.do, nil)
			tc.check(t, fetchChat(t, url, streamBody))
			if e := lastEntry(t, s); e.Fault != "f" || e.Truncated != (tc.do.Cut != "" || tc.do.Error != "") {
				t.Errorf("entry %+v", e)
			}
		})
	}
}

// fetchWhole is the stream without a fault.
func fetchWhole(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(setup(t, func(c *Config) { c.Now = time.Now }))
	defer s.Close()
	return fetchChat(t, s.URL, streamBody).body
}

// lastEntry waits until nothing is in work and returns the newest request.
func lastEntry(t *testing.T, s *Server) Entry {
	t.Helper()
	for {
		if l := s.Ledger(); l.InFlight == 0 && len(l.Last) > 0 {
			return l.Last[len(l.Last)-1]
		}
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("a request does not end")
		}
	}
}

func TestSplitCharacterIsFlushedInHalves(t *testing.T) {
	t.Parallel()
	_, url := serve(t, Action{SplitUTF8: true}, nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+pathChat, strings.NewReader(streamBody))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(bufio.NewReader(res.Body)); err != nil || !utf8.Valid(text) {
		t.Errorf("%q, %v", text, err)
	}
	if at := splitInRune([]byte("två")); at != 3 {
		t.Errorf("splits at %d, want inside of å", at)
	}
}

func TestConnectionFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		do   Action
		want func(error) bool
	}{
		"reset": {Action{Reset: true}, func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		"close": {Action{Close: true}, func(err error) bool { return errors.Is(err, io.EOF) }},
		"lost":  {Action{LostResponse: true}, func(err error) bool { return errors.Is(err, io.EOF) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := serve(t, tc.do, nil)
			for _, body := range []string{plainBody, streamBody} {
				if got := fetchChat(t, url, body); !tc.want(got.err) {
					t.Errorf("got %+v", got)
				}
				if e := lastEntry(t, s); e.Lost != tc.do.LostResponse || e.Paid != tc.do.LostResponse {
					t.Errorf("entry %+v", e)
				}
			}
		})
	}
}

// TestLostResponseIsPaidTwice: the retry after a lost answer is a duplicate
// that a fault explains.
func TestLostResponseIsPaidTwice(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *Config) {
		c.Now = time.Now
		c.Prices = map[string]Price{"sim-small": {Input: 150, Output: 600}}
		c.Faults = Faults{Rules: []Fault{{Match: Match{FirstAttempts: 1}, Do: Action{LostResponse: true}}}}
	})
	server := httptest.NewServer(s)
	defer server.Close()
	if got := fetchChat(t, server.URL, plainBody, "Idempotency-Key", "k", "X-Request-Attempt", "1"); got.err == nil {
		t.Fatalf("got %+v", got)
	}
	one := 1.0
	zero := 0.0
	if failed := s.Assert(AssertSpec{MaxTruncatedAccepted: &zero}); len(failed) != 1 {
		t.Errorf("a lost answer that was not asked for again: %q", failed)
	}
	if got := fetchChat(t, server.URL, plainBody, "Idempotency-Key", "k", "X-Request-Attempt", "2"); got.status != 200 {
		t.Fatalf("got %+v", got)
	}
	e := lastEntry(t, s)
	if cost := int64(150*e.PromptTokens + 600*e.CompletionTokens); e.CostNanoUSD != cost || e.Attempt != 2 {
		t.Errorf("entry %+v, want a cost of %d", e, cost)
	}
	list := s.Duplicates()
	if len(list) != 1 || list[0].Paid != 2 || list[0].Unexplained != 0 || list[0].CostNanoUSD != e.CostNanoUSD || list[0].IdempotencyKey != "k" {
		t.Errorf("duplicates %+v", list)
	}
	if failed := s.Assert(AssertSpec{MaxDuplicatePaid: &one, MaxDuplicateUnexplained: &zero, MaxTruncatedAccepted: &zero}); len(failed) != 0 {
		t.Error(failed)
	}
	fetchChat(t, server.URL, plainBody, "Idempotency-Key", "k", "X-Request-Attempt", "3")
	fetchChat(t, server.URL, plainBody, "Idempotency-Key", "k", "X-Request-Attempt", "4")
	lastEntry(t, s)
	if failed := s.Assert(AssertSpec{MaxDuplicatePaid: &one, MaxDuplicateUnexplained: &zero}); len(failed) != 2 || !strings.Contains(failed[0], "duplicates paid is 3, want at most 1") {
		t.Errorf("got %q", failed)
	}
}

func TestHangs(t *testing.T) {
	t.Parallel()
	for _, hang := range []string{hangBeforeHeaders, hangAfterHeaders, hangAfterEvents} {
		t.Run(hang, func(t *testing.T) {
			t.Parallel()
			s, url := serve(t, Action{Hang: hang, After: 2}, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+pathChat, strings.NewReader(streamBody))
			if err != nil {
				t.Fatal(err)
			}
			if hang == hangBeforeHeaders {
				stop := time.AfterFunc(50*time.Millisecond, cancel)
				defer stop.Stop()
				if _, err = http.DefaultClient.Do(r); !errors.Is(err, context.Canceled) { //nolint:bodyclose // there is none
					t.Errorf("got %v, want no headers", err)
				}
			} else {
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				lines := bufio.NewScanner(res.Body)
				for n := 0; hang == hangAfterEvents && n < 3; n++ { // event, blank, event
					if !lines.Scan() {
						t.Fatal("the stream ended")
					}
				}
				cancel()
			}
			if e := lastEntry(t, s); !e.ClientGone {
				t.Errorf("entry %+v", e)
			}
		})
	}
}

func TestContentFaults(t *testing.T) {
	t.Parallel()
	const body = `{"model":"sim-small","messages":[{"role":"user","content":"Answer in json: what colour is the sky?"}],"response_format":{"type":"json_object"}}`
	for _, tc := range []struct {
		do   Action
		part string
	}{
		{Action{Content: contentInvalid}, `,,"`},
		{Action{Content: contentFenced}, "```json"},
		{Action{Content: contentCut}, `"finish_reason":"length"`},
		{Action{Content: contentSchema}, `{\"answer\":{\"unexpected\":[true]}}`},
		{Action{Content: contentNoChoices}, `"choices":[]`},
		{Action{Content: contentRefusal}, `"content":null,"refusal":"I'm sorry`},
		{Action{Content: contentFilter}, `"finish_reason":"content_filter"`},
		{Action{WrongModel: "gpt-9"}, `"model":"gpt-9"`},
		{Action{WrongUsage: 10}, `"completion_tokens":`},
	} {
		s, url := serve(t, tc.do, nil)
		got := fetchChat(t, url, body)
		if got.status != 200 || !strings.Contains(got.body, tc.part) {
			t.Errorf("%+v: %+v, want %s", tc.do, got, tc.part)
		}
		var reply struct {
			Usage usage
		}
		e := lastEntry(t, s)
		if err := json.Unmarshal([]byte(got.body), &reply); err != nil || tc.do.WrongUsage > 0 && reply.Usage.CompletionTokens != 10*e.CompletionTokens || !e.Paid {
			t.Errorf("%+v: usage %+v of %+v, %v", tc.do, reply.Usage, e, err)
		}
	}
}

func TestErrorPresetsOnTheWire(t *testing.T) {
	t.Parallel()
	for name, want := range errorPresets() {
		s := setup(t, func(c *Config) { c.Faults = Faults{Rules: []Fault{{Do: Action{Preset: name}}}} })
		w := post(t, s, pathChat, plainBody)
		if w.Code != want.status || w.Body.String() != want.body || !strings.HasPrefix(want.body, "<") && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		for header, value := range want.headers {
			if w.Header().Get(header) != value {
				t.Errorf("%s: %s is %q, want %q", name, header, w.Header().Get(header), value)
			}
		}
	}
}

func TestRetryAfterHints(t *testing.T) {
	t.Parallel()
	for hint, want := range map[string]string{retryNone: "", retryWrong: "soon", "7": "7",
		retryPast: "Tue, 14 Nov 2023 22:12:50 GMT", retryHTTPDate: "Tue, 14 Nov 2023 22:13:50 GMT"} {
		s := setup(t, func(c *Config) {
			c.Faults = Faults{Rules: []Fault{{Do: Action{Preset: "openai.rate_limit", RetryAfter: hint}}}}
		})
		if got := post(t, s, pathChat, plainBody).Header().Get("Retry-After"); got != want {
			t.Errorf("%s: %q, want %q", hint, got, want)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	fail := Action{Status: 500}
	for name, tc := range map[string]struct {
		match Match
		want  string // one character per request: x failed
	}{
		"all":      {Match{}, "xxxxxx"},
		"nth":      {Match{Nth: 2}, ".x...."},
		"every":    {Match{Every: 3}, "..x..x"},
		"attempts": {Match{FirstAttempts: 2}, "xx...."},
		"regex":    {Match{Regex: "tv. three"}, "xxxxxx"},
		"no regex": {Match{Regex: "five"}, "......"},
		"model":    {Match{Model: "sim-*", Endpoint: "chat"}, "xxxxxx"},
		"endpoint": {Match{Endpoint: "embeddings"}, "......"},
		"header":   {Match{Header: map[string]string{"X-Tenant": "a*"}}, "xxxxxx"},
		"key":      {Match{Key: "nobody"}, "......"},
		"time":     {Match{From: Duration(2 * time.Second), Until: Duration(4 * time.Second)}, "..xx.."},
		"cycle":    {Match{Until: Duration(time.Second), Cycle: Duration(2 * time.Second)}, "x.x.x."},
	} {
		clock := &hands{time.Unix(1_700_000_000, 0)}
		s := setup(t, func(c *Config) {
			c.Now, c.Faults = clock.now, Faults{Rules: []Fault{{Match: tc.match, Do: fail}}}
		})
		got := ""
		for range tc.want {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, pathChat, strings.NewReader(plainBody))
			r.Header.Set("X-Tenant", "abc")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			got += map[int]string{200: ".", 500: "x"}[w.Code]
			clock.at = clock.at.Add(time.Second)
		}
		if got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// TestFaultsAreReproducible: what happens to a request depends on the seed, the
// rule, the request and its attempt, not on the order of requests.
func TestFaultsAreReproducible(t *testing.T) {
	t.Parallel()
	const n = 2000
	outcome := func(seed uint64, reverse bool) map[int]int {
		s := setup(t, func(c *Config) {
			c.Answers.Seed = seed
			c.Faults = Faults{Rules: []Fault{{Name: "a", Match: Match{Prob: 0.3}, Do: Action{Status: 500}}, {Name: "b", Match: Match{Prob: 0.1}, Do: Action{Status: 429}}}}
		})
		out := map[int]int{}
		for i := range n {
			if reverse {
				i = n - 1 - i
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, pathEmbeddings, strings.NewReader(`{"model":"sim-embed","input":"a","dimensions":8}`))
			r.Header.Set("Idempotency-Key", string(rune('a'+i%26))+strings.Repeat("k", i/26))
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			out[i] = w.Code
		}
		return out
	}
	first, again, other := outcome(1, false), outcome(1, true), outcome(2, false)
	counts, differ := map[int]int{}, 0
	for i, status := range first {
		counts[status]++
		if again[i] != status {
			t.Fatalf("request %d: %d, then %d", i, status, again[i])
		}
		if other[i] != status {
			differ++
		}
	}
	if counts[500] < n*26/100 || counts[500] > n*34/100 || counts[429] < n*5/100 || counts[429] > n*9/100 || differ < n/4 {
		t.Errorf("statuses %v, %d differ by seed", counts, differ)
	}
}

func TestBrownout(t *testing.T) {
	t.Parallel()
	s, clock := limited(t, func(c *Config) {
		c.Faults = Faults{Brownouts: []Brownout{{From: Duration(time.Minute), Until: Duration(2 * time.Minute), LimitX: 0.5}}}
	}, Limit{Dim: DimTPM, Cap: 1000})
	for _, want := range []string{"1000", "500", "1000"} {
		if w := ask(t, s, 4, 1); w.Header().Get("x-ratelimit-limit-tokens") != want {
			t.Errorf("limit %v, want %s", w.Header(), want)
		}
		clock.at = clock.at.Add(time.Minute)
	}
}

func TestFaultPresetsCompile(t *testing.T) {
	t.Parallel()
	for _, name := range FaultPresets() {
		s := setup(t, func(c *Config) { c.Faults.Preset = name })
		if name != "calm" && len(s.control.faults.rules)+len(s.control.faults.brownouts) == 0 {
			t.Errorf("%s does nothing", name)
		}
	}
}

func TestWrongFaults(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]Faults{
		`preset is "storm"`:      {Preset: "storm"},
		"do is empty":            {Rules: []Fault{{}}},
		`do.cut is "half"`:       {Rules: []Fault{{Do: Action{Cut: "half"}}}},
		"do.status is 99":        {Rules: []Fault{{Do: Action{Status: 99}}}},
		"match.prob is 2":        {Rules: []Fault{{Match: Match{Prob: 2}, Do: Action{Reset: true}}}},
		"match.regex":            {Rules: []Fault{{Match: Match{Regex: "("}, Do: Action{Reset: true}}}},
		`do.preset is "x"`:       {Rules: []Fault{{Do: Action{Preset: "x"}}}},
		`do.retry_after is "-3"`: {Rules: []Fault{{Do: Action{Status: 429, RetryAfter: "-3"}}}},
		"match.until is 1s":      {Rules: []Fault{{Match: Match{From: Duration(time.Minute), Until: Duration(time.Second)}, Do: Action{Reset: true}}}},
		"brownouts[0]":           {Brownouts: []Brownout{{ErrorRate: 2}}},
	} {
		if err := setup(t, nil).SetFaults(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
