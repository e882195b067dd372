package ingestor

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// patience bounds every wait.
const patience = stagetest.Patience

// ahead is how far the ingestor's clock is ahead of the server's, so that a
// wait is never rounded to nothing.
const ahead = 2 * time.Second

// rig is a running ingestor on a NATS server of its own.
type rig struct {
	*stagetest.Kit
	batches *nats.Subscription
}

func setup(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	cfg := DefaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	k := stagetest.New(t)
	r := &rig{Kit: k, batches: k.Subscribe("weir.steps.embed.>")}
	k.Start(newService(t, k.Bus, cfg))
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

// ingest submits a document of tenant acme and returns the job's id.
func (r *rig) ingest(doc event.Document) string {
	r.T.Helper()
	id, err := r.Client.Ingest(r.T.Context(), "acme", event.IngestJob{
		Envelope: event.Envelope{Lane: event.LaneBatch}, Collection: "handbook", Document: doc})
	if err != nil {
		r.T.Fatal(err)
	}
	return id
}

// batch is the next message to the embedder, with its claim-check resolved.
func (r *rig) batch() (event.ChunkBatch, *nats.Msg) {
	r.T.Helper()
	return stagetest.Next(r.Kit, r.batches, event.Decode[event.ChunkBatch])
}

// failure is the error of a job that must fail.
func (r *rig) failure(id string) *event.Error {
	r.T.Helper()
	return r.Failure(event.KindIngest, id)
}
