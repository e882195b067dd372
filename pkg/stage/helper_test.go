package stage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
)

// patience bounds every wait of these tests; it is well under AckWait, so that
// a message that only comes back by that is a failure.
const patience = 15 * time.Second

// source is the consumer of a lane's generate jobs.
func source(lane event.Lane, slots int) stage.Source {
	return stage.Source{Consumer: bus.JobConsumer("test", event.KindGenerate, lane, 1000), Slots: slots}
}

// config is that of a runner whose retries come at once.
func config(sources ...stage.Source) stage.Config {
	if sources == nil {
		sources = []stage.Source{source(event.LaneBatch, 4)}
	}
	return stage.Config{Name: "test", Sources: sources, BackoffBase: time.Millisecond, BackoffCap: 10 * time.Millisecond, MaxDeliveries: 3}
}

// start runs a stage; stop ends it and waits until it has drained.
func start(t *testing.T, b *bus.Bus, cfg stage.Config, h stage.HandlerFunc) (stop func()) {
	t.Helper()
	return startOn(t, b, cfg, h, platform.Platform{})
}

func startOn(t *testing.T, b *bus.Bus, cfg stage.Config, h stage.HandlerFunc, p platform.Platform) (stop func()) {
	t.Helper()
	r, err := stage.New(cfg, b, h, p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := next(t, done); err != nil {
				t.Errorf("runner: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	next(t, r.Ready())
	return stop
}

// next takes from a channel or fails the test.
func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// eventually waits until f reports "", what is missing otherwise.
func eventually(t *testing.T, f func() string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	missing := f()
	for deadline := time.Now().Add(patience); missing != ""; missing = f() {
		if time.Now().After(deadline) {
			t.Fatal(missing)
		}
		<-tick.C
	}
}

// submit stores a job of acme as any NATS client would, without a dedupe id.
func submit(t *testing.T, b *bus.Bus, lane event.Lane, body string) {
	t.Helper()
	submitAs(t, b, "acme", lane, body)
}

func submitAs(t *testing.T, b *bus.Bus, tenant string, lane event.Lane, body string) {
	t.Helper()
	out := bus.Out{Subject: event.Address{Kind: event.KindGenerate, Lane: lane, Tenant: tenant}.Subject(), Data: []byte(body)}
	if err := b.Publish(t.Context(), out); err != nil {
		t.Fatal(err)
	}
}

// watch sends what a stream stores, from its first message on.
func watch(t *testing.T, b *bus.Bus, stream string) <-chan jetstream.Msg {
	t.Helper()
	consumer, err := b.JetStream().OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan jetstream.Msg, 1000)
	consuming, err := consumer.Consume(func(msg jetstream.Msg) { ch <- msg })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(consuming.Stop)
	return ch
}

func decode[T any](t *testing.T, data []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return v
}

// nextResult is the next result that is stored.
func nextResult(t *testing.T, ch <-chan jetstream.Msg) event.Result {
	t.Helper()
	return decode[event.Result](t, next(t, ch).Data())
}

// wantCounts waits until all jobs are acked and checks what is stored then.
func wantCounts(t *testing.T, b *bus.Bus, results, dead int) {
	t.Helper()
	wantIdle(t, b, bus.StreamJobs)
	for stream, want := range map[string]int{bus.StreamResults: results, bus.StreamDead: dead} {
		if n := count(t, b, stream); n != want {
			t.Errorf("%s holds %d, want %d", stream, n, want)
		}
	}
}

// wantIdle waits until a work queue is empty: all its messages are acked.
func wantIdle(t *testing.T, b *bus.Bus, stream string) {
	t.Helper()
	eventually(t, func() string {
		n, err := stored(t.Context(), b, stream)
		if err != nil || n > 0 {
			return fmt.Sprintf("%s: %d messages are not acked (%v)", stream, n, err)
		}
		return ""
	})
}

// stored returns the number of messages in a stream. It does not wait long: a
// server that has just started may leave a question without an answer.
func stored(ctx context.Context, b *bus.Bus, stream string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := b.JetStream().Stream(ctx, stream)
	if err != nil {
		return 0, err
	}
	return int(s.CachedInfo().State.Msgs), nil //nolint:gosec // a small number
}

func count(t *testing.T, b *bus.Bus, stream string) int {
	t.Helper()
	n, err := stored(t.Context(), b, stream)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// done is a handler's ok result for a job.
func done(t *testing.T, in *bus.Message) []bus.Out {
	t.Helper()
	head, ok := event.Peek(in.Data)
	if !ok {
		t.Errorf("no job: %q", in.Data)
	}
	out, err := stage.ResultOut(event.Result{V: 1, ID: in.JobID(head.ID), Tenant: "acme", Kind: event.KindGenerate, Status: event.StatusOK})
	if err != nil {
		t.Error(err)
	}
	return []bus.Out{out}
}

// metric returns the value of a metric with the label values, 0 if it is not there.
func metric(t *testing.T, reg *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			found := family.GetName() == name
			for _, want := range labels {
				has := false
				for _, l := range m.GetLabel() {
					has = has || l.GetName()+"="+l.GetValue() == want
				}
				found = found && has
			}
			if found {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

// setup returns a bus on a server of its own, with all streams.
func setup(t *testing.T) *bus.Bus {
	t.Helper()
	b, _ := bustest.New(t)
	return b
}
