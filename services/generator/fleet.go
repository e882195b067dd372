package generator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/stage"
)

// fleet keeps a runner for each model that is to be served.
type fleet struct {
	s       *Service
	ready   chan struct{}
	runners map[served]func()
	running sync.WaitGroup
}

// Ready is closed when the models of the first catalog are served.
func (f *fleet) Ready() <-chan struct{} { return f.ready }

// Run serves until ctx ends.
func (f *fleet) Run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	defer f.running.Wait()
	f.runners = map[served]func(){}
	for first := true; ; first = false {
		changed := f.s.ports.Catalog.Changed()
		if err := f.follow(ctx, fail); err != nil {
			return err
		}
		if first {
			close(f.ready)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			f.running.Wait()
			if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
				return cause
			}
			return nil
		}
	}
}

// follow starts and stops runners after the catalog.
func (f *fleet) follow(ctx context.Context, fail context.CancelCauseFunc) error {
	wanted := f.s.models(f.s.ports.Catalog.Current())
	for model, stop := range f.runners {
		if !wanted[model] {
			stop() // its tasks wait in the stream; another catalog may know it
			delete(f.runners, model)
		}
	}
	for model := range wanted {
		if f.runners[model] != nil {
			continue
		}
		metrics := &scope{Registerer: f.s.p.Registerer}
		runner, err := f.s.runner(model, metrics)
		if err != nil {
			return fmt.Errorf("serving model %s: %w", model.model, err)
		}
		serving, stop := context.WithCancel(ctx)
		f.runners[model] = func() { stop(); metrics.close() }
		f.start(serving, fail, model, runner)
	}
	return nil
}

func (f *fleet) start(ctx context.Context, fail context.CancelCauseFunc, of served, runner *stage.Runner) {
	f.running.Go(func() {
		if err := runner.Run(ctx); err != nil {
			fail(fmt.Errorf("serving model %s: %w", of.model, err))
		}
	})
	select {
	case <-runner.Ready():
	case <-ctx.Done():
	}
}

// scope is a registerer whose metrics end together: a runner's, whose model may be
// served again later.
type scope struct {
	prometheus.Registerer
	mine []prometheus.Collector
}

// Register implements prometheus.Registerer.
func (s *scope) Register(c prometheus.Collector) error {
	err := s.Registerer.Register(c)
	if err == nil {
		s.mine = append(s.mine, c)
	}
	return err
}

// MustRegister implements prometheus.Registerer.
func (s *scope) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := s.Register(c); err != nil {
			panic(err)
		}
	}
}

func (s *scope) close() {
	for _, c := range s.mine {
		s.Unregister(c)
	}
}
