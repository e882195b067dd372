package natsd_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/embedded/natsd"
	"github.com/weir-dev/weir/pkg/bus"
)

const patience = 10 * time.Second

// start runs a server; stop ends it and waits.
func start(t *testing.T, cfg natsd.Config) (s *natsd.Server, stop func()) {
	t.Helper()
	s, err := natsd.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(cancel)
	select {
	case <-s.Ready():
	case err := <-ended:
		t.Fatalf("not started: %v", err)
	case <-time.After(patience):
		t.Fatal("not ready")
	}
	return s, func() {
		t.Helper()
		cancel()
		if err := wait(t, ended); err != nil {
			t.Errorf("server: %v", err)
		}
	}
}

func wait(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		t.Fatal("no end")
		return nil
	}
}

// runFails runs a server that can't start and returns its error.
func runFails(t *testing.T, cfg natsd.Config) error {
	t.Helper()
	s, err := natsd.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	err = wait(t, ended)
	if err == nil {
		t.Fatal("no error")
	}
	select {
	case <-s.Ready():
		t.Error("ready all the same")
	default:
	}
	return err
}

// conn connects in the process.
func conn(t *testing.T, s *natsd.Server) *nats.Conn {
	t.Helper()
	nc, err := s.Conn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// TestInProcessOnly: without an address no port is opened, and JetStream works.
func TestInProcessOnly(t *testing.T) {
	t.Parallel()
	s, stop := start(t, natsd.Config{Dir: filepath.Join(t.TempDir(), "made", "for it")})
	defer stop()
	if url := s.URL(); url != "" {
		t.Errorf("URL %q, want none", url)
	}
	nc := conn(t, s)
	if addr := nc.ConnectedAddr(); addr != "pipe" {
		t.Errorf("connected to %q, want a pipe", addr)
	}
	b, err := bus.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	limits := bus.DefaultLimits()
	if err := b.Ensure(t.Context(), limits); err != nil {
		t.Fatal(err) // the default limits fit the default server
	}
	if got := nc.MaxPayload(); got != bus.MaxMessage {
		t.Errorf("MaxPayload %d, want %d", got, bus.MaxMessage)
	}
}

// TestTCP: others connect to the address, a free one for port 0.
func TestTCP(t *testing.T) {
	t.Parallel()
	s, stop := start(t, natsd.Config{Dir: t.TempDir(), Addr: "127.0.0.1:0"})
	defer stop()
	remote, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	local := conn(t, s)
	sub, err := remote.SubscribeSync("hello")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := local.Publish("hello", []byte("there")); err != nil {
		t.Fatal(err)
	}
	if msg, err := sub.NextMsg(patience); err != nil || string(msg.Data) != "there" {
		t.Errorf("got %v, %v", msg, err)
	}
}

// TestDurable: what was acknowledged is there after a restart.
func TestDurable(t *testing.T) {
	t.Parallel()
	for name, always := range map[string]bool{"interval": false, "always": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := natsd.Config{Dir: t.TempDir(), SyncAlways: always}
			s, stop := start(t, cfg)
			js := jetStream(t, conn(t, s))
			if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
				t.Fatal(err)
			}
			const n = 100
			for range n {
				if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
					t.Fatal(err)
				}
			}
			stop()
			s, stop = start(t, cfg)
			defer stop()
			stream, err := jetStream(t, conn(t, s)).Stream(t.Context(), "S")
			if err != nil {
				t.Fatal(err)
			}
			if got := stream.CachedInfo().State.Msgs; got != n {
				t.Errorf("%d messages, want %d", got, n)
			}
			if msg, err := stream.GetMsg(t.Context(), n); err != nil || string(msg.Data) != "kept" {
				t.Errorf("got %v, %v", msg, err)
			}
		})
	}
}

func jetStream(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// TestDirectoryInUse: two servers never share a directory; the next one may
// have it.
func TestDirectoryInUse(t *testing.T) {
	t.Parallel()
	cfg := natsd.Config{Dir: t.TempDir()}
	_, stop := start(t, cfg)
	err := runFails(t, cfg)
	if !errors.Is(err, natsd.ErrInUse) || !strings.Contains(err.Error(), cfg.Dir) {
		t.Errorf("got %v, want ErrInUse with the directory", err)
	}
	stop()
	_, stop = start(t, cfg)
	stop()
}

// TestAddressInUse is told at once, and leaves the directory free.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	taken, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // the test is over
	cfg := natsd.Config{Dir: t.TempDir(), Addr: taken.Addr().String()}
	if err := runFails(t, cfg); !strings.Contains(err.Error(), cfg.Addr) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v, want the address and the reason", err)
	}
	_, stop := start(t, natsd.Config{Dir: cfg.Dir})
	stop()
}

func TestConfigNamesTheWrongField(t *testing.T) {
	t.Parallel()
	if _, err := natsd.New(natsd.Config{}); err == nil || !strings.Contains(err.Error(), "Dir") {
		t.Errorf("got %v", err)
	}
	for _, addr := range []string{"localhost", "127.0.0.1:http"} {
		if err := runFails(t, natsd.Config{Dir: t.TempDir(), Addr: addr}); !strings.Contains(err.Error(), "Addr") || !strings.Contains(err.Error(), addr) {
			t.Errorf("%s: got %v", addr, err)
		}
	}
}

// TestDirectoryCannotBeMade: a file is in its place.
func TestDirectoryCannotBeMade(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := runFails(t, natsd.Config{Dir: filepath.Join(file, "dir")}); !strings.Contains(err.Error(), "creating data directory") {
		t.Errorf("got %v", err)
	}
}
