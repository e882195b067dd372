package notifier

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/webhook"
)

// TestReceivers: however a receiver behaves, each event ends once, as delivered or as
// a dead letter.
func TestReceivers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		handle func(w http.ResponseWriter, try int)
		tries  int    // of each event
		error  string // of the last one; "" when it is delivered
	}{
		"accepts": {handle: accept, tries: 1},
		"fails and recovers": {handle: func(w http.ResponseWriter, try int) {
			if try < 3 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}, tries: 3},
		"fails": {handle: func(w http.ResponseWriter, _ int) {
			http.Error(w, "no", http.StatusBadGateway)
		}, tries: 4, error: "502"},
		"has no such page": {handle: func(w http.ResponseWriter, _ int) {
			w.WriteHeader(http.StatusNotFound)
		}, tries: 4, error: "404"},
		"is gone": {handle: func(w http.ResponseWriter, _ int) {
			w.WriteHeader(http.StatusGone)
		}, tries: 1, error: "410"},
		"redirects inside": {handle: func(w http.ResponseWriter, _ int) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, tries: 4, error: "redirects are not followed"},
		"sends 10 MB with an error": {handle: func(w http.ResponseWriter, _ int) {
			w.WriteHeader(http.StatusInternalServerError)
			for range 10 {
				w.Write(make([]byte, 1<<20)) //nolint:errcheck // cut off
			}
		}, tries: 4, error: "500"},
		"sends 10 MB": {handle: func(w http.ResponseWriter, _ int) {
			w.WriteHeader(http.StatusOK)
			for range 10 {
				w.Write(make([]byte, 1<<20)) //nolint:errcheck // cut off
			}
		}, tries: 1},
		"accepts and breaks off": {handle: func(w http.ResponseWriter, _ int) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusOK)
			w.Write([]byte("half"))               //nolint:errcheck // cut off
			http.NewResponseController(w).Flush() //nolint:errcheck // a test's own server
		}, tries: 1},
		"breaks off": {handle: func(w http.ResponseWriter, _ int) {
			if s, ok := w.(*statusSpy); ok {
				s.status = -1
			}
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				conn.Close() //nolint:errcheck // that is the point
			}
		}, tries: 4, error: "reaching http://127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, tc.handle)
			cfg := quick()
			cfg.BreakAfter = 1000
			g := newRig(t, cfg, acme(), r)
			const jobs = 3
			for i := range jobs {
				g.finish(fmt.Sprintf("j%d", i), r.URL+"/hook?key=hidden")
			}
			want, letters := webhook.StateDelivered, 0
			if tc.error != "" {
				want, letters = webhook.StateDead, jobs
			}
			for _, d := range g.deliveries(want, jobs) {
				if d.Attempts != tc.tries || !strings.Contains(d.Error, tc.error) || (d.Error == "") != (tc.error == "") {
					t.Errorf("ended after %d tries with %q, want %d with %q", d.Attempts, d.Error, tc.tries, tc.error)
				}
				if len(d.Response) > maxResponse+3 || strings.Contains(d.Error, "hidden") {
					t.Errorf("keeps %d bytes of the answer, says %s", len(d.Response), d.Error)
				}
			}
			g.idle()
			eventually(t, func() string { // the receiver may be at its answer still
				if ids, _, _ := r.counts(t); letters == 0 && ids < jobs {
					return fmt.Sprintf("%d events accepted, want %d", ids, jobs)
				}
				return ""
			})
			ids, most, tries := r.counts(t)
			if letters == 0 && (ids != jobs || most != 1) || letters > 0 && ids > 0 || tries != jobs*tc.tries {
				t.Errorf("%d events accepted, %d times at most, in %d tries", ids, most, tries)
			}
			if n := g.count(bus.StreamDead); n != letters {
				t.Errorf("%d dead letters, want %d", n, letters)
			}
		})
	}
}

// TestHang: a receiver that does not answer is given up, and not waited for.
func TestHang(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	r := newReceiver(t, func(w http.ResponseWriter, _ int) {
		<-hang
		w.WriteHeader(http.StatusInternalServerError)
	})
	t.Cleanup(func() { close(hang) })
	cfg := quick()
	cfg.Timeout, cfg.Schedule = 100*time.Millisecond, []time.Duration{0}
	g := newRig(t, cfg, acme(), r)
	g.finish("j1", r.URL)
	if d := g.deliveries(webhook.StateDead, 1)[0]; d.Attempts != 2 || !strings.Contains(d.Error, "no answer within 100ms") {
		t.Errorf("got %+v", d)
	}
}

// TestPayload: what a receiver over https is told.
func TestPayload(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, accept)
	secure := httptest.NewTLSServer(r)
	t.Cleanup(secure.Close)
	cfg := quick()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	cfg.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	g := newRig(t, cfg, acme(), r, &receiverStub{Server: secure})
	g.store1(event.Result{ID: "large", Tenant: "acme", Kind: event.KindGenerate, Status: event.StatusOK, Webhook: secure.URL,
		Answer: &event.Answer{Text: strings.Repeat("x", webhook.MaxBody)}, Metadata: map[string]string{"k": "v"}})
	g.store1(event.Result{ID: "failed", Tenant: "acme", Kind: event.KindGenerate, Status: event.StatusFailed, Webhook: secure.URL,
		Error: event.Invalid("messages", "add one", "empty")})
	g.deliveries(webhook.StateDelivered, 2)
	r.mu.Lock()
	defer r.mu.Unlock()
	got := map[string]map[string]any{}
	for _, p := range r.payloads {
		data, ok := p.Data.(map[string]any)
		if !ok || p.Timestamp.IsZero() {
			t.Fatalf("got %+v", p)
		}
		got[p.Type] = data
	}
	if d := got[webhook.JobCompleted]; d["id"] != "large" || d["answer"] != nil || d["metadata"] == nil || !strings.Contains(fmt.Sprint(d["note"]), "/v1/jobs/large") {
		t.Errorf("of the large one: %v", d)
	}
	if d := got[webhook.JobFailed]; d["id"] != "failed" || d["error"] == nil || d["note"] != nil {
		t.Errorf("of the failed one: %v", d)
	}
}

// TestEndpoints: endpoints are told of what they ask for, once, whether or not a job
// names them.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	all, failures, named := newReceiver(t, accept), newReceiver(t, accept), newReceiver(t, accept)
	g := newRig(t, quick(), acme(
		catalog.Endpoint{ID: "all", URL: all.URL, Events: []string{webhook.Any}},
		catalog.Endpoint{ID: "failures", URL: failures.URL, Events: []string{webhook.JobFailed, webhook.BatchFailed}},
		catalog.Endpoint{ID: "named", URL: named.URL},
	), all, failures, named)
	g.finish("plain", "")
	g.finish("by-name", "named")
	g.finish("by-url", all.URL)
	g.store1(event.Result{ID: "failed", Tenant: "acme", Kind: event.KindBatch, Status: event.StatusFailed, Error: event.Errorf(event.ClassInternal, "x")})
	g.store1(event.Result{ID: "other", Tenant: "other", Kind: event.KindGenerate, Status: event.StatusOK})
	g.deliveries(webhook.StateDelivered, 4+1+1)
	g.idle()
	for name, want := range map[*receiverStub]int{all: 4, failures: 1, named: 1} {
		if ids, most, _ := name.counts(t); ids != want || most != 1 {
			t.Errorf("%d events, %d times at most, want %d once", ids, most, want)
		}
	}
}

// TestRefused: what can't be delivered is given up at once, and nothing is sent.
func TestRefused(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, accept)
	noSecret := tenants{{ID: "acme"}}
	closed := quick()
	closed.AllowPrivate = nil
	for name, tc := range map[string]struct {
		cfg   Config
		c     Catalog
		to    string
		error string
	}{
		"loopback":         {closed, acme(), r.URL, "may not be reached"},
		"metadata":         {closed, acme(), "http://169.254.169.254/latest", "may not be reached"},
		"https to private": {closed, acme(), "https://10.0.0.1/", "may not be reached"},
		"http to public":   {quick(), acme(), "http://8.8.8.8/", "may not be reached"},
		"odd port":         {quick(), acme(), "https://example.com:22/", "port 22"},
		"odd scheme":       {quick(), acme(), "file:///etc/passwd", "scheme"},
		"octal":            {quick(), acme(), "http://0177.0.0.1/", "four decimal numbers"},
		"with a password":  {quick(), acme(), "https://u:p@example.com/", "user names"},
		"no such endpoint": {quick(), acme(), "ops", `no endpoint "ops"`},
		"no secret":        {quick(), noSecret, r.URL, "nothing is sent unsigned"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, tc.cfg, tc.c, r)
			g.finish("j1", tc.to)
			d := g.deliveries(webhook.StateDead, 1)[0]
			if d.Attempts != 1 || !strings.Contains(d.Error, tc.error) {
				t.Errorf("ended after %d tries with %q, want 1 with %q", d.Attempts, d.Error, tc.error)
			}
			if n := g.count(bus.StreamDead); n != 1 {
				t.Errorf("%d dead letters, want 1", n)
			}
		})
	}
	t.Cleanup(func() {
		if _, _, tries := r.counts(t); tries > 0 {
			t.Errorf("%d requests were sent", tries)
		}
	})
}

// TestNeighbour: a receiver that hangs with a thousand deliveries holds up no other
// one, not even of its own tenant.
func TestNeighbour(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	bad := newReceiver(t, func(w http.ResponseWriter, _ int) {
		<-hang
		w.WriteHeader(http.StatusInternalServerError)
	})
	good := newReceiver(t, accept)
	cfg := quick()
	cfg.Timeout = DefaultConfig().Timeout
	g := newRig(t, cfg, acme(), bad, good)
	t.Cleanup(func() { close(hang) }) // before the notifier waits for its tries
	for i := range 1000 {
		g.finish(fmt.Sprintf("bad%d", i), bad.URL)
	}
	start := time.Now()
	for i := range 200 {
		g.finish(fmt.Sprintf("good%d", i), good.URL)
	}
	g.deliveries(webhook.StateDelivered, 200)
	took := time.Since(start)
	t.Logf("200 deliveries beside 1,000 that hang took %s", took)
	if took > 10*time.Second {
		t.Errorf("200 deliveries took %s", took)
	}
	if ids, most, _ := good.counts(t); ids != 200 || most != 1 {
		t.Errorf("%d events, %d times at most", ids, most)
	}
	if _, _, tries := bad.counts(t); tries > cfg.Concurrency {
		t.Errorf("%d tries at once, want %d at most", tries, cfg.Concurrency)
	}
}

// TestBreaker: a receiver that fails all the time is left alone, and gets everything
// when it is back.
func TestBreaker(t *testing.T) {
	t.Parallel()
	var r *receiverStub
	const patient = 12
	r = newReceiver(t, func(w http.ResponseWriter, _ int) {
		r.mu.Lock()
		total := 0
		for _, n := range r.tries {
			total += n
		}
		r.mu.Unlock()
		if total <= patient {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	cfg := quick()
	cfg.Schedule = make([]time.Duration, 20)
	cfg.BreakAfter, cfg.BreakFor, cfg.BreakCap = 3, 50*time.Millisecond, 100*time.Millisecond
	g := newRig(t, cfg, acme(), r)
	const jobs = 50
	for i := range jobs {
		g.finish(fmt.Sprintf("j%d", i), r.URL)
	}
	g.deliveries(webhook.StateDelivered, jobs)
	g.idle()
	ids, most, tries := r.counts(t)
	if ids != jobs || most != 1 || tries != jobs+patient {
		t.Errorf("%d events, %d times at most, in %d tries", ids, most, tries)
	}
}

// TestRetryAfter: a receiver that asks for a pause gets it.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(w http.ResponseWriter, _ int) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	g := newRig(t, quick(), acme(), r)
	g.finish("j1", r.URL)
	eventually(t, func() string {
		all, err := g.store.List(t.Context(), "acme", webhook.Query{})
		if err != nil || len(all) != 1 || all[0].Attempts != 1 {
			return fmt.Sprintf("%+v, %v", all, err)
		}
		if wait := time.Until(all[0].Next); wait < 59*time.Minute || wait > time.Hour {
			t.Errorf("comes again in %s", wait)
		}
		return ""
	})
}

// TestRestart: a notifier that stops in the middle loses nothing, and what was
// accepted is not sent again.
func TestRestart(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(w http.ResponseWriter, try int) {
		if try == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	cfg := quick()
	cfg.BreakAfter = 1000
	c := acme()
	g := newRig(t, cfg, c, r)
	const jobs = 200
	for i := range jobs {
		g.finish(fmt.Sprintf("j%d", i), r.URL)
		if i%50 == 25 {
			g.stop()
		}
		if i%50 == 40 {
			g.start(c)
		}
	}
	g.deliveries(webhook.StateDelivered, jobs)
	g.idle()
	if ids, most, tries := r.counts(t); ids != jobs || most != 1 || tries != 2*jobs {
		t.Errorf("%d events, %d times at most, in %d tries", ids, most, tries)
	}
	if n := g.count(bus.StreamDead); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// TestAgain: what was given up can be asked for again, by its id or by its dead
// letter, and each asking is done once.
func TestAgain(t *testing.T) {
	t.Parallel()
	var works bool
	var r *receiverStub
	r = newReceiver(t, func(w http.ResponseWriter, _ int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !works {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	g := newRig(t, quick(), acme(), r)
	g.finish("j1", r.URL)
	d := g.deliveries(webhook.StateDead, 1)[0]
	letter := g.letter()
	if letter.Header.Get(stage.HeaderErrorClass) == "" || letter.Header.Get(stage.HeaderError) == "" || letter.Header.Get(headerDelivery) != d.ID {
		t.Errorf("the dead letter says %v", letter.Header)
	}
	r.mu.Lock()
	works = true
	r.mu.Unlock()
	for range 2 { // a redrive, and one too many
		if err := g.bus.Publish(t.Context(), bus.Out{Subject: letter.Header.Get(stage.HeaderSubject), Data: letter.Data}); err != nil {
			t.Fatal(err)
		}
	}
	g.deliveries(webhook.StateDelivered, 1)
	g.idle()
	if _, err := g.store.Redeliver(t.Context(), "acme", d.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if _, most, _ := r.counts(t); most != 2 {
			return fmt.Sprintf("accepted %d times, want 2", most)
		}
		return ""
	})
	g.idle()
	again := g.deliveries(webhook.StateDelivered, 1)[0]
	if _, _, tries := r.counts(t); again.Round != 2 || again.Attempts != 1 || tries != again.Round+4 {
		t.Errorf("round %d, %d attempts, %d tries", again.Round, again.Attempts, tries)
	}
	if _, err := g.store.Redeliver(t.Context(), "other", d.ID); err == nil {
		t.Error("another tenant could ask for it")
	}
}

// TestSend: a test is sent to an endpoint; the tenant of an open API has a secret.
func TestSend(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, accept)
	g := newRig(t, quick(), acme(catalog.Endpoint{ID: "ops", URL: r.URL}), r)
	if _, err := g.store.Send(t.Context(), "acme", "ops"); err != nil {
		t.Fatal(err)
	}
	g.deliveries(webhook.StateDelivered, 1)
	if ids, _, _ := r.counts(t); ids != 1 || r.payloads[0].Type != webhook.Test {
		t.Errorf("%d events: %+v", ids, r.payloads)
	}
	d, err := g.store.Send(t.Context(), "default", r.URL)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		d, err = g.store.Get(t.Context(), "default", d.ID)
		if err != nil || d.State != webhook.StateDelivered {
			return fmt.Sprintf("%+v, %v", d, err)
		}
		return ""
	})
	if len(r.bad) != 1 { // signed with another secret than acme's
		t.Errorf("the signatures: %v", r.bad)
	}
}

// TestGiveUp: what a receiver's breaker holds for too long ends without a try.
func TestGiveUp(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusServiceUnavailable) })
	cfg := quick()
	cfg.Schedule = make([]time.Duration, 1000)
	cfg.BreakAfter, cfg.BreakFor, cfg.BreakCap, cfg.GiveUpAfter = 1, 500*time.Millisecond, 500*time.Millisecond, 2*time.Second
	g := newRig(t, cfg, acme(), r)
	const jobs = 20
	for i := range jobs {
		g.finish(fmt.Sprintf("j%d", i), r.URL)
	}
	held := 0
	for _, d := range g.deliveries(webhook.StateDead, jobs) {
		if strings.Contains(d.Error, "has failed or was busy for 2s") {
			held++
		}
	}
	g.idle()
	if _, _, tries := r.counts(t); held == 0 || tries > 10 {
		t.Errorf("%d were given up without a last try, after %d tries in all", held, tries)
	}
	if n := g.count(bus.StreamDead); n != jobs {
		t.Errorf("%d dead letters, want %d", n, jobs)
	}
}

// TestAgainWhileItIsTried: who asks for a delivery again while a try of it is under way
// gets it, whatever comes of that try.
func TestAgainWhileItIsTried(t *testing.T) {
	t.Parallel()
	begun, fail := make(chan struct{}, 10), make(chan struct{})
	r := newReceiver(t, func(w http.ResponseWriter, try int) {
		begun <- struct{}{}
		if try == 1 {
			<-fail
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	cfg := quick()
	cfg.Timeout, cfg.Schedule = 2*time.Second, []time.Duration{time.Hour}
	g := newRig(t, cfg, acme(), r)
	g.finish("j1", r.URL)
	<-begun
	id := g.deliveries(webhook.StateWaiting, 1)[0].ID
	if _, err := g.store.Redeliver(t.Context(), "acme", id); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if n := g.count(bus.StreamDelay); n != 2 { // the first message, which is in work, and the one that waits
			return fmt.Sprintf("%d messages", n)
		}
		s, err := g.bus.JetStream().Stream(t.Context(), bus.StreamDelay)
		if err != nil {
			return err.Error()
		}
		if _, err := s.GetLastMsgForSubject(t.Context(), event.DelaySubject(webhook.KindHooks, "acme", id)); err != nil {
			return err.Error()
		}
		return ""
	})
	close(fail)
	if d := g.deliveries(webhook.StateDelivered, 1)[0]; d.Round != 1 || d.Attempts != 1 {
		t.Errorf("got %+v", d)
	}
}
