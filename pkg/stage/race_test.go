package stage_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// TestExactlyOneResult: three runners race over jobs of which each is submitted
// twice, their handlers fail at random, and the server restarts meanwhile. Each
// job ends as one result, and each failure that a redrive could help is kept.
func TestExactlyOneResult(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	const jobs = 200
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // seeded on purpose
	half := make(chan struct{}, 10*jobs)
	h := func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		half <- struct{}{}
		mu.Lock()
		roll := random.IntN(10)
		mu.Unlock()
		switch roll {
		case 0, 1, 2:
			return nil, event.Errorf(event.ClassUnavailable, "try again")
		case 3:
			return nil, errors.New("unclassified")
		case 4:
			return nil, event.Invalid("model", "use another", "unknown")
		case 5:
			panic("broken")
		}
		return done(t, in), nil
	}
	src := quick(2 * time.Second) // for what the restart takes from its worker
	src.Slots = 8
	for range 3 {
		start(t, server.Bus(), config(src), h)
	}
	for range 2 {
		for i := range jobs {
			submit(t, b, event.LaneBatch, fmt.Sprintf(`{"v":1,"id":"j%d"}`, i))
		}
	}
	for range jobs / 2 {
		next(t, half)
	}
	server.Restart()
	eventually(t, func() string {
		if _, err := b.Finished(t.Context(), "acme", "j0"); err != nil {
			return err.Error()
		}
		return ""
	})
	wantIdle(t, b, bus.StreamJobs)
	if n := count(t, b, bus.StreamResults); n != jobs {
		t.Errorf("%d results, want %d", n, jobs)
	}
	results, dead, seen := watch(t, b, bus.StreamResults), map[string]bool{}, map[string]bool{}
	letters := watch(t, b, bus.StreamDead)
	for range count(t, b, bus.StreamDead) {
		dead[next(t, letters).Headers().Get(stage.HeaderJob)] = true
	}
	for range jobs {
		r := nextResult(t, results)
		if seen[r.ID] {
			t.Errorf("%s has two results", r.ID)
		}
		seen[r.ID] = true
		if r.Status == event.StatusFailed && r.Error.Class.DeadLetter() && !dead[r.ID] {
			t.Errorf("%s failed with %s and has no dead letter", r.ID, r.Error.Class)
		}
	}
}
