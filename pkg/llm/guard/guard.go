// Package guard is the one door to the providers: every call passes the breaker,
// the tenant's budget and the shared rate limits, leaves its intent in the ledger
// before it goes out, is retried within the job's budget, and tells all of them
// what came of it. See docs/providers.md.
package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/budget"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/tokens"
)

// Catalog is where the guard finds models, prices and limits.
type Catalog interface {
	// Current is the catalog in force. It is never changed, but replaced.
	Current() *catalog.Catalog
}

// Dial returns the endpoint of a model. It does no I/O.
type Dial func(p catalog.Provider, m catalog.Model) (llm.Endpoint, error)

// Config is what a guard works with.
type Config struct {
	Bus     *bus.Bus
	Catalog Catalog
	Dial    Dial
	// Worker is this process's name, unique in the fleet.
	Worker string
	Health Settings
	// Project adds up the ledger's totals in this process, too.
	Project    bool
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Guard makes calls. It is safe for concurrent use. Run must be running: calls
// wait until it is ready.
type Guard struct {
	cfg     Config
	metrics *metrics
	ready   chan struct{}

	// Set before ready is closed.
	limiter     *budget.Limiter
	health      *Health
	ledger      *ledger.Ledger
	spend       *ledger.Spend
	calibration *tokens.Calibration

	mu       sync.Mutex
	models   map[string]*model // by id, as they were first used
	counters map[string]*tokens.Counter
}

// For returns the guard of a service of a process: cfg with the process's clock,
// logs, metrics and connection. It does no I/O.
func For(p platform.Platform, service string, b *bus.Bus, cfg Config) (*Guard, error) {
	cfg.Bus, cfg.Worker, cfg.Health = b, platform.WorkerName(service), DefaultSettings()
	cfg.Now, cfg.Logger, cfg.Registerer = p.Now, p.Logger, platform.ServiceMetrics(p, service)
	return New(cfg)
}

// New returns a guard. It does no I/O.
func New(cfg Config) (*Guard, error) {
	switch {
	case cfg.Bus == nil || cfg.Catalog == nil || cfg.Dial == nil:
		return nil, errors.New("guard: Bus, Catalog and Dial: missing")
	case cfg.Worker == "":
		return nil, errors.New("guard: Worker: missing")
	}
	if err := cfg.Health.Validate(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	return &Guard{cfg: cfg, metrics: newMetrics(cfg.Registerer), ready: make(chan struct{}),
		models: map[string]*model{}, counters: map[string]*tokens.Counter{}}, nil
}

// Ready is closed when calls can be made.
func (g *Guard) Ready() <-chan struct{} { return g.ready }

// Run keeps the shared state until ctx ends, and lets go of the providers'
// connections then. It waits for NATS at the start.
func (g *Guard) Run(ctx context.Context) error {
	var parts []func(context.Context) error
	err := lifecycle.Retry(ctx, g.cfg.Logger, "shared state", func(ctx context.Context) (err error) {
		parts, err = g.open(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("opening the shared state: %w", err)
	}
	defer g.close()
	running, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(parts))
	var wait sync.WaitGroup
	for i, run := range parts {
		wait.Go(func() {
			defer stop() // one that ends early ends all
			errs[i] = run(running)
		})
	}
	close(g.ready)
	wait.Wait()
	return errors.Join(errs...)
}

func (g *Guard) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.models {
		m.endpoint.Close()
	}
	clear(g.models)
}

// Wait says why a call waits and until when.
type Wait = budget.Wait

// Call says what a call is made for and what it may take.
type Call struct {
	Tenant string
	Job    string
	// Step tells apart the calls of a job: it must be the same at each delivery.
	Step string
	// Epoch grows with each delivery: a later one fences an earlier one.
	Epoch int64
	Lane  event.Lane
	Model string // id or alias in the catalog
	// Fallback says that another model can take over: then the call fails soon
	// when this one is not to be had, instead of waiting for it.
	Fallback bool
	// Attempts and CostNanoUSD are what is left of the job's budget; a cost of 0 is
	// no bound.
	Attempts    int
	CostNanoUSD int64
	// OnWait is told why the call waits; Admitted is called when it no longer does;
	// Starts before each call that goes out: what an earlier one streamed is void.
	// All may be nil.
	OnWait   func(Wait)
	Admitted func()
	Starts   func()
}

// Report is what came of a call, answered or not.
type Report struct {
	// Attempts are the calls that went out, in order.
	Attempts []event.Attempt
	// Line is the answered call's record, to be stored with the result; nil when
	// it is stored already or nothing was answered.
	Line *ledger.Line
}

// CostNanoUSD is what the calls cost.
func (r Report) CostNanoUSD() int64 {
	sum := int64(0)
	for _, a := range r.Attempts {
		sum += a.CostNanoUSD
	}
	return sum
}

// model is what a catalog says of one.
type model struct {
	catalog.Model
	of       *catalog.Catalog
	provider catalog.Provider
	endpoint llm.Endpoint
	group    budget.Group
	target   Target
}

// find looks a model up, and makes it on its first use under a catalog.
func (g *Guard) find(name string, mode catalog.Mode) (*model, error) {
	c := g.cfg.Catalog.Current()
	m, ok := c.Model(name)
	if !ok || m.Mode != mode {
		return nil, event.Invalid("model", "use a model of the catalog: weir catalog show", "no %s model %q", mode, name)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	old, ok := g.models[m.ID]
	if ok && old.of == c {
		return old, nil
	}
	p, _ := c.Provider(m.Provider)
	endpoint, err := g.cfg.Dial(p, m)
	if err != nil {
		return nil, event.Errorf(event.ClassInvalid, "setting up model %s: %w", m.ID, err)
	}
	if ok {
		old.endpoint.Close() // idle connections only: calls in work go on
	}
	made := &model{Model: m, of: c, provider: p, endpoint: endpoint, group: LimitGroup(p, m), target: TargetOf(m)}
	g.models[m.ID] = made
	return made, nil
}

// counter is that of the model's encoding.
func (g *Guard) counter(encoding string) (*tokens.Counter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := g.counters[encoding]; ok {
		return c, nil
	}
	c, err := tokens.New(encoding)
	if err != nil {
		return nil, err
	}
	g.counters[encoding] = c
	return c, nil
}

// Share is a tenant's weight in the catalog, as the stages want it.
func (g *Guard) Share(tenant string) float64 { return g.cfg.Catalog.Current().Tenant(tenant).Share }

// TargetOf is where a model's calls go, as breakers see it.
func TargetOf(m catalog.Model) Target { return Target{Provider: m.Provider, Group: m.Group()} }
