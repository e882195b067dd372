package intake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tenant"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

const text = `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models: [{id: small, aliases: [tiny], provider: sim, upstream: s, mode: chat, price: [{input: 1, output: 1}]}]
tenants:
  - {id: narrow, lanes: [batch], models: [small], tasks: [faq], collections: [docs]}
  - {id: slow, rate: {per_second: 0.5, burst: 2}}
  - {id: bounded, queue: 3}
`

type fixed struct{ c *catalog.Catalog }

func (f fixed) Current() *catalog.Catalog { return f.c }

func setup(t *testing.T) (*Intake, *bus.Bus) {
	t.Helper()
	b, _ := bustest.New(t)
	c, err := catalog.Parse([]byte(text), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Bus: b, Catalog: fixed{c}, Now: time.Now}), b
}

func as(name string) tenant.Principal { return tenant.Principal{Tenant: name} }

const question = `{"messages":[{"role":"user","content":"What is a stage?"}]}`

func stored(t *testing.T, b *bus.Bus, stream string) uint64 {
	t.Helper()
	s, err := b.JetStream().Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func record(t *testing.T, b *bus.Bus, key string) (held, bool) {
	t.Helper()
	kv, err := b.KeyValue(t.Context(), bus.BucketJobs)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(t.Context(), key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return held{}, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return held{revision: entry.Revision()}, true
}

// TestKilledBetween: a gateway dies between the record and the job, or between the
// job and the end of its record. The same request completes it, once.
func TestKilledBetween(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"before the job": false, "after the job": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, b := setup(t)
			killed := errors.New("killed")
			publish := i.publish
			dying, die := context.WithCancelCause(t.Context())
			i.publish = func(ctx context.Context, outs ...bus.Out) error {
				if after {
					if err := publish(ctx, outs...); err != nil {
						t.Error(err)
					}
				}
				die(killed) // nothing that follows reaches the server
				return killed
			}
			job := Job{ID: "j1", Body: []byte(question)}
			if _, err := i.Submit(dying, as("acme"), job); !errors.Is(err, killed) {
				t.Fatalf("got %v", err)
			}
			if _, ok := record(t, b, "acme.j1"); !ok {
				t.Fatal("there is no record")
			}
			other := New(i.cfg)
			for n := range 3 {
				accepted, err := other.Submit(t.Context(), as("acme"), job)
				if err != nil || !accepted.Duplicate || !accepted.Record.Stored && n > 0 {
					t.Errorf("got %+v, %v", accepted, err)
				}
			}
			if n := stored(t, b, bus.StreamJobs); n != 1 {
				t.Errorf("%d jobs, want 1", n)
			}
		})
	}
}

// TestFull: what the stream refuses leaves no record, and may be sent again.
func TestFull(t *testing.T) {
	t.Parallel()
	i, b := setup(t)
	limits := bus.DefaultLimits()
	limits.TenantJobs = 2
	if err := b.Ensure(t.Context(), limits); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for n := range 6 {
		id := ""
		if n%2 == 0 {
			id = fmt.Sprint("j", n)
		}
		_, err := i.Submit(t.Context(), as("acme"), Job{ID: id, Body: []byte(question)})
		if n < 2 && err == nil {
			continue
		}
		var e *web.Error
		if !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable || e.RetryAfter < minWait || e.RetryAfter > maxWait {
			t.Fatalf("job %d: got %v", n, err)
		}
		refused++
	}
	keys := stored(t, b, "KV_"+bus.BucketJobs)
	if _, ok := record(t, b, "acme.j4"); ok || refused != 4 || keys > 6 {
		t.Errorf("refused %d, %d records", refused, keys)
	}
	if _, err := i.Submit(t.Context(), as("bmce"), Job{ID: "j4", Body: []byte(question)}); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	purge(t, b)
	if _, err := i.Submit(t.Context(), as("acme"), Job{ID: "j4", Body: []byte(question)}); err != nil {
		t.Errorf("sent again: %v", err)
	}
}

func purge(t *testing.T, b *bus.Bus) {
	t.Helper()
	s, err := b.JetStream().Stream(t.Context(), bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestQueueBound: a tenant's own bound, as counted a moment ago.
func TestQueueBound(t *testing.T) {
	t.Parallel()
	i, _ := setup(t)
	now := time.Now()
	i.cfg.Now, i.queue.now = func() time.Time { return now }, func() time.Time { return now }
	for range 3 {
		now = now.Add(time.Second)
		if _, err := i.Submit(t.Context(), as("bounded"), Job{Body: []byte(question)}); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(time.Second)
	for _, id := range []string{"", "j1"} {
		_, err := i.Submit(t.Context(), as("bounded"), Job{ID: id, Body: []byte(question)})
		var e *web.Error
		if !errors.As(err, &e) || e.Code != "queue_full" {
			t.Errorf("got %v", err)
		}
	}
	if _, err := i.Submit(t.Context(), as("bounded"), Job{Lane: event.LaneBatch, Body: []byte(question)}); err != nil {
		t.Errorf("the other lane: %v", err)
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	i, b := setup(t)
	now := time.Now()
	i.cfg.Now = func() time.Time { return now }
	submit := func(name string, batch string) error {
		_, err := i.Submit(t.Context(), as(name), Job{Body: []byte(question), Batch: batch})
		return err
	}
	for range 2 {
		if err := submit("slow", ""); err != nil {
			t.Fatal(err)
		}
	}
	var e *web.Error
	if err := submit("slow", ""); !errors.As(err, &e) || e.Status != http.StatusTooManyRequests || e.RetryAfter != 2*time.Second {
		t.Errorf("got %v, %+v", err, e)
	}
	if err := submit("slow", "batch_1"); err != nil {
		t.Errorf("a line of a batch: %v", err)
	}
	if err := submit("acme", ""); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	now = now.Add(2 * time.Second)
	if err := submit("slow", ""); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	if n := stored(t, b, bus.StreamJobs); n != 5 {
		t.Errorf("%d jobs, want 5", n)
	}
}

func TestRatesAreBounded(t *testing.T) {
	t.Parallel()
	r, agreed := newRates(), catalog.Rate{PerSecond: 1}
	for n := range maxRates + 100 {
		r.take(fmt.Sprint("t", n), agreed, time.Now())
	}
	if len(r.of) != maxRates || r.order.Len() != maxRates {
		t.Errorf("%d tenants are known", len(r.of))
	}
}

func TestWaitFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		waiting uint64
		tenants int
		rate    float64
		want    time.Duration
	}{
		{1000, 1, 0, unknownWait}, {1000, 1, 10, 5 * time.Second}, {1000, 4, 10, 20 * time.Second},
		{0, 0, 100, minWait}, {1_000_000, 100, 1, maxWait},
	} {
		if got := waitFor(tt.waiting, tt.tenants, tt.rate); got != tt.want {
			t.Errorf("%+v: got %s", tt, got)
		}
	}
}

func TestMeasuredRate(t *testing.T) {
	t.Parallel()
	q, at := newQueue(nil, time.Now), time.Unix(0, 0)
	for n := range uint64(200) {
		q.add(sample{at.Add(time.Duration(n) * time.Second), 10 * n})
	}
	if len(q.finished) > 61 || q.rate() != 10 {
		t.Errorf("%d samples, %g a second", len(q.finished), q.rate())
	}
	q.add(sample{at.Add(200 * time.Second), 3})
	if q.rate() != 0 {
		t.Errorf("%g a second of another stream", q.rate())
	}
}

// TestCheck: what is wrong is said as the pipeline says it.
func TestCheck(t *testing.T) {
	t.Parallel()
	i, _ := setup(t)
	user := `"messages":[{"role":"user","content":"a"}]`
	for _, tt := range []struct {
		tenant string
		job    Job
		want   string // "" for a right one
	}{
		{"acme", Job{Body: []byte(`{` + user + `}`)}, ""},
		{"acme", Job{Body: []byte(`{"kind":"embed","inputs":["a"]}`)}, ""},
		{"acme", Job{Body: []byte(`{"v":1,"tenant":"acme","extra":1,` + user + `}`)}, ""},
		{"acme", Job{Body: []byte(`[]`)}, "body"},
		{"acme", Job{Body: []byte(`null`)}, "body"},
		{"acme", Job{Body: []byte(`{`)}, "body"},
		{"acme", Job{Body: []byte(`{"id":5}`)}, "id: got a JSON number"},
		{"acme", Job{Body: []byte(`{"id":"a.b",` + user + `}`)}, "id: character '.'"},
		{"acme", Job{Body: []byte(`{"id":"*",` + user + `}`)}, "id: character '*'"},
		{"acme", Job{Body: []byte(`{"kind":"x",` + user + `}`)}, `unknown kind "x"`},
		{"acme", Job{Kind: event.KindEmbed, Body: []byte(`{"kind":"generate",` + user + `}`)}, "this takes"},
		{"acme", Job{Body: []byte(`{"lane":"fast",` + user + `}`)}, `unknown lane "fast"`},
		{"acme", Job{Lane: event.LaneBatch, Body: []byte(`{"lane":"interactive",` + user + `}`)}, "lane: body says"},
		{"acme", Job{Body: []byte(`{"tenant":"bmce",` + user + `}`)}, "tenant: body says"},
		{"acme", Job{Body: []byte(`{"v":2,` + user + `}`)}, "unknown version 2"},
		{"acme", Job{Body: []byte(`{"messages":[]}`)}, "messages: empty"},
		{"acme", Job{Strict: true, Body: []byte(`{"id":"a","v":1,"kind":"generate",` + user + `}`)}, ""},
		{"acme", Job{Strict: true, Body: []byte(`{"mesages":[],` + user + `}`)}, "mesages: no generate job has this field"},
		{"acme", Job{Strict: true, Body: []byte(`{"rag":{"collection":"docs","topk":3},` + user + `}`)}, "topk"},
		{"acme", Job{Body: []byte(`{"webhook":"https://example.com/hook",` + user + `}`)}, ""},
		{"acme", Job{Body: []byte(`{"webhook":"ftp://example.com/hook",` + user + `}`)}, "webhook: is neither"},
		{"acme", Job{Body: []byte(`{"webhook":"https://user:pw@example.com",` + user + `}`)}, "webhook: is neither"},
		{"acme", Job{Body: []byte(`{"webhook":"none",` + user + `}`)}, "webhook: is neither"},
		{"narrow", Job{Lane: event.LaneBatch, Body: []byte(`{"model":"small",` + user + `}`)}, ""},
		{"narrow", Job{Lane: event.LaneBatch, Body: []byte(`{"model":"tiny",` + user + `}`)}, ""},
		{"narrow", Job{Body: []byte(`{` + user + `}`)}, "forbidden: lane"},
		{"narrow", Job{Lane: event.LaneBatch, Body: []byte(`{"model":"large",` + user + `}`)}, "forbidden: model"},
		{"narrow", Job{Lane: event.LaneBatch, Body: []byte(`{"task":"chat",` + user + `}`)}, "forbidden: task"},
		{"narrow", Job{Lane: event.LaneBatch, Body: []byte(`{"rag":{"collection":"other"},` + user + `}`)}, "forbidden: collection"},
		{"narrow", Job{Lane: event.LaneBatch, Body: []byte(`{"kind":"ingest","collection":"other","document":{"id":"d","text":"a"}}`)}, "forbidden: collection"},
	} {
		_, err := i.Check(as(tt.tenant), tt.job)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s %s: got %v, want %q", tt.tenant, tt.job.Body, err, tt.want)
		}
	}
}

// TestLarge: a body that is too large for a message goes by claim-check.
func TestLarge(t *testing.T) {
	t.Parallel()
	i, b := setup(t)
	body := `{"kind":"ingest","collection":"docs","document":{"id":"d","text":"` + strings.Repeat("a", bus.ClaimOver) + `"}}`
	if _, err := i.Submit(t.Context(), as("acme"), Job{ID: "big", Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	got, err := stream.GetLastMsgForSubject(t.Context(), "weir.jobs.ingest.interactive.acme")
	if err != nil {
		t.Fatal(err)
	}
	msg := &bus.Message{Header: got.Header, Data: got.Data}
	if msg.Header.Get(bus.HeaderPayload) == "" || msg.Header.Get(bus.HeaderJob) != "big" {
		t.Errorf("header %v", msg.Header)
	}
	if err := b.Resolve(t.Context(), msg); err != nil || !strings.Contains(string(msg.Data), `"id":"big"`) {
		t.Errorf("%d bytes, %v", len(msg.Data), err)
	}
}

// TestRecordOfMetadata: a job with a chosen id is taken in whatever its metadata is
// made of.
func TestRecordOfMetadata(t *testing.T) {
	t.Parallel()
	i, _ := setup(t)
	body := `{"metadata":{"html":"` + strings.Repeat("<", 16_000) + `"},"messages":[{"role":"user","content":"a"}]}`
	for range 2 {
		if got, err := i.Submit(t.Context(), as("acme"), Job{ID: "m1", Body: []byte(body)}); err != nil || got.ID != "m1" {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
}
