package generator

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

func (r *rig) consumer() bus.Consumer {
	return bus.GenerateConsumer("small", event.LaneInteractive, r.cfg.FleetSlots).Tenant("acme")
}

// deliverOnce takes the next task as a worker that dies with it, and hands it
// back.
func (r *rig) deliverOnce() {
	r.t.Helper()
	c := r.consumer()
	if err := r.bus.EnsureConsumer(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
	consumer, err := r.bus.JetStream().Consumer(r.t.Context(), c.Stream, c.Durable)
	if err != nil {
		r.t.Fatal(err)
	}
	msg, err := consumer.Next()
	if err == nil {
		err = msg.Nak()
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// storeResult stores an answer as another worker would have.
func (r *rig) storeResult(job, text string) {
	r.t.Helper()
	out, err := stage.ResultOut(event.Result{V: event.Version, ID: job, Tenant: "acme", Kind: event.KindGenerate, Status: event.StatusOK,
		Answer: &event.Answer{Text: text}})
	if err == nil {
		err = r.bus.Publish(r.t.Context(), out)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// info is how small's tasks of acme stand.
func (r *rig) info(ctx context.Context) *jetstream.ConsumerInfo {
	r.t.Helper()
	info, err := r.bus.ConsumerInfo(ctx, r.consumer())
	if err != nil {
		r.t.Fatal(err)
	}
	return info
}

// until waits until the tasks stand as ok says.
func (r *rig) until(ok func(*jetstream.ConsumerInfo) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !ok(r.info(ctx)) {
		<-poll.C
	}
}

// drained waits until no task waits or is in work.
func (r *rig) drained() {
	r.t.Helper()
	r.until(func(info *jetstream.ConsumerInfo) bool { return info.NumPending == 0 && info.NumAckPending == 0 })
}

// notPulled waits until nobody asks for tasks.
func (r *rig) notPulled() {
	r.t.Helper()
	r.until(func(info *jetstream.ConsumerInfo) bool { return info.NumWaiting == 0 })
}

// stored is how many messages a stream holds.
func (r *rig) stored(stream string) uint64 {
	r.t.Helper()
	s, err := r.bus.JetStream().Stream(r.t.Context(), stream)
	if err != nil {
		r.t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}
