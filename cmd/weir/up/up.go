// Package up runs the whole of Weir in one process: every service, and an
// embedded stand-in for each external system that no address is given for. The
// services are the same as in processes of their own; only addresses differ.
//
//	natsd  qdrantd  llmsim  health        layer 1: what the services talk to
//	   └───────┴───────┴───────┐
//	ingestor embedder router generator    layer 2: the services
package up

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/embedded/natsd"
	"github.com/weir-dev/weir/embedded/qdrantd"
	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm/openai"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/telemetry"
	"github.com/weir-dev/weir/services/embedder"
	"github.com/weir-dev/weir/services/generator"
	"github.com/weir-dev/weir/services/ingestor"
	"github.com/weir-dev/weir/services/router"
)

// Config says what runs where. An address left "" starts the embedded
// stand-in.
type Config struct {
	// Process holds NatsURL ("" embeds NATS), HTTPAddr ("" serves no health),
	// and the log settings.
	Process platform.Config
	// DataDir holds what the embedded servers store.
	DataDir string
	// NatsAddr is where the embedded NATS listens for other clients; "" opens
	// no port.
	NatsAddr string
	// QdrantAddr is where the embedded store listens.
	QdrantAddr string
	// Sim is the embedded provider.
	Sim llmsim.Config

	Ingestor  ingestor.Config
	Embedder  embedder.Config
	Router    router.Config
	Generator generator.Config
}

// DefaultConfig embeds everything, with NATS at its usual port of this machine
// and health at 8080. The simulator is free; the default catalog prices it like a
// small model, so that receipts show something.
func DefaultConfig(dataDir string) Config {
	cfg := Config{
		Process: platform.DefaultConfig(), DataDir: dataDir,
		NatsAddr: "127.0.0.1:4222", QdrantAddr: "127.0.0.1:0", Sim: llmsim.DefaultConfig(),
		Ingestor: ingestor.DefaultConfig(), Embedder: embedder.DefaultConfig(),
		Router: router.DefaultConfig(), Generator: generator.DefaultConfig(),
	}
	cfg.Process.NatsURL, cfg.Process.HTTPAddr, cfg.Sim.Addr = "", "127.0.0.1:8080", "127.0.0.1:0"
	cfg.Process.SimURL, cfg.Embedder.QdrantAddr, cfg.Router.QdrantAddr = "", "", ""
	return cfg
}

// Sections lists the parts of the configuration with the prefixes of their
// environment variables, for loading and showing.
func (c *Config) Sections() []Section {
	return []Section{
		{platform.Prefix, &c.Process},
		{platform.ServicePrefix("ingestor"), &c.Ingestor},
		{platform.ServicePrefix("embedder"), &c.Embedder},
		{platform.ServicePrefix("router"), &c.Router},
		{platform.ServicePrefix("generator"), &c.Generator},
	}
}

// Section is one part of the configuration.
type Section struct {
	Prefix string
	Config any
}

// Load overrides cfg by the environment.
func (c *Config) Load() error {
	var errs []error
	for _, s := range c.Sections() {
		errs = append(errs, config.Load(s.Prefix, s.Config))
	}
	return errors.Join(errs...)
}

// System is a running Weir.
type System struct {
	// Conn is the services' connection.
	Conn *nats.Conn
	// NatsURL is where other clients connect; "" without a listener.
	NatsURL string
	// QdrantAddr is that of the vector store.
	QdrantAddr string
	// HTTPAddr serves health and metrics; "" when that is off.
	HTTPAddr string
}

// Run runs Weir until ctx ends. It calls ready when all services work.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ready func(System)) error {
	r := &runner{cfg: cfg, log: log, registry: telemetry.NewRegistry(), ready: ready}
	defer r.close()
	return lifecycle.Run(ctx, r.serving, r.externals, r.services)
}

type runner struct {
	cfg      Config
	log      *slog.Logger
	registry *prometheus.Registry
	ready    func(System)

	nats   *natsd.Server
	qdrant *qdrantd.Server
	sim    *llmsim.Server
	health *telemetry.Server
	conn   *nats.Conn
}

// externals builds layer 1.
func (r *runner) externals(context.Context) (members []lifecycle.Member, err error) {
	cfg := &r.cfg
	if cfg.Process.HTTPAddr != "" {
		r.health = telemetry.NewServer(cfg.Process.HTTPAddr, r.registry)
		members = append(members, lifecycle.Member{Name: "health", Service: r.health})
	}
	if cfg.Process.NatsURL == "" {
		if r.nats, err = natsd.New(natsd.Config{Dir: filepath.Join(cfg.DataDir, "nats"), Addr: cfg.NatsAddr}); err != nil {
			return nil, err
		}
		members = append(members, lifecycle.Member{Name: "natsd", Service: r.nats})
	}
	if cfg.Embedder.QdrantAddr == "" || cfg.Router.QdrantAddr == "" {
		if r.qdrant, err = qdrantd.New(qdrantd.Config{Dir: filepath.Join(cfg.DataDir, "qdrant"), Addr: cfg.QdrantAddr}); err != nil {
			return nil, err
		}
		members = append(members, lifecycle.Member{Name: "qdrantd", Service: r.qdrant})
	}
	if cfg.Process.SimURL == "" && cfg.Process.Catalog == "" && config.Env("OPENAI_API_KEY") == "" {
		if r.sim, err = llmsim.New(cfg.Sim); err != nil {
			return nil, err
		}
		members = append(members, lifecycle.Member{Name: "llmsim", Service: r.sim})
	}
	return members, nil
}

// services builds layer 2, on the addresses of layer 1.
func (r *runner) services(ctx context.Context) ([]lifecycle.Member, error) {
	if err := r.connect(); err != nil {
		return nil, err
	}
	r.fillAddresses()
	p := platform.Platform{Logger: r.log, Registerer: r.registry, NATS: r.conn, Now: time.Now}
	if err := platform.EnsureStreams(ctx, p, r.cfg.Process.Stream); err != nil {
		return nil, err
	}
	var err error
	if p.Catalog, err = platform.OpenCatalog(p, r.cfg.Process); err != nil {
		return nil, err
	}
	members, err := Services(p, r.cfg)
	return append(members, lifecycle.Member{Name: "catalog", Service: p.Catalog}), err
}

// Services builds the four services of a configuration with all addresses, on the
// platform's catalog.
func Services(p platform.Platform, cfg Config) ([]lifecycle.Member, error) {
	vectors, err := embedder.DialStore(cfg.Embedder)
	if err != nil {
		return nil, err
	}
	store, err := router.Dial(cfg.Router)
	if err != nil {
		return nil, err
	}
	dial := openai.NewDialer(config.Env).Dial
	i, err1 := ingestor.New(p, cfg.Ingestor, ingestor.Dial(cfg.Ingestor, p.Catalog))
	e, err2 := embedder.New(p, cfg.Embedder, embedder.Ports{Catalog: p.Catalog, Dial: dial, Store: vectors})
	ro, err3 := router.New(p, cfg.Router, router.Ports{Catalog: p.Catalog, Store: store})
	g, err4 := generator.New(p, cfg.Generator, generator.Ports{Catalog: p.Catalog, Dial: dial})
	return []lifecycle.Member{
		{Name: "ingestor", Service: i}, {Name: "embedder", Service: e},
		{Name: "router", Service: ro}, {Name: "generator", Service: g},
	}, errors.Join(err1, err2, err3, err4)
}

func (r *runner) connect() (err error) {
	if r.nats != nil {
		r.conn, err = r.nats.Conn(platform.ConnOptions("weir")...)
	} else {
		r.conn, err = platform.Connect(r.cfg.Process, "weir")
	}
	return err
}

// fillAddresses points the services to the embedded servers that run.
func (r *runner) fillAddresses() {
	for _, addr := range []*string{&r.cfg.Embedder.QdrantAddr, &r.cfg.Router.QdrantAddr} {
		if *addr == "" {
			*addr = r.qdrant.Addr()
		}
	}
	if r.sim != nil {
		r.cfg.Process.SimURL = r.sim.URL()
	}
}

// serving switches readiness and reports the running system once.
func (r *runner) serving(on bool) {
	if r.health != nil {
		r.health.SetServing(on)
	}
	if !on {
		return
	}
	sys := System{Conn: r.conn, NatsURL: r.cfg.Process.NatsURL, QdrantAddr: r.cfg.Router.QdrantAddr}
	if r.nats != nil {
		sys.NatsURL = r.nats.URL()
	}
	if r.health != nil {
		sys.HTTPAddr = r.health.Addr()
	}
	r.ready(sys)
}

func (r *runner) close() {
	if r.conn != nil {
		r.conn.Close()
	}
}

// LockError explains a data directory that another process uses, or returns
// err as it is.
func LockError(err error, dir string) error {
	if errors.Is(err, natsd.ErrInUse) || errors.Is(err, qdrantd.ErrInUse) {
		return fmt.Errorf("data directory %s is in use by another weir; stop it, talk to it (weir status), or choose another --data-dir", dir)
	}
	return err
}
