package bus

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/event"
)

// The streams, the bucket for large payloads, and those of the fleet's state.
const (
	StreamJobs    = "WEIR_JOBS"
	StreamSteps   = "WEIR_STEPS"
	StreamResults = "WEIR_RESULTS"
	StreamEvents  = "WEIR_EVENTS"
	StreamTokens  = "WEIR_TOKENS"
	StreamDead    = "WEIR_DEAD"
	StreamLedger  = "WEIR_LEDGER"
	// StreamOutcomes holds what jobs teach the policy table.
	StreamOutcomes = "WEIR_OUTCOMES"

	// StreamDelay holds messages until their time.
	StreamDelay = "WEIR_DELAY"

	PayloadBucket = "weir_payloads"
	// FileBucket holds what tenants upload and what batches end with.
	FileBucket = "weir_files"

	BucketBudget      = "weir_budget"      // what is reserved of the providers' limits
	BucketBreakers    = "weir_breakers"    // which providers are open or parked
	BucketLedger      = "weir_ledger"      // intents: the call under way of each step
	BucketSpend       = "weir_spend"       // totals by day, tenant and model
	BucketCalibration = "weir_calibration" // how far token estimates are off
	BucketDocuments   = "weir_documents"   // the manifest: which chunks each document has
	BucketCache       = "weir_cache"       // answers given before, and which job is at work on one
	BucketCascade     = "weir_cascade"     // what is learned of tasks while they run
	BucketConfig      = "weir_config"      // what the fleet has agreed on: the embedding model in force
	BucketJobs        = "weir_jobs"        // which jobs were accepted over HTTP
	BucketCancels     = "weir_cancels"     // which jobs are to stop
	BucketFiles       = "weir_file_info"   // what is known of the files
	BucketBatches     = "weir_batches"     // which batches there are
	BucketDeliveries  = "weir_deliveries"  // what became of webhooks
	BucketRedrives    = "weir_redrives"    // what became of dead letters
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
	// LedgerBytes bounds the lines of the ledger, and half of it the intents;
	// both are kept LedgerAge: an answer that was paid for is reused that long.
	LedgerBytes int64         `split_words:"true"`
	LedgerAge   time.Duration `split_words:"true"`
	// FileBytes bounds the files that tenants upload and that batches end with.
	FileBytes int64 `split_words:"true"`
	// DocumentBytes bounds the manifest, which takes some 30 bytes per chunk.
	DocumentBytes int64 `split_words:"true"`
}

// DefaultLimits fit one server; a store of 32 GiB holds them all.
func DefaultLimits() Limits {
	return Limits{
		Replicas: 1, TenantJobs: 100_000, Jobs: 1_000_000,
		QueueBytes: 4 << 30, ResultBytes: 4 << 30, ResultAge: 7 * 24 * time.Hour, PayloadBytes: 8 << 30,
		LedgerBytes: 4 << 30, LedgerAge: 7 * 24 * time.Hour, DocumentBytes: 4 << 30, FileBytes: 8 << 30,
	}
}

// MaxMessage is the largest message any stream takes, in bytes. Payloads over
// [ClaimOver] travel through the bucket, so only foreign clients come near it.
const MaxMessage = 8 << 20

// dedupeWindow bounds the memory spent on message ids (about 150 B each). Ids
// only spare work: what must not happen twice is guarded by state.
const dedupeWindow = 2 * time.Minute

// maxDurables bounds the durables of a work queue: one per stage, lane and tenant
// that was there within the last hour.
const maxDurables = 16384

// Streams returns the streams as data. Work queues have no MaxAge: a waiting
// job ends by its deadline, never by silence.
func Streams(l Limits) []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{
			Name: StreamJobs, Description: "intake: jobs wait here",
			Subjects: jobSubjects(), Retention: jetstream.WorkQueuePolicy,
			Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
			MaxMsgs: l.Jobs, MaxMsgsPerSubject: l.TenantJobs, MaxBytes: l.QueueBytes,
			MaxMsgSize: MaxMessage, MaxConsumers: maxDurables,
			Duplicates: dedupeWindow, Replicas: l.Replicas,
		},
		{
			Name: StreamSteps, Description: "between the stages; bounded by intake",
			Subjects: []string{"weir.steps.>"}, Retention: jetstream.WorkQueuePolicy,
			Discard: jetstream.DiscardNew, MaxMsgs: 2 * l.Jobs, MaxMsgsPerSubject: -1, MaxBytes: l.QueueBytes,
			MaxMsgSize: MaxMessage, MaxConsumers: maxDurables,
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
			RePublish: &jetstream.RePublish{Source: "weir.events.*.*", Destination: "weir.lives.{{wildcard(1)}}.{{wildcard(2)}}"},
			Discard:   jetstream.DiscardOld, MaxMsgs: -1, MaxMsgsPerSubject: 200,
			MaxBytes: 1 << 30, MaxAge: l.ResultAge, MaxMsgSize: 64 << 10, MaxConsumers: -1,
			AllowDirect: true, Duplicates: dedupeWindow, Replicas: l.Replicas,
		},
		{
			Name: StreamTokens, Description: "pieces of answers as they arrive, a view",
			Subjects: []string{"weir.tokens.*.*"}, Retention: jetstream.LimitsPolicy, Storage: jetstream.MemoryStorage,
			RePublish: &jetstream.RePublish{Source: "weir.tokens.*.*", Destination: "weir.live.{{wildcard(1)}}.{{wildcard(2)}}"},
			Discard:   jetstream.DiscardOld, MaxMsgs: -1, MaxMsgsPerSubject: -1,
			MaxBytes: 256 << 20, MaxAge: 15 * time.Minute, MaxMsgSize: 1 << 20, MaxConsumers: -1,
			AllowDirect: true, Duplicates: dedupeWindow, Replicas: l.Replicas,
		},
		{
			Name: StreamDead, Description: "messages given up, to be redriven",
			Subjects: []string{"weir.dead.*.*"}, Retention: jetstream.LimitsPolicy,
			Discard: jetstream.DiscardNew, MaxMsgs: -1, MaxMsgsPerSubject: -1,
			MaxBytes: 1 << 30, MaxAge: deadAge, MaxMsgSize: MaxMessage, MaxConsumers: -1,
			AllowDirect: true, Duplicates: dedupeWindow, Replicas: l.Replicas,
		},
		{
			// Schedules need a stream that does not refuse; what it holds is bounded by
			// those who schedule.
			Name: StreamDelay, Description: "messages whose time is to come",
			Subjects: []string{"weir.delay.*.*.*", "weir.due.*.*"}, Retention: jetstream.WorkQueuePolicy,
			MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxBytes: -1, MaxMsgSize: MaxMessage, MaxConsumers: maxDurables,
			AllowMsgSchedules: true, AllowMsgTTL: true, Duplicates: dedupeWindow, Replicas: l.Replicas,
		},
		{
			// Insert-if-absent, as the results: a call has one line.
			Name: StreamLedger, Description: "what every call cost",
			Subjects: []string{"weir.ledger.*.*.*.*"}, Retention: jetstream.LimitsPolicy,
			Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgsPerSubject: 1,
			MaxMsgs: -1, MaxBytes: l.LedgerBytes, MaxAge: l.LedgerAge, MaxMsgSize: MaxMessage, MaxConsumers: -1,
			AllowDirect: true, Duplicates: dedupeWindow, Replicas: l.Replicas,
		},
		{
			Name: StreamOutcomes, Description: "what models did with the questions of tasks",
			Subjects: []string{"weir.outcomes.*.*"}, Retention: jetstream.LimitsPolicy,
			Discard: jetstream.DiscardOld, MaxMsgs: -1, MaxMsgsPerSubject: -1,
			MaxBytes: 1 << 30, MaxAge: 30 * 24 * time.Hour, MaxMsgSize: MaxMessage, MaxConsumers: -1,
			AllowDirect: true, Duplicates: dedupeWindow, Replicas: l.Replicas,
		},
	}
}

const (
	// spendAge keeps a year's totals and a month to look back.
	spendAge = 400 * 24 * time.Hour
	// markerAge is how long a bucket shows that a key's time was over.
	markerAge = time.Minute
	// cancelAge is how long a job that was stopped is remembered by those who might
	// still come upon it: longer than any message waits between stages.
	cancelAge = 24 * time.Hour
	// fileAge is how long files are kept, as OpenAI keeps those of batches.
	fileAge = 30 * 24 * time.Hour
	// deadAge is how long dead letters are kept.
	deadAge = 30 * 24 * time.Hour
	// stateBytes bounds a bucket of small values, some hundred bytes each.
	stateBytes = 256 << 20
	// maxValue bounds a value of the fleet's state, maxUsersValue one that holds what
	// users wrote: of their text JSON makes up to six times as much.
	maxValue, maxUsersValue = 64 << 10, 512 << 10
)

// Buckets returns the buckets of the fleet's state as data: one value per key,
// on disk, because a bucket in memory is gone after a restart. Those with
// LimitMarkerTTL take keys with a time to live (leases).
func Buckets(l Limits) []jetstream.KeyValueConfig {
	buckets := []jetstream.KeyValueConfig{
		{Bucket: BucketBudget, Description: "what is reserved of the providers' limits", LimitMarkerTTL: markerAge},
		{Bucket: BucketBreakers, Description: "which providers are open or parked", LimitMarkerTTL: markerAge},
		{Bucket: BucketLedger, Description: "the call under way of each step", TTL: l.LedgerAge, MaxBytes: l.LedgerBytes / 2},
		{Bucket: BucketSpend, Description: "totals by day, tenant and model", TTL: spendAge, MaxBytes: 4 * stateBytes, LimitMarkerTTL: markerAge},
		{Bucket: BucketCalibration, Description: "how far token estimates are off"},
		{Bucket: BucketDocuments, Description: "which chunks each document has", MaxBytes: l.DocumentBytes, MaxValueSize: MaxMessage},
		{Bucket: BucketCache, Description: "answers given before", MaxBytes: 4 * stateBytes, LimitMarkerTTL: markerAge},
		{Bucket: BucketCascade, Description: "what is learned of tasks", MaxValueSize: 1 << 20},
		{Bucket: BucketConfig, Description: "what the fleet has agreed on"},
		{Bucket: BucketJobs, Description: "jobs accepted over HTTP", TTL: l.ResultAge, MaxBytes: 4 * stateBytes, MaxValueSize: maxUsersValue},
		{Bucket: BucketCancels, Description: "jobs that are to stop", TTL: cancelAge},
		{Bucket: BucketFiles, Description: "what is known of files", TTL: fileAge},
		{Bucket: BucketBatches, Description: "which batches there are", TTL: fileAge, LimitMarkerTTL: markerAge, MaxValueSize: maxUsersValue},
		{Bucket: BucketDeliveries, Description: "what became of webhooks", TTL: l.ResultAge, MaxBytes: 4 * stateBytes},
		{Bucket: BucketRedrives, Description: "what became of dead letters", TTL: deadAge, MaxValueSize: maxUsersValue},
	}
	for i := range buckets {
		b := &buckets[i]
		b.History, b.Storage, b.Replicas = 1, jetstream.FileStorage, l.Replicas
		b.MaxValueSize, b.MaxBytes = cmp.Or(b.MaxValueSize, maxValue), cmp.Or(b.MaxBytes, stateBytes)
	}
	return buckets
}

// jobSubjects names each kind and lane, so that a misspelt one is refused at
// publish ("no responders") and not stored for nobody.
func jobSubjects() []string {
	var subjects []string
	for _, kind := range event.Kinds() {
		for _, lane := range event.Lanes() {
			subjects = append(subjects, event.Address{Kind: kind, Lane: lane, Tenant: "*"}.Subject())
		}
	}
	return subjects
}

// Ensure creates or updates the streams and the buckets. Every process may call
// it at start, in any order.
func (b *Bus) Ensure(ctx context.Context, l Limits) error {
	if err := b.ensureStreams(ctx, l, func(jetstream.StreamConfig) bool { return true }); err != nil {
		return err
	}
	for _, cfg := range Buckets(l) {
		if _, err := b.js.CreateOrUpdateKeyValue(ctx, cfg); err != nil {
			return unavailable(fmt.Errorf("ensuring bucket %s: %w", cfg.Bucket, err))
		}
	}
	for _, cfg := range []jetstream.ObjectStoreConfig{
		{Bucket: PayloadBucket, Description: "payloads too large for a message", TTL: l.ResultAge, MaxBytes: l.PayloadBytes, Replicas: l.Replicas},
		{Bucket: FileBucket, Description: "files of tenants and batches", TTL: fileAge, MaxBytes: l.FileBytes, Replicas: l.Replicas},
	} {
		if _, err := b.js.CreateOrUpdateObjectStore(ctx, cfg); err != nil {
			return unavailable(fmt.Errorf("ensuring bucket %s: %w", cfg.Bucket, err))
		}
	}
	return nil
}

// EnsureMemory makes the streams that a restart of the server takes with it.
func (b *Bus) EnsureMemory(ctx context.Context, l Limits) error {
	return b.ensureStreams(ctx, l, func(cfg jetstream.StreamConfig) bool { return cfg.Storage == jetstream.MemoryStorage })
}

func (b *Bus) ensureStreams(ctx context.Context, l Limits, which func(jetstream.StreamConfig) bool) error {
	for _, cfg := range Streams(l) {
		if !which(cfg) {
			continue
		}
		if _, err := b.js.CreateOrUpdateStream(ctx, cfg); err != nil {
			return unavailable(fmt.Errorf("ensuring stream %s: %w", cfg.Name, err))
		}
	}
	return nil
}

// KeyValue opens a bucket that Ensure has made. It asks the server once for each.
func (b *Bus) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	if kv, ok := b.buckets.Load(bucket); ok {
		return kv.(jetstream.KeyValue), nil
	}
	kv, err := b.js.KeyValue(ctx, bucket)
	if err != nil {
		return nil, unavailable(fmt.Errorf("opening bucket %s: %w", bucket, err))
	}
	b.buckets.Store(bucket, kv)
	return kv, nil
}
