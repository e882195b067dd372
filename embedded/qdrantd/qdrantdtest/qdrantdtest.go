// Package qdrantdtest starts embedded vector stores for tests.
package qdrantdtest

import (
	"context"
	"testing"

	"github.com/weir-dev/weir/embedded/qdrantd"
)

// Start runs a server on a fresh directory until the test ends and returns its
// address.
func Start(t testing.TB) string {
	t.Helper()
	addr, _ := StartDir(t, t.TempDir())
	return addr
}

// StartDir runs a server on dir. It stops when stop is called, at the latest
// when the test ends, and its files are closed when stop returns.
func StartDir(t testing.TB, dir string) (addr string, stop func()) {
	t.Helper()
	srv, err := qdrantd.New(qdrantd.Config{Dir: dir, Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatalf("new server: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	stop = func() {
		cancel()
		if err, ok := <-done; ok {
			close(done)
			if err != nil {
				t.Errorf("server: %v", err)
			}
		}
	}
	select {
	case <-srv.Ready():
	case err := <-done:
		cancel()
		t.Fatalf("server ended before it was ready: %v", err)
	}
	t.Cleanup(stop)
	return srv.Addr(), stop
}
