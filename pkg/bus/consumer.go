package bus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/event"
)

// AckWait is how long the server waits for a sign of life before it delivers a
// message again. Holders send one every third of it, from receipt on.
const AckWait = 30 * time.Second

// Consumer names the durable a stage pulls from.
type Consumer struct {
	Stream  string
	Durable string
	Filter  string // subject filter
	// MaxAckPending bounds the stage's messages in work over the whole fleet.
	MaxAckPending int
	// AckWait overrides the constant, for tests of redelivery; 0 keeps it.
	AckWait time.Duration
}

// JobConsumer is the durable of the stage that takes jobs of one kind and lane.
func JobConsumer(stage string, kind event.Kind, lane event.Lane, maxAckPending int) Consumer {
	return Consumer{
		Stream: StreamJobs, Durable: stage + "-" + string(lane),
		Filter: event.Address{Kind: kind, Lane: lane, Tenant: "*"}.Subject(), MaxAckPending: maxAckPending,
	}
}

// EmbedConsumer is the embedder's durable for one model and lane.
func EmbedConsumer(model string, lane event.Lane, maxAckPending int) Consumer {
	return stepConsumer("embedder-"+model, event.EmbedSubject(model, lane, "*"), lane, maxAckPending)
}

// GenerateConsumer is the generator's durable for one model and lane.
func GenerateConsumer(model string, lane event.Lane, maxAckPending int) Consumer {
	return stepConsumer("generator-"+model, event.GenerateSubject(model, lane, "*"), lane, maxAckPending)
}

func stepConsumer(name, filter string, lane event.Lane, maxAckPending int) Consumer {
	return Consumer{Stream: StreamSteps, Durable: name + "-" + string(lane), Filter: filter, MaxAckPending: maxAckPending}
}

// EnsureConsumer creates or updates the durable. MaxDeliver is unlimited on
// purpose: the server would strand a message that exceeds it in the work
// queue; the stage runner counts deliveries and dead-letters instead.
func (b *Bus) EnsureConsumer(ctx context.Context, c Consumer) error {
	wait := c.AckWait
	if wait == 0 {
		wait = AckWait
	}
	_, err := b.js.CreateOrUpdateConsumer(ctx, c.Stream, jetstream.ConsumerConfig{
		Durable: c.Durable, FilterSubject: c.Filter,
		AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait: wait, MaxDeliver: -1, MaxAckPending: c.MaxAckPending,
		MaxWaiting: 8192, // one pull request per free slot of every worker
	})
	if err == nil {
		return nil
	}
	e := unavailable(fmt.Errorf("ensuring consumer %s on %s: %w", c.Durable, c.Stream, err))
	var api *jetstream.APIError
	if errors.As(err, &api) && api.Code == http.StatusBadRequest {
		e.Class = event.ClassInvalid // another consumer's filter overlaps, say: waiting won't help
	}
	return e
}

// ConsumerInfo returns the durable's state: waiting, in flight, redelivered.
func (b *Bus) ConsumerInfo(ctx context.Context, c Consumer) (*jetstream.ConsumerInfo, error) {
	consumer, err := b.js.Consumer(ctx, c.Stream, c.Durable) // asks for the info
	if err != nil {
		return nil, unavailable(fmt.Errorf("reading consumer %s: %w", c.Durable, err))
	}
	return consumer.CachedInfo(), nil
}
