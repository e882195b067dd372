// Package ingestor turns documents into chunks: it fetches, parses, cuts along
// the structure, compares with what the manifest says is stored, and sends what
// is new to the embedder. It never touches the vector store.
package ingestor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/chunk"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/fetch"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/parse"
	"github.com/weir-dev/weir/pkg/parse/pdfium"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/tokens"
)

// Service is the ingestor.
type Service struct {
	cfg     Config
	p       platform.Platform
	ports   Ports
	rows    *manifest.Rows
	counter *tokens.Counter
	metrics *metrics
	runner  *stage.Runner
}

// Ports are the systems the ingestor talks to besides NATS.
type Ports struct {
	// Catalog says how collections are cut; nil leaves it to the settings.
	Catalog Catalog
	// Fetch gets documents by URL; nil refuses them.
	Fetch Fetcher
	// PDF reads PDF files; nil refuses them.
	PDF parse.PDF
}

// Catalog is where the ingestor finds how collections are cut.
type Catalog interface{ Current() *catalog.Catalog }

// Dial returns the ports cfg names. It does no I/O.
func Dial(cfg Config, models Catalog) Ports {
	fetching := cfg.Fetch
	if fetching.MaxBytes == 0 {
		fetching.MaxBytes = int64(cfg.MaxDocumentBytes)
	}
	cache := cfg.PDFCache
	if dir, err := os.UserCacheDir(); cache == "" && err == nil {
		cache = filepath.Join(dir, "weir", "pdfium")
	}
	return Ports{Catalog: models, Fetch: fetch.New(fetching), PDF: pdfium.New(pdfium.Config{CacheDir: cache, Instances: cfg.PDFInstances})}
}

// New returns an ingestor. It does no I/O.
func New(p platform.Platform, cfg Config, ports Ports) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	counter, err := tokens.New(cfg.Encoding)
	if err != nil {
		return nil, fmt.Errorf("WEIR_INGESTOR_ENCODING: %w", err)
	}
	p = p.WithDefaults()
	b, err := bus.New(p.NATS)
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, p: p, ports: ports, rows: manifest.NewRows(b), counter: counter, metrics: newMetrics(p.Registerer)}
	if err := s.defaults().Validate(); err != nil {
		return nil, fmt.Errorf("WEIR_INGESTOR_CHUNK_TOKENS, WEIR_INGESTOR_CHUNK_OVERLAP: %w", err)
	}
	runner := cfg.Stage("ingestor", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.JobConsumer("ingestor", event.KindIngest, lane, fleet)
	})
	deletes := cfg.Stage("ingestor", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.JobConsumer("ingestor-delete", event.KindDelete, lane, fleet)
	})
	runner.Sources = append(runner.Sources, deletes.Sources...)
	s.runner, err = stage.New(runner, b, stage.HandlerFunc(s.handle), p)
	return s, err
}

// defaults say how collections are cut of which the catalog says nothing.
func (s *Service) defaults() chunk.Options {
	return chunk.Options{MaxTokens: s.cfg.ChunkTokens, Overlap: s.cfg.ChunkOverlap, Counter: s.counter}
}

// options say how a collection is cut.
func (s *Service) options(tenant, collection string) chunk.Options {
	o := s.defaults()
	if s.ports.Catalog == nil {
		return o
	}
	c := s.ports.Catalog.Current().Collection(tenant, collection)
	if c.ChunkTokens > 0 {
		o.MaxTokens, o.Overlap = c.ChunkTokens, min(o.Overlap, c.ChunkTokens/2)
	}
	if c.ChunkOverlap != nil {
		o.Overlap = min(*c.ChunkOverlap, o.MaxTokens/2)
	}
	return o
}

// Ready is closed when the ingestor takes documents.
func (s *Service) Ready() <-chan struct{} { return s.runner.Ready() }

// Run takes documents until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.runner.Run(ctx) }

func (s *Service) handle(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	if event.KindOf(in.Subject) == event.KindDelete {
		return s.remove(ctx, in)
	}
	return s.ingest(ctx, in)
}
