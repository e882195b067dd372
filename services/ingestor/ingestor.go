// Package ingestor turns documents into chunks: it parses, cuts along the
// structure, and sends the chunks to the embedder.
package ingestor

import (
	"context"
	"fmt"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/chunk"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/tokens"
)

// Service is the ingestor.
type Service struct {
	cfg     Config
	p       platform.Platform
	options chunk.Options
	metrics *metrics
	runner  *stage.Runner
}

// New returns an ingestor. It does no I/O.
func New(p platform.Platform, cfg Config) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	counter, err := tokens.New(cfg.Encoding)
	if err != nil {
		return nil, fmt.Errorf("WEIR_INGESTOR_ENCODING: %w", err)
	}
	options := chunk.Options{MaxTokens: cfg.ChunkTokens, Overlap: cfg.ChunkOverlap, Counter: counter}
	if err := options.Validate(); err != nil {
		return nil, fmt.Errorf("WEIR_INGESTOR_CHUNK_TOKENS, WEIR_INGESTOR_CHUNK_OVERLAP: %w", err)
	}
	p = p.WithDefaults()
	b, err := bus.New(p.NATS)
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, p: p, options: options, metrics: newMetrics(p.Registerer)}
	runner := cfg.Stage("ingestor", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.JobConsumer("ingestor", event.KindIngest, lane, fleet)
	})
	s.runner, err = stage.New(runner, b, stage.HandlerFunc(s.cut), p)
	return s, err
}

// Ready is closed when the ingestor takes documents.
func (s *Service) Ready() <-chan struct{} { return s.runner.Ready() }

// Run takes documents until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.runner.Run(ctx) }
