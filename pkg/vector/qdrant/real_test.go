package qdrant_test

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	pb "github.com/qdrant/go-client/qdrant"

	"github.com/weir-dev/weir/pkg/vector"
	"github.com/weir-dev/weir/pkg/vector/qdrant"
	"github.com/weir-dev/weir/pkg/vector/vectortest"
)

// addrEnv names the gRPC address of a real Qdrant to test against.
const addrEnv = "WEIR_TEST_QDRANT_ADDR"

// TestRealQdrant runs the port's suite against a real Qdrant. The embedded
// server's package runs it against the embedded one.
func TestRealQdrant(t *testing.T) {
	t.Parallel()
	addr := os.Getenv(addrEnv)
	if addr == "" {
		t.Skipf("NOT TESTED against a real Qdrant: set %s=host:6334 (the gRPC port), for example after "+
			"`docker run -p 6334:6334 qdrant/qdrant:v1.18.3`", addrEnv)
	}
	t.Cleanup(func() { removeTestCollections(t, addr) })
	vectortest.Run(t, func(t *testing.T) vector.Store {
		s, err := qdrant.New(qdrant.Config{Addr: addr})
		if err != nil {
			t.Fatalf("new store: %v", err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}

// removeTestCollections drops what the suite made.
func removeTestCollections(t *testing.T, addr string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatalf("%s is %q: %v", addrEnv, addr, err)
	}
	n, _ := strconv.Atoi(port)
	c, err := pb.NewClient(&pb.Config{Host: host, Port: n, PoolSize: 1, SkipCompatibilityCheck: true})
	if err != nil {
		t.Fatalf("new client: %v", err)
	}
	defer func() { _ = c.Close() }()
	names, err := c.ListCollections(context.Background())
	if err != nil {
		t.Errorf("list collections: %v", err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, vectortest.IndexPrefix) {
			if err := c.DeleteCollection(context.Background(), name); err != nil {
				t.Errorf("delete collection %s: %v", name, err)
			}
		}
	}
}
