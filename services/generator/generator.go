// Package generator runs one attempt of one model for a task: it streams the
// answer's pieces while they arrive and stores the result. It holds no policy:
// which model, which prompt and what follows a failure is decided elsewhere; a
// task that a model can't do goes back to the router when another one may.
package generator

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/gate"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
)

// Catalog is where the generator finds the models it serves.
type Catalog interface {
	Current() *catalog.Catalog
	// Changed is closed when the catalog after the current one is in force.
	Changed() <-chan struct{}
}

// Ports are the systems the generator talks to.
type Ports struct {
	Catalog Catalog
	Dial    guard.Dial
}

// Service is the generator of some models.
type Service struct {
	cfg     Config
	p       platform.Platform
	bus     *bus.Bus
	ports   Ports
	guard   *guard.Guard
	gates   *gate.Compiler
	cache   *cache.Cache
	metrics *metrics
	ready   chan struct{}
}

// New returns a generator. It does no I/O.
func New(p platform.Platform, cfg Config, ports Ports) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p = p.WithDefaults()
	b, err := bus.New(p.NATS)
	if err != nil {
		return nil, err
	}
	g, err := guard.For(p, "generator", b, guard.Config{Catalog: ports.Catalog, Dial: ports.Dial})
	if err != nil {
		return nil, err
	}
	answers, err := cache.New(cache.Config{Bus: b, Now: p.Now})
	if err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, p: p, bus: b, ports: ports, guard: g, gates: gate.NewCompiler(), cache: answers, metrics: newMetrics(p.Registerer), ready: make(chan struct{})}, nil
}

// Ready is closed when the generator takes tasks.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Run takes tasks until ctx ends. It serves the chat models of the catalog, or
// those of them that the settings name, and follows the catalog's changes.
func (s *Service) Run(ctx context.Context) error {
	return s.guard.Around(ctx, s.ready, &fleet{s: s, ready: make(chan struct{})})
}

// served is a model that is served, and whether its provider limits it.
type served struct {
	model   string
	limited bool
}

// models are those to serve. A name in the settings that the catalog doesn't
// have yet is waited for.
func (s *Service) models(c *catalog.Catalog) map[served]bool {
	wanted := map[served]bool{}
	for _, m := range c.ChatModels() {
		named := func(name string) bool {
			other, ok := c.Model(name)
			return ok && other.ID == m.ID
		}
		if len(s.cfg.Models) > 0 && !slices.ContainsFunc(s.cfg.Models, named) {
			continue
		}
		p, _ := c.Provider(m.Provider)
		wanted[served{m.ID, len(guard.LimitGroup(p, m).Laws) > 0}] = true
	}
	return wanted
}

// runner takes the tasks of one model. Where nothing is limited nothing waits, and
// messages are fetched as the slots get free.
func (s *Service) runner(of served, metrics prometheus.Registerer) (*stage.Runner, error) {
	model := of.model
	cfg := s.cfg.Stage("generator", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.GenerateConsumer(model, lane, fleet)
	})
	cfg.Timeout = stage.NoTimeout // a call has its own bounds; waiting for a limit has the job's deadline
	for i := range cfg.Sources {
		if of.limited {
			cfg.Sources[i].Waiting = s.cfg.Waiting
		}
	}
	cfg.Share, cfg.Paused = s.guard.Share, s.guard.Broke
	cfg.Instance = model
	p := s.p
	p.Registerer = metrics
	return stage.New(cfg, s.bus, stage.HandlerFunc(func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
		return s.attempt(ctx, model, in)
	}), p)
}
