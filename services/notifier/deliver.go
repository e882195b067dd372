package notifier

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/delay"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/webhook"
)

const (
	// retryPause is before another try when the server is out of reach.
	retryPause = time.Second
	// early is how long before its time a delivery may be tried: clocks differ.
	early = 5 * time.Second
	// headerDelivery names the delivery of a dead letter.
	headerDelivery = "Weir-Delivery"
)

// name is that of the stage in dead letters.
const name = "notifier"

// settled acks what was dealt with, and hands back what was not.
func (s *Service) settled(ctx context.Context, msg *bus.Message, err error) {
	if err == nil {
		err = msg.Ack()
	} else {
		err = errors.Join(err, msg.Retry(retryPause/2+rand.N(retryPause))) //nolint:gosec // jitter
	}
	if err != nil && ctx.Err() == nil {
		s.p.Logger.WarnContext(ctx, "webhooks: coming back to a message", "subject", msg.Subject, "error", err)
	}
}

// deliver takes a delivery whose time has come. The record says what is to be done;
// the message is only the alarm.
func (s *Service) deliver(ctx context.Context, msg *bus.Message) error {
	tenant := event.TenantOf(msg.Subject)
	m, err := webhook.DecodeDue(msg.Data)
	if err != nil {
		cause := event.AsError(err)
		return s.bus.Publish(ctx, dead(tenant, "", msg.Data, msg.Deliveries, cause, fmt.Sprintf("due.%d.%d", msg.Sequence, msg.Stored.UnixNano())))
	}
	agreed := s.ports.Catalog.Current().Tenant(tenant)
	to := s.receiver(&agreed, tenant, m.To)
	ok, why, at := s.gates.enter(ctx, tenant, to.gate, to.limit)
	if !ok {
		s.metrics.postponed.WithLabelValues(string(why)).Inc()
		return s.postpone(ctx, tenant, m, at)
	}
	start, seen := s.p.Now(), unknown
	defer func() { s.gates.leave(tenant, to.gate, s.p.Now().Sub(start), seen) }()
	d, try, err := s.wanted(ctx, tenant, m)
	if err != nil || !try {
		return err
	}
	o, err := s.attempt(ctx, &agreed, &d, to)
	if err == nil && o.err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // the notifier stops: that is not the receiver's fault
	}
	if err != nil {
		s.release(context.WithoutCancel(ctx), &d)
		return err
	}
	seen = o.verdict
	s.metrics.seconds.Observe(s.p.Now().Sub(start).Seconds())
	return s.settle(context.WithoutCancel(ctx), &d, o)
}

// postpone has a delivery come again at another time, unless it was held for too long.
func (s *Service) postpone(ctx context.Context, tenant string, m webhook.Due, at time.Time) error {
	if s.p.Now().Before(m.Since.Add(s.cfg.GiveUpAfter)) {
		return s.schedule(ctx, tenant, m, at)
	}
	d, try, err := s.wanted(ctx, tenant, m)
	if err != nil || !try {
		return err
	}
	cause := &event.Error{Class: event.ClassUnavailable, Field: "webhook", Final: true,
		Message: fmt.Sprintf("the receiver has failed or was busy for %s; last: %s", s.cfg.GiveUpAfter, d.Error)}
	return s.giveUp(ctx, &d, outcome{status: d.Status, response: d.Response, err: cause})
}

func (s *Service) schedule(ctx context.Context, tenant string, m webhook.Due, at time.Time) error {
	out, err := m.Out(tenant)
	if err != nil {
		return err
	}
	return s.bus.Publish(ctx, delay.Out(at, delay.Key{Kind: webhook.KindHooks, Tenant: tenant, Key: m.Delivery}, out))
}

// claimFor is how long after its timeout a try is noted at the latest.
const claimFor = 5 * time.Second

// wanted claims a delivery for a try, if there is to be one now. A delivery that is
// asked for again begins anew; one that came before its time, or that somebody else
// tries, is sent back.
func (s *Service) wanted(ctx context.Context, tenant string, m webhook.Due) (d webhook.Delivery, try bool, err error) {
	var later time.Time
	now := s.p.Now()
	d, err = s.store.Change(ctx, tenant, m.Delivery, func(d *webhook.Delivery) error {
		try, later = false, time.Time{}
		again := m.Round > d.Round
		if again {
			d.Round, d.Since, d.State, d.Attempts, d.Next = m.Round, m.Since, webhook.StateWaiting, 0, time.Time{}
		}
		switch {
		case d.State != webhook.StateWaiting:
		case d.Next.After(now.Add(early)):
			later = d.Next
		case d.Trying.After(now):
			later = d.Trying
		default:
			d.Trying, try = now.Add(s.cfg.Timeout+claimFor).UTC(), true
		}
		if !try && !again { // who tries it now is told that it was asked for again
			return bus.ErrKeep
		}
		return nil
	})
	if errors.Is(err, webhook.ErrNone) {
		s.p.Logger.WarnContext(ctx, "webhooks: the record of a delivery has expired", "tenant", tenant, "delivery", m.Delivery)
		return d, false, nil
	}
	if err == nil && !later.IsZero() {
		err = s.schedule(ctx, tenant, m, later)
	}
	return d, try, err
}

// release gives up a claim without a try.
func (s *Service) release(ctx context.Context, claimed *webhook.Delivery) {
	s.store.Change(ctx, claimed.Tenant, claimed.ID, func(d *webhook.Delivery) error { //nolint:errcheck // the claim ends by itself
		if !d.Trying.Equal(claimed.Trying) {
			return bus.ErrKeep
		}
		d.Trying = time.Time{}
		return nil
	})
}

// settle notes what came of a try. What happens next is stored before the record says
// so: a notifier that dies between the two tries once more.
func (s *Service) settle(ctx context.Context, d *webhook.Delivery, o outcome) error {
	if o.err == nil {
		s.metrics.tries.WithLabelValues("delivered").Inc()
		return s.note(ctx, d, o, webhook.StateDelivered, time.Time{})
	}
	if now, err := s.store.Get(ctx, d.Tenant, d.ID); err == nil && now.Round > d.Round {
		s.metrics.tries.WithLabelValues("failed").Inc()
		return nil // it was asked for again, and comes for that
	}
	wait, again := s.wait(d, o)
	if !again {
		return s.giveUp(ctx, d, o)
	}
	next := s.p.Now().Add(wait).UTC()
	if err := s.schedule(ctx, d.Tenant, d.Due(), next); err != nil {
		return err
	}
	s.metrics.tries.WithLabelValues("failed").Inc()
	return s.note(ctx, d, o, webhook.StateWaiting, next)
}

// giveUp keeps the delivery as a dead letter. Publishing its body to its subject asks
// for the delivery again.
func (s *Service) giveUp(ctx context.Context, d *webhook.Delivery, o outcome) error {
	m := d.Due()
	m.Round++
	out, err := m.Out(d.Tenant)
	if err != nil {
		return err
	}
	letter := dead(d.Tenant, d.ID, out.Data, d.Attempts+1, o.err, fmt.Sprintf("%s.%s.%d", d.Tenant, d.ID, d.Round))
	if err := s.bus.Publish(ctx, letter); err != nil {
		return err
	}
	s.metrics.tries.WithLabelValues("dead").Inc()
	s.p.Logger.WarnContext(ctx, "giving up a webhook", "tenant", d.Tenant, "delivery", d.ID, "job", d.Job, "error", o.err.Error())
	return s.note(ctx, d, o, webhook.StateDead, time.Time{})
}

// note changes the record, unless somebody has asked for the delivery again or the
// receiver took it meanwhile.
func (s *Service) note(ctx context.Context, tried *webhook.Delivery, o outcome, state webhook.State, next time.Time) error {
	_, err := s.store.Change(ctx, tried.Tenant, tried.ID, func(d *webhook.Delivery) error {
		if d.Round > tried.Round || d.State == webhook.StateDelivered {
			return bus.ErrKeep
		}
		d.State, d.Next, d.Trying, d.Status, d.Response, d.Error = state, next, time.Time{}, o.status, o.response, ""
		if o.err != nil {
			d.Error = o.err.Error()
		}
		d.Attempts++
		return nil
	})
	if errors.Is(err, webhook.ErrNone) {
		return nil // expired; the receiver was told or the dead letter is stored
	}
	return err
}

// dead is a dead letter in the form of those of stages. It names no job: that is not
// to be run again.
func dead(tenant, delivery string, data []byte, attempts int, cause *event.Error, id string) bus.Out {
	header := nats.Header{}
	header.Set(stage.HeaderErrorClass, string(cause.Class))
	text := strconv.Quote(cause.Error())
	header.Set(stage.HeaderError, text[1:min(len(text)-1, 1024)])
	header.Set(stage.HeaderSubject, event.DueSubject(webhook.KindHooks, tenant))
	header.Set(stage.HeaderDeliveries, strconv.Itoa(attempts))
	header.Set(headerDelivery, delivery)
	return bus.Out{Subject: event.DeadSubject(name, tenant), Data: data, Header: header, ID: id + ".dead"}
}
