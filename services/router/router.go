// Package router plans generate jobs: it checks the job, retrieves the sources
// that ground its answer, builds the prompt and chooses the model; and it decides
// what becomes of a task that a model could not do. Routing policy lives here and
// nowhere else.
package router

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/gate"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/rerank"
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/vector"
	"github.com/weir-dev/weir/pkg/vector/qdrant"
)

// Service is the router.
type Service struct {
	cfg       Config
	p         platform.Platform
	nc        *nats.Conn
	bus       *bus.Bus
	store     searcher
	rows      *manifest.Rows
	sparse    *sparse.Encoder
	ranker    *rerank.Ranker
	queries   *queries
	metrics   *metrics
	ports     Ports
	guard     *guard.Guard
	probes    probes
	expect    expect
	admission *admission
	cache     *cache.Cache
	similar   *cache.Semantic
	learned   *learner
	encodings encodings
	gates     *gate.Compiler
	plans     *stage.Runner
	routes    *stage.Runner
	flights   *stage.Runner
	ready     chan struct{}
}

// Ports are the systems the router talks to.
type Ports struct {
	Store vector.Store
	// Catalog is where it finds models, fallbacks and tenants.
	Catalog guard.Catalog
}

// searcher is what the router needs of the vector store.
type searcher interface {
	Search(ctx context.Context, idx vector.Index, q vector.Query) ([]vector.Hit, error)
	Count(ctx context.Context, idx vector.Index, scope vector.Scope) (int, error)
	Current(ctx context.Context, name string) (vector.Index, bool, error)
}

// Dial returns the vector store cfg names. It does no I/O.
func Dial(cfg Config) (vector.Store, error) {
	store, err := qdrant.New(qdrant.Config{Addr: cfg.QdrantAddr, APIKey: cfg.QdrantKey.Reveal(), TLS: cfg.QdrantTLS})
	if err != nil {
		return nil, fmt.Errorf("setting up Qdrant: %w", err)
	}
	return store, nil
}

// New returns a router that searches store. It does no I/O.
func New(p platform.Platform, cfg Config, ports Ports) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p = p.WithDefaults()
	b, err := bus.New(p.NATS)
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, p: p, nc: p.NATS, bus: b, store: ports.Store, rows: manifest.NewRows(b), sparse: sparse.New(), ranker: rerank.New(),
		ports: ports, metrics: newMetrics(p.Registerer), ready: make(chan struct{})}
	s.gates = gate.NewCompiler()
	s.queries, s.learned, s.expect.s = newQueries(s, cfg.InteractiveSlots), newLearner(s), s
	s.admission = newAdmission(s)
	if s.cache, err = cache.New(cache.Config{Bus: b, Now: p.Now}); err != nil {
		return nil, err
	}
	if ports.Store != nil { // without documents a router needs none
		if s.similar, err = cache.NewSemantic(cache.SemanticConfig{Cache: s.cache, Vectors: ports.Store}); err != nil {
			return nil, err
		}
	}
	s.guard, err = guard.For(p, "router", b, guard.Config{Catalog: ports.Catalog, Dial: noCalls, Project: true})
	if err != nil {
		return nil, err
	}
	plans := s.stage(func(lane event.Lane, fleet int) bus.Consumer {
		return bus.JobConsumer("router", event.KindGenerate, lane, fleet)
	})
	plans.PoisonAfter = max(poisonAfter, cfg.MaxDeliveries)
	for i := range plans.Sources {
		plans.Sources[i].Window = cfg.Window
	}
	if s.plans, err = stage.New(plans, b, stage.HandlerFunc(s.plan), p); err != nil {
		return nil, err
	}
	routes := s.stage(bus.RouteConsumer)
	routes.Instance = "fallback"
	if s.routes, err = stage.New(routes, b, stage.HandlerFunc(s.route), p); err != nil {
		return nil, err
	}
	flights := s.stage(bus.FlightConsumer)
	flights.Instance = "flight"
	s.flights, err = stage.New(flights, b, stage.HandlerFunc(s.fly), p)
	return s, err
}

// poisonAfter is how many workers may stop or crash with a job in their hands: jobs
// wait there for their turn, over many restarts if need be.
const poisonAfter = 1000

// noCalls: the router asks the guard how models are, and calls none.
func noCalls(catalog.Provider, catalog.Model) (llm.Endpoint, error) {
	return nil, event.Errorf(event.ClassInternal, "the router makes no calls")
}

func (s *Service) stage(consumer func(event.Lane, int) bus.Consumer) stage.Config {
	cfg := s.cfg.Stage("router", consumer)
	cfg.Timeout, cfg.Share = stage.NoTimeout, s.guard.Share
	return cfg
}

// Ready is closed when the router takes jobs.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Run takes jobs until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	return s.guard.Around(ctx, s.ready, s.admission, s.plans, s.routes, s.flights, s.queries, s.learned)
}
