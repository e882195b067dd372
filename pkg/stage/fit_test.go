package stage

import (
	"context"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
)

// TestAnIdleTenantIsPulledFromAgain: one whose messages were all done while others had
// parked as many as all may is not left out when there is room again; meanwhile one
// message of it is in hand, and not handled.
func TestAnIdleTenantIsPulledFromAgain(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	src := Source{Consumer: bus.JobConsumer("test", event.KindGenerate, event.LaneBatch, 1000), Slots: 2, Window: maxParked}
	r, err := New(Config{Name: "test", Sources: []Source{src}}, b, HandlerFunc(func(context.Context, *bus.Message) ([]bus.Out, error) { return nil, nil }), platform.Platform{})
	if err != nil {
		t.Fatal(err)
	}
	s := newSource(r, src, nil)
	idle := &tenant{name: "idle", active: true, ahead: 1, puller: bus.NewPuller(b.Conn(), bus.StreamJobs, "idle", src.Slots)}
	s.queue.add(&idle.flow, 1)
	s.tenants[idle.name], s.active = idle, []*tenant{idle}
	for range maxParked {
		s.parked[&held{}] = nil
	}
	s.moved()
	if !idle.blocked {
		t.Fatal("more is taken than may be parked")
	}
	s.rest(idle, time.Now())
	if idle.active || idle.ahead == 0 {
		t.Errorf("active %v, and %d messages are asked for, want one: nobody looks at a tenant that is not active", idle.active, idle.ahead)
	}
	s.arrived(idle, &bus.Message{Stream: bus.StreamJobs})
	if !idle.active || !idle.blocked {
		t.Error("more is taken than may be parked")
	}
	clear(s.parked)
	s.moved()
	if h := s.take(); h == nil {
		t.Error("its message is not handled although there is room")
	}
}
