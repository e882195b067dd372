package openai

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"

	goopenai "github.com/sashabaranov/go-openai"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

func TestChatReadsAStream(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"plain":                  wholeStream,
		"crlf":                   strings.ReplaceAll(wholeStream, "\n", "\r\n"),
		"comments and events":    ": hi\n\nevent: message\nid: 3\nretry: 10\n" + strings.ReplaceAll(wholeStream, "\n\n", "\n\n: ping\n\n"),
		"1000 comments":          frames(1000, ": OPENROUTER PROCESSING\n\n") + wholeStream,
		"data of several lines":  strings.ReplaceAll(wholeStream, `,"choices"`, ",\ndata: \"choices\""),
		"no space after data":    strings.ReplaceAll(wholeStream, "data: ", "data:"),
		"empty data":             roleFrame + "data:\n\n" + strings.TrimPrefix(wholeStream, roleFrame),
		"no end of line at end":  strings.TrimRight(wholeStream, "\n"),
		"garbage after the end":  wholeStream + "data: nonsense\n\n",
		"null error in a chunk":  strings.ReplaceAll(wholeStream, `"id":"c"`, `"id":"c","error":null`),
		"a second choice":        strings.Replace(wholeStream, stopFrame, strings.Replace(helloFrame, `"index":0`, `"index":1`, 1)+stopFrame, 1),
		"usage beside finish":    roleFrame + helloFrame + worldFrame + strings.Replace(stopFrame, `"usage":null`, strings.TrimSuffix(usageFrame[strings.Index(usageFrame, `"usage"`):], "}\n\n"), 1) + doneFrame,
		"reasoning before text":  strings.Replace(wholeStream, helloFrame, strings.Replace(helloFrame, `"content":"Hello"`, `"reasoning_content":"hm"`, 1)+helloFrame, 1),
		"error only in the text": strings.Replace(wholeStream, roleFrame, roleFrame+strings.Replace(helloFrame, `"content":"Hello"`, `"content":""`, 1), 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pieces []string
			got, err := setup(t, streams(body)).Chat(t.Context(), llm.ChatRequest{
				Model: "m", Messages: []llm.Message{{Role: "user", Content: "hi"}},
				OnDelta: func(text string) error { pieces = append(pieces, text); return nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			want := llm.ChatResponse{Text: "Hello world", FinishReason: "stop", Model: "m-1", Usage: llm.Usage{PromptTokens: 9, CompletionTokens: 2, CachedTokens: 4}}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if strings.Join(pieces, "|") != "Hello| world" {
				t.Errorf("pieces %q", pieces)
			}
		})
	}
}

func TestChatWithoutUsage(t *testing.T) {
	t.Parallel()
	got, err := ask(t.Context(), setup(t, streams(roleFrame+helloFrame+stopFrame+doneFrame)))
	if err != nil || got.Text != "Hello" || got.Usage != (llm.Usage{}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestLyingStreams are the answers that go-openai alone takes for complete, or
// whose errors it loses.
func TestLyingStreams(t *testing.T) {
	t.Parallel()
	start := roleFrame + helloFrame
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		class   event.Class
		part    string
	}{
		{"ends without DONE", streams(start), event.ClassTruncated, "before [DONE]"},
		{"ends after finish without DONE", streams(start + stopFrame), event.ClassTruncated, "before [DONE]"},
		{"ends inside a frame", streams(start + worldFrame[:40]), event.ClassTruncated, "before [DONE]"},
		{"empty", streams(""), event.ClassTruncated, "before [DONE]"},
		{"only comments", streams(": a\n\n: b\n\n"), event.ClassTruncated, "before [DONE]"},
		{"DONE without finish_reason", streams(start + doneFrame), event.ClassTruncated, "finish_reason"},
		{"connection cut", cut(start), event.ClassTruncated, ""},
		{"HTML with status 200", replies(200, "text/html", "<html><title>Login</title></html>"), event.ClassUnavailable, "Login"},
		{"JSON with status 200", replies(200, "application/json", `{"choices":[]}`), event.ClassUnavailable, "application/json"},
		{"JSON error with status 200", replies(200, "application/json", errorBody("rate_limit_exceeded", "requests", "slow")), event.ClassThrottled, "slow"},
		{"numeric code with status 200", replies(200, "application/json", `{"error":{"code":402,"message":"no credit"}}`), event.ClassQuota, "status 402"},
		{"error frame", streams(start + `data: {"error":{"message":"boom","type":"server_error"}}` + "\n\n"), event.ClassUnavailable, "boom"},
		{"error frame with a space", streams(start + `data: { "error": {"message":"boom","code":429}}` + "\n\n"), event.ClassThrottled, "boom"},
		{"error frame then DONE", streams(start + `data: {"error":"boom"}` + "\n\n" + doneFrame), event.ClassUnavailable, "boom"},
		{"error after a comment", streams(start + ": ping\n\n" + `data: {"error":{"message":"boom"}}` + "\n\n"), event.ClassUnavailable, "boom"},
		{"event: error", streams(start + "event: error\n" + `data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}` + "\n\n"), event.ClassUnavailable, "Overloaded"},
		{"event: error without data", streams(start + "event: error\n\n"), event.ClassUnavailable, ""},
		{"type error", streams(start + `data: {"type":"error","message":"boom"}` + "\n\n"), event.ClassUnavailable, "boom"},
		{"error chunk of OpenRouter", streams(start + `data: {"id":"c","error":{"code":502,"message":"upstream"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}` + "\n\n" + doneFrame), event.ClassUnavailable, "upstream"},
		{"finish_reason error", streams(start + strings.Replace(stopFrame, `"stop"`, `"error"`, 1) + doneFrame), event.ClassUnavailable, ""},
		{"malformed chunk", streams(start + "data: {\"id\":\n\n" + doneFrame), event.ClassUnavailable, "not JSON"},
		{"wrong shape", streams(start + `data: {"choices":3}` + "\n\n" + doneFrame), event.ClassTruncated, ""},
		{"content filter", streams(start + strings.Replace(stopFrame, `"stop"`, `"content_filter"`, 1) + doneFrame), event.ClassContent, "filter"},
		{"refusal", streams(roleFrame + strings.Replace(helloFrame, `"content"`, `"refusal"`, 1) + stopFrame + doneFrame), event.ClassContent, "Hello"},
		{"empty completion", streams(roleFrame + stopFrame + usageFrame + doneFrame), event.ClassUnavailable, "empty completion"},
		{"white space only", streams(roleFrame + strings.Replace(helloFrame, "Hello", ` \n`, 1) + stopFrame + doneFrame), event.ClassUnavailable, "empty completion"},
		{"all tokens thought away", streams(roleFrame + strings.Replace(stopFrame, `"stop"`, `"length"`, 1) + doneFrame), event.ClassInvalid, "max_tokens"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, event.ClassUnavailable, "redirects"},
		{"key in the error", replies(401, "application/json", errorBody("invalid_api_key", "", "bad key sk-secret-key")), event.ClassAuth, "bad key [redacted]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := ask(t.Context(), setup(t, tc.handler))
			wantClass(t, err, tc.class, tc.part)
			if !reflect.DeepEqual(got, llm.ChatResponse{}) {
				t.Errorf("an error with a response: %+v", got)
			}
		})
	}
}

// cut sends body and breaks the connection.
func cut(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		streams(body)(w, r)
		_ = http.NewResponseController(w).Flush()
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
		}
	}
}

func TestStreamErrorsKeepStatusAndHeaders(t *testing.T) {
	t.Parallel()
	c := setup(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		replies(429, "application/json", errorBody("rate_limit_exceeded", "tokens", "Limit 10, Used 9, Requested 5."))(w, r)
	})
	_, err := ask(t.Context(), c)
	e := wantClass(t, err, event.ClassThrottled, "status 429")
	if e.RetryAfter != 7*time.Second {
		t.Errorf("RetryAfter %s, want 7s", e.RetryAfter)
	}
	var api *goopenai.APIError
	if !errors.As(err, &api) || api.HTTPStatusCode != 429 {
		t.Errorf("no APIError with status 429 in %v", err)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	var body map[string]any
	var header http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		raw, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(raw, &body); err != nil || r.URL.Path != "/v1/chat/completions" {
			t.Errorf("%s: %s: %v", r.URL.Path, raw, err)
		}
		streams(wholeStream)(w, r)
	}))
	defer srv.Close()
	c := clientFor(t, Config{BaseURL: srv.URL + "/v1/", APIKey: "key", MaxTokensField: MaxCompletionTokens,
		ExtraBody: map[string]any{"seed": 7, "stream": false, "model": "other", "max_tokens": 3}})
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	zero := 0.0
	_, err := c.Chat(trace.ContextWithSpanContext(t.Context(), span), llm.ChatRequest{
		Model: "gpt-5-local", Messages: []llm.Message{{Role: "system", Content: ""}, {Role: "user", Content: "<hi>"}},
		MaxTokens: 50, Temperature: &zero, IdempotencyKey: "job-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(body)
	want := `{"max_completion_tokens":50,"messages":[{"content":"","role":"system"},{"content":"\u003chi\u003e","role":"user"}],"model":"gpt-5-local","seed":7,"stream":true,"stream_options":{"include_usage":true},"temperature":0}`
	if string(got) != want {
		t.Errorf("body %s\nwant %s", got, want)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer key", "Idempotency-Key": "job-1", "Content-Type": "application/json", "Accept": "text/event-stream",
		"Traceparent": "00-01000000000000000000000000000000-0200000000000000-01",
	} {
		if header.Get(name) != want {
			t.Errorf("header %s is %q, want %q", name, header.Get(name), want)
		}
	}
}

func TestInvalidRequestsAreNotSent(t *testing.T) {
	t.Parallel()
	c := setup(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	nan := math.NaN()
	for _, req := range []llm.ChatRequest{
		{Messages: []llm.Message{{Role: "user"}}},
		{Model: "m"},
		{Model: "m", Messages: []llm.Message{{Role: "user"}}, Temperature: &nan},
	} {
		_, err := c.Chat(t.Context(), req)
		wantClass(t, err, event.ClassInvalid, "")
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	release := make(chan struct{}, 50)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		streams(wholeStream)(w, r)
		_ = http.NewResponseController(w).Flush()
		select { // the end of the body comes later than [DONE]
		case <-release:
		case <-r.Context().Done():
		}
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	c := clientFor(t, Config{BaseURL: srv.URL})
	for range 50 {
		req := hi()
		req.OnDelta = func(text string) error {
			if text == "Hello" {
				release <- struct{}{}
			}
			return nil
		}
		if _, err := c.Chat(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 50 calls one after another, want 1", n)
	}
}

func TestOnDeltaErrorAborts(t *testing.T) {
	t.Parallel()
	stop := errors.New("enough")
	gone := make(chan struct{})
	c := setup(t, func(w http.ResponseWriter, r *http.Request) {
		streams(roleFrame+helloFrame)(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	_, err := c.Chat(t.Context(), llm.ChatRequest{Model: "m", Messages: []llm.Message{{Role: "user"}}, OnDelta: func(string) error { return stop }})
	if !errors.Is(err, stop) {
		t.Errorf("got %v, want the callback's error", err)
	}
	<-gone
}

func TestCallersContext(t *testing.T) {
	t.Parallel()
	c := setup(t, func(w http.ResponseWriter, r *http.Request) {
		streams(roleFrame+helloFrame)(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	why := errors.New("the user asked")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := c.Chat(ctx, llm.ChatRequest{Model: "m", Messages: []llm.Message{{Role: "user"}}, OnDelta: func(string) error { cancel(why); return nil }})
	wantClass(t, err, event.ClassCanceled, "")
	if !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
		t.Errorf("%v hides the cancellation or its cause", err)
	}
	if _, err := ask(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	short, cancelShort := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelShort()
	_, err = ask(short, c)
	wantClass(t, err, event.ClassDeadline, "")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v hides the deadline", err)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	noName := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "provider", IsNotFound: true}
	})}
	for _, cfg := range []Config{
		{BaseURL: "http://user:pass@" + addr + "/v1"},
		{BaseURL: "http://provider/v1", HTTPClient: noName},
	} {
		c := clientFor(t, cfg)
		_, err := ask(t.Context(), c)
		e := wantClass(t, err, event.ClassUnavailable, "")
		if !strings.Contains(e.Hint, c.endpoint) || strings.Contains(e.Error(), "pass@") {
			t.Errorf("%q: want the endpoint without password in the hint", e)
		}
	}
	c := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.Close()
		}
	})
	_, err = ask(t.Context(), c)
	wantClass(t, err, event.ClassUnavailable, "")
}

func TestTimers(t *testing.T) {
	t.Parallel()
	limits := Timeouts{FirstToken: 10 * time.Second, Idle: 4 * time.Second, Total: time.Minute}
	ping := step{after: 3 * time.Second, text: ": ping\n\n"}
	for _, tc := range []struct {
		name  string
		steps []step
		part  string // of the error, "" for success
		after time.Duration
	}{
		{"in time", []step{{9 * time.Second, roleFrame}, {3 * time.Second, helloFrame}, {3 * time.Second, stopFrame + doneFrame}}, "", 15 * time.Second},
		{"nothing comes", nil, "no first token", 10 * time.Second},
		{"comments are no token", []step{ping, ping, ping, ping, ping}, "no first token", 10 * time.Second},
		{"silence after the first token", []step{{0, roleFrame + helloFrame}, {5 * time.Second, doneFrame}}, "nothing within 4s", 4 * time.Second},
		{"comments keep a stream alive", []step{{0, roleFrame}, ping, ping, ping, ping, {0, helloFrame + stopFrame + doneFrame}}, "", 12 * time.Second},
		{"too long in all", slow(70), "no complete answer", time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clientFor(t, Config{BaseURL: "http://provider/v1", Timeouts: limits, HTTPClient: scripted(tc.steps...)})
				start := time.Now()
				_, err := ask(t.Context(), c)
				took := time.Since(start)
				if tc.part == "" && err != nil {
					t.Fatal(err)
				}
				if tc.part != "" {
					wantClass(t, err, event.ClassUnavailable, tc.part)
				}
				if took < tc.after || took > tc.after+drainWait {
					t.Errorf("took %s, want %s", took, tc.after)
				}
			})
		})
	}
}

// slow is a stream of n pieces, one a second.
func slow(n int) []step {
	var out []step
	for range n {
		out = append(out, step{time.Second, helloFrame})
	}
	return out
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]Config{
		"BaseURL":             {},
		`"ftp://x"`:           {BaseURL: "ftp://x"},
		"Timeouts.Idle is -1": {BaseURL: "http://x", Timeouts: Timeouts{Idle: -1}},
		"MaxConnsPerHost":     {BaseURL: "http://x", MaxConnsPerHost: -3},
		"MaxTokensField":      {BaseURL: "http://x", MaxTokensField: "tokens"},
		"ExtraBody":           {BaseURL: "http://x", ExtraBody: map[string]any{"f": func() {}}},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", cfg, err, want)
		}
	}
	if err := DefaultConfig("https://api.example.com/v1").Validate(); err != nil {
		t.Error(err)
	}
}
