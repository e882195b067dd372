// Package gateway is the way in over HTTP: jobs, their streams and results,
// documents, dead letters, and the OpenAI-compatible API with its batches. What it
// shows of a job is made of the job's stored result, events and tokens, so any
// gateway can answer for any other, and after a crash.
package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/tenant"
	"github.com/weir-dev/weir/services/gateway/internal/batch"
	"github.com/weir-dev/weir/services/gateway/internal/intake"
	"github.com/weir-dev/weir/services/gateway/internal/openai"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// Catalog is where the gateway finds models and tenants.
type Catalog interface{ Current() *catalog.Catalog }

// Ports are what the gateway works with.
type Ports struct {
	Catalog Catalog
	// Auth checks callers; nil lets everybody in.
	Auth tenant.Authenticator
}

// Service is the gateway.
type Service struct {
	cfg       Config
	p         platform.Platform
	bus       *bus.Bus
	ports     Ports
	client    *client.Client
	intake    *intake.Intake
	batches   *batch.Service
	quoter    Quoter    // nil: no quotes
	explain   Explainer // nil: nothing is said of why a job waits
	foresight *foresight
	ready     chan struct{}
	listener  net.Listener
	// stopping ends when the API begins to drain.
	stopping context.Context //nolint:containedctx // the service's life, not a call's
	stop     context.CancelFunc
}

// New returns a gateway. It does no I/O.
func New(p platform.Platform, cfg Config, ports Ports) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p = p.WithDefaults()
	b, err := bus.New(p.NATS)
	if err != nil {
		return nil, err
	}
	c, err := client.New(p.NATS)
	if err != nil {
		return nil, err
	}
	if ports.Auth == nil {
		ports.Auth = tenant.Open{}
	}
	if tenant.IsOpen(ports.Auth) && !tenant.IsLoopback(cfg.Addr) {
		return nil, fmt.Errorf("WEIR_GATEWAY_ADDR: %s may be reached from other machines, and nobody is asked for a key: name a tenants file in WEIR_TENANTS, or listen on 127.0.0.1", cfg.Addr)
	}
	foresight, err := newForesight(p, &cfg, b, ports.Catalog)
	if err != nil {
		return nil, err
	}
	stopping, stop := context.WithCancel(context.Background())
	s := &Service{cfg: cfg, p: p, bus: b, ports: ports, client: c, ready: make(chan struct{}), stopping: stopping, stop: stop,
		foresight: foresight, quoter: foresight.quoter(p, &cfg, ports.Catalog), explain: foresight,
		intake: intake.New(intake.Config{Bus: b, Catalog: ports.Catalog, Now: p.Now, Logger: p.Logger})}
	s.batches, err = s.newBatches()
	return s, err
}

// Ready is closed when the gateway listens.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Addr is where it listens, valid after Ready.
func (s *Service) Addr() string { return s.listener.Addr().String() }

// Run serves until ctx ends and the requests in work have ended, or DrainTimeout is
// over.
func (s *Service) Run(ctx context.Context) error {
	return lifecycle.Run(ctx, func(bool) {},
		func(context.Context) ([]lifecycle.Member, error) { return s.background(), nil },
		func(context.Context) ([]lifecycle.Member, error) {
			return []lifecycle.Member{{Name: "api", Service: &api{s: s}}}, nil
		})
}

// background are the services that run beside the API.
func (s *Service) background() []lifecycle.Member {
	return append(s.foresight.members(), lifecycle.Member{Name: "intake", Service: s.intake}, lifecycle.Member{Name: "batches", Service: s.batches})
}

// Routes lists the patterns of the API, in the form of http.ServeMux.
func (s *Service) Routes() []string { return s.mux().Routes() }

// mux routes the whole API.
func (s *Service) mux() *web.Mux {
	mux := web.NewMux(s.ports.Auth)
	s.jobRoutes(mux)
	s.documentRoutes(mux)
	s.streamRoutes(mux)
	s.chatRoutes(mux)
	s.webhookRoutes(mux)
	s.deadRoutes(mux)
	s.batches.Routes(mux)
	mux.Route("POST /v1/embeddings", catalog.ScopeSubmit, openai.Shape, s.embeddings)
	return mux
}

// handler is the whole API.
func (s *Service) handler() http.Handler {
	return web.Edge(s.mux(), web.EdgeConfig{Logger: s.p.Logger, Registerer: s.p.Registerer, Now: s.p.Now, BodyGrace: s.cfg.BodyGrace})
}
