package stage_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
)

// tracer makes spans with real ids and keeps them; it is the part of the
// OpenTelemetry SDK that these tests need.
type tracer struct {
	noop.Tracer
	spans chan span
}

type span struct {
	noop.Span
	name         string
	self, parent trace.SpanContext
}

func (s span) SpanContext() trace.SpanContext { return s.self }

func (t tracer) Start(ctx context.Context, name string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	s := span{name: name, parent: trace.SpanContextFromContext(ctx)}
	cfg := trace.SpanContextConfig{TraceID: s.parent.TraceID(), TraceFlags: trace.FlagsSampled}
	if !s.parent.IsValid() {
		rand.Read(cfg.TraceID[:]) //nolint:errcheck // never fails
	}
	rand.Read(cfg.SpanID[:]) //nolint:errcheck // never fails
	s.self = trace.NewSpanContext(cfg)
	t.spans <- s
	return trace.ContextWithSpan(ctx, s), s
}

// TestTraceCrossesTheQueues: from the client's header through two stages to the
// result.
func TestTraceCrossesTheQueues(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tr := tracer{spans: make(chan span, 10)}
	first := config()
	first.Name = "first"
	startOn(t, b, first, func(context.Context, *bus.Message) ([]bus.Out, error) {
		return []bus.Out{{Subject: event.GenerateSubject("m", event.LaneBatch, "acme"), ID: "1", Data: []byte(job)}}, nil
	}, platform.Platform{Tracer: tr})
	second := config(stage.Source{Consumer: bus.GenerateConsumer("m", event.LaneBatch, 10), Slots: 1})
	second.Name = "second"
	startOn(t, b, second, func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
		if !trace.SpanContextFromContext(ctx).IsValid() {
			t.Error("the handler has no span")
		}
		return done(t, in), nil
	}, platform.Platform{Tracer: tr})

	const traceID, clientSpan = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	err := b.Publish(t.Context(), bus.Out{Subject: "weir.jobs.generate.batch.acme", Data: []byte(job),
		Header: nats.Header{"traceparent": {"00-" + traceID + "-" + clientSpan + "-01"}}})
	if err != nil {
		t.Fatal(err)
	}
	parent := clientSpan
	for _, name := range []string{"first", "second"} {
		s := next(t, tr.spans)
		if s.name != name || s.self.TraceID().String() != traceID || s.parent.SpanID().String() != parent {
			t.Errorf("%s: got span %s of trace %s under %s; want trace %s under %s",
				name, s.name, s.self.TraceID(), s.parent.SpanID(), traceID, parent)
		}
		parent = s.self.SpanID().String()
	}
	result := next(t, watch(t, b, bus.StreamResults))
	if got, want := result.Headers().Get("traceparent"), "00-"+traceID+"-"+parent+"-01"; got != want {
		t.Errorf("result: got %s, want %s", got, want)
	}
}

// TestTraceStartsHere: a client that sends none gets one, and a broken header
// is no error.
func TestTraceStartsHere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tr := tracer{spans: make(chan span, 10)}
	startOn(t, b, config(), func(_ context.Context, in *bus.Message) ([]bus.Out, error) { return done(t, in), nil }, platform.Platform{Tracer: tr})
	for _, header := range []nats.Header{nil, {"traceparent": {"nonsense"}}} {
		if err := b.Publish(t.Context(), bus.Out{Subject: "weir.jobs.generate.batch.acme", Data: []byte(`{"v":1}`), Header: header}); err != nil {
			t.Fatal(err)
		}
		if s := next(t, tr.spans); s.parent.IsValid() || !s.self.IsValid() {
			t.Errorf("header %v: got %+v", header, s)
		}
	}
	wantCounts(t, b, 2, 0)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reg := prometheus.NewRegistry()
	started, release := make(chan struct{}, 10), make(chan struct{})
	cfg := config(source(event.LaneBatch, 1))
	startOn(t, b, cfg, func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		head, _ := event.Peek(in.Data)
		switch {
		case head.ID == "slow":
			started <- struct{}{}
			<-release
		case head.ID == "flaky" && in.Deliveries == 1:
			return nil, errors.New("once")
		case head.ID == "bad":
			return nil, event.Invalid("model", "use another", "unknown")
		case head.ID == "panics":
			panic("broken")
		}
		return done(t, in), nil
	}, platform.Platform{Registerer: reg})
	for _, id := range []string{"slow", "flaky", "bad", "panics", "fine"} {
		submit(t, b, event.LaneBatch, fmt.Sprintf(`{"v":1,"id":%q}`, id))
	}
	next(t, started)
	check := func(want float64, name string, labels ...string) {
		t.Helper()
		eventually(t, func() string { // the server counts, and answers a scrape, a moment later
			if got := metric(t, reg, name, append(labels, "stage=test")...); got != want {
				return fmt.Sprintf("%s%v: got %g, want %g", name, labels, got, want)
			}
			return ""
		})
	}
	check(1, "weir_stage_in_flight")
	check(4, "weir_stage_backlog", "consumer=test-batch")
	close(release)
	wantCounts(t, b, 5, 1)
	check(0, "weir_stage_in_flight")
	check(0, "weir_stage_backlog", "consumer=test-batch")
	check(3, "weir_stage_handled_total", "class=ok")
	check(1, "weir_stage_handled_total", "class=internal")
	check(1, "weir_stage_handled_total", "class=invalid")
	check(1, "weir_stage_handled_total", "class=poison")
	check(6, "weir_stage_duration_seconds")
	check(1, "weir_stage_redeliveries_total")
	// Another stage of the same process does not collide.
	other := cfg
	other.Name = "other"
	if _, err := stage.New(other, b, mustNotRun(t), platform.Platform{Registerer: reg}); err != nil {
		t.Error(err)
	}
}
