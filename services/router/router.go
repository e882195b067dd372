// Package router plans generate jobs: it checks the job, retrieves the sources
// that ground its answer, builds the prompt and chooses the model. Routing
// policy lives here and nowhere else.
package router

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/vector"
	"github.com/weir-dev/weir/pkg/vector/qdrant"
)

// Service is the router.
type Service struct {
	cfg     Config
	p       platform.Platform
	nc      *nats.Conn
	store   searcher
	metrics *metrics
	runner  *stage.Runner
}

// searcher is what the router needs of the vector store.
type searcher interface {
	Search(ctx context.Context, idx vector.Index, q vector.Query) ([]vector.Hit, error)
	Count(ctx context.Context, idx vector.Index, scope vector.Scope) (int, error)
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
func New(p platform.Platform, cfg Config, store vector.Store) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p = p.WithDefaults()
	b, err := bus.New(p.NATS)
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, p: p, nc: p.NATS, store: store, metrics: newMetrics(p.Registerer)}
	runner := cfg.Stage("router", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.JobConsumer("router", event.KindGenerate, lane, fleet)
	})
	runner.Timeout = 3 * cfg.RetrieveTimeout
	s.runner, err = stage.New(runner, b, stage.HandlerFunc(s.plan), p)
	return s, err
}

// Ready is closed when the router takes jobs.
func (s *Service) Ready() <-chan struct{} { return s.runner.Ready() }

// Run takes jobs until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.runner.Run(ctx) }
