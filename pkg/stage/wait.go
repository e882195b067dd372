package stage

import (
	"context"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// waitEvery is the least time between two events that say why a job waits.
const waitEvery = 2 * time.Second

// TellWaiting returns a function that publishes, as an event in a job's life, what
// holds it, in words and as data.
func TellWaiting(b *bus.Bus, env event.Envelope, stage string, now func() time.Time) func(reason string, wait event.Wait) {
	var mu sync.Mutex
	var last time.Time
	return func(reason string, wait event.Wait) {
		at := now()
		mu.Lock()
		defer mu.Unlock()
		if !last.IsZero() && at.Sub(last) < waitEvery {
			return
		}
		last = at
		life := event.Life{Type: event.LifeWaiting, Stage: stage, Detail: reason, Wait: &wait}
		if !wait.Until.IsZero() {
			life.RetryMS = max(0, wait.Until.Sub(at).Milliseconds())
		}
		b.Publish(context.Background(), LifeOut(env.Tenant, env.ID, at, life)) //nolint:errcheck // a view of the job
	}
}
