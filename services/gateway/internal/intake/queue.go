package intake

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

const (
	// lookEvery is how long a count of what waits is good for.
	lookEvery = 250 * time.Millisecond
	// measureEvery is how often the finished jobs are counted, over rateWindow.
	measureEvery = time.Second
	rateWindow   = time.Minute
	askTimeout   = 2 * time.Second
	// roomPart of a full queue must be worked off before it is worth to come again.
	roomPart = 0.05
	// The wait that is told is within these; unknownWait when nothing is measured.
	minWait, maxWait = time.Second, 5 * time.Minute
	unknownWait      = 30 * time.Second
)

// queue knows what waits in the intake and how fast it is worked off.
type queue struct {
	bus *bus.Bus
	now func() time.Time

	mu       sync.Mutex
	at       time.Time         // of waiting
	waiting  map[string]uint64 // by job subject
	finished []sample          // the last rateWindow's, oldest first
}

// sample is how many results were ever stored at a time.
type sample struct {
	at      time.Time
	results uint64
}

func newQueue(b *bus.Bus, now func() time.Time) *queue { return &queue{bus: b, now: now} }

// run counts the finished jobs until ctx ends.
func (q *queue) run(ctx context.Context) error {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		q.measure(ctx) //nolint:errcheck // the next one may do
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (q *queue) measure(ctx context.Context) error {
	info, err := q.info(ctx, bus.StreamResults)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(sample{q.now(), info.State.LastSeq})
	return nil
}

// add notes a sample and forgets those that are too old.
func (q *queue) add(s sample) {
	if n := len(q.finished); n > 0 && s.results < q.finished[n-1].results {
		q.finished = q.finished[:0] // another stream
	}
	q.finished = append(q.finished, s)
	first := 0
	for s.at.Sub(q.finished[first].at) > rateWindow {
		first++
	}
	q.finished = append(q.finished[:0], q.finished[first:]...)
}

// rate is how many jobs of all tenants were finished a second, 0 when that is not
// known.
func (q *queue) rate() float64 {
	if len(q.finished) < 2 {
		return 0
	}
	first, last := q.finished[0], q.finished[len(q.finished)-1]
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(last.results-first.results) / seconds
}

func (q *queue) info(ctx context.Context, name string, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	stream, err := q.bus.JetStream().Stream(ctx, name)
	if err != nil {
		return nil, event.Errorf(event.ClassUnavailable, "reading stream %s: %w", name, err)
	}
	if len(opts) == 0 {
		return stream.CachedInfo(), nil
	}
	info, err := stream.Info(ctx, opts...)
	if err != nil {
		return nil, event.Errorf(event.ClassUnavailable, "reading stream %s: %w", name, err)
	}
	return info, nil
}

// backlog is how many jobs of an address wait, and of how many tenants any wait there,
// as counted a moment ago.
func (q *queue) backlog(ctx context.Context, addr event.Address) (waiting uint64, tenants int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == nil || q.now().Sub(q.at) >= lookEvery {
		info, err := q.info(ctx, bus.StreamJobs, jetstream.WithSubjectFilter("weir.jobs.>"))
		if err != nil {
			return 0, 0, err
		}
		q.waiting, q.at = info.State.Subjects, q.now()
	}
	for subject, n := range q.waiting {
		if other, err := event.ParseAddress(subject); err == nil && other.Kind == addr.Kind && other.Lane == addr.Lane && n > 0 {
			tenants++
		}
	}
	return q.waiting[addr.Subject()], tenants, nil
}

// room refuses a job of a tenant that has as many waiting as was agreed; 0 is no
// bound. What was taken in since the last count does not count yet.
func (q *queue) room(ctx context.Context, addr event.Address, bound int64) error {
	if bound <= 0 {
		return nil
	}
	waiting, _, err := q.backlog(ctx, addr)
	if err != nil || waiting < uint64(bound) {
		return err
	}
	return fmt.Errorf("%d jobs of the tenant wait: %w", waiting, bus.ErrFull)
}

// full is the answer to a job that there is no room for, with when to come again.
func (q *queue) full(ctx context.Context, addr event.Address) *web.Error {
	wait := unknownWait
	if waiting, tenants, err := q.backlog(ctx, addr); err == nil {
		q.mu.Lock()
		wait = waitFor(waiting, tenants, q.rate())
		q.mu.Unlock()
	}
	return &web.Error{Status: http.StatusServiceUnavailable, Code: "queue_full", RetryAfter: wait, Cause: &event.Error{
		Class: event.ClassUnavailable, Message: fmt.Sprintf("too many %s jobs wait in the lane %s", addr.Kind, addr.Lane),
		Hint: "send it again after the time in Retry-After", RetryAfter: wait}}
}

// waitFor is when there is room again in a queue where so many jobs wait, and jobs of
// so many tenants in turn, when rate are done a second.
func waitFor(waiting uint64, tenants int, rate float64) time.Duration {
	if rate <= 0 {
		return unknownWait
	}
	jobs := max(1, float64(waiting)*roomPart)
	seconds := jobs * float64(max(1, tenants)) / rate
	return min(max(time.Duration(seconds*float64(time.Second)), minWait), maxWait)
}
