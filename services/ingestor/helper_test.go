package ingestor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/fetch"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
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
	k.Start(newService(t, k.Bus, cfg, Ports{}))
	return r
}

func newService(t *testing.T, b *bus.Bus, cfg Config, ports Ports) *Service {
	t.Helper()
	now := func() time.Time { return time.Now().Add(ahead) }
	s, err := New(platform.Platform{NATS: b.Conn(), Now: now}, cfg, ports)
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

// desk is an ingestor that is handed messages one by one, and plays the embedder.
type desk struct {
	*Service
	t *testing.T
	b *bus.Bus
}

// epoch is when a job at 0 was stored.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)

// small cuts texts of a few hundred words into many chunks.
func small() Config {
	cfg := DefaultConfig()
	cfg.ChunkTokens, cfg.ChunkOverlap = 32, 0
	return cfg
}

func newDesk(t *testing.T, cfg Config, ports Ports) *desk {
	t.Helper()
	b, _ := bustest.New(t)
	return open(t, b, cfg, ports)
}

// open is an ingestor on b whose clock stands still.
func open(t *testing.T, b *bus.Bus, cfg Config, ports Ports) *desk {
	t.Helper()
	s, err := New(platform.Platform{NATS: b.Conn(), Now: func() time.Time { return epoch.Add(time.Minute) }}, cfg, ports)
	if err != nil {
		t.Fatal(err)
	}
	return &desk{Service: s, t: t, b: b}
}

// reply is what the ingestor made of one message.
type reply struct {
	outs    []bus.Out // without life events
	lives   []event.Life
	batches []event.ChunkBatch
	result  *event.Result
}

// at is an ingest job that was stored so many microseconds after the epoch.
func at(t *testing.T, micros int, id string, doc event.Document) *bus.Message {
	t.Helper()
	return stored(t, micros, event.KindIngest, event.IngestJob{
		Envelope: event.Envelope{V: event.Version, ID: id}, Collection: "handbook", Document: doc})
}

// deletion is at for a delete job of the document doc.
func deletion(t *testing.T, micros int, id string) *bus.Message {
	t.Helper()
	return stored(t, micros, event.KindDelete, event.DeleteJob{
		Envelope: event.Envelope{V: event.Version, ID: id}, Collection: "handbook", Document: "doc"})
}

func stored(t *testing.T, micros int, kind event.Kind, job any) *bus.Message {
	t.Helper()
	data, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	return &bus.Message{
		Subject: event.Address{Kind: kind, Lane: event.LaneInteractive, Tenant: "acme"}.Subject(), Data: data,
		Stream: bus.StreamJobs, Sequence: 7, Stored: epoch.Add(time.Duration(micros) * time.Microsecond), Deliveries: 1,
	}
}

// version is that of a job stored at.
func version(micros int) int64 { return epoch.UnixMicro() + int64(micros) }

// take hands the message over and reads what comes of it.
func (d *desk) take(in *bus.Message) reply {
	d.t.Helper()
	outs, err := d.handle(d.t.Context(), in)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.read(outs)
}

func (d *desk) read(outs []bus.Out) (r reply) {
	d.t.Helper()
	for _, out := range outs {
		switch {
		case out.View:
			r.lives = append(r.lives, decode[event.Life](d.t, out.Data))
			continue
		case event.IsStoreSubject(out.Subject):
			result := decode[event.Result](d.t, out.Data)
			r.result = &result
		default:
			r.batches = append(r.batches, decode[event.ChunkBatch](d.t, out.Data))
		}
		r.outs = append(r.outs, out)
	}
	return r
}

func decode[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// fails hands over a message that must fail.
func (d *desk) fails(in *bus.Message) *event.Error {
	d.t.Helper()
	outs, err := d.handle(d.t.Context(), in)
	if err == nil {
		d.t.Fatalf("got %d messages, want an error", len(outs))
	}
	return event.AsError(err)
}

// ids are the dedupe ids of the messages.
func (r reply) ids() []string {
	ids := make([]string, len(r.outs))
	for i, out := range r.outs {
		ids[i] = out.ID
	}
	return ids
}

// chunkIDs are those of all chunks sent.
func (r reply) chunkIDs() []string {
	var ids []string
	for _, b := range r.batches {
		for _, c := range b.Chunks {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// name is the document of all jobs of a desk.
var name = vector.Document{Scope: vector.Scope{Tenant: "acme", Collection: "handbook"}, ID: "doc"}

// row is what the manifest says of it.
func (d *desk) row() manifest.Row {
	d.t.Helper()
	row, err := d.rows.Get(d.t.Context(), name)
	if err != nil {
		d.t.Fatal(err)
	}
	return row
}

func (d *desk) change(change func(*manifest.Row) error) manifest.Row {
	d.t.Helper()
	row, err := d.rows.Change(d.t.Context(), name, change)
	if err != nil {
		d.t.Fatal(err)
	}
	return row
}

// mark is the embedder's mark of one batch.
func (d *desk) mark(b event.ChunkBatch) (verdict manifest.Verdict) {
	d.t.Helper()
	var ids manifest.IDs
	for _, c := range b.Chunks {
		id, err := manifest.ParseID(c.ID)
		if err != nil {
			d.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	d.change(func(row *manifest.Row) error {
		verdict = row.Mark(b.DocumentVersion, b.ID, b.Batch, ids, manifest.Work{Embedded: len(ids)})
		return nil
	})
	return verdict
}

// settle is the embedder's settling of the store.
func (d *desk) settle() {
	d.t.Helper()
	d.change(func(row *manifest.Row) error {
		if !row.Settled(row.Settle()) {
			d.t.Error("the row changed under the test")
		}
		return nil
	})
}

// store ingests a document to its end: its version is current and settled.
func (d *desk) store(in *bus.Message) reply {
	d.t.Helper()
	r := d.take(in)
	verdict := manifest.Proceed
	for _, b := range r.batches {
		verdict = d.mark(b)
	}
	if verdict != manifest.Current {
		d.t.Fatalf("after %d batches the verdict is %v, want current", len(r.batches), verdict)
	}
	d.settle()
	return r
}

// wantOutcome checks that the job ended at once, with nothing sent.
func (r reply) wantOutcome(t *testing.T, want event.Outcome) *event.Ingested {
	t.Helper()
	if r.result == nil || len(r.batches) > 0 {
		t.Fatalf("got %d batches and the result %+v, want only a result", len(r.batches), r.result)
	}
	got := r.result.Ingested
	if r.result.Status != event.StatusOK || got == nil || got.Outcome != want {
		t.Fatalf("result %+v of %+v, want %s", r.result, got, want)
	}
	return got
}

// wantSettle checks that nothing but an order to settle was sent.
func (r reply) wantSettle(t *testing.T, job string, version int64) {
	t.Helper()
	if r.result != nil || len(r.batches) != 1 || len(r.batches[0].Chunks) > 0 || r.batches[0].Batch != event.SettleOnly {
		t.Fatalf("got %+v and the result %+v, want an order to settle", r.batches, r.result)
	}
	if b := r.batches[0]; b.ID != job || b.DocumentVersion != version || b.Document.ID != "doc" {
		t.Errorf("settle %+v, want document doc at version %d of job %s", b, version, job)
	}
	if want := "acme." + job + ".settle"; r.outs[0].ID != want {
		t.Errorf("dedupe id %q, want %q", r.outs[0].ID, want)
	}
}

// article is a text of n sections of some 40 tokens each; changed says which of
// them have another text.
func article(n int, changed ...int) string {
	var b strings.Builder
	for i := range n {
		word := "stands"
		if slices.Contains(changed, i) {
			word = "swims"
		}
		fmt.Fprintf(&b, "# Part %d\n\nThe heron number %d %s in the shallow water below the old weir and waits for fish. It is grey, and it has time.\n\n", i, i, word)
	}
	return b.String()
}

// fetcher is a Fetcher that notes what it was asked.
type fetcher struct {
	get   func(url string, c fetch.Conditions) (fetch.Response, error)
	asked []fetch.Conditions
}

var _ Fetcher = (*fetcher)(nil)

// Get implements Fetcher.
func (f *fetcher) Get(_ context.Context, url string, c fetch.Conditions) (fetch.Response, error) {
	f.asked = append(f.asked, c)
	return f.get(url, c)
}
