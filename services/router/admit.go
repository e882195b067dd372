package router

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/stage"
)

// admission keeps the queues of the generators shallow: jobs wait in the intake and
// in the router's window until the queue of their model, lane and tenant has room. So
// it is decided late which of a tenant's jobs is next, see turns.
type admission struct {
	s     *Service
	ready chan struct{}
	wake  chan struct{} // a queue is wanted to be looked at

	mu     sync.Mutex
	queues map[expectKey]*queue
	wanted []*queue
	looked int // queues that are looked at
}

// queue is what a router knows of one of the generators' queues.
type queue struct {
	turns

	key     expectKey
	credit  int // tasks that may be sent before the queue is looked at again
	sending int // tasks that may be sent and are not yet
	looking bool
	used    time.Time // when the last one was sent
	flow    flow
}

const (
	// The time from one look at a queue to the next: that in which half of it is
	// served, within bounds. The upper one grows with the queues, for the server has
	// to answer all.
	lookLeast    = 5 * time.Millisecond
	lookMost     = 100 * time.Millisecond
	lookPerQueue = 2 * time.Millisecond
	// lookTimeout bounds a look.
	lookTimeout = 2 * time.Second
	// idleCredit is the part of the depth that may be sent to a queue that nothing
	// was sent to for idleFor: a job that comes alone waits for no look.
	idleCredit = 8
	idleFor    = time.Second
	// maxQueues bounds the queues remembered.
	maxQueues = 10_000
)

func newAdmission(s *Service) *admission {
	return &admission{s: s, ready: make(chan struct{}), wake: make(chan struct{}, 1), queues: map[expectKey]*queue{}}
}

// Ready is closed when the queues are looked at.
func (a *admission) Ready() <-chan struct{} { return a.ready }

// Run looks at queues for whose room jobs wait, until ctx ends.
func (a *admission) Run(ctx context.Context) error {
	var looking sync.WaitGroup
	defer looking.Wait()
	close(a.ready)
	for {
		a.mu.Lock()
		wanted := a.wanted
		a.wanted = nil
		a.mu.Unlock()
		for _, q := range wanted {
			looking.Go(func() { a.watch(ctx, q) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		}
	}
}

// turn waits until a job may be sent to the generators of a model. sent must be called
// when it is, or is not going to be.
func (a *admission) turn(ctx context.Context, model string, in *bus.Message, env event.Envelope) (sent func(), err error) {
	q, w := a.enter(expectKey{model, env.Lane, env.Tenant}, in, env)
	sent = func() { a.sent(q) }
	if w == nil {
		return sent, nil
	}
	a.s.metrics.waiting.WithLabelValues(string(env.Lane)).Inc()
	defer a.s.metrics.waiting.WithLabelValues(string(env.Lane)).Dec()
	err = stage.Park(ctx, func(ctx context.Context) error {
		select {
		case <-w.turn:
			return nil
		case <-ctx.Done():
			return a.leave(ctx, q, w)
		}
	})
	if err != nil {
		return nil, err
	}
	a.s.metrics.turn.WithLabelValues(string(env.Lane)).Observe(a.s.p.Now().Sub(w.since).Seconds())
	return sent, nil
}

// enter takes credit, or has the job wait: w is nil when it may go at once.
func (a *admission) enter(key expectKey, in *bus.Message, env event.Envelope) (*queue, *waiter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q, now := a.queue(key), a.s.p.Now()
	if idle := a.depth(key.lane)/idleCredit + 1; now.Sub(q.used) > idleFor && !q.looking {
		q.credit = max(q.credit, idle)
	}
	if q.credit > 0 && q.len() == 0 {
		q.credit--
		q.sending++
		q.used = now
		return q, nil
	}
	w := &waiter{id: env.ID, deadline: env.Deadline, stored: in.Stored, sequence: in.Sequence, since: now, told: now, turn: make(chan struct{})}
	q.add(w)
	if !q.looking {
		q.looking = true
		a.wanted = append(a.wanted, q)
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
	return q, w
}

// queue finds what is known of a queue.
func (a *admission) queue(key expectKey) *queue {
	q, ok := a.queues[key]
	if ok {
		return q
	}
	if len(a.queues) >= maxQueues {
		for key, q := range a.queues { // those in use stay
			if q.len() == 0 && !q.looking && q.sending == 0 {
				delete(a.queues, key)
			}
		}
	}
	q = &queue{key: key}
	a.queues[key] = q
	return q
}

func (a *admission) sent(q *queue) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q.sending--
}

// leave ends the waiting of a job whose context ended. One whose turn came at the same
// time gives it to another.
func (a *admission) leave(ctx context.Context, q *queue, w *waiter) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !q.remove(w) {
		q.sending--
		q.credit++
	}
	if !w.deadline.IsZero() && !a.s.p.Now().Before(w.deadline) {
		return &event.Error{Class: event.ClassDeadline, Field: "deadline",
			Message: fmt.Sprintf("%s passed while the job waited for its turn", w.deadline.Format(time.RFC3339Nano)),
			Hint:    "set a later deadline, add workers, or have the provider's limits raised"}
	}
	return context.Cause(ctx)
}

// depth is how many tasks may wait in a queue.
func (a *admission) depth(lane event.Lane) int {
	if lane == event.LaneInteractive {
		return a.s.cfg.InteractiveDepth
	}
	return a.s.cfg.BatchDepth
}

// watch looks at a queue, and lets jobs go, for as long as some wait for its room.
func (a *admission) watch(ctx context.Context, q *queue) {
	a.looking(1)
	defer a.looking(-1)
	for {
		seen, err := a.look(ctx, q.key)
		if err != nil && ctx.Err() == nil {
			a.s.p.Logger.DebugContext(ctx, "looking at a queue", "model", q.key.model, "tenant", q.key.tenant, "error", err)
		}
		pause, again := a.admit(ctx, q, seen, err)
		if !again || lifecycle.Sleep(ctx, pause) != nil {
			return
		}
	}
}

func (a *admission) looking(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.looked += n
}

// seen is what a look at a queue shows.
type seen struct {
	at      time.Time
	pending int    // tasks that nobody has
	working int    // tasks that some generator has
	served  uint64 // deliveries so far
	nobody  bool   // no generator asks for more, nor has any
}

// look asks the server how deep a queue is.
func (a *admission) look(ctx context.Context, key expectKey) (seen, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	c := bus.GenerateConsumer(key.model, key.lane, a.s.cfg.FleetSlots).Tenant(key.tenant)
	info, err := a.s.bus.ConsumerInfo(ctx, c)
	now := a.s.p.Now()
	if err == nil {
		return seen{at: now, pending: count(info.NumPending), working: info.NumAckPending, served: info.Delivered.Consumer,
			nobody: info.NumWaiting == 0 && info.NumAckPending == 0}, nil
	}
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return seen{at: now}, err
	}
	// Nobody has pulled from it yet: all that is stored waits.
	stream, err := a.s.bus.JetStream().Stream(ctx, c.Stream)
	if err != nil {
		return seen{at: now}, fmt.Errorf("opening %s: %w", c.Stream, err)
	}
	stored, err := c.Tenants(ctx, stream)
	return seen{at: now, pending: count(stored[key.tenant]), nobody: true}, err
}

// count is a number of messages.
func count(n uint64) int { return int(min(n, math.MaxInt32)) } //nolint:gosec // bounded

// admit lets those jobs go that a queue has room for, and says when to look again;
// again is false when no job waits any more. While the server can't be asked, none go.
func (a *admission) admit(ctx context.Context, q *queue, now seen, err error) (pause time.Duration, again bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		q.flow.observe(now)
		a.spend(q, now)
		a.tell(q, now)
	}
	if q.len() == 0 || ctx.Err() != nil {
		q.looking = false
		return 0, false
	}
	most := max(lookMost, time.Duration(a.looked)*lookPerQueue)
	return min(max(q.flow.time(now.pending/2), lookLeast), most), true
}

// spend gives out half of the room there is, for other routers see the same room. What
// is left over goes to the jobs that come next.
func (a *admission) spend(q *queue, now seen) {
	room := a.depth(q.key.lane) - now.pending - q.sending
	q.credit = max(0, (room+1)/2)
	ahead := now.pending + now.working + q.sending
	q.judge(now.at, ahead, &q.flow)
	for q.credit > 0 {
		w := q.next(now.at, ahead, &q.flow)
		if w == nil {
			return
		}
		q.credit--
		q.sending++
		ahead++
		q.used = now.at
		close(w.turn)
	}
}

const (
	// tellAfter is how long a job waits before it is told of; then after twice as
	// long each time, up to tellMost. At most tellBatch are told at a look.
	tellAfter = time.Second
	tellMost  = time.Minute
	tellBatch = 64
)

// tell says in the lives of jobs that they wait, and for about how long.
func (a *admission) tell(q *queue, now seen) {
	told, place := 0, now.pending+q.sending
	q.each(func(w *waiter) bool {
		place++
		if now.at.Sub(w.told) < min(max(tellAfter, w.told.Sub(w.since)), tellMost) {
			return true
		}
		w.told = now.at
		told++
		a.s.bus.Publish(context.Background(), stage.LifeOut(q.key.tenant, w.id, now.at, q.life(now, place))) //nolint:errcheck // a view of the job
		return told < tellBatch
	})
}

// life is the event of a job that waits at a place of the queue.
func (q *queue) life(now seen, place int) event.Life {
	wait := event.Wait{Cause: event.WaitShare, Name: q.key.tenant}
	life := event.Life{Type: event.LifeWaiting, Stage: "router", Wait: &wait,
		Detail: fmt.Sprintf("%d jobs of the tenant are before it at model %s", place-1, q.key.model)}
	if now.nobody {
		wait.Cause, wait.Name = event.WaitWorkers, q.key.model
		life.Detail = "no generator takes tasks of model " + q.key.model
	} else if d := q.flow.time(place); d > 0 {
		wait.Until, life.RetryMS = now.at.Add(d).UTC(), d.Milliseconds()
	}
	return life
}

// flow is how fast a queue is served while something waits in it.
type flow struct {
	served float64 // tasks, the older the less they count
	over   float64 // seconds, likewise
	last   seen
}

const (
	// flowOver is the time over which the rate is averaged; it is not known before
	// flowLeast of it was seen.
	flowOver  = 5 * time.Second
	flowLeast = time.Second
)

// observe learns from a look. What is served of an empty queue says nothing, nor does
// the time before anything was.
func (f *flow) observe(now seen) {
	last := f.last
	f.last = now
	took := now.at.Sub(last.at)
	if last.at.IsZero() || last.pending == 0 || now.pending == 0 || last.served == 0 || now.served < last.served || took <= 0 || took > flowOver {
		return
	}
	kept := math.Exp(-took.Seconds() / flowOver.Seconds())
	f.served = f.served*kept + float64(now.served-last.served)
	f.over = f.over*kept + took.Seconds()
}

// rate is how many tasks are served a second, 0 when that is not known.
func (f *flow) rate() float64 {
	if f.over < flowLeast.Seconds() {
		return 0
	}
	return f.served / f.over
}

// time is how long n tasks take, 0 when that is not known.
func (f *flow) time(n int) time.Duration {
	rate := f.rate()
	if rate <= 0 {
		return 0
	}
	return time.Duration(min(float64(n)/rate, maxSeconds) * float64(time.Second))
}

// maxSeconds bounds what is expected, a year, so that it is a time.Duration.
const maxSeconds = 365 * 24 * 3600
