package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/event"
)

func TestGet(t *testing.T) {
	t.Parallel()
	site, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=koi8-r")
		w.Header().Set("Etag", `"v1"`)
		w.Header().Set("Last-Modified", "Mon, 02 Mar 2026 10:00:00 GMT")
		io.WriteString(w, "<p>Hi</p>")
	})
	got, err := client(t, cfg).Get(t.Context(), site+"/a?q=1#part", Conditions{})
	want := Response{URL: site + "/a?q=1", MediaType: "text/html; charset=koi8-r", Body: []byte("<p>Hi</p>"), ETag: `"v1"`, LastModified: "Mon, 02 Mar 2026 10:00:00 GMT"}
	if err != nil || !equal(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

func equal(a, b Response) bool {
	same := bytes.Equal(a.Body, b.Body)
	a.Body, b.Body = nil, nil
	return same && a.URL == b.URL && a.MediaType == b.MediaType && a.ETag == b.ETag && a.LastModified == b.LastModified && a.NotModified == b.NotModified
}

// TestConditions: a document that didn't change isn't sent again.
func TestConditions(t *testing.T) {
	t.Parallel()
	site, cfg := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		if r.Header.Get("If-None-Match") == `"v1"` && r.Header.Get("If-Modified-Since") == "then" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Etag", `"v2"`)
		io.WriteString(w, "new")
	})
	c := client(t, cfg)
	got, err := c.Get(t.Context(), site+"/moved", Conditions{ETag: `"v1"`, LastModified: "then"})
	if want := (Response{URL: site + "/", ETag: `"v1"`, LastModified: "then", NotModified: true}); err != nil || !equal(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	got, err = c.Get(t.Context(), site, Conditions{ETag: `"v0"`})
	if err != nil || got.NotModified || string(got.Body) != "new" || got.ETag != `"v2"` {
		t.Errorf("got %+v (%v), want the new version", got, err)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	site, cfg := serve(t, func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Query().Get("status"))
		if after := r.URL.Query().Get("after"); after != "" {
			w.Header().Set("Retry-After", after)
		}
		w.WriteHeader(status)
	})
	c := client(t, cfg)
	for _, tc := range []struct {
		query string
		class event.Class
		wait  time.Duration
	}{
		{"status=204", event.ClassInvalid, 0},
		{"status=206", event.ClassInvalid, 0},
		{"status=300", event.ClassInvalid, 0},
		{"status=304", event.ClassInvalid, 0}, // nobody asked for it
		{"status=400", event.ClassInvalid, 0},
		{"status=401", event.ClassInvalid, 0},
		{"status=403&after=7", event.ClassInvalid, 0},
		{"status=404", event.ClassInvalid, 0},
		{"status=410", event.ClassInvalid, 0},
		{"status=408", event.ClassUnavailable, 0},
		{"status=425", event.ClassUnavailable, 0},
		{"status=429", event.ClassThrottled, 0},
		{"status=429&after=7", event.ClassThrottled, 7 * time.Second},
		{"status=500", event.ClassUnavailable, 0},
		{"status=502", event.ClassUnavailable, 0},
		{"status=503&after=120", event.ClassUnavailable, 2 * time.Minute},
	} {
		_, err := c.Get(t.Context(), site+"/doc?"+tc.query+"&sig=secret", Conditions{})
		e := wantError(t, err, tc.class, site+"/doc", tc.query[len("status="):len("status=")+3])
		if e.RetryAfter != tc.wait {
			t.Errorf("%s: wait %s, want %s", tc.query, e.RetryAfter, tc.wait)
		}
		if strings.Contains(e.Error(), "secret") {
			t.Errorf("the query is shown in %v", e)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "0": 0, "30": 30 * time.Second, " 30 ": 30 * time.Second, "-5": 0, "soon": 0, "1.5": 0,
		"99999999": maxRetryAfter, "99999999999999999999": 0,
		"Mon, 02 Mar 2026 10:00:30 GMT": 30 * time.Second,
		"Mon, 02 Mar 2026 09:59:30 GMT": 0,
		"Mon, 02 Mar 2099 10:00:00 GMT": maxRetryAfter,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	site, cfg := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/doc" {
			io.WriteString(w, "found")
			return
		}
		if n, ok := strings.CutPrefix(r.URL.Path, "/steps/"); ok && n != "0" {
			left, _ := strconv.Atoi(n)
			http.Redirect(w, r, "/steps/"+strconv.Itoa(left-1), http.StatusMovedPermanently)
			return
		}
		if r.URL.Path == "/loop" {
			http.Redirect(w, r, "/loop", http.StatusFound)
			return
		}
		w.Header()["Location"] = r.URL.Query()["to"]
		w.WriteHeader(http.StatusFound)
	})
	cfg.MaxRedirects = 3
	c := client(t, cfg)
	got, err := c.Get(t.Context(), site+"/go?to=doc", Conditions{})
	if err != nil || string(got.Body) != "found" || got.URL != site+"/doc" {
		t.Errorf("got %+v (%v)", got, err)
	}
	for _, tc := range []struct{ path, want string }{
		{"/go?to=http://169.254.169.254/latest/meta-data/", "169.254.169.254 has no public address"},
		{"/go?to=http://[::ffff:169.254.169.254]/", "no public address"},
		{"/go?to=//127.0.0.2/", "no public address"},
		{"/go?to=http://0x7f.1/", "four decimal numbers"},
		{"/go?to=http://a:secret@127.0.0.1/doc", "user names"},
		{"/go?to=http://127.0.0.1:22/", "port 22"},
		{"/go?to=file:///etc/passwd", `redirects: the scheme "file"`},
		{"/go?to=gopher://127.0.0.1/", `"gopher"`},
		{"/go?to=http://[", "malformed"},
		{"/go", "redirects to nowhere"},
		{"/loop", "more than 3 redirects"},
		{"/steps/4", "more than 3 redirects"},
	} {
		_, err := c.Get(t.Context(), site+tc.path, Conditions{})
		if e := wantError(t, err, event.ClassInvalid, tc.want); strings.Contains(e.Error(), "secret") {
			t.Errorf("the password is shown in %v", e)
		}
	}
	cfg.MaxRedirects = -1
	_, err = client(t, cfg).Get(t.Context(), site+"/go?to=doc", Conditions{})
	wantError(t, err, event.ClassInvalid, "redirects")
}

// TestRedirectCarriesNothing: another site learns nothing of the first one.
func TestRedirectCarriesNothing(t *testing.T) {
	t.Parallel()
	seen := make(chan http.Header, 1)
	other, otherCfg := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
	site, cfg := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1", Path: "/"})
		http.Redirect(w, r, other, http.StatusFound)
	})
	cfg.Ports = append(cfg.Ports, otherCfg.Ports...)
	if _, err := client(t, cfg).Get(t.Context(), site+"/private?sig=secret", Conditions{}); err != nil {
		t.Fatal(err)
	}
	header := <-seen
	if got := slices.Sorted(maps.Keys(header)); !slices.Equal(got, []string{"Accept", "Accept-Encoding", "User-Agent"}) {
		t.Errorf("headers %v", header)
	}
	if got := header.Get("User-Agent"); got != DefaultUserAgent {
		t.Errorf("user agent %q", got)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	plain, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "plain") })
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			http.Redirect(w, r, plain, http.StatusFound)
			return
		}
		io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	cfg.Ports = append(cfg.Ports, port(t, server.URL))

	_, err := client(t, cfg).Get(t.Context(), server.URL, Conditions{})
	wantError(t, err, event.ClassInvalid, "certificate")

	cfg.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig
	c := client(t, cfg)
	if got, err := c.Get(t.Context(), server.URL, Conditions{}); err != nil || string(got.Body) != "HTTP/2.0" {
		t.Errorf("got %q (%v), want HTTP/2", got.Body, err)
	}
	_, err = c.Get(t.Context(), server.URL+"/down", Conditions{})
	wantError(t, err, event.ClassInvalid, "from https to "+plain)
}

// TestRebinding: each connection is checked anew, whatever the name meant before.
func TestRebinding(t *testing.T) {
	t.Parallel()
	site, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	var asked atomic.Int32
	cfg.Resolver = (&names{answers: func(string) []string {
		if asked.Add(1) == 1 {
			return []string{"127.0.0.1"} // the one that is allowed
		}
		return []string{"127.0.0.2"}
	}}).resolver()
	address := strings.Replace(site, "127.0.0.1", "rebind.test", 1)
	c := client(t, cfg)
	if got, err := c.Get(t.Context(), address, Conditions{}); err != nil || string(got.Body) != "ok" {
		t.Fatalf("got %+v (%v)", got, err)
	}
	c.Close()
	_, err := c.Get(t.Context(), address, Conditions{})
	wantError(t, err, event.ClassInvalid, "the host rebind.test has no public address", "ALLOW_PRIVATE")
}

// TestMixedAddresses: of a name's addresses only those that may be are dialled.
func TestMixedAddresses(t *testing.T) {
	t.Parallel()
	site, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	cfg.Resolver = fixed("mixed.test", "127.0.0.2", "127.0.0.1")
	got, err := client(t, cfg).Get(t.Context(), strings.Replace(site, "127.0.0.1", "mixed.test", 1), Conditions{})
	if err != nil || string(got.Body) != "ok" {
		t.Errorf("got %+v (%v)", got, err)
	}
}

func TestNetworkFailures(t *testing.T) {
	t.Parallel()
	site, cfg := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if r.URL.Path == "/half" {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		}
		conn.Close()
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	listener.Close()
	cfg.Ports = append(cfg.Ports, port(t, closed))
	cfg.Resolver = fixed("none.test")
	c := client(t, cfg)
	for _, tc := range []struct {
		address string
		class   event.Class
		want    string
	}{
		{closed, event.ClassUnavailable, "refused"},
		{site + "/reset", event.ClassUnavailable, "EOF"},
		{site + "/half", event.ClassTruncated, "broke off"},
		{"http://none.test/", event.ClassInvalid, "there is no host none.test"},
	} {
		_, err := c.Get(t.Context(), tc.address, Conditions{})
		wantError(t, err, tc.class, tc.want)
	}
}

// TestErrorsKeepSecrets: an error of the network names neither our own address
// nor the name server's.
func TestErrorsKeepSecrets(t *testing.T) {
	t.Parallel()
	reset := &net.OpError{Op: "read", Source: &net.TCPAddr{IP: net.IPv4(10, 9, 8, 7), Port: 5000}, Err: errors.New("reset")}
	lookup := &net.OpError{Op: "dial", Err: &net.DNSError{Name: "a.test", Err: "server misbehaving", Server: "10.9.8.7:53"}}
	c := New(Config{})
	target, err := c.parse("http://a.test/")
	if err != nil {
		t.Fatal(err)
	}
	for want, cause := range map[string]error{"read: reset": reset, "looking up a.test: server misbehaving": lookup} {
		e := wantError(t, c.failure(t.Context(), target, cause), event.ClassUnavailable, want)
		if strings.Contains(e.Error(), "10.9.8.7") || !errors.Is(e, cause) {
			t.Errorf("error %v of %v", e, cause)
		}
	}
}

// TestSlow: neither a server that says nothing nor one that never ends holds a
// call longer than it may.
func TestSlow(t *testing.T) {
	t.Parallel()
	site, cfg := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			w.Header().Set("Content-Length", strconv.Itoa(DefaultMaxBytes+1))
		}
		if r.URL.Path != "/headers" {
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	})
	cfg.Timeout = 50 * time.Millisecond
	c := client(t, cfg)
	for _, path := range []string{"/headers", "/body"} {
		_, err := c.Get(t.Context(), site+path, Conditions{})
		wantError(t, err, event.ClassUnavailable, "no whole answer within 50ms")
	}
	_, err := c.Get(t.Context(), site+"/large", Conditions{}) // refused before it comes
	wantError(t, err, event.ClassTooLarge)

	cfg.Timeout = 0
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = client(t, cfg).Get(ctx, site+"/body", Conditions{})
	if e := event.AsError(err); e.Class != event.ClassDeadline || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the caller's deadline", err)
	}
}

func packed(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBody(t *testing.T) {
	t.Parallel()
	const limit = 1000
	full := bytes.Repeat([]byte("x"), limit)
	bomb := packed(t, make([]byte, 10<<20))
	if len(bomb) < limit {
		t.Fatal("the bomb is smaller than the limit")
	}
	nothing := bytes.Repeat(packed(t, nil), limit) // a long way to say nothing
	for _, tc := range []struct {
		name, encoding string
		body, want     []byte
		class          event.Class
	}{
		{"empty", "", nil, nil, ""},
		{"full", "", full, full, ""},
		{"one more", "", append(full, 'x'), nil, event.ClassTooLarge},
		{"identity", "identity", full, full, ""},
		{"packed", "gzip", packed(t, full), full, ""},
		{"packed by its old name", "X-Gzip", packed(t, full), full, ""},
		{"packed nothing", "gzip", nil, nil, ""},
		{"packed one more", "gzip", packed(t, append(full, 'x')), nil, event.ClassTooLarge},
		{"bomb", "gzip", bomb[:limit], nil, event.ClassTooLarge},
		{"endless nothing", "gzip", nothing, nil, event.ClassTooLarge},
		{"packed and cut", "gzip", packed(t, full)[:20], nil, event.ClassTruncated},
		{"not packed", "gzip", full, nil, event.ClassUnavailable},
		{"brotli", "br", full, nil, event.ClassInvalid},
		{"twice", "gzip, gzip", packed(t, packed(t, full)), nil, event.ClassInvalid},
	} {
		for _, chunked := range []bool{false, true} {
			site, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if tc.encoding != "" {
					w.Header().Set("Content-Encoding", tc.encoding)
				}
				if chunked {
					w.(http.Flusher).Flush()
				} else {
					w.Header().Set("Content-Length", strconv.Itoa(len(tc.body)))
				}
				w.Write(tc.body)
			})
			cfg.MaxBytes = limit
			got, err := client(t, cfg).Get(t.Context(), site, Conditions{})
			if tc.class != "" {
				wantError(t, err, tc.class)
				continue
			}
			if err != nil || !bytes.Equal(got.Body, tc.want) {
				t.Errorf("%s (chunked %v): %d bytes (%v), want %d", tc.name, chunked, len(got.Body), err, len(tc.want))
			}
		}
	}
}

// TestHeadersOfAnswer: what can't be used or kept is left out.
func TestHeadersOfAnswer(t *testing.T) {
	t.Parallel()
	site, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/;;")
		w.Header().Set("Etag", strings.Repeat("e", maxTagBytes+1))
	})
	got, err := client(t, cfg).Get(t.Context(), site, Conditions{})
	if err != nil || got.MediaType != "" || got.ETag != "" {
		t.Errorf("got %+v (%v)", got, err)
	}
}

// TestConnections: a kept connection is used again until Close.
func TestConnections(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c := client(t, Config{AllowPrivate: loopback(), Ports: []uint16{port(t, server.URL)}})
	get := func(want int32) {
		t.Helper()
		if _, err := c.Get(t.Context(), server.URL, Conditions{}); err != nil {
			t.Fatal(err)
		}
		if got := opened.Load(); got != want {
			t.Errorf("%d connections, want %d", got, want)
		}
	}
	get(1)
	get(1)
	c.Close()
	get(2)
}

// TestNoProxy: the environment's proxy, which would dial unchecked, is not asked.
func TestNoProxy(t *testing.T) {
	proxy, _ := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy)
	}
	site, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	cfg.Resolver = fixed("site.test", "127.0.0.1")
	got, err := client(t, cfg).Get(t.Context(), strings.Replace(site, "127.0.0.1", "site.test", 1), Conditions{})
	if err != nil || string(got.Body) != "ok" {
		t.Errorf("got %+v (%v)", got, err)
	}
}

// TestSettings: the environment's forms are read, and wrong ones named.
func TestSettings(t *testing.T) {
	t.Setenv("X_FETCH_ALLOW_PRIVATE", "10.1.0.0/16,fd00:1::/64")
	t.Setenv("X_FETCH_PORTS", "8080,8443")
	t.Setenv("X_FETCH_MAX_BYTES", "1000")
	outer := struct{ Fetch Config }{DefaultConfig()}
	if err := config.Load("X", &outer); err != nil {
		t.Fatal(err)
	}
	got := outer.Fetch
	if len(got.AllowPrivate) != 2 || got.AllowPrivate[1].String() != "fd00:1::/64" || !slices.Equal(got.Ports, []uint16{8080, 8443}) ||
		got.MaxBytes != 1000 || got.Timeout != time.Minute || got.TLS != nil || got.Resolver != nil || got.Field != DefaultField {
		t.Errorf("settings %+v", got)
	}
	for want, bad := range map[string]Config{
		"X_FETCH_PORTS: got 0":                           {Ports: []uint16{0}},
		"X_FETCH_MAX_BYTES: got -1":                      {MaxBytes: -1},
		"X_FETCH_TIMEOUT: got -1s":                       {Timeout: -time.Second},
		"X_FETCH_ALLOW_PRIVATE: got ::ffff:10.0.0.0/104": {AllowPrivate: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}},
	} {
		bad.Settings = "X_FETCH"
		if err := bad.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
