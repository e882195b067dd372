package openai

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// headed sets headers before handler answers.
func headed(handler http.HandlerFunc, pairs ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(pairs); i += 2 {
			w.Header().Set(pairs[i], pairs[i+1])
		}
		handler(w, r)
	}
}

// limited are the headers of a captured answer, with those of a project.
func limited(handler http.HandlerFunc) http.HandlerFunc {
	return headed(handler, "X-Request-Id", "req-1",
		"x-ratelimit-limit-requests", "500", "x-ratelimit-remaining-requests", "499", "x-ratelimit-reset-requests", "120ms",
		"x-ratelimit-limit-tokens", "200000", "x-ratelimit-remaining-tokens", "29367", "x-ratelimit-reset-tokens", "51.189s")
}

// silent reads the request and answers nothing before the client is gone.
func silent(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the client left
	<-r.Context().Done()
}

func TestMetaOnEveryPath(t *testing.T) {
	t.Parallel()
	limits := []llm.RateLimit{
		{Dimension: "rpm", Limit: 500, Remaining: 499, Reset: 120 * time.Millisecond},
		{Dimension: "tpm", Limit: 200000, Remaining: 29367, Reset: 51189 * time.Millisecond},
	}
	embeddings := replies(200, "application/json", vectors(item(0, 1)))
	full := llm.Meta{Sent: true, Status: 200, RequestID: "req-1", Limits: limits}
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		embed   bool
		class   event.Class // "" for success
		want    llm.Meta
		ttft    bool
		billed  bool
	}{
		{"stream", limited(streams(wholeStream)), false, "", full, true, false},
		{"base64 embeddings", limited(embeddings), true, "", full, true, false},
		{"error of a stream", limited(replies(429, "application/json", errorBody("rate_limit_exceeded", "", "x"))), false, event.ClassThrottled, llm.Meta{Sent: true, Status: 429, RequestID: "req-1", Limits: limits}, false, false},
		{"error of embeddings", limited(replies(503, "text/plain", "x")), true, event.ClassUnavailable, llm.Meta{Sent: true, Status: 503, RequestID: "req-1", Limits: limits}, false, false},
		{"error body cut off", limited(cutError), false, event.ClassThrottled, llm.Meta{Sent: true, Status: 429, RequestID: "req-1", Limits: limits}, false, false},
		{"truncated", limited(streams(roleFrame)), false, event.ClassTruncated, full, true, true},
		{"truncated before the first token", limited(streams(": hi\n\n")), false, event.ClassTruncated, full, false, true},
		{"error inside a stream", limited(streams(roleFrame + `data: {"error":{"message":"boom"}}` + "\n\n")), false, event.ClassUnavailable, full, true, true},
		{"no stream", limited(replies(200, "text/html", "<title>x</title>")), false, event.ClassUnavailable, full, false, true},
		{"wrong embeddings", limited(replies(200, "application/json", vectors())), true, event.ClassUnavailable, full, true, true},
		{"no answer", silent, false, event.ClassUnavailable, llm.Meta{Sent: true}, false, true},
		{"lost answer", lose, false, event.ClassUnavailable, llm.Meta{Sent: true}, false, true},
		{"request id in the body", replies(529, "application/json", `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req-2"}`), false, event.ClassUnavailable, llm.Meta{Sent: true, Status: 529, RequestID: "req-2"}, false, false},
		{"request id of Anthropic", headed(streams(wholeStream), "request-id", "req-3"), false, "", llm.Meta{Sent: true, Status: 200, RequestID: "req-3"}, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := llm.Meta{RequestID: "stale", TTFT: -1}
			c := setup(t, tc.handler, func(c *Config) { c.Timeouts.FirstToken = 300 * time.Millisecond })
			err := callEither(t.Context(), c, tc.embed, &got)
			if tc.class == "" && err != nil {
				t.Fatal(err)
			}
			if tc.class != "" {
				wantClass(t, err, tc.class, "")
			}
			if (got.TTFT > 0) != tc.ttft || got.TTFT < 0 || got.MaybeBilled(err) != tc.billed {
				t.Errorf("TTFT %s, maybe billed %v; want one: %v, billed: %v", got.TTFT, got.MaybeBilled(err), tc.ttft, tc.billed)
			}
			if got.Sent != tc.want.Sent || got.Status != tc.want.Status || got.RequestID != tc.want.RequestID || !slices.Equal(got.Limits, tc.want.Limits) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// callEither makes one call of either kind.
func callEither(ctx context.Context, c *Client, embed bool, m *llm.Meta) error {
	if embed {
		_, err := c.Embed(ctx, llm.EmbedRequest{Model: "e", Inputs: []string{"a"}, Meta: m})
		return err
	}
	req := hi()
	req.Meta = m
	_, err := c.Chat(ctx, req)
	return err
}

// lose takes the request and breaks the connection without an answer.
func lose(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		conn.Close()
	}
}

// cutError breaks off before any byte of an error's body.
func cutError(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	w.WriteHeader(http.StatusTooManyRequests)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func TestMetaOfWhatWasNotSent(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := "http://" + listener.Addr().String()
	listener.Close()
	var m llm.Meta
	err = callEither(t.Context(), clientFor(t, Config{BaseURL: refusing}), false, &m)
	wantClass(t, err, event.ClassUnavailable, "")
	if m.Sent || m.MaybeBilled(err) {
		t.Errorf("connection refused: %+v", m)
	}

	// The only connection is taken: the second call waits for it.
	taken := make(chan struct{}, 2)
	c := setup(t, func(w http.ResponseWriter, r *http.Request) {
		taken <- struct{}{}
		silent(w, r)
	}, func(c *Config) { c.MaxConnsPerHost = 1 })
	first, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = callEither(first, c, false, nil)
	}()
	<-taken
	short, cancelShort := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancelShort()
	m = llm.Meta{Sent: true}
	err = callEither(short, c, true, &m)
	wantClass(t, err, event.ClassDeadline, "")
	if m.Sent || m.MaybeBilled(err) {
		t.Errorf("no connection was free: %+v", m)
	}
	cancel()
	<-done
}

// TestLostAnswerIsNotSentAgain is about net/http, which takes a request with an
// Idempotency-Key for one it may repeat when a used connection breaks.
func TestLostAnswerIsNotSentAgain(t *testing.T) {
	t.Parallel()
	var requests, keys atomic.Int32
	c := setup(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Idempotency-Key") == "job-1" {
			keys.Add(1)
		}
		if requests.Add(1) == 1 {
			streams(wholeStream)(w, r)
			return
		}
		lose(w, r)
	})
	req := hi()
	req.IdempotencyKey, req.Meta = "job-1", &llm.Meta{}
	if _, err := c.Chat(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	_, err := c.Chat(t.Context(), req)
	wantClass(t, err, event.ClassUnavailable, "")
	if requests.Load() != 2 || keys.Load() != 2 || !req.Meta.MaybeBilled(err) {
		t.Errorf("%d requests with %d keys for 2 calls, %+v", requests.Load(), keys.Load(), req.Meta)
	}
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	groups := append(plainDialect().LimitHeaders, catalog.LimitHeader{Dimension: "itpm", Limit: "a-limit", Remaining: "a-remaining", Reset: "a-reset", ResetFormat: "rfc3339", Rounding: 1000},
		catalog.LimitHeader{Dimension: "rpd", Remaining: "d-remaining"})
	for _, tc := range []struct {
		name  string
		pairs []string
		want  []llm.RateLimit
	}{
		{"none", nil, nil},
		{"minutes", []string{"x-ratelimit-limit-tokens", "10000", "x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "6m0s"}, []llm.RateLimit{{Dimension: "tpm", Limit: 10000, Remaining: 0, Reset: 6 * time.Minute}}},
		{"plain seconds", []string{"x-ratelimit-remaining-requests", "10", "x-ratelimit-reset-requests", "300"}, []llm.RateLimit{{Dimension: "rpm", Limit: -1, Remaining: 10, Reset: 5 * time.Minute}}},
		{"fraction", []string{"x-ratelimit-limit-requests", "10", "x-ratelimit-reset-requests", " 1.5 "}, []llm.RateLimit{{Dimension: "rpm", Limit: 10, Remaining: -1, Reset: 1500 * time.Millisecond}}},
		{"RFC 3339", []string{"a-limit", "50000", "a-remaining", "49000", "a-reset", "2026-05-01T12:00:07Z"}, []llm.RateLimit{{Dimension: "itpm", Limit: 50000, Remaining: 49000, Reset: 7 * time.Second}}},
		{"RFC 3339, past", []string{"a-limit", "50000", "a-reset", "2026-05-01T11:00:00Z"}, []llm.RateLimit{{Dimension: "itpm", Limit: 50000, Remaining: -1, Reset: 0}}},
		{"by the server's clock", []string{"Date", "Fri, 01 May 2026 12:00:05 GMT", "a-limit", "1", "a-reset", "2026-05-01T12:00:07Z"}, []llm.RateLimit{{Dimension: "itpm", Limit: 1, Remaining: -1, Reset: 2 * time.Second}}},
		{"project lower", []string{"x-ratelimit-limit-tokens", "100", "x-ratelimit-remaining-tokens", "90", "x-ratelimit-limit-project-tokens", "50", "x-ratelimit-remaining-project-tokens", "20"}, []llm.RateLimit{{Dimension: "tpm", Limit: 50, Remaining: 20, Reset: -1}}},
		{"project higher", []string{"x-ratelimit-limit-tokens", "100", "x-ratelimit-remaining-tokens", "9", "x-ratelimit-limit-project-tokens", "50", "x-ratelimit-remaining-project-tokens", "20"}, []llm.RateLimit{{Dimension: "tpm", Limit: 100, Remaining: 9, Reset: -1}}},
		{"project without remaining", []string{"x-ratelimit-limit-tokens", "100", "x-ratelimit-limit-project-tokens", "50"}, []llm.RateLimit{{Dimension: "tpm", Limit: 50, Remaining: -1, Reset: -1}}},
		{"nonsense", []string{"x-ratelimit-limit-tokens", "many", "x-ratelimit-remaining-tokens", "-1", "x-ratelimit-reset-tokens", "NaN", "d-remaining", "1e30"}, nil},
		{"nonsense beside sense", []string{"x-ratelimit-limit-tokens", "7", "x-ratelimit-reset-tokens", "-5s"}, []llm.RateLimit{{Dimension: "tpm", Limit: 7, Remaining: -1, Reset: -1}}},
		{"an epoch is no wait", []string{"x-ratelimit-limit-tokens", "7", "x-ratelimit-reset-tokens", "1777636800000"}, []llm.RateLimit{{Dimension: "tpm", Limit: 7, Remaining: -1, Reset: -1}}},
		{"only a remaining", []string{"D-Remaining", "12"}, []llm.RateLimit{{Dimension: "rpd", Limit: -1, Remaining: 12, Reset: -1}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			for i := 0; i+1 < len(tc.pairs); i += 2 {
				h.Set(tc.pairs[i], tc.pairs[i+1])
			}
			if got := rateLimits(h, groups, serverTime(h, now)); !slices.Equal(got, tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func FuzzRateLimits(f *testing.F) {
	f.Add("10", "9", "6m0s")
	f.Add("1e400", "-0", "2026-05-01T12:00:07Z")
	f.Fuzz(func(t *testing.T, limit, remaining, resets string) {
		h := http.Header{"X-Ratelimit-Limit-Tokens": {limit}, "X-Ratelimit-Remaining-Tokens": {remaining}, "X-Ratelimit-Reset-Tokens": {resets}}
		for _, l := range rateLimits(h, plainDialect().LimitHeaders, time.Unix(0, 0)) {
			if l.Limit < -1 || l.Remaining < -1 || l.Reset < -1 {
				t.Errorf("got %+v", l)
			}
		}
	})
}
