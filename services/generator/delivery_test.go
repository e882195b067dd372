package generator

import (
	"context"
	"time"

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

// drained waits until no task waits or is in work.
func (r *rig) drained() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		info, err := r.bus.ConsumerInfo(ctx, r.consumer())
		if err != nil {
			r.t.Fatal(err)
		}
		if info.NumPending == 0 && info.NumAckPending == 0 {
			return
		}
		<-poll.C
	}
}
