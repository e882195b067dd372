// Package bustest gives tests a real NATS server with JetStream in the
// process: ready in milliseconds, on its own directory, and restartable.
package bustest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
)

// Server is a NATS server of one test.
type Server struct {
	t    testing.TB
	opts *server.Options
	ns   *server.Server
}

// Start returns a running server, stopped when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, opts: &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true,
		StoreDir: t.TempDir(), MaxPayload: 8 << 20,
		JetStreamMaxStore: 64 << 30, JetStreamMaxMemory: 1 << 30,
	}}
	s.start()
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) start() {
	s.t.Helper()
	ns, err := server.NewServer(s.opts)
	if err != nil {
		s.t.Fatalf("creating nats-server: %v", err)
	}
	ns.Start()
	if !ns.ReadyForConnections(30 * time.Second) {
		s.t.Fatal("nats-server did not start")
	}
	s.ns = ns
	// A restart comes back on the same port.
	if addr, ok := ns.Addr().(*net.TCPAddr); ok {
		s.opts.Port = addr.Port
	}
}

// Stop stops the server, as a crash of the process would but for its files.
func (s *Server) Stop() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}

// Restart stops the server and starts it again on the same files and port.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.start()
}

// URL is where clients connect.
func (s *Server) URL() string { return s.ns.ClientURL() }

// Connect returns a connection that survives restarts, closed with the test.
func (s *Server) Connect() *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect(s.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		s.t.Fatalf("connecting: %v", err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// New returns a bus on a fresh server with all streams.
func New(t testing.TB) (*bus.Bus, *Server) {
	t.Helper()
	s := Start(t)
	return s.Bus(), s
}

// Bus returns a bus over a new connection, with all streams made.
func (s *Server) Bus() *bus.Bus {
	s.t.Helper()
	b, err := bus.New(s.Connect())
	if err != nil {
		s.t.Fatalf("opening bus: %v", err)
	}
	if err := b.Ensure(context.Background(), bus.DefaultLimits()); err != nil {
		s.t.Fatalf("making streams: %v", err)
	}
	return b
}
