package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/event"
)

// The streams, and the bucket for large payloads.
const (
	StreamJobs    = "WEIR_JOBS"
	StreamSteps   = "WEIR_STEPS"
	StreamResults = "WEIR_RESULTS"
	StreamEvents  = "WEIR_EVENTS"
	StreamTokens  = "WEIR_TOKENS"
	StreamDead    = "WEIR_DEAD"

	PayloadBucket = "weir_payloads"
)

// Limits are the bounds of the streams. Every stream is bounded: the views
// (events, tokens) drop their oldest messages, all others refuse what is over,
// so that nothing that waits is ever dropped to make room.
type Limits struct {
	// Replicas of every stream and bucket: 1, or 3 in a cluster.
	Replicas int `split_words:"true"`
	// TenantJobs is how many jobs of one kind and lane a tenant may have waiting.
	TenantJobs int64 `split_words:"true"`
	// Jobs is how many jobs may wait in all.
	Jobs int64 `split_words:"true"`
	// QueueBytes bounds the intake and the step stream, each.
	QueueBytes int64 `split_words:"true"`
	// ResultBytes bounds the stored results; they are kept ResultAge.
	ResultBytes int64         `split_words:"true"`
	ResultAge   time.Duration `split_words:"true"`
	// PayloadBytes bounds the bucket of payloads too large for a message. They
	// are freed when their job has its result; those of dead letters, and of
	// large results, are kept ResultAge. No job must wait longer than that.
	PayloadBytes int64 `split_words:"true"`
}

// DefaultLimits fit one server; a store of 32 GiB holds them all.
func DefaultLimits() Limits {
	return Limits{
		Replicas: 1, TenantJobs: 100_000, Jobs: 1_000_000,
		QueueBytes: 4 << 30, ResultBytes: 4 << 30, ResultAge: 7 * 24 * time.Hour, PayloadBytes: 8 << 30,
	}
}

// MaxMessage is the largest message any stream takes, in bytes. Payloads over
// [ClaimOver] travel through the bucket, so only foreign clients come near it.
const MaxMessage = 8 << 20

// dedupeWindow bounds the memory spent on message ids (about 150 B each). Ids
// only spare work: what must not happen twice is guarded by state.
const dedupeWindow = 2 * time.Minute

// Streams returns the streams as data. Work queues have no MaxAge: a waiting
// job ends by its deadline, never by silence.
func Streams(l Limits) []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{
			Name: StreamJobs, Description: "intake: jobs wait here",
			Subjects: jobSubjects(), Retention: jetstream.WorkQueuePolicy,
			Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
			MaxMsgs: l.Jobs, MaxMsgsPerSubject: l.TenantJobs, MaxBytes: l.QueueBytes,
			MaxMsgSize: MaxMessage, MaxConsumers: 64,
			Duplicates: dedupeWindow, Replicas: l.Replicas,
		},
		{
			Name: StreamSteps, Description: "between the stages; bounded by intake",
			Subjects: []string{"weir.steps.>"}, Retention: jetstream.WorkQueuePolicy,
			Discard: jetstream.DiscardNew, MaxMsgs: 2 * l.Jobs, MaxMsgsPerSubject: -1, MaxBytes: l.QueueBytes,
			MaxMsgSize: MaxMessage, MaxConsumers: 1024,
			Duplicates: dedupeWindow, Replicas: l.Replicas,
		},
		{
			// One message per subject and never another: insert-if-absent, which
			// holds over restarts and beyond any dedupe window.
			Name: StreamResults, Description: "the truth about finished jobs",
			Subjects:         []string{"weir.store.*.*"},
			SubjectTransform: &jetstream.SubjectTransformConfig{Source: "weir.store.*.*", Destination: "weir.results.{{wildcard(1)}}.{{wildcard(2)}}"},
			RePublish:        &jetstream.RePublish{Source: "weir.results.*.*", Destination: "weir.results.{{wildcard(1)}}.{{wildcard(2)}}"},
			Retention:        jetstream.LimitsPolicy,
			Discard:          jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgsPerSubject: 1,
			MaxMsgs: -1, MaxBytes: l.ResultBytes, MaxAge: l.ResultAge, MaxMsgSize: MaxMessage, MaxConsumers: -1,
			AllowDirect: true, Duplicates: dedupeWindow, Replicas: l.Replicas,
		},
		{
			Name: StreamEvents, Description: "life of jobs, a view",
			Subjects: []string{"weir.events.*.*"}, Retention: jetstream.LimitsPolicy,
			Discard: jetstream.DiscardOld, MaxMsgs: -1, MaxMsgsPerSubject: 200,
			MaxBytes: 1 << 30, MaxAge: l.ResultAge, MaxMsgSize: 64 << 10, MaxConsumers: -1,
			Duplicates: dedupeWindow, Replicas: l.Replicas,
		},
		{
			Name: StreamTokens, Description: "pieces of answers as they arrive, a view",
			Subjects: []string{"weir.tokens.*.*"}, Retention: jetstream.LimitsPolicy, Storage: jetstream.MemoryStorage,
			Discard: jetstream.DiscardOld, MaxMsgs: -1, MaxMsgsPerSubject: -1,
			MaxBytes: 256 << 20, MaxAge: 15 * time.Minute, MaxMsgSize: 1 << 20, MaxConsumers: -1,
			Duplicates: dedupeWindow, Replicas: l.Replicas,
		},
		{
			Name: StreamDead, Description: "messages given up, to be redriven",
			Subjects: []string{"weir.dead.*.*"}, Retention: jetstream.LimitsPolicy,
			Discard: jetstream.DiscardNew, MaxMsgs: -1, MaxMsgsPerSubject: -1,
			MaxBytes: 1 << 30, MaxAge: 30 * 24 * time.Hour, MaxMsgSize: MaxMessage, MaxConsumers: -1,
			AllowDirect: true, Duplicates: dedupeWindow, Replicas: l.Replicas,
		},
	}
}

// jobSubjects names each kind and lane, so that a misspelt one is refused at
// publish ("no responders") and not stored for nobody.
func jobSubjects() []string {
	var subjects []string
	for _, kind := range []event.Kind{event.KindIngest, event.KindGenerate} {
		for _, lane := range event.Lanes() {
			subjects = append(subjects, event.Address{Kind: kind, Lane: lane, Tenant: "*"}.Subject())
		}
	}
	return subjects
}

// Ensure creates or updates the streams and the payload bucket. Every process
// may call it at start, in any order.
func (b *Bus) Ensure(ctx context.Context, l Limits) error {
	for _, cfg := range Streams(l) {
		if _, err := b.js.CreateOrUpdateStream(ctx, cfg); err != nil {
			return unavailable(fmt.Errorf("ensuring stream %s: %w", cfg.Name, err))
		}
	}
	_, err := b.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{
		Bucket: PayloadBucket, Description: "payloads too large for a message",
		TTL: l.ResultAge, MaxBytes: l.PayloadBytes, Replicas: l.Replicas,
	})
	if err != nil {
		return unavailable(fmt.Errorf("ensuring bucket %s: %w", PayloadBucket, err))
	}
	return nil
}
