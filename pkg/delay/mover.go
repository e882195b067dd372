package delay

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
)

const (
	// movers is how many messages a mover has in hand.
	movers = 64
	// maxMoving bounds those of all movers.
	maxMoving = 1024
	// drainTimeout is how long they may finish after a stop.
	drainTimeout = 15 * time.Second
	// fullPause is how long a message waits again whose stream is full.
	fullPause = 15 * time.Second
	// retryPause is before another try when the server is out of reach.
	retryPause = time.Second
)

// Mover publishes the jobs whose time has come. Any number may run: each message is
// moved by one of them. What a full stream does not take waits again.
type Mover struct {
	p     platform.Platform
	bus   *bus.Bus
	ready chan struct{}
}

// NewMover returns a mover. It does no I/O.
func NewMover(p platform.Platform, b *bus.Bus) *Mover {
	return &Mover{p: p.WithDefaults(), bus: b, ready: make(chan struct{})}
}

// Ready is closed when the mover takes messages.
func (m *Mover) Ready() <-chan struct{} { return m.ready }

// Run moves messages until ctx ends.
func (m *Mover) Run(ctx context.Context) error {
	w := bus.Worker{Consumer: bus.DueConsumer(KindJobs, maxMoving), Slots: movers, Drain: drainTimeout, Handle: m.handle}
	return w.Run(ctx, m.bus, func() { close(m.ready) })
}

// handle acks a message that is stored elsewhere.
func (m *Mover) handle(ctx context.Context, msg *bus.Message) {
	err := m.move(ctx, msg)
	if err == nil {
		err = msg.Ack()
	} else {
		err = errors.Join(err, msg.Retry(retryPause))
	}
	if err != nil {
		m.p.Logger.WarnContext(ctx, "moving a message whose time has come", "subject", msg.Header.Get(HeaderSubject), "error", err)
	}
}

func (m *Mover) move(ctx context.Context, msg *bus.Message) error {
	subject := msg.Header.Get(HeaderSubject)
	addr, err := event.ParseAddress(subject)
	if err == nil && addr.Tenant != event.TenantOf(msg.Subject) {
		err = event.Invalid(HeaderSubject, "schedule it for its own tenant", "%s is not of tenant %s", subject, event.TenantOf(msg.Subject))
	}
	if err != nil {
		return m.bus.Publish(ctx, dead(msg, event.AsError(err)))
	}
	out := bus.Out{Subject: subject, ID: msg.Header.Get(HeaderID), Data: msg.Data, Header: moved(msg.Header)}
	err = m.bus.Publish(ctx, out)
	if !errors.Is(err, bus.ErrFull) {
		return err
	}
	// To hand it back would hold a place of the durable, and with enough such messages
	// those of every tenant.
	key := Key{Kind: KindJobs, Tenant: addr.Tenant, Key: msg.JobID(msg.Header.Get(bus.HeaderJob))}
	at := m.p.Now().Add(fullPause/2 + rand.N(fullPause)) //nolint:gosec // jitter
	return m.bus.Publish(ctx, Out(at, key, bus.Out{Data: msg.Data, Header: msg.Header}))
}

// moved is the header that a message has where it belongs.
func moved(header nats.Header) nats.Header {
	out := cleaned(header)
	out.Del(HeaderSubject)
	out.Del(HeaderID)
	out.Set(HeaderDue, "1")
	return out
}

// dead is the dead letter of a message that nobody knows where to publish: in the
// form of those of stages.
func dead(msg *bus.Message, cause *event.Error) bus.Out {
	header := cleaned(msg.Header)
	header.Set("Weir-Error-Class", string(cause.Class))
	header.Set("Weir-Error", cause.Message)
	header.Set("Weir-Deliveries", strconv.Itoa(msg.Deliveries))
	return bus.Out{Subject: event.DeadSubject("delay", event.TenantOf(msg.Subject)), Data: msg.Data, Header: header,
		ID: event.DeliveryID(msg.Stored, msg.Stream, msg.Sequence) + ".dead"}
}
