package bus

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/event"
)

// AckWait is how long the server waits for a sign of life before it delivers a
// message again. Holders send one every third of it, from receipt on.
const AckWait = 30 * time.Second

// unusedAfter is when the server removes a durable that nobody pulls from, one
// that holds messages as well as an idle one: they stay in the stream, and the
// next worker that looks makes the durable again.
const unusedAfter = time.Hour

// Consumer names a durable to pull from. Those of a stage take all tenants, in
// the order of arrival; Tenant makes the one that takes a single tenant, which
// is what a worker pulls from. A stream's consumers must not overlap, so a lane
// is served by the one kind or the other.
type Consumer struct {
	Stream  string
	Durable string
	Filter  string // subject filter; its last token is the tenant
	// MaxAckPending bounds the durable's messages in work over the whole fleet:
	// a tenant's, when the durable is a tenant's.
	MaxAckPending int
	// AckWait overrides the constant; 0 keeps it.
	AckWait time.Duration
	// FromNow has a durable of a stream that is no work queue begin with what is
	// stored after it was made; the server keeps its place for ever.
	FromNow bool
}

// Tenant is the part of c that takes one tenant's messages. No name has an @ in
// it, so no tenant can be named like another's durable. A foreign client may
// publish under a name that is no tenant's: its messages must end, too, and a
// hash stands for it.
func (c Consumer) Tenant(tenant string) Consumer {
	c.Filter = c.Filter[:strings.LastIndexByte(c.Filter, '.')+1] + tenant
	if event.CheckName("tenant", tenant) != nil {
		tenant = fmt.Sprintf("@%x", sha256.Sum256([]byte(tenant)))
	}
	c.Durable = c.tenantPrefix() + tenant
	return c
}

func (c Consumer) tenantPrefix() string { return c.Durable + "@" }

// JobConsumer is that of the stage that takes jobs of one kind and lane.
func JobConsumer(stage string, kind event.Kind, lane event.Lane, maxAckPending int) Consumer {
	return Consumer{
		Stream: StreamJobs, Durable: stage + "-" + string(lane),
		Filter: event.Address{Kind: kind, Lane: lane, Tenant: "*"}.Subject(), MaxAckPending: maxAckPending,
	}
}

// EmbedConsumer is the embedder's for one model and lane.
func EmbedConsumer(model string, lane event.Lane, maxAckPending int) Consumer {
	return stepConsumer("embedder-"+model, event.EmbedSubject(model, lane, "*"), lane, maxAckPending)
}

// GenerateConsumer is the generator's for one model and lane.
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
	cfg := jetstream.ConsumerConfig{
		Durable: c.Durable, FilterSubject: c.Filter,
		AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait: cmp.Or(c.AckWait, AckWait), MaxDeliver: -1, MaxAckPending: c.MaxAckPending,
		MaxWaiting:        8192, // one pull request per free slot of every worker
		InactiveThreshold: unusedAfter,
	}
	if c.FromNow {
		cfg.DeliverPolicy, cfg.InactiveThreshold = jetstream.DeliverNewPolicy, 0
	}
	_, err := b.js.CreateOrUpdateConsumer(ctx, c.Stream, cfg)
	if err == nil {
		return nil
	}
	e := unavailable(fmt.Errorf("ensuring consumer %s on %s: %w", c.Durable, c.Stream, err))
	var api *jetstream.APIError
	switch {
	case !errors.As(err, &api) || api.Code != http.StatusBadRequest:
	case api.ErrorCode == jetstream.JSErrCodeMaximumConsumersLimit:
		e.Hint = "tenants that are idle for " + unusedAfter.String() + " make room; the bound is in the stream's MaxConsumers"
	default:
		e.Class = event.ClassInvalid // another consumer's filter overlaps, say: waiting won't help
		e.Hint = "see `nats consumer ls " + c.Stream + "` for a consumer that takes " + c.Filter + " as well, and remove it"
	}
	return e
}

// Tenants returns how many messages of each tenant are stored for c, waiting or
// in work. It is one question while there are fewer than 100,000 tenants.
func (c Consumer) Tenants(ctx context.Context, stream jetstream.Stream) (map[string]uint64, error) {
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(c.Filter))
	if err != nil {
		return nil, unavailable(fmt.Errorf("listing tenants of %s: %w", c.Durable, err))
	}
	tenants := make(map[string]uint64, len(info.State.Subjects))
	for subject, n := range info.State.Subjects {
		tenants[event.TenantOf(subject)] = n
	}
	return tenants, nil
}

// Backlog returns how many messages of a stage's consumer wait: those that are
// stored, less those that some worker holds. A tenant without a durable counts.
func (b *Bus) Backlog(ctx context.Context, c Consumer) (uint64, error) {
	stream, err := b.js.Stream(ctx, c.Stream)
	if err != nil {
		return 0, unavailable(fmt.Errorf("reading stream %s: %w", c.Stream, err))
	}
	tenants, err := c.Tenants(ctx, stream)
	if err != nil {
		return 0, err
	}
	var stored, held uint64
	for _, n := range tenants {
		stored += n
	}
	consumers := stream.ListConsumers(ctx)
	for info := range consumers.Info() {
		if strings.HasPrefix(info.Name, c.tenantPrefix()) {
			held += uint64(info.NumAckPending) //nolint:gosec // a count
		}
	}
	if err := consumers.Err(); err != nil {
		return 0, unavailable(fmt.Errorf("listing consumers of %s: %w", c.Stream, err))
	}
	return stored - min(held, stored), nil // the two were not counted at once
}

// ConsumerInfo returns the durable's state: waiting, in flight, redelivered.
func (b *Bus) ConsumerInfo(ctx context.Context, c Consumer) (*jetstream.ConsumerInfo, error) {
	consumer, err := b.js.Consumer(ctx, c.Stream, c.Durable) // asks for the info
	if err != nil {
		return nil, unavailable(fmt.Errorf("reading consumer %s: %w", c.Durable, err))
	}
	return consumer.CachedInfo(), nil
}

// RouteConsumer is the router's for tasks that come back to it.
func RouteConsumer(lane event.Lane, maxAckPending int) Consumer {
	return stepConsumer("router-fallback", event.RouteSubject(lane, "*"), lane, maxAckPending)
}

// FlightConsumer is the router's for jobs that wait for an identical one.
func FlightConsumer(lane event.Lane, maxAckPending int) Consumer {
	return stepConsumer("router-flight", event.FlightSubject(lane, "*"), lane, maxAckPending)
}

// DueConsumer takes the messages of a kind whose time has come.
func DueConsumer(kind string, maxAckPending int) Consumer {
	return Consumer{Stream: StreamDelay, Durable: "due-" + kind, Filter: event.DueSubject(kind, "*"), MaxAckPending: maxAckPending}
}
