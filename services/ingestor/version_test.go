package ingestor

import (
	"slices"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
)

// TestFirstIngest: the row is pending, and its chunks go to the embedder in full
// batches, each chunk once, as the row has them.
func TestFirstIngest(t *testing.T) {
	t.Parallel()
	d := newDesk(t, small(), Ports{})
	text := article(150)
	r := d.take(at(t, 0, "j1", event.Document{ID: "doc", Source: "a.md", Text: text, ACL: []string{"staff"}}))
	row := d.row()
	if row.Version != 0 || row.Pending == nil || row.Pending.Version != version(0) || row.Pending.Job != "j1" {
		t.Fatalf("row %+v, want version %d of j1 pending", row, version(0))
	}
	p := row.Pending
	if len(p.Added) != len(p.Chunks) || len(p.Chunks) <= manifest.BatchChunks || len(r.batches) != p.Batches() {
		t.Fatalf("%d of %d chunks are new, in %d batches; want all, in %d and more than one", len(p.Added), len(p.Chunks), len(r.batches), p.Batches())
	}
	if p.Bytes != len(text) || p.MediaType != "text/markdown" || p.Meta.Title != "Part 0" || !slices.Equal(p.Meta.ACL, []string{"staff"}) {
		t.Errorf("pending %d bytes of %s, meta %+v", p.Bytes, p.MediaType, p.Meta)
	}
	checkBatches(t, r, p)
	if !slices.Equal(r.chunkIDs(), p.Chunks.IDs().Strings()) {
		t.Errorf("the chunks sent are not those of the row, in its order")
	}
	if len(r.lives) != 1 || *r.lives[0].Progress != (event.Progress{Total: len(p.Added)}) {
		t.Errorf("life events %+v, want 0 of %d", r.lives, len(p.Added))
	}
}

// checkBatches checks what every message to the embedder has to hold.
func checkBatches(t *testing.T, r reply, p *manifest.Pending) {
	t.Helper()
	tokens := 0
	for n, b := range r.batches {
		if b.Batch != n || len(b.Chunks) > manifest.BatchChunks || n < len(r.batches)-1 && len(b.Chunks) < manifest.BatchChunks {
			t.Errorf("message %d is batch %d of %d chunks", n, b.Batch, len(b.Chunks))
		}
		if b.DocumentVersion != p.Version || b.ID != p.Job || b.Document.Text != "" || b.Model != "embed" || b.Kind != event.KindIngest {
			t.Errorf("batch %d is %+v", n, b)
		}
		for _, c := range b.Chunks {
			tokens += c.Tokens
			if c.Hash != event.ChunkHash(c.Prefix+c.Text) {
				t.Errorf("chunk %s has the hash %s", c.ID, c.Hash)
			}
		}
	}
	if tokens != p.Tokens {
		t.Errorf("%d tokens were sent, the row has %d", tokens, p.Tokens)
	}
}

// TestUnchanged: the same bytes cut in the same way are not sent again.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	d := newDesk(t, DefaultConfig(), Ports{})
	doc := event.Document{ID: "doc", Source: "h.md", Text: handbook}
	d.store(at(t, 0, "j1", doc))
	before := d.row()
	got := d.take(at(t, 1, "j2", doc)).wantOutcome(t, event.OutcomeUnchanged)
	if got.Version != version(1) || got.Chunks != len(before.Chunks) || got.Embedded+got.Reused+got.Removed != 0 || got.Bytes != len(handbook) {
		t.Errorf("ingested %+v, want %d chunks at version %d and no work", got, len(before.Chunks), version(1))
	}
	after := d.row()
	if after.Job != "j2" || !slices.Equal(after.Chunks, before.Chunks) || after.Meta.Title != "Handbook" || !after.Created.Equal(before.Created) {
		t.Errorf("row %+v, want the chunks, title and age of %+v", after, before)
	}
	data := doc
	data.Text, data.Data = "", []byte(handbook)
	d.take(at(t, 2, "j3", data)).wantOutcome(t, event.OutcomeUnchanged)
}

// TestNewMeta: metadata, source titles and access lists change without new
// vectors: the row first, then the store.
func TestNewMeta(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*event.Document){
		"metadata":    func(d *event.Document) { d.Metadata = map[string]string{"team": "b"} },
		"no metadata": func(d *event.Document) { d.Metadata = nil },
		"acl":         func(d *event.Document) { d.ACL = []string{"staff"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, DefaultConfig(), Ports{})
			doc := event.Document{ID: "doc", Source: "h.md", Text: handbook, Metadata: map[string]string{"team": "a"}}
			d.store(at(t, 0, "j1", doc))
			change(&doc)
			d.take(at(t, 1, "j2", doc)).wantSettle(t, "j2", version(1))
			row := d.row()
			if !row.MetaStale || row.Pending != nil || row.Outcome != event.OutcomeUnchanged || row.Meta.Metadata["team"] != doc.Metadata["team"] ||
				!slices.Equal(row.Meta.ACL, doc.ACL) {
				t.Errorf("row %+v, want the new meta, and stale that of the store", row)
			}
			d.settle()
			d.take(at(t, 1, "j2", doc)).wantOutcome(t, event.OutcomeUnchanged)
		})
	}
}

// TestNewContent: only the chunks that the version before lacks are sent, and
// those it alone had are stale once the new one is current.
func TestNewContent(t *testing.T) {
	t.Parallel()
	d := newDesk(t, small(), Ports{})
	d.store(at(t, 0, "j1", event.Document{ID: "doc", Source: "a.md", Text: article(40)}))
	old := d.row().Chunks.IDs().Strings()
	r := d.take(at(t, 1, "j2", event.Document{ID: "doc", Source: "a.md", Text: article(40, 20)}))
	row := d.row()
	var want []string
	for _, id := range row.Pending.Chunks.IDs().Strings() {
		if !slices.Contains(old, id) {
			want = append(want, id)
		}
	}
	if got := r.chunkIDs(); !slices.Equal(got, want) || len(want) == 0 || len(want) > len(old)/2 {
		t.Fatalf("%d chunks were sent, %d of %d are new: want these, a few", len(got), len(want), len(row.Pending.Chunks))
	}
	if !slices.Equal(row.Chunks.IDs().Strings(), old) {
		t.Errorf("the current version changed before the new one is stored")
	}
	if verdict := d.mark(r.batches[0]); verdict != manifest.Current {
		t.Fatalf("verdict %v, want current", verdict)
	}
	row = d.row()
	for _, id := range row.Stale.Strings() {
		if !slices.Contains(old, id) || row.Chunks.Set()[must(t, id)] {
			t.Errorf("%s is stale", id)
		}
	}
	if row.Removed == 0 || row.Removed != len(row.Stale) {
		t.Errorf("%d chunks removed, %d are stale", row.Removed, len(row.Stale))
	}
}

func must(t *testing.T, id string) manifest.ID {
	t.Helper()
	got, err := manifest.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestOnlyLess: a version without new chunks has one empty batch, which makes it
// current.
func TestOnlyLess(t *testing.T) {
	t.Parallel()
	d := newDesk(t, small(), Ports{})
	part := func(n int) string { return article(n) }
	d.store(at(t, 0, "j1", event.Document{ID: "doc", Source: "a.md", Title: "T", Text: part(6)}))
	r := d.take(at(t, 1, "j2", event.Document{ID: "doc", Source: "a.md", Title: "T", Text: part(3)}))
	if len(r.batches) != 1 || r.batches[0].Batch != 0 {
		t.Fatalf("%d batches, want one", len(r.batches))
	}
	if n := len(r.batches[0].Chunks); n > 1 { // the last chunk of a text may differ
		t.Errorf("%d chunks were sent of a text that only became shorter", n)
	}
	if d.mark(r.batches[0]) != manifest.Current {
		t.Error("the version is not current")
	}
}

// TestOrder: what is older than the version that is known, or as old and of
// another job, changes nothing and is not sent.
func TestOrder(t *testing.T) {
	t.Parallel()
	doc := event.Document{ID: "doc", Source: "h.md", Text: handbook}
	versioned := func(v int64, text string) event.Document {
		return event.Document{ID: "doc", Source: "h.md", Text: text, Version: v}
	}
	for name, c := range map[string]struct {
		first   event.Document
		pending bool // the first is not stored yet
		late    event.Document
		micros  int
	}{
		"an earlier job":                   {doc, false, doc, -1},
		"an earlier job, one pending":      {doc, true, doc, -1},
		"another job of the microsecond":   {doc, false, doc, 0},
		"another one, the first pending":   {doc, true, doc, 0},
		"a lower version":                  {versioned(5, "# New\n\nText."), false, versioned(4, "# Old\n\nText."), 1},
		"a lower version, one pending":     {versioned(5, "# New\n\nText."), true, versioned(4, "# Old\n\nText."), 1},
		"an equal version":                 {versioned(5, "# New\n\nText."), false, versioned(5, "# Other\n\nText."), 1},
		"an equal version, one pending":    {versioned(5, "# New\n\nText."), true, versioned(5, "# Other\n\nText."), 1},
		"a lower version of equal content": {versioned(5, "# New\n\nText."), false, versioned(4, "# New\n\nText."), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, DefaultConfig(), Ports{})
			if first := at(t, 0, "first", c.first); c.pending {
				d.take(first)
			} else {
				d.store(first)
			}
			before := d.row()
			got := d.take(at(t, c.micros, "late", c.late)).wantOutcome(t, event.OutcomeSuperseded)
			if got.Chunks != 0 || got.Document != "doc" {
				t.Errorf("ingested %+v", got)
			}
			if after := d.row(); after.Version != before.Version || after.Job != before.Job || (after.Pending == nil) != (before.Pending == nil) {
				t.Errorf("the row became %+v, want %+v", after, before)
			}
		})
	}
}

// TestHigherVersion: the source's order counts, not that of the jobs.
func TestHigherVersion(t *testing.T) {
	t.Parallel()
	d := newDesk(t, DefaultConfig(), Ports{})
	d.store(at(t, 1, "j1", event.Document{ID: "doc", Text: "old", Version: 4}))
	d.store(at(t, 0, "j2", event.Document{ID: "doc", Text: "new", Version: 5}))
	if row := d.row(); row.Version != 5 || row.Job != "j2" {
		t.Errorf("row %+v, want version 5", row)
	}
}

// TestLaterVersionReplacesPending: what the one before stored is stale.
func TestLaterVersionReplacesPending(t *testing.T) {
	t.Parallel()
	d := newDesk(t, small(), Ports{})
	first := d.take(at(t, 0, "j1", event.Document{ID: "doc", Source: "a.md", Text: article(4)}))
	second := d.take(at(t, 1, "j2", event.Document{ID: "doc", Source: "a.md", Text: article(4, 1)}))
	if row := d.row(); row.Pending.Job != "j2" || !slices.Equal(row.Stale.Strings(), first.chunkIDs()) {
		t.Errorf("pending %+v, %d stale; want j2, and all that j1 may have stored", row.Pending, len(row.Stale))
	}
	if d.mark(first.batches[0]) != manifest.Superseded || d.mark(second.batches[0]) != manifest.Current {
		t.Error("want the first superseded and the second current")
	}
	d.take(at(t, 0, "j1", event.Document{ID: "doc", Source: "a.md", Text: article(4)})).wantOutcome(t, event.OutcomeSuperseded)
}

// TestDelete: a tombstone stays, and the embedder removes the chunks.
func TestDelete(t *testing.T) {
	t.Parallel()
	d := newDesk(t, DefaultConfig(), Ports{})
	doc := event.Document{ID: "doc", Source: "h.md", Text: handbook}
	stored := d.store(at(t, 0, "j1", doc))
	for range 2 { // also when it is delivered again
		d.take(deletion(t, 2, "del")).wantSettle(t, "del", version(2))
		row := d.row()
		if !row.Deleted || row.Version != version(2) || len(row.Chunks) != 0 || !slices.Equal(row.Stale.Strings(), stored.chunkIDs()) {
			t.Fatalf("row %+v, want a tombstone with all chunks stale", row)
		}
	}
	d.settle()
	got := d.take(deletion(t, 2, "del")).wantOutcome(t, event.OutcomeDeleted)
	if got.Removed != len(stored.chunkIDs()) || got.Chunks != 0 {
		t.Errorf("ingested %+v, want %d removed", got, len(stored.chunkIDs()))
	}
	d.take(at(t, 1, "late", doc)).wantOutcome(t, event.OutcomeSuperseded)
	again := d.store(at(t, 3, "j2", doc))
	if !slices.Equal(again.chunkIDs(), stored.chunkIDs()) {
		t.Errorf("%d chunks were sent, want all again: the store has none", len(again.chunkIDs()))
	}
	if row := d.row(); row.Deleted || row.Version != version(3) || row.Unsettled() {
		t.Errorf("row %+v, want the document back", row)
	}
	d.take(deletion(t, 2, "del")).wantOutcome(t, event.OutcomeSuperseded)
}

func TestDeleteOfTheUnknown(t *testing.T) {
	t.Parallel()
	d := newDesk(t, DefaultConfig(), Ports{})
	got := d.take(deletion(t, 1, "del")).wantOutcome(t, event.OutcomeDeleted)
	if got.Removed != 0 || got.Version != version(1) {
		t.Errorf("ingested %+v", got)
	}
	if row := d.row(); !row.Deleted || row.Version != version(1) {
		t.Errorf("row %+v, want a tombstone: late versions stay away", row)
	}
	d.take(at(t, 0, "late", event.Document{ID: "doc", Text: "x"})).wantOutcome(t, event.OutcomeSuperseded)
}

// TestDeleteWhilePending: what the pending version may have stored goes as well.
func TestDeleteWhilePending(t *testing.T) {
	t.Parallel()
	d := newDesk(t, DefaultConfig(), Ports{})
	first := d.take(at(t, 0, "j1", event.Document{ID: "doc", Source: "h.md", Text: handbook}))
	d.take(deletion(t, 1, "del")).wantSettle(t, "del", version(1))
	if row := d.row(); row.Pending != nil || !slices.Equal(row.Stale.Strings(), first.chunkIDs()) {
		t.Errorf("row %+v, want the pending chunks stale", row)
	}
	if d.mark(first.batches[0]) != manifest.Superseded {
		t.Error("the deleted version can still be stored")
	}
}

// TestStoredAgainAfterLoss: chunks that verify found missing are sent again at the
// next ingest of the same bytes.
func TestStoredAgainAfterLoss(t *testing.T) {
	t.Parallel()
	d := newDesk(t, small(), Ports{})
	doc := event.Document{ID: "doc", Source: "a.md", Text: article(6)}
	d.store(at(t, 0, "j1", doc))
	lost := d.row().Chunks[2].ID
	d.change(func(row *manifest.Row) error { return row.Lose(row.Version, map[manifest.ID]bool{lost: true}) })
	if got := d.take(at(t, 1, "j2", doc)).chunkIDs(); !slices.Equal(got, []string{lost.String()}) {
		t.Errorf("%v was sent, want the lost chunk %s", got, lost)
	}
}
