package telemetry_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/telemetry"
)

// serve runs a server on a free port until the test ends.
func serve(t *testing.T, reg *prometheus.Registry) *telemetry.Server {
	t.Helper()
	s := telemetry.NewServer("127.0.0.1:0", reg)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	select {
	case <-s.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("not ready")
	}
	return s
}

func get(t *testing.T, s *telemetry.Server, method, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func TestHealthAndReadiness(t *testing.T) {
	t.Parallel()
	s := serve(t, prometheus.NewRegistry())
	want := func(path string, want int) {
		t.Helper()
		if got, body := get(t, s, http.MethodGet, path); got != want {
			t.Errorf("%s: got %d %q, want %d", path, got, body, want)
		}
	}
	want("/healthz", http.StatusOK)
	want("/readyz", http.StatusServiceUnavailable) // until told otherwise
	s.SetServing(true)
	want("/readyz", http.StatusOK)
	s.SetServing(false)
	want("/readyz", http.StatusServiceUnavailable)
	want("/healthz", http.StatusOK) // a draining process is not dead
	want("/other", http.StatusNotFound)
	if got, _ := get(t, s, http.MethodPost, "/healthz"); got != http.StatusMethodNotAllowed {
		t.Errorf("POST: got %d", got)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := telemetry.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_test_total", Help: "Test."})
	reg.MustRegister(counter)
	counter.Add(3)
	status, body := get(t, serve(t, reg), http.MethodGet, "/metrics")
	if status != http.StatusOK {
		t.Errorf("got %d", status)
	}
	for _, line := range []string{"weir_test_total 3", "go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(body, "\n"+line) {
			t.Errorf("%q is missing in\n%s", line, body)
		}
	}
}

// TestAddressInUse: the error says what to change.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	first := serve(t, prometheus.NewRegistry())
	second := telemetry.NewServer(first.Addr(), prometheus.NewRegistry())
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "WEIR_HTTP_ADDR") {
		t.Errorf("got %v, want a hint", err)
	}
	select {
	case <-second.Ready():
		t.Error("ready all the same")
	default:
	}
}

func TestNewLogger(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"json": `"msg":"fine","n":1}`, "text": "msg=fine n=1"} {
		var out bytes.Buffer
		log, err := telemetry.NewLogger(&out, format, "warn")
		if err != nil {
			t.Fatal(err)
		}
		log.Info("too low")
		log.Warn("fine", "n", 1)
		if got := strings.TrimSpace(out.String()); !strings.HasSuffix(got, want) || strings.Contains(got, "too low") {
			t.Errorf("%s: got %q", format, got)
		}
	}
	for _, c := range []struct{ format, level, want string }{{"xml", "info", `log format: got "xml"`}, {"json", "loud", `log level: got "loud"`}} {
		if _, err := telemetry.NewLogger(io.Discard, c.format, c.level); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
