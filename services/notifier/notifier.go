// Package notifier tells the world outside of results: webhooks, signed, retried on
// a schedule, and given up as dead letters. It also moves jobs with a not_before back
// to their place when their time has come.
//
//	weir.results ──► fan-out ──► weir.due.hooks ──► deliver ──► POST
//	                              ▲                    │ failed, busy
//	                              └── WEIR_DELAY ◄─────┤
//	                                                   └► weir.dead.notifier
//
// What is known of a delivery is its record in the bucket weir_deliveries; messages
// only say that it is time to look.
package notifier

import (
	"context"
	"errors"
	"sync"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/delay"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/fetch"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/webhook"
)

// Catalog is where the notifier finds endpoints and secrets.
type Catalog interface{ Current() *catalog.Catalog }

// Ports are what the notifier works with.
type Ports struct{ Catalog Catalog }

// Service is the notifier.
type Service struct {
	cfg     Config
	p       platform.Platform
	bus     *bus.Bus
	ports   Ports
	store   *webhook.Store
	gates   *gates
	metrics *metrics
	// public reaches what is public or allowed, private only what is allowed.
	public, private *fetch.Client
	ready           chan struct{}
}

// New returns a notifier. It does no I/O.
func New(p platform.Platform, cfg Config, ports Ports) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if ports.Catalog == nil {
		return nil, errors.New("notifier: Catalog: missing")
	}
	p = p.WithDefaults()
	b, err := bus.New(p.NATS)
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, p: p, bus: b, ports: ports, store: webhook.NewStore(b, p.Now), gates: newGates(cfg, p.Now), ready: make(chan struct{})}
	s.metrics = newMetrics(p.Registerer, s.gates)
	s.public = fetch.New(cfg.fetching())
	inside := cfg.fetching()
	inside.AllowedOnly = true
	s.private = fetch.New(inside)
	return s, nil
}

// Ready is closed when results are listened to.
func (s *Service) Ready() <-chan struct{} { return s.ready }

const (
	// resultSlots is how many results are looked at at once.
	resultSlots = 32
	// maxPending bounds what all notifiers have in hand, of results and of deliveries.
	maxPending = 4096
)

// Run delivers until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	defer s.public.Close()
	defer s.private.Close()
	results := bus.Consumer{Stream: bus.StreamResults, Durable: name, Filter: event.ResultSubject("*", "*"), MaxAckPending: maxPending, FromNow: true}
	ready := sync.OnceFunc(func() { close(s.ready) })
	return lifecycle.Run(ctx, func(serving bool) {
		if serving {
			ready()
		}
	}, func(context.Context) ([]lifecycle.Member, error) {
		return []lifecycle.Member{
			{Name: "schedules", Service: delay.NewMover(s.p, s.bus)},
			{Name: "results", Service: s.worker(results, resultSlots, s.fanOut)},
			{Name: "deliveries", Service: s.worker(bus.DueConsumer(webhook.KindHooks, maxPending), s.cfg.Slots, s.deliver)},
		}, nil
	})
}

// worker makes a service of a handler that says whether a message is dealt with.
func (s *Service) worker(c bus.Consumer, slots int, handle func(context.Context, *bus.Message) error) lifecycle.Service {
	return &worker{bus: s.bus, ready: make(chan struct{}), Worker: bus.Worker{Consumer: c, Slots: slots, Drain: s.cfg.DrainTimeout,
		Handle: func(ctx context.Context, msg *bus.Message) { s.settled(ctx, msg, handle(ctx, msg)) }}}
}

type worker struct {
	bus.Worker
	bus   *bus.Bus
	ready chan struct{}
}

// Ready implements lifecycle.Service.
func (w *worker) Ready() <-chan struct{} { return w.ready }

// Run implements lifecycle.Service.
func (w *worker) Run(ctx context.Context) error {
	return w.Worker.Run(ctx, w.bus, func() { close(w.ready) })
}
