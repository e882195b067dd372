package stage

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
)

// source hands the messages of one Source to its slots, tenant by tenant:
//
//	durable of a tenant ── puller ──┐
//	durable of a tenant ── puller ──┼── fair queue ── slots (handlers)
//	durable of a tenant ── puller ──┘   in hand       in work
//
// A tenant that is alone is pulled from as the slots get free, and has nothing
// in hand while all are busy. When several are active, each has one message in
// hand, for the queue can only choose among those.
type source struct {
	r      *Runner
	cfg    Source
	fail   context.CancelCauseFunc // ends the runner
	stream jetstream.Stream
	pulls  sync.WaitGroup

	slots sync.WaitGroup

	mu       sync.Mutex
	wake     *sync.Cond // a message or a permit came, or the end
	queue    fair
	tenants  map[string]*tenant
	active   []*tenant
	workers  int  // goroutines: one for each slot, and for each message that is parked
	busy     int  // slots at work
	waiting  int  // those of them not yet admitted
	awaiting bool // see await
	closed   bool

	parked      map[*held]context.CancelCauseFunc // see Park
	parkedBytes int
	resume      *sync.Cond // a slot is free for a message that was parked
	claims      int        // messages that wait for that
}

// held is a message from receipt to the end of its handling.
type held struct {
	msg      *bus.Message
	src      *source
	tenant   *tenant
	tokens   float64 // charged for it
	admitted bool
	work     context.Context //nolint:containedctx // of the slot, for the one that takes its place
}

func newSource(r *Runner, cfg Source, fail context.CancelCauseFunc) *source {
	s := &source{r: r, cfg: cfg, fail: fail, tenants: map[string]*tenant{}, queue: fair{flows: map[*flow]struct{}{}},
		parked: map[*held]context.CancelCauseFunc{}}
	s.wake, s.resume = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
	return s
}

// run works until ctx ends and what is in work has ended. Each slot is a
// goroutine: slots bound the messages in work, and their stacks, once grown, are
// used again.
func (s *source) run(ctx, work context.Context) {
	s.workers = s.cfg.Slots
	for range s.cfg.Slots {
		s.slots.Go(func() { s.slot(work) })
	}
	s.discover(ctx)
	s.close()
	s.pulls.Wait()
	s.slots.Wait()
}

// slot handles messages until the end, or until there are more slots than wanted.
func (s *source) slot(work context.Context) {
	for h := s.next(nil); h != nil; h = s.next(h) {
		h.work = work
		s.r.process(context.WithValue(work, heldKey{}, h), h.msg)
		s.r.beats.remove(h.msg)
	}
}

// arrived queues a message that was pulled for a tenant.
func (s *source) arrived(t *tenant, msg *bus.Message) {
	s.r.beats.add(msg)
	h := &held{msg: msg, src: s, tenant: t, tokens: estimate(msg)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || t.gone && t.blocked {
		s.handBack(h)
		return
	}
	t.arrived = s.r.p.Now()
	if !t.active {
		t.active, s.active = true, append(s.active, t)
	}
	s.queue.push(&t.flow, h, msg.Pending > 0)
	s.fit(t)
	s.balance()
	s.wake.Signal()
}

// next ends the handling of done, if any, and waits for the message that the
// slot takes then; nil at the end.
func (s *source) next(done *held) *held {
	s.mu.Lock()
	defer s.mu.Unlock()
	if done != nil {
		s.busy--
		done.tenant.working--
		s.fit(done.tenant)
		s.resume.Signal()
		if s.workers-len(s.parked) > s.cfg.Slots {
			s.workers--
			s.wake.Signal() // another one is there for the next message
			return nil
		}
	}
	for !s.closed {
		if h := s.take(); h != nil {
			return h
		}
		s.balance()
		s.wake.Wait()
	}
	return nil
}

// take gives a free slot the message that is next in the queue, if it is there.
func (s *source) take() *held {
	if s.free() <= 0 {
		return nil
	}
	h := s.queue.pop(time.Now())
	if h == nil {
		s.await()
		return nil
	}
	s.busy++
	s.waiting++
	h.tenant.working++
	s.fit(h.tenant)
	s.balance() // before Done, so that no slot is seen free twice
	h.tenant.puller.Done()
	if s.queue.inHand > 0 {
		s.wake.Signal() // it may be another's turn now
	}
	return h
}

// await has a slot look again soon when the queue has messages in hand, but not
// the one whose turn it is.
func (s *source) await() {
	if s.queue.inHand == 0 || s.awaiting || s.queue.first() == nil {
		return
	}
	s.awaiting = true
	time.AfterFunc(awaitFor, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.awaiting = false
		s.wake.Broadcast()
	})
}

// free is how many more messages may be taken.
func (s *source) free() int {
	free := s.cfg.Slots - s.busy - s.claims
	if s.cfg.Waiting > 0 {
		free = min(free, s.cfg.Waiting-s.waiting)
	}
	return free
}

// balance sets how many messages are pulled ahead: the free slots divided among
// the active tenants, but one of each when there are several.
func (s *source) balance() {
	if len(s.active) == 0 {
		return
	}
	ahead := max(0, s.free()) / len(s.active)
	if len(s.active) > 1 {
		ahead = max(1, ahead)
	}
	for _, t := range s.active {
		t.setAhead(ahead)
	}
}

// close hands back what no handler has: any other worker may have it at once.
func (s *source) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, h := range s.queue.drain() {
		s.handBack(h)
	}
	for _, cancel := range s.parked {
		cancel(ErrStopped)
	}
	s.wake.Broadcast()
	s.resume.Broadcast()
}

func (s *source) handBack(h *held) {
	s.r.beats.remove(h.msg)
	h.msg.Retry(0) //nolint:errcheck // redelivered after AckWait otherwise
}

// heldKey finds the held message in a handler's context.
type heldKey struct{}

// Admitted says that a handler has what it waited for, a place in a provider's
// budget say: its source may take another message to wait. A handler that
// returns is admitted, too.
func Admitted(ctx context.Context) {
	h, ok := ctx.Value(heldKey{}).(*held)
	if !ok {
		return
	}
	h.src.mu.Lock()
	defer h.src.mu.Unlock()
	if h.admitted {
		return
	}
	h.admitted = true
	h.src.waiting--
	if h.src.cfg.Waiting > 0 {
		h.src.balance()
		h.src.wake.Signal()
	}
}

// Charge corrects what the message counts for its tenant's share: the tokens it
// took in the end, in place of the estimate or of an earlier correction.
func Charge(ctx context.Context, tokens int64) {
	h, ok := ctx.Value(heldKey{}).(*held)
	if !ok {
		return
	}
	h.src.mu.Lock()
	defer h.src.mu.Unlock()
	h.tenant.charge(float64(tokens) - h.tokens)
	h.tokens = float64(tokens)
}

// The tokens of a message that does not say: its prompt, at four bytes a token,
// or that of a short question with its answer.
const (
	defaultTokens = 1000
	bytesPerToken = 4
)

// estimate is what handling a message will take, for the fairness among tenants.
// A user's header does not count: it would buy a larger share.
func estimate(msg *bus.Message) float64 {
	if msg.Stream == bus.StreamSteps {
		if n, err := strconv.ParseInt(msg.Header.Get(HeaderTokens), 10, 32); err == nil && n > 0 {
			return float64(n)
		}
	}
	size := len(msg.Data)
	if msg.Header.Get(bus.HeaderPayload) != "" {
		size = bus.ClaimOver // at least
	}
	return float64(max(defaultTokens, size/bytesPerToken))
}

// recent is how long a tenant counts as active after its last message.
const recent = time.Second
