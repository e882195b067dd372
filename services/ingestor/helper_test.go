package ingestor

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
)

// patience bounds every wait; a passing test needs a fraction of it.
const patience = 30 * time.Second

// ahead is how far the ingestor's clock is ahead of the server's, so that a
// wait is never rounded to nothing.
const ahead = 2 * time.Second

// rig is a running ingestor on a NATS server of its own.
type rig struct {
	t       *testing.T
	bus     *bus.Bus
	client  *client.Client
	batches *nats.Subscription
	lives   *nats.Subscription
}

func setup(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	cfg := DefaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	b, _ := bustest.New(t)
	c, err := client.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, bus: b, client: c, batches: subscribe(t, b, "weir.steps.embed.>"), lives: subscribe(t, b, "weir.events.>")}
	run(t, newService(t, b, cfg))
	return r
}

func newService(t *testing.T, b *bus.Bus, cfg Config) *Service {
	t.Helper()
	now := func() time.Time { return time.Now().Add(ahead) }
	s, err := New(platform.Platform{NATS: b.Conn(), Now: now}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs the service until the test ends and waits until it is ready.
func run(t *testing.T, s *Service) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	end := sync.OnceValue(func() error { return <-done })
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("ingestor ended with: %v", err)
		}
	})
	select {
	case <-s.Ready():
	case <-time.After(patience):
		t.Fatal("the ingestor is not ready")
	}
}

func subscribe(t *testing.T, b *bus.Bus, subject string) *nats.Subscription {
	t.Helper()
	sub, err := b.Conn().SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// ingest submits a document of tenant acme and returns the job's id.
func (r *rig) ingest(doc event.Document) string {
	r.t.Helper()
	id, err := r.client.Ingest(r.t.Context(), "acme", event.IngestJob{
		Envelope: event.Envelope{Lane: event.LaneBatch}, Collection: "handbook", Document: doc})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// batch is the next message to the embedder, with its claim-check resolved.
func (r *rig) batch() (event.ChunkBatch, *nats.Msg) {
	r.t.Helper()
	raw, err := r.batches.NextMsg(patience)
	if err != nil {
		r.t.Fatalf("waiting for a chunk batch: %v", err)
	}
	msg := &bus.Message{Subject: raw.Subject, Header: raw.Header, Data: raw.Data}
	if err := r.bus.Resolve(r.t.Context(), msg); err != nil {
		r.t.Fatal(err)
	}
	batch, err := event.Decode[event.ChunkBatch](msg.Data)
	if err != nil {
		r.t.Fatal(err)
	}
	return batch, raw
}

// failure is the error of a job that must fail.
func (r *rig) failure(id string) *event.Error {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	result, err := r.client.Await(ctx, "acme", id)
	if err != nil {
		r.t.Fatal(err)
	}
	if result.Status != event.StatusFailed || result.Error == nil {
		r.t.Fatalf("result %+v, want a failed one", result)
	}
	if result.Kind != event.KindIngest {
		r.t.Errorf("result has kind %q, want ingest", result.Kind)
	}
	return result.Error
}
