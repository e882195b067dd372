package ingestor

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

const handbook = `# Handbook

Weir keeps every job in a stream.

## Holidays

Everyone has thirty days of holidays.
`

func TestJobBecomesChunkBatch(t *testing.T) {
	t.Parallel()
	r := setup(t)
	id := r.ingest(event.Document{ID: "handbook", Source: "docs/handbook.md", Text: handbook,
		Metadata: map[string]string{"team": "people"}})
	batch, raw := r.batch()
	if want := "weir.steps.embed.embed.batch.acme"; raw.Subject != want {
		t.Errorf("subject %s, want %s", raw.Subject, want)
	}
	if batch.ID != id || batch.Tenant != "acme" || batch.Lane != event.LaneBatch || batch.Collection != "handbook" || batch.Model != "embed" {
		t.Errorf("envelope %+v, collection %q, model %q", batch.Envelope, batch.Collection, batch.Model)
	}
	want := event.Document{ID: "handbook", Source: "docs/handbook.md", Title: "Handbook", Metadata: map[string]string{"team": "people"}}
	if !reflect.DeepEqual(batch.Document, want) {
		t.Errorf("document %+v, want %+v: all but its text", batch.Document, want)
	}
	if age := time.Since(batch.SubmittedAt); age < 0 || age > patience {
		t.Errorf("submitted at %s, want when the job was stored", batch.SubmittedAt)
	}
	if got := batch.SubmittedAt.UnixMicro(); batch.DocumentVersion != got {
		t.Errorf("version %d, want the microsecond %d of the job", batch.DocumentVersion, got)
	}
	checkChunks(t, batch)
}

func checkChunks(t *testing.T, batch event.ChunkBatch) {
	t.Helper()
	if batch.Bytes != len(handbook) || len(batch.Chunks) != 2 {
		t.Fatalf("%d bytes in %d chunks, want %d in 2", batch.Bytes, len(batch.Chunks), len(handbook))
	}
	sections := [][]string{{"Handbook"}, {"Handbook", "Holidays"}}
	texts := []string{"Weir keeps every job in a stream.", "Everyone has thirty days of holidays."}
	for i, c := range batch.Chunks {
		if !reflect.DeepEqual(c.Section, sections[i]) || c.Text != texts[i] {
			t.Errorf("chunk %d is %q in %q, want %q in %q", i, c.Text, c.Section, texts[i], sections[i])
		}
		if handbook[c.Start:c.End] != c.Text {
			t.Errorf("chunk %d: offsets %d to %d hold %q", i, c.Start, c.End, handbook[c.Start:c.End])
		}
		if !strings.Contains(c.Prefix, sections[i][len(sections[i])-1]) || c.Tokens < 1 {
			t.Errorf("chunk %d has prefix %q and %d tokens", i, c.Prefix, c.Tokens)
		}
		if want := event.ChunkID("acme", "handbook", "handbook", c.Prefix+c.Text, 0); c.ID != want {
			t.Errorf("chunk %d has id %s, want %s", i, c.ID, want)
		}
	}
}

func TestReceiptHoldsTheWait(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.ingest(event.Document{ID: "a", Text: "one"})
	batch, _ := r.batch()
	low, high := event.Milliseconds(ahead), event.Milliseconds(ahead+patience)
	if got := batch.Receipt.WaitingMS; got < low || got > high {
		t.Errorf("waiting %.3f ms, want at least %.0f", got, low)
	}
	if len(batch.Receipt.Attempts) != 0 || batch.Receipt.CostNanoUSD != 0 {
		t.Errorf("receipt %+v, want no calls", batch.Receipt)
	}
}

func TestLifeTellsTheChunks(t *testing.T) {
	t.Parallel()
	r := setup(t)
	id := r.ingest(event.Document{ID: "handbook", Source: "h.md", Text: handbook})
	life, raw := stagetest.Next(r.Kit, r.Lives, event.Decode[event.Life])
	if raw.Subject != event.LifeSubject("acme", id) || life.Type != event.LifeChunked || life.Stage != "ingestor" ||
		life.Attempt != 1 || life.Detail != "2 chunks" {
		t.Errorf("%s: %+v, want chunked by the ingestor into 2 chunks", raw.Subject, life)
	}
}

// stored is an ingest job as the stage runner hands it over.
func stored(t *testing.T, id string, doc event.Document, deliveries int) *bus.Message {
	t.Helper()
	data, err := json.Marshal(event.IngestJob{
		Envelope: event.Envelope{V: event.Version, ID: id}, Collection: "handbook", Document: doc})
	if err != nil {
		t.Fatal(err)
	}
	return &bus.Message{Subject: "weir.jobs.ingest.interactive.acme", Data: data, Stream: bus.StreamJobs, Sequence: 7,
		Stored: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Deliveries: deliveries}
}

// cutOne runs the step alone and returns its message to the embedder.
func cutOne(t *testing.T, s *Service, in *bus.Message) (bus.Out, event.ChunkBatch) {
	t.Helper()
	outs, err := s.cut(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if len(outs) != 2 || outs[0].View || !outs[1].View {
		t.Fatalf("outputs %+v, want a batch and a view", outs)
	}
	batch, err := event.Decode[event.ChunkBatch](outs[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	return outs[0], batch
}

// TestRedeliveryGivesTheSameIDs: also to a job without an id.
func TestRedeliveryGivesTheSameIDs(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	s := newService(t, b, DefaultConfig())
	doc := event.Document{ID: "handbook", Source: "h.md", Text: handbook}
	for _, id := range []string{"job-1", ""} {
		first, one := cutOne(t, s, stored(t, id, doc, 1))
		second, two := cutOne(t, s, stored(t, id, doc, 2))
		if first.ID == "" || first.ID != second.ID {
			t.Errorf("job %q: dedupe ids %q and %q", id, first.ID, second.ID)
		}
		if one.ID == "" || one.ID != two.ID || id != "" && one.ID != id {
			t.Errorf("job %q: job ids %q and %q", id, one.ID, two.ID)
		}
		if one.DocumentVersion != two.DocumentVersion || !reflect.DeepEqual(one.Chunks, two.Chunks) {
			t.Errorf("job %q: the second delivery differs:\n%+v\n%+v", id, one, two)
		}
	}
}

// TestDifferentJobsGetDifferentIDs: what makes ids equal is the same message,
// not the same kind of message.
func TestDifferentJobsGetDifferentIDs(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	s := newService(t, b, DefaultConfig())
	doc := event.Document{ID: "handbook", Source: "h.md", Text: handbook}
	first, one := cutOne(t, s, stored(t, "job-1", doc, 1))
	doc.ID = "other"
	second, two := cutOne(t, s, stored(t, "job-2", doc, 1))
	if first.ID == second.ID {
		t.Errorf("two jobs share the dedupe id %q", first.ID)
	}
	if one.Chunks[0].ID == two.Chunks[0].ID {
		t.Errorf("two documents share the chunk id %q", one.Chunks[0].ID)
	}
}

func TestRepeatedTextGetsDifferentIDs(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.ingest(event.Document{ID: "twice", Source: "t.md", Text: "# A\n\nThe same text.\n\n# A\n\nThe same text.\n"})
	batch, _ := r.batch()
	if len(batch.Chunks) != 2 {
		t.Fatalf("%d chunks, want 2", len(batch.Chunks))
	}
	a, b := batch.Chunks[0], batch.Chunks[1]
	if a.Prefix+a.Text != b.Prefix+b.Text {
		t.Fatalf("chunks %q and %q, want equal content", a.Prefix+a.Text, b.Prefix+b.Text)
	}
	if a.ID == b.ID {
		t.Errorf("both chunks have the id %s: one overwrites the other", a.ID)
	}
}

func TestTextAndDataGiveTheSameChunks(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.ingest(event.Document{ID: "a", Source: "h.md", Text: handbook})
	text, _ := r.batch()
	r.ingest(event.Document{ID: "a", Source: "h.md", Data: []byte(handbook)})
	data, _ := r.batch()
	if !reflect.DeepEqual(text.Chunks, data.Chunks) {
		t.Errorf("chunks differ:\ntext %+v\ndata %+v", text.Chunks, data.Chunks)
	}
	if data.Document.Data != nil {
		t.Errorf("the batch still carries %d bytes of data", len(data.Document.Data))
	}
}
