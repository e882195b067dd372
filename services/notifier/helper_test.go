package notifier

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/webhook"
)

// patience bounds every wait; a passing test needs a fraction of it.
const patience = 30 * time.Second

// secret signs for acme.
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" //nolint:gosec // the one of Standard Webhooks' own tests

// tenants is a catalog of tenants.
type tenants []catalog.Tenant

func (t tenants) Current() *catalog.Catalog { return &catalog.Catalog{Tenants: t} }

// acme is the tenant of most tests.
func acme(endpoints ...catalog.Endpoint) tenants {
	return tenants{{ID: "acme", Webhooks: catalog.Webhooks{Secrets: []string{secret}, Endpoints: endpoints}}}
}

// rig is a notifier on a NATS server of its own.
type rig struct {
	t     *testing.T
	bus   *bus.Bus
	store *webhook.Store
	cfg   Config
	stop  func()
}

// quick is a configuration whose tries follow each other at once.
func quick() Config {
	cfg := DefaultConfig()
	cfg.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	cfg.Timeout = time.Second
	cfg.Schedule = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}
	cfg.BreakFor, cfg.BreakCap = 300*time.Millisecond, time.Second
	return cfg
}

func newRig(t *testing.T, cfg Config, c Catalog, receivers ...*receiverStub) *rig {
	t.Helper()
	b, _ := bustest.New(t)
	for _, r := range receivers {
		cfg.Ports = append(cfg.Ports, r.port(t))
	}
	g := &rig{t: t, bus: b, store: webhook.NewStore(b, time.Now), cfg: cfg}
	g.start(c)
	return g
}

// start runs a notifier until stop is called, or the test ends.
func (g *rig) start(c Catalog) {
	g.t.Helper()
	s, err := New(platform.Platform{NATS: g.bus.Conn()}, g.cfg, Ports{Catalog: c})
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				g.t.Errorf("notifier: %v", err)
			}
		case <-time.After(patience):
			g.t.Error("the notifier did not end")
		}
	})
	g.t.Cleanup(g.stop)
	select {
	case <-s.Ready():
	case <-time.After(patience):
		g.t.Fatal("the notifier is not ready")
	}
}

// finish stores the result of a job of acme that names a webhook.
func (g *rig) finish(job, to string) {
	g.t.Helper()
	g.store1(event.Result{ID: job, Tenant: "acme", Kind: event.KindGenerate, Status: event.StatusOK, Webhook: to,
		Answer: &event.Answer{Text: "hello"}})
}

func (g *rig) store1(r event.Result) {
	g.t.Helper()
	r.V, r.FinishedAt = event.Version, time.Now().UTC()
	out, err := stage.ResultOut(r)
	if err == nil {
		err = g.bus.Publish(g.t.Context(), out)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// deliveries waits until so many deliveries of acme are in a state, and returns them.
func (g *rig) deliveries(state webhook.State, n int) []webhook.Delivery {
	g.t.Helper()
	var all []webhook.Delivery
	eventually(g.t, func() string {
		var err error
		if all, err = g.store.List(g.t.Context(), "acme", webhook.Query{State: state, Limit: webhook.MaxLimit}); err != nil {
			return err.Error()
		}
		if len(all) != n {
			every, _ := g.store.List(g.t.Context(), "acme", webhook.Query{})
			return fmt.Sprintf("%d are %s, want %d: %+v", len(all), state, n, every[:min(3, len(every))])
		}
		return ""
	})
	return all
}

// idle waits until nothing waits for its time or to be delivered.
func (g *rig) idle() {
	g.t.Helper()
	eventually(g.t, func() string {
		if n := g.count(bus.StreamDelay); n > 0 {
			return fmt.Sprintf("%d messages wait", n)
		}
		return ""
	})
}

func (g *rig) count(stream string) int {
	g.t.Helper()
	s, err := g.bus.JetStream().Stream(g.t.Context(), stream)
	if err != nil {
		g.t.Fatal(err)
	}
	return int(s.CachedInfo().State.Msgs) //nolint:gosec // a count
}

// letter is the only dead letter.
func (g *rig) letter() *jetstream.RawStreamMsg {
	g.t.Helper()
	s, err := g.bus.JetStream().Stream(g.t.Context(), bus.StreamDead)
	if err != nil {
		g.t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 1 {
		g.t.Fatalf("%d dead letters, want 1", n)
	}
	msg, err := s.GetLastMsgForSubject(g.t.Context(), event.DeadSubject("notifier", "acme"))
	if err != nil {
		g.t.Fatal(err)
	}
	return msg
}

// receiverStub takes webhooks as its handle says, and remembers them.
type receiverStub struct {
	*httptest.Server
	handle func(w http.ResponseWriter, try int)

	mu       sync.Mutex
	tries    map[string]int
	accepted map[string]int
	payloads []webhook.Payload
	bad      []error
}

// newReceiver starts a receiver whose answers handle writes; try counts those with
// the same webhook-id, from 1. A handler that returns without a status accepts.
func newReceiver(t *testing.T, handle func(w http.ResponseWriter, try int)) *receiverStub {
	t.Helper()
	r := &receiverStub{handle: handle, tries: map[string]int{}, accepted: map[string]int{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		r.CloseClientConnections()
		r.Close()
	})
	return r
}

func (r *receiverStub) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err == nil {
		err = webhook.Verify(req.Header, body, time.Now(), secret)
	}
	var p webhook.Payload
	if err == nil {
		err = json.Unmarshal(body, &p)
	}
	id := req.Header.Get(webhook.HeaderID)
	r.mu.Lock()
	if err != nil {
		r.bad = append(r.bad, err)
	}
	r.tries[id]++
	try := r.tries[id]
	r.payloads = append(r.payloads, p)
	r.mu.Unlock()
	spy := &statusSpy{ResponseWriter: w}
	r.handle(spy, try)
	if spy.status == 0 || spy.status/100 == 2 {
		r.mu.Lock()
		r.accepted[id]++
		r.mu.Unlock()
	}
}

// statusSpy remembers the status.
type statusSpy struct {
	http.ResponseWriter
	status int
}

func (s *statusSpy) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusSpy) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (r *receiverStub) port(t *testing.T) uint16 {
	t.Helper()
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}

// counts returns how many ids were accepted, the most often one was, and all tries.
func (r *receiverStub) counts(t *testing.T) (ids, most, tries int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range r.bad {
		t.Errorf("received what can't be trusted: %v", err)
	}
	for _, n := range r.accepted {
		most = max(most, n)
	}
	for _, n := range r.tries {
		tries += n
	}
	return len(r.accepted), most, tries
}

func accept(http.ResponseWriter, int) {}

// eventually waits until f reports "", what is missing otherwise.
func eventually(t *testing.T, f func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	missing := f()
	for deadline := time.Now().Add(patience); missing != ""; missing = f() {
		if time.Now().After(deadline) {
			t.Fatal(missing)
		}
		<-tick.C
	}
}
