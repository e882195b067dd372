package documents

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/event"
)

// maxEdited is the most of the chunks that an edited sentence in every file may
// have embedded again.
const maxEdited = 0.12

// TestReingest: what is ingested again costs nothing; one edited sentence in each
// file has few chunks embedded; an access list none.
func TestReingest(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("THE DEMO SET IS NOT INGESTED: -short")
	}
	r := start(t)
	docs := demo(t)
	chunks, embedded := sum(r.ingest("acme", "demo", docs...))
	if embedded == 0 || chunks < len(docs) {
		t.Fatalf("%d chunks of %d documents, %d embedded", chunks, len(docs), embedded)
	}
	before := r.points()
	if len(before) != chunks {
		t.Errorf("%d points, want one for each of %d chunks", len(before), chunks)
	}

	for _, in := range r.ingest("acme", "demo", docs...) {
		if in.Outcome != event.OutcomeUnchanged || in.Embedded+in.Reused+in.Removed != 0 {
			t.Fatalf("the same again: %+v", in)
		}
	}
	if after := r.points(); !reflect.DeepEqual(after, before) {
		t.Error("ingesting the same again changed points")
	}

	for i := range docs {
		docs[i].ACL = []string{"staff"}
	}
	if _, embedded := sum(r.ingest("acme", "demo", docs...)); embedded != 0 {
		t.Errorf("an access list had %d chunks embedded", embedded)
	}
	for id, p := range r.points() {
		if p.Chunk.Version != before[id].Chunk.Version || len(p.Chunk.ACL) != 1 {
			t.Fatalf("point %s of version %d has the access list %v", id, p.Chunk.Version, p.Chunk.ACL)
		}
	}

	edited := 0
	for i := range docs {
		text, ok := edit(string(docs[i].Data))
		if ok {
			docs[i].Data = []byte(text)
			edited++
		}
	}
	chunks, embedded = sum(r.ingest("acme", "demo", docs...))
	share := float64(embedded) / float64(chunks)
	t.Logf("a sentence edited in %d of %d files: %d of %d chunks embedded, %.1f %%", edited, len(docs), embedded, chunks, 100*share)
	if share > maxEdited || edited < len(docs)*9/10 {
		t.Errorf("%.3f of the chunks were embedded, want at most %.2f, with %d files edited", share, maxEdited, edited)
	}
	if verified := r.verify("acme"); !verified.OK() || verified.Points != chunks {
		t.Errorf("verified %+v, want %d points", verified, chunks)
	}
}

func (r *rig) verify(tenant string) *event.Verified {
	r.t.Helper()
	id, err := r.client.Verify(r.ctx, tenant, event.VerifyJob{})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.result(tenant, id).Verified
}

func sum(results []event.Ingested) (chunks, embedded int) {
	for _, in := range results {
		chunks, embedded = chunks+in.Chunks, embedded+in.Embedded
	}
	return chunks, embedded
}

// demo is the demo set.
func demo(t *testing.T) []event.Document {
	t.Helper()
	root := dataset.Path(t, "rag", "demo-docs")
	var docs []event.Document
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "LICENSE" {
			return err
		}
		data, err := os.ReadFile(path)
		if len(strings.TrimSpace(string(data))) > 0 {
			source, _ := filepath.Rel(root, path) //nolint:errcheck // path is below root
			docs = append(docs, event.Document{Source: filepath.ToSlash(source), Data: data})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

// edit changes a word of a sentence in the middle of a text.
func edit(text string) (string, bool) {
	middle := len(text) / 2
	for _, from := range []int{middle, len(text) / 3, len(text) / 5, 0} {
		for _, word := range []string{" the ", " is ", " a ", " to ", " and "} {
			if i := strings.Index(text[from:], word); i >= 0 {
				at := from + i
				return text[:at] + " (edited)" + text[at:], true
			}
		}
	}
	return text, false
}
