package platform

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/lifecycle"
)

const patience = 10 * time.Second

func TestWithDefaults(t *testing.T) {
	t.Parallel()
	p := Platform{}.WithDefaults()
	p.Logger.Info("goes nowhere")
	_, span := p.Tracer.Start(t.Context(), "no span")
	span.End()
	if p.Registerer == nil || time.Since(p.Now()).Abs() > time.Minute || p.NATS != nil {
		t.Errorf("got %+v", p)
	}
	// Two platforms of one process do not collide.
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_test_total", Help: "Test."})
	for range 2 {
		if err := (Platform{}).WithDefaults().Registerer.Register(counter); err != nil {
			t.Error(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	if kept := (Platform{Logger: log}).WithDefaults(); kept.Logger != log {
		t.Error("the logger was replaced")
	}
}

// TestConnectBeforeTheServer: services start in any order.
func TestConnectBeforeTheServer(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	cfg := DefaultConfig()
	cfg.NatsURL = server.URL()
	server.Stop()
	nc, err := Connect(cfg, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	waiting := make(chan error, 1)
	p := Platform{NATS: nc}.WithDefaults()
	go func() { waiting <- EnsureStreams(t.Context(), p, bus.DefaultLimits()) }()
	server.Restart()
	select {
	case err := <-waiting:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(3 * patience):
		t.Fatal("the streams were not made")
	}
	b, err := bus.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), bus.Out{Subject: "weir.jobs.generate.batch.acme", Data: []byte(`{}`)}); err != nil {
		t.Error(err)
	}
}

func TestConnectNamesTheSetting(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.NatsURL, cfg.NatsCreds = "nats://127.0.0.1:1", "no such file"
	if nc, err := Connect(cfg, "test"); err == nil {
		nc.Close()
		t.Error("no error for a missing credentials file")
	} else if !strings.Contains(err.Error(), "WEIR_NATS_URL") {
		t.Errorf("got %v", err)
	}
}

func TestServicePrefix(t *testing.T) {
	t.Parallel()
	if got := ServicePrefix("generator"); got != "WEIR_GENERATOR" {
		t.Errorf("got %s", got)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := usage(&out, "generator", config.Settings(Prefix, DefaultConfig()), config.Settings("WEIR_GENERATOR", settings{Key: "hunter2"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"WEIR_NATS_URL ", nats.DefaultURL, "WEIR_HTTP_ADDR ", "WEIR_GENERATOR_KEY "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Error("the key is shown")
	}
}

// settings are those of a test service.
type settings struct {
	Slots int           `split_words:"true"`
	Key   config.Secret `split_words:"true"`
}

func (s *settings) Validate() error {
	if s.Slots < 1 {
		return errors.New("slots: got 0, want 1 or more")
	}
	return nil
}

// service does nothing until it is stopped.
type service struct {
	ready chan struct{}
	fail  error
}

func (s service) Ready() <-chan struct{} { return s.ready }

func (s service) Run(ctx context.Context) error {
	if s.fail != nil {
		return s.fail
	}
	close(s.ready)
	<-ctx.Done()
	return nil
}

// TestRun is a service's process without its signals: settings from the
// environment, streams made before the service is built, a clean end.
func TestRun(t *testing.T) { //nolint:paralleltest // sets variables and os.Args
	server := bustest.Start(t)
	args := os.Args
	os.Args = os.Args[:1]
	t.Cleanup(func() { os.Args = args })
	t.Setenv("WEIR_NATS_URL", server.URL())
	t.Setenv("WEIR_HTTP_ADDR", "127.0.0.1:0")
	t.Setenv("WEIR_LOG_LEVEL", "error")

	err := run(t.Context(), "tester", &settings{}, nil)
	if err == nil || !strings.Contains(err.Error(), "slots") {
		t.Errorf("got %v, want what Validate says", err)
	}
	t.Setenv("WEIR_TESTER_SLOTS", "3")
	boom := errors.New("no license")
	err = run(t.Context(), "tester", &settings{}, func(Platform, *settings) (lifecycle.Service, error) { return nil, boom })
	if !errors.Is(err, boom) {
		t.Errorf("got %v, want what build says", err)
	}
	err = run(t.Context(), "tester", &settings{}, func(Platform, *settings) (lifecycle.Service, error) {
		return service{ready: make(chan struct{}), fail: boom}, nil
	})
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), "tester: ") {
		t.Errorf("got %v, want the service's error and name", err)
	}

	ctx, stop := context.WithCancel(t.Context())
	s := service{ready: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, "tester", &settings{}, func(p Platform, cfg *settings) (lifecycle.Service, error) {
			if cfg.Slots != 3 {
				t.Errorf("got %+v", cfg)
			}
			b, err := bus.New(p.NATS)
			if err != nil {
				return nil, err
			}
			if done, err := b.Finished(ctx, "acme", "j1"); done || err != nil {
				t.Errorf("the streams are not there: %v", err)
			}
			return s, nil
		})
	}()
	select {
	case <-s.ready:
	case err := <-ended:
		t.Fatalf("ended early: %v", err)
	case <-time.After(patience):
		t.Fatal("not ready")
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Fatal("no end")
	}
}

func TestRunRefusesBadSettings(t *testing.T) { //nolint:paralleltest // sets variables and os.Args
	args := os.Args
	os.Args = os.Args[:1]
	t.Cleanup(func() { os.Args = args })
	t.Setenv("WEIR_TESTER_SLOTS", "3")
	for name, value := range map[string]string{"WEIR_LOG_LEVEL": "loud", "WEIR_LOG_FORMAT": "xml", "WEIR_STREAM_REPLICAS": "many"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			err := run(t.Context(), "tester", &settings{}, nil)
			if err == nil || !strings.Contains(err.Error(), value) {
				t.Errorf("got %v, want it to show %q", err, value)
			}
		})
	}
}

// TestServiceMetrics: several services of one process may have the same metric.
func TestServiceMetrics(t *testing.T) {
	t.Parallel()
	p := Platform{}.WithDefaults()
	for _, service := range []string{"router", "embedder"} {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_test_total", Help: "Test."})
		if err := ServiceMetrics(p, service).Register(c); err != nil {
			t.Error(err)
		}
		if err := ServiceMetrics(p, service).Register(c); err == nil {
			t.Errorf("%s has it twice", service)
		}
	}
}

func TestWorkerName(t *testing.T) {
	t.Parallel()
	one, two := WorkerName("router"), WorkerName("router")
	if one == two || !strings.HasPrefix(one, "router-") || !regexp.MustCompile(`^[A-Za-z0-9-]+$`).MatchString(one) {
		t.Errorf("names %s and %s, want two that can be keys in a bucket", one, two)
	}
}

// TestOpenCatalog: the file when there is one, else OpenAI with its key, else the
// simulator.
func TestOpenCatalog(t *testing.T) { //nolint:paralleltest // sets variables
	file := filepath.Join(t.TempDir(), "catalog.yaml")
	if err := os.WriteFile(file, []byte(`
version: 1
providers: [{id: mine, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models: [{id: own, provider: mine, upstream: x, mode: chat, price: [{input: 0, output: 0}]}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, key, file, model, base string
	}{
		{"simulator", "", "", "small", "http://sim.example/v1"},
		{"OpenAI", "secret", "", "small", "https://api.openai.com/v1"},
		{"file", "secret", file, "own", "http://127.0.0.1:1/v1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("OPENAI_API_KEY", tc.key)
			w, err := OpenCatalog(Platform{}.WithDefaults(), Config{Catalog: tc.file, SimURL: "http://sim.example/v1"})
			if err != nil {
				t.Fatal(err)
			}
			m, _ := w.Current().Model(tc.model)
			if p, ok := w.Current().Provider(m.Provider); !ok || p.BaseURL != tc.base {
				t.Errorf("model %s is at %q, want %s", tc.model, p.BaseURL, tc.base)
			}
		})
	}
	if err := os.WriteFile(file, []byte("version: 1\nmodels: [{id: own, provider: nobody}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenCatalog(Platform{}.WithDefaults(), Config{Catalog: file})
	if err == nil || !strings.Contains(err.Error(), "WEIR_CATALOG") || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("got %v, want the setting and what is wrong", err)
	}
}

// TestRedacted: an address is shown without what opens the server.
func TestRedacted(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"": "", "nats://a:4222": "nats://a:4222", "nats://ann:hunter2@a": "nats://ann:xxxxx@a", "nats://hunter2@a,b": "nats://xxxxx@a,nats://b",
	} {
		if got := Redacted(address); got != want {
			t.Errorf("%s is shown as %s, want %s", address, got, want)
		}
	}
}
