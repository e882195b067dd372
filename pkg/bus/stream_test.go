package bus_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
)

// TestEveryStreamIsBounded asks the server, so that a bound left to the
// server's default (none) shows.
func TestEveryStreamIsBounded(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	seen := map[string]bool{}
	list := b.JetStream().ListStreams(t.Context())
	for info := range list.Info() {
		cfg := info.Config
		seen[cfg.Name] = true
		if cfg.Name == bus.StreamDelay {
			continue // schedules are refused by a stream that refuses: what may be in it is bounded by the intake
		}
		if cfg.MaxBytes <= 0 {
			t.Errorf("%s: MaxBytes %d, want a bound", cfg.Name, cfg.MaxBytes)
		}
		if cfg.Duplicates <= 0 {
			t.Errorf("%s: Duplicates %s, want a window", cfg.Name, cfg.Duplicates)
		}
		state := strings.HasPrefix(cfg.Name, "KV_") && cfg.MaxMsgsPerSubject == 1
		if cfg.Retention != jetstream.WorkQueuePolicy && cfg.MaxAge <= 0 && !state {
			t.Errorf("%s: neither a work queue nor a MaxAge", cfg.Name)
		}
		if cfg.Retention == jetstream.WorkQueuePolicy && (cfg.MaxAge != 0 || cfg.Discard != jetstream.DiscardNew) {
			t.Errorf("%s: MaxAge %s, discard %s: a waiting job could vanish", cfg.Name, cfg.MaxAge, cfg.Discard)
		}
		if strings.HasPrefix(cfg.Name, "OBJ_") {
			continue // the library sets the size of its chunks
		}
		if cfg.MaxMsgSize <= 0 || cfg.MaxMsgSize > bus.MaxMessage {
			t.Errorf("%s: MaxMsgSize %d, want 1 to %d", cfg.Name, cfg.MaxMsgSize, bus.MaxMessage)
		}
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		bus.StreamJobs, bus.StreamSteps, bus.StreamResults, bus.StreamEvents, bus.StreamTokens, bus.StreamDead, bus.StreamLedger, "OBJ_" + bus.PayloadBucket,
		"KV_" + bus.BucketBudget, "KV_" + bus.BucketBreakers, "KV_" + bus.BucketLedger, "KV_" + bus.BucketSpend, "KV_" + bus.BucketCalibration,
	} {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestStreamsByRole pins what the promises rest on.
func TestStreamsByRole(t *testing.T) {
	t.Parallel()
	byName := map[string]jetstream.StreamConfig{}
	for _, cfg := range bus.Streams(bus.DefaultLimits()) {
		byName[cfg.Name] = cfg
	}
	for _, name := range []string{bus.StreamJobs, bus.StreamSteps} {
		if byName[name].Retention != jetstream.WorkQueuePolicy {
			t.Errorf("%s is no work queue", name)
		}
	}
	for _, name := range []string{bus.StreamResults, bus.StreamLedger} {
		if r := byName[name]; r.MaxMsgsPerSubject != 1 || !r.DiscardNewPerSubject || r.Discard != jetstream.DiscardNew || !r.AllowDirect {
			t.Errorf("%s: %+v is not insert-if-absent with direct get", r.Name, r)
		}
	}
	for _, name := range []string{bus.StreamJobs, bus.StreamSteps, bus.StreamResults, bus.StreamDead, bus.StreamLedger} {
		if byName[name].Discard != jetstream.DiscardNew || byName[name].Storage != jetstream.FileStorage {
			t.Errorf("%s: discard %s, storage %s; it must not lose what it took", name, byName[name].Discard, byName[name].Storage)
		}
	}
	// A full view must not hold up the work.
	for _, name := range []string{bus.StreamEvents, bus.StreamTokens} {
		if byName[name].Discard != jetstream.DiscardOld {
			t.Errorf("%s refuses when it is full", name)
		}
	}
}

// TestBuckets: the buckets of leases take a key with a time to live; all keep
// what they hold over a restart.
func TestBuckets(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	for _, cfg := range bus.Buckets(bus.DefaultLimits()) {
		kv, err := b.KeyValue(t.Context(), cfg.Bucket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Create(t.Context(), "key", []byte("1")); err != nil {
			t.Errorf("%s: %v", cfg.Bucket, err)
		}
		lease := cfg.Bucket == bus.BucketBudget || cfg.Bucket == bus.BucketBreakers || cfg.Bucket == bus.BucketSpend || cfg.Bucket == bus.BucketCache ||
			cfg.Bucket == bus.BucketBatches
		if _, err := kv.Create(t.Context(), "lease", nil, jetstream.KeyTTL(time.Minute)); (err == nil) != lease {
			t.Errorf("%s: a key with a time to live: %v, want taken: %t", cfg.Bucket, err, lease)
		}
	}
	server.Restart()
	for _, cfg := range bus.Buckets(bus.DefaultLimits()) {
		retry(t, func() error {
			kv, err := b.KeyValue(t.Context(), cfg.Bucket)
			if err != nil {
				return err
			}
			_, err = kv.Get(t.Context(), "key")
			return err
		})
	}
	_, err := b.KeyValue(t.Context(), "nobodys")
	wantError(t, err, "unavailable", "nobodys", "")
}

// TestLast reads the newest of a subject, and where it lies.
func TestLast(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	subject := event.LedgerSubject("acme", "j1", "generate-0", 7, 1)
	if msg, err := b.Last(t.Context(), bus.StreamLedger, subject); msg != nil || err != nil {
		t.Fatalf("got %v, %v; want none", msg, err)
	}
	for _, text := range []string{"first", "second"} { // a line stays as it is
		if err := b.Publish(t.Context(), bus.Out{Subject: subject, Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	msg, err := b.Last(t.Context(), bus.StreamLedger, subject)
	if err != nil || msg == nil || string(msg.Data) != "first" || msg.Sequence != 1 || msg.Subject != subject {
		t.Errorf("got %+v, %v; want the first, at 1", msg, err)
	}
	_, err = b.Last(t.Context(), "NOBODYS", subject)
	wantError(t, err, "unavailable", subject, "")
}

// TestEnsureRaces: services start together, in any order, again and again.
func TestEnsureRaces(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	const n = 6
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		b, err := bus.New(server.Connect())
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for range 2 {
				if err := b.Ensure(t.Context(), bus.DefaultLimits()); err != nil {
					errs[i] = err
				}
				if err := b.EnsureConsumer(t.Context(), consumer); err != nil {
					errs[i] = err
				}
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("bus %d: %v", i, err)
		}
	}
}

// TestEnsureKeepsMessagesAndTakesNewLimits: a later start with other limits
// changes the streams and loses nothing.
func TestEnsureKeepsMessagesAndTakesNewLimits(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	publish(t, b, 3)
	limits := bus.DefaultLimits()
	limits.TenantJobs = 4
	if err := b.Ensure(t.Context(), limits); err != nil {
		t.Fatal(err)
	}
	if n := count(t, b, bus.StreamJobs); n != 3 {
		t.Errorf("%d jobs, want 3", n)
	}
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().Config.MaxMsgsPerSubject; got != 4 {
		t.Errorf("TenantJobs %d, want 4", got)
	}
}

func TestEnsureNamesWhatItCouldNotMake(t *testing.T) {
	t.Parallel()
	b, err := bus.New(bustest.Start(t).Connect())
	if err != nil {
		t.Fatal(err)
	}
	limits := bus.DefaultLimits()
	limits.Replicas = 3 // one server has no room for that
	wantError(t, b.Ensure(t.Context(), limits), "unavailable", bus.StreamJobs, "")
	// Without streams there is nothing to pull from.
	wantError(t, b.EnsureConsumer(t.Context(), consumer), "unavailable", consumer.Durable, "")
	_, err = b.ConsumerInfo(t.Context(), consumer)
	wantError(t, err, "unavailable", consumer.Durable, "")
}

// TestConsumersPullOnlyTheirOwn: each consumer sees the messages of its kind,
// model and lane, of all tenants.
func TestConsumersPullOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	consumers := []bus.Consumer{
		bus.JobConsumer("router", "generate", "interactive", 10), bus.JobConsumer("router", "generate", "batch", 10),
		bus.JobConsumer("ingestor", "ingest", "interactive", 10), bus.JobConsumer("ingestor", "ingest", "batch", 10),
		bus.EmbedConsumer("m", "interactive", 10), bus.EmbedConsumer("m", "batch", 10), bus.EmbedConsumer("m2", "batch", 10),
		bus.GenerateConsumer("m", "interactive", 10), bus.GenerateConsumer("m", "batch", 10),
	}
	for i, c := range consumers {
		if err := b.EnsureConsumer(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		for j := range i + 1 { // as many messages as its place, over two tenants
			subject := c.Filter[:len(c.Filter)-1] + fmt.Sprint("tenant", j%2)
			if err := b.Publish(t.Context(), bus.Out{Subject: subject, ID: fmt.Sprint(i, ".", j), Data: []byte(`{}`)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, c := range consumers {
		var info *jetstream.ConsumerInfo
		for end := time.Now().Add(10 * time.Second); ; { // the server counts a moment later
			var err error
			if info, err = b.ConsumerInfo(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if info.NumPending == uint64(i+1) || time.Now().After(end) {
				break
			}
		}
		if info.NumPending != uint64(i+1) {
			t.Errorf("%s: %d waiting, want %d", c.Durable, info.NumPending, i+1)
		}
		if info.Config.MaxDeliver != -1 || info.Config.MaxAckPending != 10 || info.Config.AckWait != bus.AckWait {
			t.Errorf("%s: got %+v", c.Durable, info.Config)
		}
	}
}

// count returns the number of messages in a stream.
func count(t *testing.T, b *bus.Bus, stream string) int {
	t.Helper()
	s, err := b.JetStream().Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return int(s.CachedInfo().State.Msgs) //nolint:gosec // a small number
}
