package ingestor

import (
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// TestRefusedDocuments: what can't be read is a failed result that names the
// field and says what to do; it never reaches the embedder.
func TestRefusedDocuments(t *testing.T) {
	t.Parallel()
	r := setup(t, func(c *Config) { c.MaxDocumentBytes = 1000 })
	for _, tc := range []struct {
		name  string
		doc   event.Document
		class event.Class
		want  string
	}{
		{"binary as text", event.Document{Text: "MZ\x00\x00\x01\x00 not text"}, event.ClassInvalid, "binary"},
		{"pdf as text", event.Document{Source: "paper.txt", Text: "%PDF-1.7 and so on"}, event.ClassInvalid, "PDF"},
		{"binary as data", event.Document{Source: "a.md", Data: []byte{0xff, 0xd8, 0xff, 0xe0, 0, 1, 2, 3}}, event.ClassInvalid, "not text"},
		{"blank", event.Document{Text: " \n\t\n"}, event.ClassInvalid, "empty"},
		{"no content", event.Document{}, event.ClassInvalid, "no content"},
		{"text and data", event.Document{Text: "a", Data: []byte("a")}, event.ClassInvalid, "both"},
		{"too large", event.Document{Text: strings.Repeat("word ", 201)}, event.ClassTooLarge, "1005 bytes, the limit is 1000"},
		{"html by content", event.Document{Text: "<!DOCTYPE html><html><body>Hi</body></html>"}, event.ClassInvalid, "HTML"},
		{"html by name", event.Document{Source: "page.html", Text: "Hi"}, event.ClassInvalid, "html"},
		{"html by type", event.Document{MediaType: "text/html", Text: "Hi"}, event.ClassInvalid, "text/html"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.doc.ID = "doc"
			got := r.failure(r.ingest(tc.doc))
			if got.Class != tc.class || got.Field != "document" || !strings.Contains(got.Message, tc.want) {
				t.Errorf("error %+v, want %s of field document with %q", got, tc.class, tc.want)
			}
			if got.Hint == "" {
				t.Errorf("error %v has no hint", got)
			}
		})
	}
	if n, _, err := r.batches.Pending(); n != 0 || err != nil {
		t.Errorf("%d batches were sent (%v), want none", n, err)
	}
}

// TestLargestDocument: the limit itself is allowed.
func TestLargestDocument(t *testing.T) {
	t.Parallel()
	r := setup(t, func(c *Config) { c.MaxDocumentBytes = 1000 })
	r.ingest(event.Document{ID: "a", Text: strings.Repeat("word ", 200)})
	if batch, _ := r.batch(); batch.Bytes < 999 {
		t.Errorf("%d bytes, want the whole document", batch.Bytes)
	}
}

func TestLargeDocumentTravelsByClaimCheck(t *testing.T) {
	t.Parallel()
	r := setup(t)
	text := "# Large\n\n" + strings.Repeat("One more sentence about the river and its weir. ", 8000)
	r.ingest(event.Document{ID: "large", Source: "large.md", Text: text})
	batch, raw := r.batch()
	if raw.Header.Get(bus.HeaderPayload) == "" || len(raw.Data) != 0 {
		t.Fatalf("the message has %d bytes and header %v, want a claim-check", len(raw.Data), raw.Header)
	}
	if len(batch.Chunks) < 100 {
		t.Fatalf("%d chunks of %d bytes", len(batch.Chunks), len(text))
	}
	last := batch.Chunks[len(batch.Chunks)-1]
	if end := len(strings.TrimSpace(text)); last.End != end {
		t.Errorf("the last chunk ends at %d, want %d", last.End, end)
	}
	seen := map[string]bool{}
	for _, c := range batch.Chunks {
		if seen[c.ID] {
			t.Fatalf("id %s twice in one document", c.ID)
		}
		seen[c.ID] = true
	}
}

// TestSmallDocumentTravelsInline is the other side of the claim-check.
func TestSmallDocumentTravelsInline(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.ingest(event.Document{ID: "a", Text: "one"})
	if _, raw := r.batch(); raw.Header.Get(bus.HeaderPayload) != "" {
		t.Errorf("header %v, want no claim-check", raw.Header)
	}
}

func TestTitle(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for _, tc := range []struct {
		name, title, source, text, want string
	}{
		{"given", "Given", "h.md", "# Heading\n\nText.", "Given"},
		{"heading", "", "h.md", "# Heading\n\nText.", "Heading"},
		{"file name", "", "docs/notes.txt", "Text.", "notes.txt"},
		{"document id", "", "", "Text.", "doc"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r.ingest(event.Document{ID: "doc", Title: tc.title, Source: tc.source, Text: tc.text})
			batch, _ := r.batch()
			if batch.Document.Title != tc.want {
				t.Errorf("title %q, want %q", batch.Document.Title, tc.want)
			}
			if prefix := batch.Chunks[0].Prefix; !strings.Contains(prefix, tc.want) {
				t.Errorf("prefix %q does not hold the title %q", prefix, tc.want)
			}
		})
	}
}

// TestFieldsAreNamed: a job that is wrong outside of its document.
func TestFieldsAreNamed(t *testing.T) {
	t.Parallel()
	r := setup(t)
	id, err := r.Client.Ingest(t.Context(), "acme", event.IngestJob{
		Collection: "not a name", Document: event.Document{ID: "a", Text: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.failure(id); got.Class != event.ClassInvalid || got.Field != "collection" {
		t.Errorf("error %+v, want an invalid collection", got)
	}
}
