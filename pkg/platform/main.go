package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/telemetry"
)

// Config is what every service process is told, as WEIR_<FIELD_NAME>.
type Config struct {
	// NatsURL is the NATS server or a comma-separated list of a cluster's.
	NatsURL string `split_words:"true"`
	// NatsCreds is the path of a credentials file; "" uses none.
	NatsCreds string `split_words:"true"`
	// Stream bounds the streams, as WEIR_STREAM_<FIELD_NAME>. All processes
	// must agree: each one updates the streams at its start.
	Stream bus.Limits
	// Catalog is the path of the catalog file. "" takes a default: OpenAI's models
	// when OPENAI_API_KEY is set, else the simulator's at SimURL.
	Catalog string
	// Policies is the path of the policies file, which says by which models the tasks
	// of jobs are answered; "" has none. It is watched as the catalog is.
	Policies string
	// Tenants is the path of the tenants file: who may come in, and with what. ""
	// has none: nobody is asked for a key. It is watched as the catalog is.
	Tenants string
	// SimURL is where a simulator listens, /v1 included.
	SimURL string `split_words:"true"`
	// HTTPAddr serves /healthz, /readyz and /metrics.
	HTTPAddr string `split_words:"true"`
	// LogLevel is debug, info, warn or error; LogFormat json or text.
	LogLevel  string `split_words:"true"`
	LogFormat string `split_words:"true"`
}

// DefaultConfig looks for NATS on this machine and serves health on port 8080.
func DefaultConfig() Config {
	return Config{NatsURL: nats.DefaultURL, SimURL: "http://127.0.0.1:8087/v1", Stream: bus.DefaultLimits(), HTTPAddr: ":8080", LogLevel: "info", LogFormat: "json"}
}

// Prefix is that of the process's own environment variables.
const Prefix = "WEIR"

// Connect opens a connection that survives any outage of the server and may be
// opened before the server is up.
func Connect(cfg Config, name string) (*nats.Conn, error) {
	opts := append(ConnOptions(name), nats.RetryOnFailedConnect(true))
	if cfg.NatsCreds != "" {
		opts = append(opts, nats.UserCredentials(cfg.NatsCreds))
	}
	nc, err := nats.Connect(cfg.NatsURL, opts...)
	if err != nil {
		return nil, fmt.Errorf("connecting to NATS at %s (WEIR_NATS_URL): %w", Redacted(cfg.NatsURL), err)
	}
	return nc, nil
}

// Redacted is the address of a server, or a list of them, without passwords and tokens.
func Redacted(address string) string {
	if address == "" {
		return ""
	}
	list := strings.Split(address, ",")
	for i, one := range list {
		one = strings.TrimSpace(one)
		if !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		u, err := url.Parse(one)
		if err != nil { // it may hold one all the same
			list[i] = "(not an address)"
			continue
		}
		if _, has := u.User.Password(); u.User != nil && !has {
			u.User = url.User("xxxxx") // a token
		}
		list[i] = u.Redacted()
	}
	return strings.Join(list, ",")
}

// ConnOptions are those of every connection of a service.
func ConnOptions(name string) []nats.Option {
	return []nats.Option{
		nats.Name(name), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond),
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(2),
	}
}

// Main is the main function of a service: it reads the settings of the process
// and, under WEIR_<NAME>, of the service into cfg, runs what build makes of them
// until a signal, and exits. A second signal exits at once.
func Main[C any](name string, cfg *C, build func(Platform, *C) (lifecycle.Service, error)) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // gives the second signal back to the runtime
	err := run(ctx, name, cfg, build)
	if err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func run[C any](ctx context.Context, name string, cfg *C, build func(Platform, *C) (lifecycle.Service, error)) error {
	process, prefix := DefaultConfig(), ServicePrefix(name)
	if len(os.Args) > 1 {
		return usage(os.Stderr, name, config.Settings(Prefix, process), config.Settings(prefix, cfg))
	}
	if err := errors.Join(config.Load(Prefix, &process), config.Load(prefix, cfg)); err != nil {
		return err
	}
	logger, err := telemetry.NewLogger(os.Stderr, process.LogFormat, process.LogLevel)
	if err != nil {
		return err
	}
	nc, err := Connect(process, name)
	if err != nil {
		return err
	}
	defer nc.Close()
	registry := telemetry.NewRegistry()
	p := Platform{
		Logger: logger.With("service", name), Registerer: registry, NATS: nc, Now: time.Now,
		Tracer: noop.NewTracerProvider().Tracer("weir"),
	}
	if p.Catalog, err = OpenCatalog(p, process); err != nil {
		return err
	}
	health := telemetry.NewServer(process.HTTPAddr, registry)
	return lifecycle.Run(ctx, health.SetServing,
		func(context.Context) ([]lifecycle.Member, error) {
			return []lifecycle.Member{{Name: "health", Service: health}, {Name: "catalog", Service: p.Catalog}}, nil
		},
		func(ctx context.Context) ([]lifecycle.Member, error) {
			if err := EnsureStreams(ctx, p, process.Stream); err != nil {
				return nil, err
			}
			service, err := build(p, cfg)
			if err != nil {
				return nil, err
			}
			return []lifecycle.Member{{Name: name, Service: service}, {Name: "streams", Service: NewKeeper(p, process.Stream)}}, nil
		})
}

// OpenCatalog reads the catalog that cfg names, to be watched by running it.
func OpenCatalog(p Platform, cfg Config) (*catalog.Watcher, error) {
	files := catalog.Files{Catalog: cfg.Catalog, Policies: cfg.Policies, Tenants: cfg.Tenants}
	var c *catalog.Catalog
	var err error
	if cfg.Catalog == "" {
		c, err = catalog.Default(config.Env, cfg.SimURL)
	}
	if err == nil {
		c, err = files.Load(c, p.Now())
	}
	if err != nil {
		return nil, fmt.Errorf("catalog (WEIR_CATALOG, WEIR_POLICIES, WEIR_TENANTS): %w", err)
	}
	return catalog.NewWatcher(catalog.WatcherConfig{Files: files, Now: p.Now, Logger: p.Logger, Registerer: p.Registerer}, c), nil
}

// ServicePrefix is that of a service's own environment variables.
func ServicePrefix(name string) string { return Prefix + "_" + config.EnvName(name) }

// EnsureStreams waits for NATS and makes the streams.
func EnsureStreams(ctx context.Context, p Platform, limits bus.Limits) error {
	b, err := bus.New(p.NATS)
	if err != nil {
		return err
	}
	return lifecycle.Retry(ctx, p.Logger, "NATS JetStream", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return b.Ensure(ctx, limits)
	})
}

// usage prints the environment variables; a service takes no arguments.
func usage(w io.Writer, name string, groups ...[]config.Setting) error {
	fmt.Fprintf(w, "%s takes its settings from the environment:\n\n", name)
	for _, group := range groups {
		for _, s := range group {
			fmt.Fprintf(w, "  %-42s %s\n", s.Name, s.Value)
		}
	}
	return nil
}
