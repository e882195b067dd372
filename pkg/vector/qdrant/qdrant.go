// Package qdrant is the vector.Store on Qdrant's gRPC API, for a real Qdrant
// (1.17 or newer) and the embedded server alike.
//
// An index is one Qdrant collection, named after name, model and dimension; its
// metadata holds them exactly (key "weir"). An alias with the index's name leads
// to the collection that readers should use. It has the vectors dense (cosine),
// bm25 and grams (sparse, IDF modifier). Requests by index go to the collection
// itself, never through the alias. Tenants share the collection: every request
// but those of [Store.Scan] and [Store.Count] carries a filter on the tenant,
// and a fused query carries it in each of its lists.
//
// A point's payload has these keys, which are stable: tenant, collection,
// document, version, hash, prefix, text, tokens, section (array), created
// (RFC 3339, UTC), source, title, metadata (object) and acl (array). Empty ones
// may be left out, except acl, which is ["*"] for everybody in the tenant: a
// point without it is found by nobody.
//
// Point ids must be unique across scopes: a point whose id exists in another
// scope is left alone, as it would be if its version were too old.
//
// Qdrant keeps dense vectors scaled to length 1; that is how they come back.
package qdrant

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"

	"github.com/weir-dev/weir/pkg/vector"
)

var _ vector.Store = (*Store)(nil)

// maxReply is the largest reply accepted; gRPC's default of 4 MiB is less than
// a page of points with long texts.
const maxReply = 64 << 20

// Config says where Qdrant is.
type Config struct {
	// Addr is host:port of the gRPC API (port 6334 unless changed; 6333 is the
	// HTTP API and does not work). Required.
	Addr string
	// APIKey is sent with every request when set. Default "": none.
	APIKey string
	// TLS turns on transport security. Default false.
	TLS bool
	// TLSConfig refines TLS; nil takes the system's roots and TLS 1.3.
	TLSConfig *tls.Config
	// PoolSize is the number of connections, 1 to 16. Default 0: 2.
	PoolSize int
	// Timeout bounds one request to Qdrant. Default 0: 30s.
	Timeout time.Duration
}

// withDefaults fills fields whose zero value means "the default".
func (c Config) withDefaults() Config {
	if c.PoolSize == 0 {
		c.PoolSize = 2
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	return c
}

// Validate reports the first field that cannot work, with its value.
func (c Config) Validate() error {
	_, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return fmt.Errorf("qdrant config: Addr is %q; want host:port: %w", c.Addr, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("qdrant config: Addr is %q; want a port from 1 to 65535", c.Addr)
	}
	if c.PoolSize < 0 || c.PoolSize > 16 {
		return fmt.Errorf("qdrant config: PoolSize is %d; want 1 to 16, or 0 for the default", c.PoolSize)
	}
	if c.Timeout < 0 {
		return fmt.Errorf("qdrant config: Timeout is %s; want 0 (default) or more", c.Timeout)
	}
	return nil
}

// Store is a vector.Store on one Qdrant. Safe for concurrent use.
type Store struct {
	client  *pb.Client
	timeout time.Duration
}

// New returns a Store. It does not connect: requests do, and answer
// event.ClassUnavailable while Qdrant is away. Close it after use.
func New(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	host, port, _ := net.SplitHostPort(cfg.Addr) // Validate did it
	portNumber, _ := strconv.Atoi(port)
	client, err := pb.NewClient(&pb.Config{
		Host: host, Port: portNumber, APIKey: cfg.APIKey, UseTLS: cfg.TLS, TLSConfig: cfg.TLSConfig,
		PoolSize: uint(cfg.PoolSize),
		// The check would block on a dead server and only logs; Ping is ours.
		SkipCompatibilityCheck: true,
		// No RetryConfig: the pipeline retries, and knows what is worth it.
		GrpcOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply))},
	})
	if err != nil {
		return nil, fmt.Errorf("creating qdrant client: %w", err)
	}
	return &Store{client: client, timeout: cfg.Timeout}, nil
}

// Close closes the connections.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("closing qdrant client: %w", err)
	}
	return nil
}

// Ping reports whether Qdrant answers: nil, or an *event.Error.
func (s *Store) Ping(ctx context.Context) error {
	return s.call(ctx, "pinging qdrant", func(ctx context.Context) error {
		_, err := s.client.HealthCheck(ctx)
		return err
	})
}

// read is call for a request that finds nothing where the collection is missing.
func (s *Store) read(ctx context.Context, doing string, fn func(ctx context.Context) error) error {
	return s.call(ctx, doing, func(ctx context.Context) error {
		if err := fn(ctx); !isMissing(err) {
			return err
		}
		return nil
	})
}

// call runs one request under the store's timeout and classifies its error.
func (s *Store) call(ctx context.Context, doing string, fn func(ctx context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return classify(ctx, doing, fn(bounded))
}
