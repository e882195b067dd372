// Package embedder turns chunks into vectors and stores them. It fills the
// provider's batches across documents, answers the router's requests for query
// vectors, and does embed jobs.
package embedder

import (
	"context"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/migration"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/vector"
	"github.com/weir-dev/weir/pkg/vector/qdrant"
	"github.com/weir-dev/weir/services/embedder/internal/batch"
	"github.com/weir-dev/weir/services/embedder/internal/rpc"
)

// Service is the embedder of one model.
type Service struct {
	cfg     Config
	p       platform.Platform
	bus     *bus.Bus
	catalog rpc.Catalog
	guard   *guard.Guard
	vectors vector.Store
	rows    *manifest.Rows
	sparse  *sparse.Encoder
	record  *migration.Record
	batcher *batch.Batcher
	queries *rpc.Queries
	reranks *rpc.Rerankers
	runner  *stage.Runner // of chunks
	texts   *stage.Runner // of embed jobs
	checks  *stage.Runner // of verify and reindex jobs
	ready   chan struct{}
}

// Ports are the systems the embedder talks to.
type Ports struct {
	Catalog rpc.Catalog
	Dial    guard.Dial
	Store   vector.Store
}

// DialStore returns the vector store cfg names. It does no I/O.
func DialStore(cfg Config) (vector.Store, error) {
	store, err := qdrant.New(qdrant.Config{Addr: cfg.QdrantAddr, APIKey: cfg.QdrantKey.Reveal(), TLS: cfg.QdrantTLS})
	if err != nil {
		return nil, fmt.Errorf("setting up Qdrant: %w", err)
	}
	return store, nil
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
	g, err := guard.For(p, "embedder", b, guard.Config{Catalog: ports.Catalog, Dial: ports.Dial})
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, p: p, bus: b, catalog: ports.Catalog, guard: g, vectors: ports.Store, rows: manifest.NewRows(b),
		sparse: sparse.New(), record: migration.New(b), ready: make(chan struct{}),
		batcher: batch.New(cfg.batch(), g, ports.Catalog, batch.NewMetrics(p.Registerer))}
	s.queries = &rpc.Queries{NC: p.NATS, Pool: cfg.Model, Model: s.model, Querier: s.batcher, Timeout: cfg.QueryTimeout}
	s.reranks = &rpc.Rerankers{NC: p.NATS, Catalog: ports.Catalog, Reranker: g, Timeout: cfg.QueryTimeout, Calls: cfg.QueryCalls, Logger: p.Logger}
	runner := cfg.Stage("embedder", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.EmbedConsumer(cfg.Model, lane, fleet)
	})
	runner.Timeout = stage.NoTimeout
	runner.Share, runner.Paused = g.Share, g.Broke
	if s.runner, err = stage.New(runner, b, stage.HandlerFunc(s.index), p); err != nil {
		return nil, err
	}
	if s.texts, err = s.textRunner(); err != nil {
		return nil, err
	}
	checks := cfg.Stage("verifier", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.JobConsumer("embedder-verify", event.KindVerify, lane, fleet)
	})
	reindex := cfg.Stage("verifier", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.JobConsumer("embedder-reindex", event.KindReindex, lane, fleet)
	})
	checks.Sources = append(checks.Sources, reindex.Sources...)
	checks.Timeout = stage.NoTimeout
	for i := range checks.Sources {
		checks.Sources[i].Slots = 1
	}
	s.checks, err = stage.New(checks, b, stage.HandlerFunc(s.maintain), p)
	return s, err
}

func (s *Service) maintain(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	if event.KindOf(in.Subject) == event.KindReindex {
		return s.reindex(ctx, in)
	}
	return s.verify(ctx, in)
}

// maintained completes the result of a job that did well.
func (s *Service) maintained(in *bus.Message, received time.Time, result event.Result) ([]bus.Out, error) {
	now := result.FinishedAt
	result.Receipt = event.Receipt{WaitingMS: event.Milliseconds(received.Sub(in.Stored)), TotalMS: event.Milliseconds(now.Sub(in.Stored))}
	out, err := stage.ResultOut(result)
	return []bus.Out{out}, err
}

// model is the one in force.
func (s *Service) model(ctx context.Context) (string, error) {
	state, err := s.record.Get(ctx)
	if err != nil {
		return "", err
	}
	place, err := s.place(state.Models(s.cfg.Model)[0])
	return place.Model, unfit(err)
}

// Ready is closed when the embedder takes documents and queries.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Run makes or verifies the index, then works until ctx ends. It fails when the
// index has another dimension than the model.
func (s *Service) Run(ctx context.Context) error {
	return s.guard.Around(ctx, s.ready, &work{s: s, ready: make(chan struct{})})
}

// work is the embedder on top of its guard.
type work struct {
	s     *Service
	ready chan struct{}
}

// Ready is closed when documents and queries are taken.
func (w *work) Ready() <-chan struct{} { return w.ready }

// Run takes documents and queries until ctx ends.
func (w *work) Run(ctx context.Context) error {
	s := w.s
	if err := lifecycle.Retry(ctx, s.p.Logger, "vector store", s.ensure); err != nil {
		return err
	}
	for _, start := range []func() (func(), error){s.queries.Start, s.reranks.Start} {
		stop, err := start()
		if err != nil {
			return err
		}
		defer stop()
		context.AfterFunc(ctx, stop)
	}
	members := []lifecycle.Member{
		{Name: "chunks", Service: s.runner}, {Name: "texts", Service: s.texts}, {Name: "checks", Service: s.checks}, {Name: "migrator", Service: newMigrator(s)}}
	return lifecycle.Run(ctx, func(on bool) {
		if on {
			close(w.ready)
		}
	}, func(context.Context) ([]lifecycle.Member, error) { return members, nil })
}

// ensure makes or verifies the indexes that are written. One that holds another
// model's vectors than the settings say is refused: its readers would ask it with
// vectors that don't compare.
func (s *Service) ensure(ctx context.Context) error {
	state, err := s.record.Get(ctx)
	if err != nil {
		return err
	}
	places, err := s.placesOf(&state)
	if err != nil {
		return err
	}
	for _, place := range places {
		if err := s.vectors.Ensure(ctx, place); err != nil {
			return err
		}
	}
	now, ok, err := s.vectors.Current(ctx, vector.DefaultIndex)
	// A model that the record names is in force, wherever the alias still leads.
	if want := places[0]; err == nil && ok && now != want && state.Model == "" {
		err = &event.Error{Class: event.ClassInvalid, Field: "WEIR_EMBEDDER_MODEL", Err: vector.ErrDimension,
			Message: fmt.Sprintf("is %q of dimension %d, but the index holds vectors of %q of dimension %d", want.Model, want.Dimension, now.Model, now.Dimension),
			Hint:    fmt.Sprintf("set it back, and change models by: weir migrate --to %s", want.Model)}
	}
	return err
}
