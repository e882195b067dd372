package ingestor

import (
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
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
		{"binary as text", event.Document{Text: "MZ\x00\x00\x01\x00 not text"}, event.ClassInvalid, "not text"},
		{"binary as data", event.Document{Source: "a.md", Data: []byte{0xff, 0xd8, 0xff, 0xe0, 0, 1, 2, 3}}, event.ClassInvalid, "not text"},
		{"junk", event.Document{Source: "a.md", Data: []byte("\x01\x00\x02\x00\x00\x03 junk \x00\x01")}, event.ClassInvalid, "binary"},
		{"pdf without a reader", event.Document{Source: "paper.txt", Text: "%PDF-1.7 and so on"}, event.ClassInvalid, "PDF"},
		{"blank", event.Document{Text: " \n\t\n"}, event.ClassInvalid, "empty"},
		{"empty page", event.Document{MediaType: "text/html", Text: "<html><script>x()</script></html>"}, event.ClassInvalid, "empty"},
		{"no content", event.Document{}, event.ClassInvalid, "no content"},
		{"text and data", event.Document{Text: "a", Data: []byte("a")}, event.ClassInvalid, "more than one of"},
		{"text and url", event.Document{Text: "a", URL: page}, event.ClassInvalid, "more than one of"},
		{"too large", event.Document{Text: strings.Repeat("word ", 201)}, event.ClassTooLarge, "1005 bytes, the limit is 1000"},
		{"url", event.Document{URL: page}, event.ClassInvalid, "fetches nothing"},
		{"acl for all", event.Document{Text: "a", ACL: []string{"*"}}, event.ClassInvalid, `"*"`},
		{"negative version", event.Document{Text: "a", Version: -1}, event.ClassInvalid, "-1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.doc.ID = "doc"
			got := r.failure(r.ingest(tc.doc))
			if got.Class != tc.class || !strings.HasPrefix(got.Field, "document") || !strings.Contains(got.Message, tc.want) {
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
	if batch, _ := r.batch(); len(batch.Chunks) == 0 {
		t.Error("no chunks came, want the whole document")
	}
}

// TestFormats: rich formats are read, and the row says what they were.
func TestFormats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		doc         event.Document
		want, title string
	}{
		{event.Document{Text: "<!DOCTYPE html><html><head><title>Otters</title></head><body><p>Otters swim.</p></body></html>"}, "text/html", "Otters"},
		{event.Document{Source: "page.html", Text: "<p>Otters swim.</p>"}, "text/html", "page.html"},
		{event.Document{MediaType: "text/html; charset=utf-8", Data: []byte("<title>Otters</title><p>Otters swim.</p>")}, "text/html", "Otters"},
		{event.Document{Source: "a.csv", Text: "animal,does\notter,Otters swim.\n"}, "text/csv", "a.csv"},
		{event.Document{Source: "a.go", Text: "package otter\n\n// Otters swim.\nvar x int\n"}, "text/x-go", "a.go"},
	} {
		d := newDesk(t, DefaultConfig(), Ports{})
		c.doc.ID = "doc"
		r := d.take(at(t, 0, "j1", c.doc))
		if p := d.row().Pending; p.MediaType != c.want || p.Meta.Title != c.title || !strings.Contains(r.batches[0].Chunks[0].Text, "Otters swim.") {
			t.Errorf("%+v was read as %s, %q: %+v", c.doc, p.MediaType, p.Meta.Title, r.batches[0].Chunks)
		}
	}
}

func TestLargeDocumentTravelsByClaimCheck(t *testing.T) {
	t.Parallel()
	r := setup(t, func(c *Config) { c.ChunkTokens = 600 })
	text := "# Large\n\n" + strings.Repeat(strings.Repeat("One more sentence about the river and its weir. ", 40)+"\n\n", 300)
	r.ingest(event.Document{ID: "large", Source: "large.md", Text: text})
	batch, raw := r.batch()
	if raw.Header.Get(bus.HeaderPayload) == "" || len(raw.Data) != 0 {
		t.Fatalf("the message has %d bytes and header %v, want a claim-check", len(raw.Data), raw.Header)
	}
	if len(batch.Chunks) != manifest.BatchChunks {
		t.Fatalf("%d chunks of %d bytes, want a full batch", len(batch.Chunks), len(text))
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
			if c := batch.Chunks[0]; !strings.Contains(c.Prefix+c.Text, tc.want) {
				t.Errorf("neither prefix %q nor text %q holds the title %q", c.Prefix, c.Text, tc.want)
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
