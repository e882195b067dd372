package generator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/weir-dev/weir/pkg/stage"
)

// fleet keeps a runner for each model that is to be served.
type fleet struct {
	s       *Service
	ready   chan struct{}
	runners map[string]context.CancelFunc
	running sync.WaitGroup
}

// Ready is closed when the models of the first catalog are served.
func (f *fleet) Ready() <-chan struct{} { return f.ready }

// Run serves until ctx ends.
func (f *fleet) Run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	defer f.running.Wait()
	f.runners = map[string]context.CancelFunc{}
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
		runner, err := f.s.runner(model)
		if err != nil {
			return fmt.Errorf("serving model %s: %w", model, err)
		}
		f.start(ctx, fail, model, runner)
	}
	return nil
}

func (f *fleet) start(ctx context.Context, fail context.CancelCauseFunc, model string, runner *stage.Runner) {
	serving, stop := context.WithCancel(ctx)
	f.runners[model] = stop
	f.running.Go(func() {
		defer stop()
		if err := runner.Run(serving); err != nil {
			fail(fmt.Errorf("serving model %s: %w", model, err))
		}
	})
	select {
	case <-runner.Ready():
	case <-serving.Done():
	}
}
