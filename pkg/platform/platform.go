// Package platform is what a service is given by the process it runs in. All
// modes differ only in these values and in addresses.
package platform

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/weir-dev/weir/pkg/catalog"
)

// Platform carries a process's shared means into its services. Two processes'
// worth of services may live in one process with a Platform each.
type Platform struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Tracer     trace.Tracer
	NATS       *nats.Conn
	Now        func() time.Time
	// Catalog holds the providers and models, for services that need them.
	Catalog *catalog.Watcher
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

// ServiceMetrics is the platform's registerer for metrics that several services of
// one process have, told apart by the label "service".
func ServiceMetrics(p Platform, service string) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, p.Registerer)
}

// WorkerName is a name for one worker of a service, unique in the fleet: it may be
// a key in a bucket.
func WorkerName(service string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	safe := make([]byte, 0, len(host))
	for _, r := range []byte(host) {
		if r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			safe = append(safe, r)
		}
	}
	var unique [6]byte
	rand.Read(unique[:])
	return service + "-" + string(safe) + "-" + hex.EncodeToString(unique[:])
}
