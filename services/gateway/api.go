package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Bounds of what a client may do to a connection; see package web for those of a
// request's body and of the reading of an answer.
const (
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

// api serves the API until it is stopped.
type api struct{ s *Service }

// Ready is closed when the API listens.
func (a *api) Ready() <-chan struct{} { return a.s.ready }

// Run serves until ctx ends and the requests in work have ended, or the time to drain
// is over. The requests' contexts end then.
func (a *api) Run(ctx context.Context) error {
	s := a.s
	var lc net.ListenConfig
	var err error
	if s.listener, err = lc.Listen(ctx, "tcp", s.cfg.Addr); err != nil {
		return fmt.Errorf("listening for the API (set WEIR_GATEWAY_ADDR to another address): %w", err)
	}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: s.cfg.HeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.p.Logger.Handler(), slog.LevelWarn)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(s.listener) }()
	close(s.ready)
	select {
	case err := <-ended:
		return fmt.Errorf("serving the API: %w", err)
	case <-ctx.Done():
	}
	s.stop() // streams end, and their readers come back to another gateway
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
	defer cancel()
	if err := server.Shutdown(draining); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stopping the API: %w", err)
	}
	return server.Close()
}
