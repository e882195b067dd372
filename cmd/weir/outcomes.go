package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// outcomesCmd prints what jobs of tasks have taught, for weir calibrate.
type outcomesCmd struct {
	Task  string        `help:"Only this task."`
	Since time.Duration `default:"720h" help:"Only those of the last so long."`
}

// outcomeWait bounds a wait for the next stored outcome, outcomeWaits how many
// there are.
const (
	outcomeWait  = time.Second
	outcomeWaits = 10
)

// Run prints one outcome a line.
func (c *outcomesCmd) Run(e *env) error {
	return e.withBus(func(b *bus.Bus) error {
		since := time.Now().Add(-c.Since)
		consumer, err := b.JetStream().OrderedConsumer(e.ctx, bus.StreamOutcomes, jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{event.OutcomeSubject(e.Tenant, "*")}, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since})
		if err != nil {
			return event.Errorf(event.ClassUnavailable, "reading outcomes: %w", err)
		}
		for left := consumer.CachedInfo().NumPending; left > 0; left-- {
			msg, err := nextOutcome(e, consumer)
			if err != nil || msg == nil {
				return err
			}
			if err := c.print(e, b, msg); err != nil {
				return err
			}
		}
		return nil
	})
}

// nextOutcome is nil when there are no more: what was counted at the start may
// have expired since.
func nextOutcome(e *env, consumer jetstream.Consumer) (jetstream.Msg, error) {
	for range outcomeWaits {
		msg, err := consumer.Next(jetstream.FetchMaxWait(outcomeWait))
		if err == nil {
			return msg, nil
		}
		if !errors.Is(err, nats.ErrTimeout) {
			return nil, event.Errorf(event.ClassUnavailable, "reading outcomes: %w", err)
		}
		info, err := consumer.Info(e.ctx)
		if err != nil {
			return nil, event.Errorf(event.ClassUnavailable, "reading outcomes: %w", err)
		}
		if info.NumPending == 0 {
			return nil, nil //nolint:nilnil // the end
		}
	}
	return nil, event.Errorf(event.ClassUnavailable, "reading outcomes: the next one did not come within %v, try again", outcomeWait*outcomeWaits)
}

func (c *outcomesCmd) print(e *env, b *bus.Bus, msg jetstream.Msg) error {
	in := bus.Message{Subject: msg.Subject(), Data: msg.Data(), Header: msg.Headers()}
	if err := b.Resolve(e.ctx, &in); err != nil {
		fmt.Fprintf(e.err, "left out: %v\n", err) // its payload's time is over
		return nil
	}
	var o event.Observation
	if err := json.Unmarshal(in.Data, &o); err != nil {
		return fmt.Errorf("decoding an outcome: %w", err)
	}
	if c.Task == "" || c.Task == o.Task {
		fmt.Fprintln(e.out, string(o.Outcome))
	}
	return nil
}
