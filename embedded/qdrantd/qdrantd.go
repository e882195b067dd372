package qdrantd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// maxMessage bounds a request; batches are far smaller.
const maxMessage = 64 << 20

// ErrInUse says that another process has the data directory.
var ErrInUse = errors.New("another process holds its lock")

// ErrRunning is returned by a second call of Run.
var ErrRunning = errors.New("qdrantd server was already run")

// Server serves Qdrant's gRPC API from a data directory. Make one with New,
// run it once with Run.
//
// Fields accepted without effect, because one exact, single-copy store gives
// the same answers whatever they say: wait and ordering (every write is durable
// and visible before the reply), read_consistency (one copy), timeout (the
// client's deadline bounds the request), search params (search is exact), and
// the storage and index tuning of collections and field indexes, which is
// stored and echoed. Everything else that is not supported is refused.
type Server struct {
	cfg    Config
	policy fieldPolicy
	ready  chan struct{}
	addr   atomic.Pointer[string]
	ran    atomic.Bool
}

// New checks cfg and returns a Server. It does no I/O: Run does.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Server{cfg: cfg.withDefaults(), policy: newFieldPolicy(), ready: make(chan struct{})}, nil
}

// Ready is closed when the server accepts connections. It stays open when Run
// fails before that; so wait for Run's return as well.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is the address the server listens on, "" until Ready.
func (s *Server) Addr() string {
	if p := s.addr.Load(); p != nil {
		return *p
	}
	return ""
}

// Run opens the data directory, listens and serves until ctx ends; then it lets
// running requests finish (up to DrainTimeout) and closes the files. It returns
// nil after such a stop.
func (s *Server) Run(ctx context.Context) (err error) {
	if s.ran.Swap(true) {
		return ErrRunning
	}
	cat, err := openCatalog(s.cfg.Dir, s.cfg.LockTimeout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cat.close()) }()
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", s.cfg.Addr, err)
	}
	return s.serve(ctx, lis, s.newGRPC(cat))
}

// serve runs srv on lis until ctx ends or serving fails.
func (s *Server) serve(ctx context.Context, lis net.Listener, srv *grpc.Server) error {
	addr := lis.Addr().String()
	s.addr.Store(&addr)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	close(s.ready)
	select {
	case err := <-served:
		srv.Stop()
		return fmt.Errorf("serving on %s: %w", addr, err)
	case <-ctx.Done():
		s.stop(srv)
		<-served //nolint:errcheck // it only says that the server is stopped
		return nil
	}
}

// stop ends srv: gracefully within DrainTimeout, else by cancelling requests.
// Either way no handler runs after it returns.
func (s *Server) stop(srv *grpc.Server) {
	done := make(chan struct{})
	go func() { srv.GracefulStop(); close(done) }()
	timer := time.NewTimer(s.cfg.DrainTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		srv.Stop()
		<-done
	}
}

// newGRPC builds the gRPC server around the catalog.
func (s *Server) newGRPC(cat *catalog) *grpc.Server {
	srv := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.WaitForHandlers(true),
		// go-client pings every 10s also when idle; grpc-go's default policy
		// would answer that with "too_many_pings" and drop the connection.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: time.Second, PermitWithoutStream: true,
		}),
		grpc.ChainUnaryInterceptor(recoverPanics, requireKey(s.cfg.APIKey), s.policy.intercept),
	)
	pb.RegisterQdrantServer(srv, healthService{})
	pb.RegisterCollectionsServer(srv, &collectionsService{cat: cat})
	pb.RegisterPointsServer(srv, &pointsService{cat: cat})
	pb.RegisterSnapshotsServer(srv, &snapshotsService{cat: cat})
	return srv
}

// healthService answers the root service.
type healthService struct {
	pb.UnimplementedQdrantServer
}

// HealthCheck answers with the version the server follows.
func (healthService) HealthCheck(context.Context, *pb.HealthCheckRequest) (*pb.HealthCheckReply, error) {
	return &pb.HealthCheckReply{Title: "weir embedded vector store (Qdrant API)", Version: Version}, nil
}
