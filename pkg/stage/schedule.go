package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/delay"
	"github.com/weir-dev/weir/pkg/event"
)

// early reports whether a job has come before its time. One that was scheduled
// already is on time, whatever this worker's clock says.
func (r *Runner) early(d *delivery) bool {
	return d.msg.Stream == bus.StreamJobs && d.msg.Header.Get(delay.HeaderDue) == "" && d.head.NotBefore.After(r.p.Now())
}

// schedule has a job come again at its time, as if it were submitted then: its wait
// for that is no time in a queue.
func (r *Runner) schedule(ctx context.Context, d *delivery) ([]bus.Out, error) {
	at := d.head.NotBefore
	if err := event.CheckNotBefore(d.msg.Stored, at, d.head.Deadline); err != nil {
		return nil, err
	}
	if err := r.roomForLater(ctx); err != nil {
		return nil, err
	}
	header := nats.Header{}
	for name, values := range d.msg.Header {
		header[name] = values
	}
	header.Set(HeaderJob, d.head.ID)
	// The id is another one than that of the job's first message, which the stream may
	// still remember.
	out := bus.Out{Subject: d.msg.Subject, ID: d.tenant + "." + d.head.ID + ".due." + strconv.FormatInt(at.UnixMilli(), 10), Data: d.msg.Data, Header: header}
	if err := name(&out, d.head.ID); err != nil {
		return nil, err
	}
	r.notify(d, event.Life{Type: event.LifeWaiting, RetryMS: at.Sub(r.p.Now()).Milliseconds(), Wait: &event.Wait{Cause: event.WaitSchedule, Until: at.UTC()}})
	return []bus.Out{delay.Moved(at, d.tenant, d.head.ID, out)}, nil
}

// Bounds of what waits for its time in all: the stream of schedules can't refuse, and
// what is in it no longer counts in the intake. What is over waits there.
const (
	maxScheduled      = 1_000_000
	maxScheduledBytes = 4 << 30
	scheduleAgain     = 30 * time.Second
)

// roomForLater says whether more may be scheduled.
func (r *Runner) roomForLater(ctx context.Context) error {
	stream, err := r.bus.JetStream().Stream(ctx, bus.StreamDelay) // asks for the info
	if err != nil {
		return event.Errorf(event.ClassUnavailable, "looking for room among what is scheduled: %w", err)
	}
	if state := stream.CachedInfo().State; state.Msgs < maxScheduled && state.Bytes < maxScheduledBytes {
		return nil
	}
	return &event.Error{Class: event.ClassUnavailable, Field: "not_before", Message: "too much is scheduled already",
		Hint: "submit the job nearer to its time", RetryAfter: scheduleAgain}
}

// name has the body of a job say its id: a job that came without one is named after
// its stored message, and must keep that name in another.
func name(out *bus.Out, id string) error {
	if head, _ := event.Peek(out.Data); head.ID != "" {
		if out.Header.Get(bus.HeaderPayload) != "" {
			out.Data = nil // it stays in the bucket
		}
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(out.Data, &fields); err != nil {
		return event.Invalid("body", "send one JSON object", "no JSON: %v", err)
	}
	fields["id"] = strconv.AppendQuote(nil, id)
	data, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("encoding job: %w", err)
	}
	out.Header.Del(bus.HeaderPayload)
	out.Data = data
	return nil
}
