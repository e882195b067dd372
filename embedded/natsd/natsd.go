// Package natsd runs a real nats-server with JetStream in the process, on its
// own data directory, with an optional TCP listener for other clients.
package natsd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Config says where the server keeps its streams and whom it listens to.
type Config struct {
	// Dir holds the streams. One process at a time may use it.
	Dir string
	// Addr is the TCP address for other clients ("127.0.0.1:4222", port 0 takes
	// a free one); "" opens no port, and only Conn reaches the server.
	Addr string
	// SyncInterval is how often stored messages are fsynced: a crash of the
	// process loses nothing, a power loss at most this much. Default 100 ms.
	SyncInterval time.Duration
	// SyncAlways fsyncs each message before it is acknowledged (about 1,000
	// jobs/s instead of 13,000).
	SyncAlways bool
	// MaxStore bounds the disk space of all streams, in bytes. Default 64 GiB.
	MaxStore int64
	// MaxMemory bounds the memory of memory streams, in bytes. Default 512 MiB.
	MaxMemory int64
	// Accounts, when not "", is the part of a nats-server's configuration that makes
	// the accounts and users: nobody else may connect. The streams are in the account
	// that Service is a user of; they stay when Accounts is turned on or off.
	Accounts string
	// Service is the user that Conn connects as.
	Service User
}

// User is a user of the account that has the streams.
type User struct{ Account, Name, Password string }

// maxPayload is the largest message, in bytes.
const maxPayload = 8 << 20

// ErrInUse says that another process has the data directory.
var ErrInUse = errors.New("data directory is in use by another process")

// Server is an embedded nats-server.
type Server struct {
	cfg   Config
	ready chan struct{}
	ns    *server.Server

	mu       sync.Mutex // of reloads
	accounts string     // in force
}

// New returns a server for cfg. It does no I/O.
func New(cfg Config) (*Server, error) {
	if cfg.Dir == "" {
		return nil, errors.New("got no Dir, want a directory for the streams")
	}
	if cfg.SyncInterval == 0 {
		cfg.SyncInterval = 100 * time.Millisecond
	}
	if cfg.MaxStore == 0 {
		cfg.MaxStore = 64 << 30
	}
	if cfg.MaxMemory == 0 {
		cfg.MaxMemory = 512 << 20
	}
	if (cfg.Accounts == "") != (cfg.Service == User{}) {
		return nil, errors.New("got Accounts or Service, want both or neither")
	}
	return &Server{cfg: cfg, ready: make(chan struct{}), accounts: cfg.Accounts}, nil
}

// Ready is closed when clients can connect.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// URL is the address other clients connect to; "" without a listener. Valid
// after Ready.
func (s *Server) URL() string {
	if s.cfg.Addr == "" {
		return ""
	}
	return s.ns.ClientURL()
}

// Conn connects inside the process. Valid after Ready.
func (s *Server) Conn(opts ...nats.Option) (*nats.Conn, error) {
	if u := s.cfg.Service; u.Name != "" {
		opts = append(opts, nats.UserInfo(u.Name, u.Password))
	}
	nc, err := nats.Connect("", append(opts, nats.InProcessServer(s.ns))...)
	if err != nil {
		return nil, fmt.Errorf("connecting in process: %w", err)
	}
	return nc, nil
}

// Run serves until ctx ends, then stops the server and returns.
func (s *Server) Run(ctx context.Context) error {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("creating data directory: %w", err)
	}
	lock := flock.New(filepath.Join(s.cfg.Dir, "lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("locking %s: %w", s.cfg.Dir, err)
	}
	if !locked {
		return fmt.Errorf("%s: %w; stop that one or choose another directory", s.cfg.Dir, ErrInUse)
	}
	defer lock.Unlock() //nolint:errcheck // released at exit anyway
	if err := s.start(); err != nil {
		return err
	}
	close(s.ready)
	<-ctx.Done()
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	return nil
}

// startTimeout bounds the recovery of the stored streams.
const startTimeout = time.Minute

func (s *Server) start() error {
	opts, err := s.options(s.cfg.Accounts)
	if err != nil {
		return err
	}
	if err := s.adopt(); err != nil {
		return err
	}
	if s.ns, err = server.NewServer(opts); err != nil {
		return fmt.Errorf("creating nats-server: %w", err)
	}
	var log startLog
	s.ns.SetLoggerV2(&log, false, false, false)
	s.ns.Start()
	for deadline := time.Now().Add(startTimeout); !s.ns.ReadyForConnections(100 * time.Millisecond); {
		if log.fatal() || time.Now().After(deadline) {
			s.ns.Shutdown()
			return fmt.Errorf("starting nats-server on %q: %s", s.cfg.Addr, log.last())
		}
	}
	if !s.ns.JetStreamEnabled() {
		s.ns.Shutdown()
		return fmt.Errorf("starting JetStream in %s: %s", s.cfg.Dir, log.last())
	}
	return nil
}

func (s *Server) options(accounts string) (*server.Options, error) {
	opts := &server.Options{
		ServerName: "weir", NoSigs: true, DontListen: s.cfg.Addr == "",
		JetStream: true, StoreDir: s.cfg.Dir, SyncInterval: s.cfg.SyncInterval, SyncAlways: s.cfg.SyncAlways,
		JetStreamMaxStore: s.cfg.MaxStore, JetStreamMaxMemory: s.cfg.MaxMemory, MaxPayload: maxPayload,
	}
	if accounts != "" {
		if err := opts.ProcessConfigString(accounts); err != nil {
			return nil, fmt.Errorf("reading Accounts: %w", err)
		}
	}
	if s.cfg.Addr == "" {
		return opts, nil
	}
	host, port, err := net.SplitHostPort(s.cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("got Addr %q, want host:port: %w", s.cfg.Addr, err)
	}
	opts.Host = host
	if opts.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("got Addr %q, want a numeric port: %w", s.cfg.Addr, err)
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	return opts, nil
}
