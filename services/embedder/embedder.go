// Package embedder turns chunks into vectors and stores them. It fills the
// provider's batches across documents, and answers the router's requests for
// query vectors.
package embedder

import (
	"context"
	"fmt"
	"sync"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/openai"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/vector"
	"github.com/weir-dev/weir/pkg/vector/qdrant"
)

// Service is the embedder of one model.
type Service struct {
	cfg     Config
	p       platform.Platform
	store   vector.Store
	batcher *batcher
	queries *queries
	runner  *stage.Runner
	ready   chan struct{}
}

// Ports are the systems the embedder talks to.
type Ports struct {
	Embedder llm.Embedder
	Store    vector.Store
}

// Dial returns the ports cfg names. It does no I/O.
func Dial(cfg Config) (Ports, error) {
	client, err := openai.New(openai.Config{
		BaseURL: cfg.ProviderURL, APIKey: cfg.ProviderKey.Reveal(),
		Timeouts: openai.Timeouts{Total: cfg.CallTimeout}, MaxConnsPerHost: 2 * cfg.Calls,
	})
	if err != nil {
		return Ports{}, fmt.Errorf("setting up the provider: %w", err)
	}
	store, err := qdrant.New(qdrant.Config{Addr: cfg.QdrantAddr, APIKey: cfg.QdrantKey.Reveal(), TLS: cfg.QdrantTLS})
	if err != nil {
		return Ports{}, fmt.Errorf("setting up Qdrant: %w", err)
	}
	return Ports{Embedder: client, Store: store}, nil
}

// New returns an embedder. It does no I/O.
func New(p platform.Platform, cfg Config, ports Ports) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p = p.WithDefaults()
	b, err := bus.New(p.NATS)
	if err != nil {
		return nil, err
	}
	m := newMetrics(p.Registerer)
	s := &Service{cfg: cfg, p: p, store: ports.Store, ready: make(chan struct{}),
		batcher: newBatcher(cfg, ports.Embedder, m)}
	s.queries = &queries{nc: p.NATS, cfg: cfg, embedder: ports.Embedder, metrics: m}
	runner := cfg.Stage("embedder", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.EmbedConsumer(cfg.Model, lane, fleet)
	})
	s.runner, err = stage.New(runner, b, stage.HandlerFunc(s.index), p)
	return s, err
}

// Ready is closed when the embedder takes documents and queries.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Run makes or verifies the index, then works until ctx ends, and lets go of the
// provider's connections then. It fails when the index has another dimension
// than the model.
func (s *Service) Run(ctx context.Context) error {
	if provider, ok := s.batcher.embedder.(interface{ Close() }); ok {
		defer provider.Close()
	}
	err := lifecycle.Retry(ctx, s.p.Logger, "vector store", func(ctx context.Context) error {
		return s.store.Ensure(ctx, s.cfg.Index())
	})
	if err != nil {
		return err
	}
	// The batcher must outlive the runner: documents in work drain through it.
	batching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	defer background.Wait()
	defer stop()
	background.Go(func() { s.batcher.run(batching) })
	stopQueries, err := s.queries.start()
	if err != nil {
		return err
	}
	defer stopQueries()
	context.AfterFunc(ctx, stopQueries)
	go func() {
		select {
		case <-s.runner.Ready():
			close(s.ready)
		case <-batching.Done():
		}
	}()
	return s.runner.Run(ctx)
}
