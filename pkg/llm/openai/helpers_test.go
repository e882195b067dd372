package openai

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// Frames of a well-behaved stream.
const (
	roleFrame   = `data: {"id":"c","model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}` + "\n\n"
	helloFrame  = `data: {"id":"c","model":"m-1","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}],"usage":null}` + "\n\n"
	worldFrame  = `data: {"id":"c","model":"m-1","choices":[{"index":0,"delta":{"content":" world"},"finish_reason":null}],"usage":null}` + "\n\n"
	stopFrame   = `data: {"id":"c","model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}` + "\n\n"
	usageFrame  = `data: {"id":"c","model":"m-1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"prompt_tokens_details":{"cached_tokens":4}}}` + "\n\n"
	doneFrame   = "data: [DONE]\n\n"
	wholeStream = roleFrame + helloFrame + worldFrame + stopFrame + usageFrame + doneFrame
)

// setup starts a server with handler and returns a client for it.
func setup(t *testing.T, handler http.HandlerFunc, change ...func(*Config)) *Client {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	cfg := Config{BaseURL: srv.URL + "/v1", APIKey: "sk-secret-key"}
	for _, f := range change {
		f(&cfg)
	}
	return clientFor(t, cfg)
}

func clientFor(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// streams is a handler that sends body as an event stream.
func streams(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = w.Write([]byte(body))
	}
}

// replies is a handler that sends body with a status.
func replies(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func ask(ctx context.Context, c *Client) (llm.ChatResponse, error) {
	return c.Chat(ctx, hi())
}

func hi() llm.ChatRequest {
	return llm.ChatRequest{Model: "m", Messages: []llm.Message{{Role: "user", Content: "hi"}}}
}

// wantClass fails unless err is an *event.Error of class whose text holds part.
func wantClass(t *testing.T, err error, class event.Class, part string) *event.Error {
	t.Helper()
	var e *event.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *event.Error of class %s", err, class)
	}
	if e.Class != class || !strings.Contains(e.Error(), part) {
		t.Fatalf("got %q, want class %s and %q in it", e, class, part)
	}
	return e
}

// roundTripper answers with a body that the test writes.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// scriptedBody gives each step's text after its wait, as a network would: the
// request's context ends a wait.
type scriptedBody struct {
	ctx   context.Context
	steps []step
}

type step struct {
	after time.Duration
	text  string
}

func (b *scriptedBody) Read(p []byte) (int, error) {
	if len(b.steps) == 0 {
		<-b.ctx.Done()
		return 0, b.ctx.Err()
	}
	timer := time.NewTimer(b.steps[0].after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
	n := copy(p, b.steps[0].text)
	b.steps[0] = step{text: b.steps[0].text[n:]}
	if b.steps[0].text == "" {
		b.steps = b.steps[1:]
	}
	return n, nil
}

func (b *scriptedBody) Close() error { return nil }

// scripted is an HTTP client whose answers are streams of steps.
func scripted(steps ...step) *http.Client {
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200, Status: "200 OK", Request: r,
			Header: http.Header{"Content-Type": {"text/event-stream"}},
			Body:   &scriptedBody{ctx: r.Context(), steps: append([]step(nil), steps...)},
		}, nil
	})}
}

func frames(n int, frame string) string {
	return strings.Repeat(frame, n)
}

func errorBody(code, kind, message string) string {
	return fmt.Sprintf(`{"error":{"message":%q,"type":%q,"param":null,"code":%q}}`, message, kind, code)
}
