// Package up runs the whole of Weir in one process: every service, and an
// embedded stand-in for each external system that no address is given for. The
// services are the same as in processes of their own; only addresses differ.
//
//	natsd  qdrantd  llmsim  health        layer 1: what the services talk to
//	   └───────┴───────┴───────┐
//	ingestor embedder router generator    layer 2: the services
//	gateway notifier
package up

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
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
	"github.com/weir-dev/weir/pkg/tenant"
	"github.com/weir-dev/weir/services/embedder"
	"github.com/weir-dev/weir/services/gateway"
	"github.com/weir-dev/weir/services/generator"
	"github.com/weir-dev/weir/services/ingestor"
	"github.com/weir-dev/weir/services/notifier"
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
	Gateway   gateway.Config
	Notifier  notifier.Config
}

// DefaultConfig embeds everything, with NATS at its usual port of this machine,
// the HTTP API at 8088 and health at 8080; no API with an address of "". The simulator is free; the default catalog prices it like a
// small model, so that receipts show something.
func DefaultConfig(dataDir string) Config {
	cfg := Config{
		Process: platform.DefaultConfig(), DataDir: dataDir,
		NatsAddr: "127.0.0.1:4222", QdrantAddr: "127.0.0.1:0", Sim: llmsim.DefaultConfig(),
		Ingestor: ingestor.DefaultConfig(), Embedder: embedder.DefaultConfig(),
		Router: router.DefaultConfig(), Generator: generator.DefaultConfig(),
		Gateway: gateway.DefaultConfig(), Notifier: notifier.DefaultConfig(),
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
		{platform.ServicePrefix("gateway"), &c.Gateway},
		{platform.ServicePrefix("notifier"), &c.Notifier},
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
	// Conn is the process's own connection.
	Conn *nats.Conn
	// NatsURL is where other clients connect; "" without a listener.
	NatsURL string
	// QdrantAddr is that of the vector store.
	QdrantAddr string
	// HTTPAddr serves health and metrics; "" when that is off.
	HTTPAddr string
	// APIAddr serves the HTTP API.
	APIAddr string
	// OperatorFile holds the address of NATS with the operator's password; "" where
	// nobody is asked for one.
	OperatorFile string
}

// Run runs Weir until ctx ends. It calls ready when all services work.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ready func(System)) error {
	if err := cfg.checkOpen(); err != nil {
		return err
	}
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
	conns  []*nats.Conn // the first one is the process's own

	gateway *gateway.Service

	password string // of the service user of the embedded NATS; "" asks for none
	told     string // the operator's file
}

// externals builds layer 1.
func (r *runner) externals(context.Context) (members []lifecycle.Member, err error) {
	cfg := &r.cfg
	if cfg.Process.HTTPAddr != "" {
		r.health = telemetry.NewServer(cfg.Process.HTTPAddr, r.registry)
		members = append(members, lifecycle.Member{Name: "health", Service: r.health})
	}
	if cfg.Process.NatsURL == "" {
		server, err := r.guarded(natsd.Config{Dir: filepath.Join(cfg.DataDir, "nats"), Addr: cfg.NatsAddr})
		if err != nil {
			return nil, err
		}
		if r.nats, err = natsd.New(server); err != nil {
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
	conn, err := r.connect("weir")
	if err != nil {
		return nil, err
	}
	r.fillAddresses()
	p := platform.Platform{Logger: r.log, Registerer: r.registry, NATS: conn, Now: time.Now}
	if err := platform.EnsureStreams(ctx, p, r.cfg.Process.Stream); err != nil {
		return nil, err
	}
	if p.Catalog, err = platform.OpenCatalog(p, r.cfg.Process); err != nil {
		return nil, err
	}
	members, err := r.pipeline(p)
	if err != nil {
		return nil, err
	}
	members = append(members, lifecycle.Member{Name: "catalog", Service: p.Catalog},
		lifecycle.Member{Name: "streams", Service: platform.NewKeeper(p, r.cfg.Process.Stream)})
	if r.password != "" {
		members = append(members, lifecycle.Member{Name: "accounts", Service: &accounts{
			server: r.nats, tenants: p.Catalog, password: r.password, log: r.log, ready: make(chan struct{})}})
		if err := r.tellOperator(); err != nil {
			return nil, err
		}
	}
	if r.cfg.Gateway.Addr == "" {
		return members, nil
	}
	gw, ro := &r.cfg.Gateway, &r.cfg.Router
	gw.Model, gw.EmbeddingModel, gw.TopK, gw.ContextTokens = ro.Model, ro.EmbeddingModel, ro.TopK, ro.ContextTokens
	r.gateway, err = gateway.New(p, r.cfg.Gateway, gateway.Ports{Catalog: p.Catalog, Auth: tenant.Of(tenant.Config{Source: p.Catalog, Now: p.Now})})
	return append(members, lifecycle.Member{Name: "gateway", Service: r.gateway}), err
}

// pipeline builds the services behind the gateway, each on a connection of its own,
// as processes of their own would be.
func (r *runner) pipeline(p platform.Platform) ([]lifecycle.Member, error) {
	cfg, dial := r.cfg, openai.NewDialer(config.Env).Dial
	vectors, err := embedder.DialStore(cfg.Embedder)
	if err != nil {
		return nil, err
	}
	store, err := router.Dial(cfg.Router)
	if err != nil {
		return nil, err
	}
	var members []lifecycle.Member
	for _, service := range []struct {
		name  string
		build func(platform.Platform) (lifecycle.Service, error)
	}{
		{"ingestor", func(p platform.Platform) (lifecycle.Service, error) {
			return ingestor.New(p, cfg.Ingestor, ingestor.Dial(cfg.Ingestor, p.Catalog))
		}},
		{"embedder", func(p platform.Platform) (lifecycle.Service, error) {
			return embedder.New(p, cfg.Embedder, embedder.Ports{Catalog: p.Catalog, Dial: dial, Store: vectors})
		}},
		{"router", func(p platform.Platform) (lifecycle.Service, error) {
			return router.New(p, cfg.Router, router.Ports{Catalog: p.Catalog, Store: store})
		}},
		{"generator", func(p platform.Platform) (lifecycle.Service, error) {
			return generator.New(p, cfg.Generator, generator.Ports{Catalog: p.Catalog, Dial: dial})
		}},
		{"notifier", func(p platform.Platform) (lifecycle.Service, error) {
			return notifier.New(p, cfg.Notifier, notifier.Ports{Catalog: p.Catalog})
		}},
	} {
		if p.NATS, err = r.connect(service.name); err != nil {
			return nil, err
		}
		built, err := service.build(p)
		if err != nil {
			return nil, err
		}
		members = append(members, lifecycle.Member{Name: service.name, Service: built})
	}
	return members, nil
}

// connect opens a connection that is closed with the rest.
func (r *runner) connect(name string) (nc *nats.Conn, err error) {
	if r.nats != nil {
		nc, err = r.nats.Conn(platform.ConnOptions(name)...)
	} else {
		nc, err = platform.Connect(r.cfg.Process, name)
	}
	if err == nil {
		r.conns = append(r.conns, nc)
	}
	return nc, err
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
	sys := System{Conn: r.conns[0], NatsURL: r.cfg.Process.NatsURL, QdrantAddr: r.cfg.Router.QdrantAddr, OperatorFile: r.told}
	if r.nats != nil {
		sys.NatsURL = r.nats.URL()
	}
	if r.gateway != nil {
		sys.APIAddr = r.gateway.Addr()
	}
	if r.health != nil {
		sys.HTTPAddr = r.health.Addr()
	}
	r.ready(sys)
}

func (r *runner) close() {
	for _, conn := range r.conns {
		conn.Close()
	}
	if r.told != "" {
		os.Remove(r.told) //nolint:errcheck // the password stays valid in any case
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
