// Package platform is what a service is given by the process it runs in. All
// modes differ only in these values and in addresses.
package platform

import (
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Platform carries a process's shared means into its services. Two processes'
// worth of services may live in one process with a Platform each.
type Platform struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Tracer     trace.Tracer
	NATS       *nats.Conn
	Now        func() time.Time
}

// WithDefaults fills what is unset: no logs, metrics of its own, no traces,
// the real clock. NATS has no default.
func (p Platform) WithDefaults() Platform {
	if p.Logger == nil {
		p.Logger = slog.New(slog.DiscardHandler)
	}
	if p.Registerer == nil {
		p.Registerer = prometheus.NewRegistry()
	}
	if p.Tracer == nil {
		p.Tracer = noop.NewTracerProvider().Tracer("weir")
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	return p
}
