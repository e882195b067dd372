// Package batch is OpenAI's files and batches: their endpoints, and the stage that
// runs batches. A batch is a job; its lines are jobs named after the batch and the
// line. What came of them is read from their results, so a batch that breaks off
// goes on in any gateway.
package batch

import (
	"context"
	"os"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/file"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/tenant"
	"github.com/weir-dev/weir/services/gateway/internal/intake"
	"github.com/weir-dev/weir/services/gateway/internal/openai"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// Catalog is where models and tenants are found.
type Catalog interface{ Current() *catalog.Catalog }

// Intake takes batches in and checks their lines.
type Intake interface {
	Submit(ctx context.Context, p tenant.Principal, job intake.Job) (intake.Accepted, error)
	Check(p tenant.Principal, job intake.Job) (intake.Checked, error)
	Known(ctx context.Context, tenant, id string) (*event.Submission, error)
}

// Jobs stops jobs.
type Jobs interface {
	Cancel(ctx context.Context, tenant, id string) (event.Result, error)
}

// Config is what the service works with.
type Config struct {
	Bus     *bus.Bus
	Catalog Catalog
	Intake  Intake
	Jobs    Jobs
	// MaxBodyBytes bounds a request, MaxFileBytes a file.
	MaxBodyBytes, MaxFileBytes int64
	// Slots is how many batches this process runs at once, TenantSlots how many of a
	// tenant all processes do.
	Slots, TenantSlots int
	// Window is how many lines of a batch are submitted and not done.
	Window int
	// Dir holds what batches in work need of the disk; "" is the system's.
	Dir string
	// Every is how often progress is told and a request to stop looked for; 0 is a
	// second.
	Every time.Duration
}

// MaxLines bounds the lines of a batch, as OpenAI does.
const MaxLines = 50_000

// maxDeliveries is how often a batch may be taken up: each stop of a gateway and each
// outage of NATS takes one.
const maxDeliveries = 10_000

// Service keeps files and runs batches.
type Service struct {
	cfg    Config
	p      platform.Platform
	files  *file.Store
	runner *stage.Runner
}

// New returns the service. It does no I/O.
func New(p platform.Platform, cfg Config) (*Service, error) {
	if cfg.Every == 0 {
		cfg.Every = time.Second
	}
	if cfg.Dir == "" {
		cfg.Dir = os.TempDir()
	}
	p = p.WithDefaults()
	s := &Service{cfg: cfg, p: p, files: file.NewStore(cfg.Bus, p.Now)}
	var err error
	s.runner, err = stage.New(s.stage(), cfg.Bus, stage.HandlerFunc(s.handle), p)
	return s, err
}

// stage is how batches are taken up. One that is told to stop ends at once: another
// gateway goes on with it.
func (s *Service) stage() stage.Config {
	cfg := stage.Config{Name: "batch", MaxDeliveries: maxDeliveries, Timeout: stage.NoTimeout, OwnDeadline: true, DrainTimeout: 100 * time.Millisecond}
	for _, lane := range event.Lanes() {
		cfg.Sources = append(cfg.Sources, stage.Source{
			Consumer: bus.JobConsumer("batch", event.KindBatch, lane, s.cfg.TenantSlots), Slots: s.cfg.Slots})
	}
	return cfg
}

// Ready is closed when batches are taken up.
func (s *Service) Ready() <-chan struct{} { return s.runner.Ready() }

// Run takes up batches until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.runner.Run(ctx) }

// Routes adds the endpoints.
func (s *Service) Routes(mux *web.Mux) {
	mux.Route("POST /v1/files", catalog.ScopeSubmit, openai.Shape, s.upload)
	mux.Route("GET /v1/files", catalog.ScopeRead, openai.Shape, s.listFiles)
	mux.Route("GET /v1/files/{id}", catalog.ScopeRead, openai.Shape, s.showFile)
	mux.Route("GET /v1/files/{id}/content", catalog.ScopeRead, openai.Shape, s.download)
	mux.Route("DELETE /v1/files/{id}", catalog.ScopeSubmit, openai.Shape, s.deleteFile)
	mux.Route("POST /v1/batches", catalog.ScopeSubmit, openai.Shape, s.create)
	mux.Route("GET /v1/batches", catalog.ScopeRead, openai.Shape, s.list)
	mux.Route("GET /v1/batches/{id}", catalog.ScopeRead, openai.Shape, s.show)
	mux.Route("POST /v1/batches/{id}/cancel", catalog.ScopeSubmit, openai.Shape, s.cancel)
}
