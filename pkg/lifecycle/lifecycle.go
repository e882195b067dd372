// Package lifecycle starts and stops what a process is made of.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// Service is anything that runs: New did no I/O, Run blocks, owns every
// goroutine it starts and returns after it has drained.
type Service interface {
	Run(ctx context.Context) error
	// Ready is closed when the service does its work.
	Ready() <-chan struct{}
}

// Member is a named service.
type Member struct {
	Name string
	Service
}

// Layer builds the services of one layer; it is called when all layers below
// are ready, so it may use them.
type Layer func(ctx context.Context) ([]Member, error)

// Run starts layer after layer, each when the one below is ready, calls
// serving(true), and waits. When ctx ends or any service does, it calls
// serving(false) and stops the layers top down, each when the one above has
// drained. The error joins what the services returned.
func Run(ctx context.Context, serving func(bool), layers ...Layer) error {
	if len(layers) == 0 {
		serving(true)
		<-ctx.Done()
		serving(false)
		return nil
	}
	members, err := layers[0](ctx)
	if err != nil {
		return err
	}
	// The layer outlives ctx: it stops when those above it have stopped.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	above, cancelAbove := context.WithCancel(ctx)
	defer cancelAbove()
	var services sync.WaitGroup
	errs := make([]error, len(members))
	for i, m := range members {
		services.Go(func() {
			defer cancelAbove() // nothing above works without it
			errs[i] = run(running, m)
		})
	}
	if allReady(above, members) {
		err = Run(above, serving, layers[1:]...)
	}
	stop()
	services.Wait()
	return errors.Join(append(errs, err)...)
}

func run(ctx context.Context, m Member) error {
	err := m.Run(ctx)
	if err == nil && ctx.Err() == nil {
		err = errors.New("ended by itself")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	return nil
}

// allReady waits for the members and reports false when ctx ends first.
func allReady(ctx context.Context, members []Member) bool {
	for _, m := range members {
		select {
		case <-m.Ready():
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// Sleep waits for d, or until ctx ends: then its error is the cause.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Retry calls try until it succeeds, fails for a reason that waiting does not
// lift, or ctx ends. Dependencies may thus start in any order.
func Retry(ctx context.Context, log *slog.Logger, what string, try func(context.Context) error) error {
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, 5*time.Second) {
		err := try(ctx)
		if err == nil || !event.AsError(err).Class.Retryable() {
			return err
		}
		log.WarnContext(ctx, "waiting for a dependency", "what", what, "error", err, "retry_in", delay)
		if err := Sleep(ctx, delay); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}
