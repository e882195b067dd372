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

	mu        sync.Mutex
	endpoints map[string]endpoint
	counters  map[string]*tokens.Counter
}

// endpoint is one that was dialled for a revision of the catalog.
type endpoint struct {
	llm.Endpoint
	of *catalog.Catalog
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
		endpoints: map[string]endpoint{}, counters: map[string]*tokens.Counter{}}, nil
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
	for _, e := range g.endpoints {
		e.Close()
	}
	clear(g.endpoints)
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

// model is what the catalog says of one.
type model struct {
	catalog.Model
	provider catalog.Provider
	revision string
	endpoint llm.Endpoint
	group    budget.Group
	target   Target
}

// find looks a model up and dials it on first use.
func (g *Guard) find(name string, mode catalog.Mode) (*model, error) {
	c := g.cfg.Catalog.Current()
	m, ok := c.Model(name)
	if !ok || m.Mode != mode {
		return nil, event.Invalid("model", "use a model of the catalog: weir catalog show", "no %s model %q", mode, name)
	}
	p, _ := c.Provider(m.Provider)
	out := &model{Model: m, provider: p, revision: c.Revision, group: LimitGroup(p, m),
		target: TargetOf(m)}
	g.mu.Lock()
	defer g.mu.Unlock()
	e, ok := g.endpoints[m.ID]
	if !ok || e.of != c {
		dialled, err := g.cfg.Dial(p, m)
		if err != nil {
			return nil, event.Errorf(event.ClassInvalid, "setting up model %s: %w", m.ID, err)
		}
		if ok {
			e.Close() // idle connections only: calls in work go on
		}
		e = endpoint{Endpoint: dialled, of: c}
		g.endpoints[m.ID] = e
	}
	out.endpoint = e.Endpoint
	return out, nil
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

// TargetOf is where a model's calls go, as breakers see it.
func TargetOf(m catalog.Model) Target { return Target{Provider: m.Provider, Group: m.Group()} }
