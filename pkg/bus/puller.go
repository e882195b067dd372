package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrNoConsumer says that the durable is gone: the server removes one that
// nobody has pulled from for a while. Its messages stay in the stream.
var ErrNoConsumer = errors.New("no such consumer")

// Puller pulls exactly as many messages as it has free slots: a slot is either
// asked for at the server or held by a message in work. It exists because
// nats.go's Consume can stop asking at small prefetch (a lost wake-up, ended
// only by its missed heartbeat after 30 s), and because messages prefetched
// without a free slot burn their AckWait.
//
//	slots = free + requested + handed out
//
// A request that ends at the server (timeout, leader change, shutdown) gives
// its credits back by a status message. One that vanishes gives them back when
// its time is over or the connection returns. Which request a message belongs
// to is not on the wire (the server serves open requests in turn), so only the
// sum of open credits is kept.
type Puller struct {
	nc      *nats.Conn
	subject string // $JS.API.CONSUMER.MSG.NEXT.<stream>.<durable>
	inbox   string
	room    int // for messages and statuses on their way
	expires time.Duration
	out     chan *Message
	wake    chan struct{}

	mu     sync.Mutex
	slots  int
	free   int           // below 0 while more is out than there are slots
	open   int           // credits asked for and not yet used or given back
	sent   []pullRequest // requests whose time is not over, oldest first
	nextID int
	paused time.Time // no request before this time
}

// pullRequest is a request that may still be open at the server.
type pullRequest struct {
	id       string
	size     int
	deadline time.Time
}

const (
	// pullExpires bounds a pull request at the server.
	pullExpires = 30 * time.Second
	// pullGrace is how long after its expiry a request without a word is lost.
	pullGrace = 2 * time.Second
	// pullPause spares a server that refuses pulls (no leader, consumer gone).
	pullPause = 250 * time.Millisecond
)

// NewPuller returns a puller with the given number of slots, the most that
// SetSlots may set later. It does no I/O until Run.
func NewPuller(nc *nats.Conn, stream, durable string, slots int) *Puller {
	return &Puller{
		nc: nc, subject: "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + durable,
		inbox: nc.NewRespInbox(), room: slots + 64, expires: pullExpires,
		out: make(chan *Message, slots), slots: slots, free: slots, wake: make(chan struct{}, 1),
	}
}

// Messages delivers what was pulled; closed when Run has returned. Each message
// occupies a slot until Done.
func (p *Puller) Messages() <-chan *Message { return p.out }

// Done frees the slot of one delivered message.
func (p *Puller) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free++
	p.poke()
}

// SetSlots changes the number of slots. What was asked for before can't be taken
// back: with fewer slots the puller asks for nothing until enough are free.
func (p *Puller) SetSlots(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free += n - p.slots
	p.slots = n
	p.poke()
}

// Run pulls until ctx ends, or the consumer is gone (ErrNoConsumer). Messages
// already pulled stay in Messages.
func (p *Puller) Run(ctx context.Context) error {
	defer close(p.out)
	incoming := make(chan *nats.Msg, p.room)
	sub, err := p.nc.ChanSubscribe(p.inbox+".*", incoming)
	if err != nil {
		return fmt.Errorf("subscribing to pull inbox: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection may be gone
	reconnected := p.nc.StatusChanged(nats.CONNECTED)
	defer p.nc.RemoveStatusListener(reconnected)
	tick := time.NewTicker(pullPause)
	defer tick.Stop()
	for {
		if err := p.request(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return p.stop(sub, incoming)
		case raw := <-incoming:
			if noConsumer(raw) {
				return errors.Join(ErrNoConsumer, p.stop(sub, incoming))
			}
			p.receive(raw)
		case <-p.wake:
		case <-reconnected:
			p.expire(time.Now().Add(p.expires + 2*pullGrace)) // the server forgot them all
		case now := <-tick.C:
			if p.nc.IsClosed() {
				return fmt.Errorf("pulling: %w", nats.ErrConnectionClosed)
			}
			p.expire(now)
		}
	}
}

// stop hands back what arrived after the end. It ends the subscription at the
// server first and waits for its answer: what was on the way is here then, and
// not left to its AckWait.
func (p *Puller) stop(sub *nats.Subscription, incoming chan *nats.Msg) error {
	if sub.Drain() == nil {
		p.nc.FlushTimeout(pullGrace) //nolint:errcheck // the connection may be gone
	}
	for {
		select {
		case raw := <-incoming:
			if raw.Header.Get("Status") == "" {
				raw.Nak() //nolint:errcheck // redelivered after AckWait otherwise
			}
		default:
			return nil
		}
	}
}

// wants reports whether to ask for the free slots. While many are already asked
// for, it is not until half of the slots are free, so that a busy puller sends
// few requests.
func (p *Puller) wants() bool { return p.free > 0 && p.open <= p.slots/2 }

// request asks for the free slots.
func (p *Puller) request() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !p.wants() || now.Before(p.paused) {
		return nil
	}
	body, err := json.Marshal(map[string]int64{"batch": int64(p.free), "expires": p.expires.Nanoseconds()})
	if err != nil {
		return fmt.Errorf("encoding pull request: %w", err)
	}
	p.nextID++
	r := pullRequest{id: strconv.Itoa(p.nextID), size: p.free, deadline: now.Add(p.expires + pullGrace)}
	if err := p.nc.PublishRequest(p.subject, p.inbox+"."+r.id, body); err != nil {
		if p.nc.IsClosed() {
			return fmt.Errorf("pulling: %w", err)
		}
		p.paused = now.Add(pullPause)
		return nil
	}
	p.sent = append(p.sent, r)
	p.open += r.size
	p.free = 0
	return nil
}

// noConsumer reports whether a status says that nobody serves the pull subject,
// or that the consumer was just deleted.
func noConsumer(raw *nats.Msg) bool {
	return raw.Header.Get("Status") == "503" || raw.Header.Get("Description") == "Consumer Deleted"
}

// receive takes a message or a status from the inbox.
func (p *Puller) receive(raw *nats.Msg) {
	if status := raw.Header.Get("Status"); status != "" {
		p.status(raw, status)
		return
	}
	msg, err := newMessage(raw)
	if err != nil {
		return // not from a consumer: nothing to ack
	}
	p.mu.Lock()
	if p.open > 0 {
		p.open--
	} else {
		p.free-- // of a request given up for lost: its slot was freed, take it back
	}
	if p.open == 0 {
		p.sent = p.sent[:0] // all are used up
	}
	p.mu.Unlock()
	p.out <- msg
}

// status ends a request: what it had left is free again.
func (p *Puller) status(raw *nats.Msg, status string) {
	if status == "100" { // idle heartbeat
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id := raw.Subject[strings.LastIndexByte(raw.Subject, '.')+1:]
	i := slices.IndexFunc(p.sent, func(r pullRequest) bool { return r.id == id })
	if i < 0 {
		return // already given up for lost
	}
	left := p.sent[i].size
	if n, err := strconv.Atoi(raw.Header.Get("Nats-Pending-Messages")); err == nil {
		left = n
	}
	p.sent = slices.Delete(p.sent, i, i+1)
	p.release(left)
	if status != "404" && status != "408" {
		p.paused = time.Now().Add(pullPause)
	}
}

// expire frees the credits of requests that ended without a word: no more can
// be open than those whose time is not over have asked for.
func (p *Puller) expire(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = slices.DeleteFunc(p.sent, func(r pullRequest) bool { return now.After(r.deadline) })
	alive := 0
	for _, r := range p.sent {
		alive += r.size
	}
	p.release(p.open - alive)
}

// release moves up to n open credits to the free slots.
func (p *Puller) release(n int) {
	n = max(0, min(n, p.open))
	p.open -= n
	p.free += n
}

// poke wakes Run if there is something to ask for.
func (p *Puller) poke() {
	if !p.wants() {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
