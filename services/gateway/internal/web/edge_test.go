package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tenant"
)

// reader may read and nothing else.
type reader struct{}

func (reader) Authenticate(_ context.Context, bearer, _ string) (tenant.Principal, error) {
	if bearer != "secret" {
		return tenant.Principal{}, &event.Error{Class: event.ClassAuth, Message: "no key"}
	}
	return tenant.Principal{Tenant: "acme", Scopes: []catalog.Scope{catalog.ScopeRead}}, nil
}

// plain is a Shape of one line.
func plain(w http.ResponseWriter, _ *http.Request, e *Error) {
	w.WriteHeader(e.Status)
	io.WriteString(w, "plain "+e.Code) //nolint:errcheck // a test's recorder
}

// grace is that of the tests' bodies.
const grace = 100 * time.Millisecond

func serve(t *testing.T) (string, *prometheus.Registry) {
	t.Helper()
	mux := NewMux(reader{})
	mux.Route("GET /ok", catalog.ScopeRead, Problem, func(w http.ResponseWriter, r *Request) error {
		return JSON(w, http.StatusOK, r.Tenant)
	})
	mux.Route("POST /ok", catalog.ScopeSubmit, Problem, func(http.ResponseWriter, *Request) error { return nil })
	mux.Route("POST /body", catalog.ScopeRead, Problem, func(w http.ResponseWriter, r *Request) error {
		body, err := r.JSON(100)
		if err != nil {
			return err
		}
		return JSON(w, http.StatusOK, len(body))
	})
	mux.Route("GET /panic", catalog.ScopeRead, plain, func(http.ResponseWriter, *Request) error { panic("boom") })
	mux.Route("GET /late", catalog.ScopeRead, Problem, func(w http.ResponseWriter, _ *Request) error {
		w.Write(make([]byte, 100_000)) //nolint:errcheck // the client reads
		panic("boom")
	})
	mux.Route("POST /long", catalog.ScopeRead, Problem, func(w http.ResponseWriter, r *Request) error {
		if _, err := r.JSON(100); err != nil {
			return err
		}
		select {
		case <-r.Context().Done():
			return context.Cause(r.Context())
		case <-time.After(3 * grace):
			return JSON(w, http.StatusOK, "still there")
		}
	})
	mux.Route("GET /wait", catalog.ScopeRead, Problem, func(http.ResponseWriter, *Request) error {
		return &Error{Status: http.StatusServiceUnavailable, Code: "queue_full", RetryAfter: 1500 * time.Millisecond, Cause: event.Invalid("a", "b", "c")}
	})
	reg := prometheus.NewRegistry()
	server := httptest.NewServer(Edge(mux, EdgeConfig{Logger: slog.New(slog.DiscardHandler), Registerer: reg, Now: time.Now, BodyGrace: grace}))
	t.Cleanup(server.Close)
	return server.URL, reg
}

func get(t *testing.T, method, url, body string, header ...string) (status int, head http.Header, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer secret")
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, res.Header, "cut: " + err.Error()
	}
	return res.StatusCode, res.Header, string(data)
}

func TestEdge(t *testing.T) {
	t.Parallel()
	url, reg := serve(t)
	for _, tt := range []struct {
		method, path, body string
		header             []string
		status             int
		want               string
	}{
		{"GET", "/ok", "", nil, 200, `"acme"`},
		{"HEAD", "/ok", "", nil, 200, ""},
		{"GET", "/ok", "", []string{"Authorization", ""}, 401, `"code":"auth"`},
		{"GET", "/ok", "", []string{"Authorization", "", "X-Api-Key", "secret"}, 200, `"acme"`},
		{"GET", "/ok", "", []string{"Authorization", "bearer secret"}, 200, `"acme"`}, // RFC 9110, 11.1
		{"GET", "/ok", "", []string{"Authorization", "Basic secret"}, 401, `"code":"auth"`},
		{"POST", "/ok", "", nil, 403, "submit"},
		{"GET", "/none", "", nil, 404, `"code":"not_found"`},
		{"GET", "/ok/", "", nil, 404, `"code":"not_found"`},
		{"DELETE", "/ok", "", nil, 405, `"code":"method_not_allowed"`},
		{"POST", "/panic", "", nil, 405, "plain method_not_allowed"},
		{"GET", "/panic", "", nil, 500, "plain internal"},
		{"GET", "/late", "", nil, 200, "cut: "},
		{"GET", "/wait", "", nil, 503, `"retry_after_ms":1500`},
		{"POST", "/body", `{"a":1}`, nil, 200, "7"},
		{"POST", "/body", `{"a":1}`, []string{"Content-Type", "application/json; charset=UTF-8"}, 200, "7"},
		{"POST", "/body", `{"a":1}`, []string{"Content-Type", "application/json; charset=latin1"}, 415, "Content-Type"},
		{"POST", "/body", `{"a":1}`, []string{"Content-Type", "text/plain"}, 415, "send application/json"},
		{"POST", "/body", `{"a":1}`, []string{"Content-Type", ""}, 415, "Content-Type"},
		{"POST", "/body", `{"a":1}`, []string{"Content-Encoding", "gzip"}, 415, "Content-Encoding"},
		{"POST", "/body", strings.Repeat(" ", 101), nil, 413, `"code":"too_large"`},
		{"POST", "/body", "", nil, 400, "no JSON"},
		{"POST", "/body", `{"a":1}{}`, nil, 400, "no JSON"},
	} {
		status, head, body := get(t, tt.method, url+tt.path, tt.body, tt.header...)
		if status != tt.status || !strings.Contains(body, tt.want) || event.CheckName("id", head.Get(HeaderRequest)) != nil {
			t.Errorf("%s %s %q: got %d %s, want %d %s", tt.method, tt.path, tt.body, status, body, tt.status, tt.want)
		}
		if tt.status == 405 && head.Get("Allow") == "" || tt.status == 503 && head.Get("Retry-After") != "2" {
			t.Errorf("%s %s: header %v", tt.method, tt.path, head)
		}
		if strings.Contains(body, `"code"`) && (!json.Valid([]byte(body)) || head.Get("Content-Type") != "application/problem+json") {
			t.Errorf("%s %s: got %s as %s", tt.method, tt.path, body, head.Get("Content-Type"))
		}
	}
	requests, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if n := testutil.CollectAndCount(reg, "weir_gateway_requests_total"); n == 0 || len(requests) != 3 {
		t.Errorf("%d counts in %d families", n, len(requests))
	}
}

// TestSlowBody: one that comes in drops is given up, and what is unread of one that
// was refused does not hold the connection.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	url, _ := serve(t)
	for head, want := range map[string]string{
		"POST /body HTTP/1.1\r\nAuthorization: Bearer secret\r\n": "408",
		"POST /body HTTP/1.1\r\n":                                 "401",
		"POST /none HTTP/1.1\r\n":                                 "404",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()                                                                                    //nolint:errcheck // read only
		conn.SetDeadline(time.Now().Add(20 * time.Second))                                                    //nolint:errcheck // a reader that waits fails
		io.WriteString(conn, head+"Host: a\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{") //nolint:errcheck // the answer tells
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 "+want) {
			t.Errorf("%q: got %q, %v, want %s and the end", head, answer, err, want)
		}
	}
}

// TestBodiesAreBounded: together, and counted until their requests end.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	mux := NewMux(reader{})
	mux.Route("POST /", catalog.ScopeRead, Problem, func(w http.ResponseWriter, r *Request) error {
		body, err := r.JSON(100)
		if err != nil {
			return err
		}
		return JSON(w, http.StatusOK, len(body))
	})
	post := func() int {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(`{"a":1}`))
		r.Header.Set("Authorization", "Bearer secret")
		r.Header.Set("Content-Type", "application/json")
		mux.ServeHTTP(w, r)
		return w.Code
	}
	if status := post(); status != http.StatusOK || mux.bodies.Load() != 0 {
		t.Fatalf("got %d, and %d bytes are held", status, mux.bodies.Load())
	}
	mux.bodies.Store(maxBodies - 3)
	if status := post(); status != http.StatusServiceUnavailable || mux.bodies.Load() != maxBodies-3 {
		t.Errorf("got %d, and %d bytes are held", status, mux.bodies.Load())
	}
}

// TestAfterTheBody: the bound of the body is none of what follows.
func TestAfterTheBody(t *testing.T) {
	t.Parallel()
	url, _ := serve(t)
	if status, _, body := get(t, "POST", url+"/long", `{}`); status != http.StatusOK {
		t.Errorf("got %d %s", status, body)
	}
}

// brokenBody fails after its first bytes.
type brokenBody struct{ read bool }

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.read {
		return 0, errors.New("connection reset")
	}
	b.read = true
	return copy(p, `{"a":`), nil
}

func TestBrokenBody(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/", &brokenBody{})
	r.Header.Set("Content-Type", "application/json")
	if _, err := (&Request{Request: r}).JSON(1000); err == nil || !strings.Contains(err.Error(), "send the whole body") {
		t.Errorf("got %v", err)
	}
}

// FuzzBody: whatever comes as a body, the answer is one of those that are meant.
func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "application/json", int64(10))
	f.Add([]byte("\xff"), "application/json;charset=utf-8", int64(10))
	f.Add([]byte(`{`), ";;", int64(0))
	f.Fuzz(func(t *testing.T, body []byte, contentType string, limit int64) {
		r := httptest.NewRequestWithContext(context.Background(), "POST", "/", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", contentType)
		limit = min(max(limit, 0), 1<<16)
		got, err := (&Request{Request: r}).JSON(limit)
		if err == nil {
			if int64(len(got)) > limit || string(got) != string(body) || !json.Valid(got) {
				t.Errorf("read %q of %q", got, body)
			}
			return
		}
		switch status := From(err).Status; status {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		default:
			t.Errorf("%q: got %d %v", body, status, err)
		}
	})
}
