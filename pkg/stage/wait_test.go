package stage_test

import (
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// TestTellWaiting: in words and as data, and not too often.
func TestTellWaiting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tell := stage.TellWaiting(b, event.Envelope{ID: "j1", Tenant: "acme"}, "test", func() time.Time { return now })
	wait := event.Wait{Cause: event.WaitLimit, Name: "sim/big rpm", Until: now.Add(time.Minute)}
	tell("limit rpm", wait)
	tell("limit rpm", wait) // too soon
	now = now.Add(3 * time.Second)
	tell("somebody else", event.Wait{Cause: event.WaitFlight, Name: "j0"})
	events := watch(t, b, bus.StreamEvents)
	if life := decode[event.Life](t, next(t, events).Data()); life.Type != event.LifeWaiting || life.Detail != "limit rpm" || life.RetryMS != 60_000 || life.Wait == nil || *life.Wait != wait {
		t.Errorf("got %+v", life)
	}
	if life := decode[event.Life](t, next(t, events).Data()); life.Wait == nil || life.Wait.Cause != event.WaitFlight || life.RetryMS != 0 {
		t.Errorf("got %+v", life)
	}
}

// TestFailuresAreTold: whatever ends a job, its result goes back with what the client
// sent along and to where it said.
func TestFailuresAreTold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body  string
		class event.Class
	}{
		"refused":       {`{"v":1,"id":"j1","webhook":"https://a","metadata":{"k":"v"}}`, event.ClassInvalid},
		"a wrong field": {`{"v":1,"id":"j1","deadline":"soon","webhook":"https://a","metadata":{"k":"v"}}`, event.ClassInvalid},
		"too late":      {`{"v":1,"id":"j1","deadline":"2020-01-01T00:00:00Z","webhook":"https://a","metadata":{"k":"v"}}`, event.ClassDeadline},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			h, _ := fails(t, 1, event.Invalid("x", "y", "z"))
			start(t, b, config(), h)
			submit(t, b, event.LaneBatch, tc.body)
			r := nextResult(t, watch(t, b, bus.StreamResults))
			if r.Error == nil || r.Error.Class != tc.class || r.Webhook != "https://a" || r.Metadata["k"] != "v" {
				t.Errorf("got %+v with error %v", r, r.Error)
			}
		})
	}
}
