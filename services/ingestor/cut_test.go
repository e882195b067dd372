package ingestor

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
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
}

// TestChunksAreTheirPlaces: a chunk's text is what its place in the row names, its
// id and hash are made of what is embedded.
func TestChunksAreTheirPlaces(t *testing.T) {
	t.Parallel()
	d := newDesk(t, DefaultConfig(), Ports{})
	r := d.take(at(t, 0, "j1", event.Document{ID: "doc", Source: "h.md", Text: handbook}))
	refs := d.row().Pending.Chunks
	if len(r.batches) != 1 || len(r.batches[0].Chunks) != len(refs) || len(refs) == 0 {
		t.Fatalf("%d batches of %d places, want one of all", len(r.batches), len(refs))
	}
	var whole strings.Builder
	for i, c := range r.batches[0].Chunks {
		ref := refs[i]
		if handbook[ref.Start:ref.End] != c.Text {
			t.Errorf("chunk %d is %q, its place %d to %d holds %q", i, c.Text, ref.Start, ref.End, handbook[ref.Start:ref.End])
		}
		if want := event.ChunkID("acme", "handbook", "doc", c.Prefix+c.Text, 0); c.ID != want || ref.ID.String() != want {
			t.Errorf("chunk %d has id %s in the message and %s in the row, want %s", i, c.ID, ref.ID, want)
		}
		if c.Tokens < 1 || len(c.Section) == 0 {
			t.Errorf("chunk %d is %+v", i, c)
		}
		whole.WriteString(c.Text[ref.Overlap:])
	}
	for _, sentence := range []string{"Weir keeps every job in a stream.", "Everyone has thirty days of holidays."} {
		if !strings.Contains(whole.String(), sentence) {
			t.Errorf("the chunks don't hold %q", sentence)
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
		life.Attempt != 1 || life.Progress == nil || life.Progress.Total < 1 || !strings.Contains(life.Detail, "of them new") {
		t.Errorf("%s: %+v, want chunked by the ingestor, all new", raw.Subject, life)
	}
}

func TestRepeatedTextGetsDifferentIDs(t *testing.T) {
	t.Parallel()
	d := newDesk(t, small(), Ports{})
	text := strings.Repeat("# A\n\nThe same text, which is long enough to be a chunk of its own, or two, every time that it is said.\n\n", 10)
	r := d.take(at(t, 0, "j1", event.Document{ID: "doc", Source: "t.md", Text: text}))
	seen, hashes := map[string]bool{}, map[string]bool{}
	for _, c := range r.batches[0].Chunks {
		if seen[c.ID] {
			t.Errorf("two chunks have the id %s: one overwrites the other", c.ID)
		}
		seen[c.ID], hashes[c.Hash] = true, true
	}
	if len(hashes) > len(seen)/2 {
		t.Errorf("%d chunks have %d hashes, want a few of equal content", len(seen), len(hashes))
	}
}

func TestTextAndDataGiveTheSameChunks(t *testing.T) {
	t.Parallel()
	d := newDesk(t, DefaultConfig(), Ports{})
	text := d.take(at(t, 0, "j1", event.Document{ID: "doc", Source: "h.md", Text: handbook}))
	data := d.take(at(t, 0, "j1", event.Document{ID: "doc", Source: "h.md", Data: []byte(handbook)}))
	same(t, data.outs, text.outs) // without the text and the data
}

// TestMaxChunks: a document of too many chunks is refused before anything is
// noted of it.
func TestMaxChunks(t *testing.T) {
	t.Parallel()
	cfg := small()
	cfg.ChunkTokens = 16
	d := newDesk(t, cfg, Ports{})
	text := strings.Repeat("\U00012000\U00012001\U00012002\U00012003 ", manifest.MaxChunks+1) // a rune of four tokens each
	got := d.fails(at(t, 0, "j1", event.Document{ID: "doc", Title: "T", Source: "a.txt", Text: text}))
	if got.Class != event.ClassTooLarge || got.Field != "document" || got.Hint == "" || !strings.Contains(got.Message, "the limit is 65536") {
		t.Errorf("error %+v, want too_large", got)
	}
	if row := d.row(); row.Pending != nil {
		t.Errorf("row %+v, want none", row)
	}
}
