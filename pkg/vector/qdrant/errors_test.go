package qdrant

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// fakePoints answers every count as told.
type fakePoints struct {
	pb.UnimplementedPointsServer
	count func(ctx context.Context) error
}

// Count implements the one rpc the tests use.
func (f fakePoints) Count(ctx context.Context, _ *pb.CountPoints) (*pb.CountResponse, error) {
	return &pb.CountResponse{Result: &pb.CountResult{}}, f.count(ctx)
}

// fakeStore is a store on a server whose counts answer as told.
func fakeStore(t *testing.T, timeout time.Duration, count func(ctx context.Context) error) *Store {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	srv := grpc.NewServer()
	pb.RegisterPointsServer(srv, fakePoints{count: count})
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	t.Cleanup(func() { srv.Stop(); <-done })
	return newStore(t, Config{Addr: lis.Addr().String(), Timeout: timeout})
}

func newStore(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatalf("new store: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// countOnce asks for a count.
func countOnce(ctx context.Context, s *Store) error {
	_, err := s.Count(ctx, vector.Index{Name: "i", Model: "m", Dimension: 1}, vector.Scope{Tenant: "t", Collection: "c"})
	return err
}

func TestErrorClasses(t *testing.T) {
	t.Parallel()
	for code, want := range map[codes.Code]event.Class{
		codes.Unavailable: event.ClassUnavailable, codes.DeadlineExceeded: event.ClassUnavailable, codes.Aborted: event.ClassUnavailable,
		codes.Canceled: event.ClassUnavailable, codes.ResourceExhausted: event.ClassThrottled, codes.InvalidArgument: event.ClassInvalid,
		codes.FailedPrecondition: event.ClassInvalid, codes.Unauthenticated: event.ClassAuth, codes.PermissionDenied: event.ClassAuth,
		codes.Unimplemented: event.ClassInvalid, codes.Internal: event.ClassInternal, codes.Unknown: event.ClassInternal,
	} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			s := fakeStore(t, 0, func(context.Context) error { return status.Error(code, "because") })
			var e *event.Error
			if err := countOnce(t.Context(), s); !errors.As(err, &e) || e.Class != want || status.Code(errors.Unwrap(e)) != code {
				t.Errorf("error %v, want class %s", err, want)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	s := fakeStore(t, 0, func(ctx context.Context) error {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("retry-after", "7"))
		return status.Error(codes.ResourceExhausted, "slow down")
	})
	var e *event.Error
	if err := countOnce(t.Context(), s); !errors.As(err, &e) || e.Class != event.ClassThrottled || e.RetryAfter != 7*time.Second {
		t.Errorf("error %#v, want throttled for 7s", err)
	}
}

func TestMissingCollectionIsEmpty(t *testing.T) {
	t.Parallel()
	s := fakeStore(t, 0, func(context.Context) error {
		return status.Error(codes.NotFound, "Not found: Collection `i` doesn't exist!")
	})
	if err := countOnce(t.Context(), s); err != nil {
		t.Errorf("error %v, want none", err)
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	var e *event.Error
	// The store's own limit says that Qdrant is slow: worth another try.
	if err := countOnce(t.Context(), fakeStore(t, 20*time.Millisecond, hang)); !errors.As(err, &e) || e.Class != event.ClassUnavailable {
		t.Errorf("own timeout: error %v, want class unavailable", err)
	}
	// The caller's limit is the caller's business.
	s := fakeStore(t, 0, hang)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := countOnce(ctx, s); !errors.Is(err, context.Canceled) || errors.As(err, new(*event.Error)) {
		t.Errorf("canceled: error %v, want context.Canceled alone", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	<-ctx.Done()
	if err := countOnce(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("caller's deadline: error %v, want context.DeadlineExceeded", err)
	}
}

func TestServerAway(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	addr := lis.Addr().String()
	_ = lis.Close()
	s := newStore(t, Config{Addr: addr})
	var e *event.Error
	if err := s.Ping(t.Context()); !errors.As(err, &e) || e.Class != event.ClassUnavailable || e.Hint == "" {
		t.Errorf("ping: error %v, want class unavailable with a hint", err)
	}
}
