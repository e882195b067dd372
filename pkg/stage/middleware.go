package stage

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// recovered turns a panic into an error of ClassPoison with the stack: the
// message, not the process, is what is broken.
func recovered(next Handler) Handler {
	return HandlerFunc(func(ctx context.Context, in *bus.Message) (outs []bus.Out, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = &event.Error{Class: event.ClassPoison, Message: fmt.Sprintf("panic: %v", p),
					Hint: "this is a defect in Weir; please report it with the dead letter",
					Err:  fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
			}
		}()
		return next.Handle(ctx, in)
	})
}

// measured counts and times the handlings.
func measured(m *metrics, next Handler) Handler {
	return HandlerFunc(func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
		m.inFlight.Inc()
		defer m.inFlight.Dec()
		start := time.Now()
		outs, err := next.Handle(ctx, in)
		class := "ok"
		if err != nil {
			class = string(event.AsError(err).Class)
		}
		m.handled.WithLabelValues(class).Inc()
		m.duration.Observe(time.Since(start).Seconds())
		return outs, err
	})
}

// traced continues the trace of the message and passes it on to the outputs.
func traced(stage string, tracer trace.Tracer, next Handler) Handler {
	var w3c propagation.TraceContext
	return HandlerFunc(func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
		ctx = w3c.Extract(ctx, headerCarrier(in.Header))
		ctx, span := tracer.Start(ctx, stage, trace.WithSpanKind(trace.SpanKindConsumer))
		defer span.End()
		if span.IsRecording() {
			span.SetAttributes(attribute.String("messaging.system", "nats"),
				attribute.String("messaging.destination.name", in.Subject), attribute.Int("weir.deliveries", in.Deliveries))
		}
		outs, err := next.Handle(ctx, in)
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, string(event.AsError(err).Class))
		}
		if !trace.SpanContextFromContext(ctx).IsValid() {
			return outs, err
		}
		for i := range outs {
			if outs[i].Header == nil {
				outs[i].Header = nats.Header{}
			}
			w3c.Inject(ctx, headerCarrier(outs[i].Header))
		}
		return outs, err
	})
}

// headerCarrier lets the propagator read and write NATS headers, whose names
// are case-sensitive.
type headerCarrier nats.Header

// Get implements propagation.TextMapCarrier.
func (h headerCarrier) Get(key string) string { return nats.Header(h).Get(key) }

// Set implements propagation.TextMapCarrier.
func (h headerCarrier) Set(key, value string) { nats.Header(h).Set(key, value) }

// Keys implements propagation.TextMapCarrier.
func (h headerCarrier) Keys() []string {
	keys := make([]string, 0, len(h))
	for key := range h {
		keys = append(keys, key)
	}
	return keys
}
