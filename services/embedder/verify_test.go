package embedder

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/migration"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
)

// verified is the result of a verify job.
func (r *rig) verified(fix bool) event.Verified {
	r.T.Helper()
	id, err := r.Client.Verify(r.T.Context(), "acme", event.VerifyJob{Fix: fix})
	if err != nil {
		r.T.Fatal(err)
	}
	return *r.OK(event.KindVerify, id).Verified
}

// TestVerify: what is wrong is found, mended, and gone.
func TestVerify(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{})
	r.stores(version{document: "a", number: 1, texts: []string{"one", "two"}, meta: vector.Meta{Title: "A"}})
	r.stores(version{document: "b", number: 1, texts: []string{"three"}})
	if v := r.verified(false); !v.OK() || v.Documents != 2 || v.Points != 3 {
		t.Fatalf("verified %+v, want two documents and nothing wrong", v)
	}

	orphan := event.ChunkID("acme", "handbook", "a", "nobody's", 0)
	r.store.put(index, scope, vector.Point{ID: orphan, Chunk: vector.Chunk{Document: "a", Version: 7}})
	r.store.put(index, vector.Scope{Tenant: "other", Collection: "handbook"}, vector.Point{ID: orphan[:35] + "0", Chunk: vector.Chunk{Document: "x"}})
	_, points := r.store.written()
	other := points["one"]
	other.Chunk.Meta = vector.Meta{Title: "Another"}
	r.store.put(index, scope, other)
	r.store.drop(index, points["three"].ID)
	r.pendingOfFailed("a")

	for _, fix := range []bool{false, true} {
		v := r.verified(fix)
		if v.OrphanCount != 1 || v.Orphans[0].Chunk != orphan || v.MissingCount != 1 || v.Missing[0].Document != "b" ||
			v.MetaStale != 1 || v.Unfinished != 1 || v.Fixed != fix || len(v.Reread) != 1 || v.Reread[0] != "handbook/b" {
			t.Errorf("verified %+v, want one of each", v)
		}
	}
	if v := r.verified(false); !v.OK() || v.Points != 2 {
		t.Errorf("verified %+v after it was mended", v)
	}
	if in := r.stores(version{document: "b", number: 2, texts: []string{"three"}}).Ingested; in.Embedded != 1 {
		t.Errorf("ingested %+v, want the missing chunk stored again", *in)
	}
	if v := r.verified(false); !v.OK() || v.Points != 3 {
		t.Errorf("verified %+v in the end", v)
	}
}

// pendingOfFailed leaves a version pending whose job has failed.
func (r *rig) pendingOfFailed(document string) {
	r.T.Helper()
	v := version{document: document, number: 5, texts: []string{"never"}}
	batch := r.begin(v)[0]
	batch.Chunks[0].ID = "no id"
	r.publish(batch)
	if result := r.Result(v.job()); result.Status != event.StatusFailed {
		r.T.Fatalf("result %+v, want a failure", result)
	}
}

// TestVerifyRemovesWhatItGivesUp: what an unfinished version stored goes with it,
// though its version is later than the current one.
func TestVerifyRemovesWhatItGivesUp(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{})
	r.stores(version{document: "a", number: 1, texts: []string{"one"}})
	r.pendingOfFailed("a")
	never := version{document: "a", number: 5, texts: []string{"never"}}.chunks()[0]
	r.store.put(index, scope, vector.Point{ID: never.ID, Chunk: vector.Chunk{Document: "a", Version: 5, Text: never.Text}})
	if v := r.verified(true); v.Unfinished != 1 || v.OrphanCount != 0 {
		t.Errorf("verified %+v, want one unfinished", v)
	}
	if v := r.verified(false); !v.OK() || v.Points != 1 {
		t.Errorf("verified %+v after it was mended", v)
	}
}

// TestVerifyWhileMigrating: the index of another model that is not filled yet takes
// nothing off the documents.
func TestVerifyWhileMigrating(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{})
	r.stores(version{document: "a", number: 1, texts: []string{"one", "two"}})
	r.record(migration.State{Phase: migration.Refused, Also: "next"})
	if v := r.verified(true); !v.OK() || v.Documents != 1 {
		t.Errorf("verified %+v, want nothing wrong", v)
	}
	if row := r.row("a"); len(row.Chunks) != 2 {
		t.Errorf("%d chunks are left of 2", len(row.Chunks))
	}
}

// TestReindexNeverWins: a document that changes, or goes, after reindex has read it
// is not brought back; one of which chunks were taken off is not cut to what is left.
func TestReindexNeverWins(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{})
	jobs := r.Subscribe("weir.jobs.ingest.batch.acme")
	r.stores(version{document: "a", number: 7, texts: []string{"one"}})
	r.stores(version{document: "b", number: 1, texts: []string{"two. ", "three."}})
	lost := r.row("b").Chunks[1].ID
	_, err := r.rows.Change(t.Context(), vector.Document{Scope: scope, ID: "b"}, func(row *manifest.Row) error {
		return row.Lose(1, map[manifest.ID]bool{lost: true})
	})
	if err != nil {
		t.Fatal(err)
	}
	id, err := r.Client.Reindex(t.Context(), "acme", event.ReindexJob{Collection: "handbook"})
	if err != nil {
		t.Fatal(err)
	}
	if done := r.OK(event.KindReindex, id).Reindexed; done.Documents != 1 || !slices.Equal(done.Incomplete, []string{"b"}) {
		t.Errorf("reindexed %+v, want a, and b incomplete", *done)
	}
	job, _ := stagetest.Next(r.Kit, jobs, func(data []byte) (j event.IngestJob, err error) {
		err = json.Unmarshal(data, &j)
		return j, err
	})
	if d := job.Document; d.ID != "a" || d.Version != 8 {
		t.Errorf("document %+v, want the version right behind the one that was read", d)
	}
}

// TestReindex: documents are submitted again from their URL or from the text that
// their chunks hold; one of which a chunk is gone is named.
func TestReindex(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{})
	jobs := r.Subscribe("weir.jobs.ingest.batch.acme")
	r.stores(version{document: "a", number: 1, texts: []string{"one. ", "two."}, meta: vector.Meta{Title: "A", Source: "a.md", ACL: []string{"staff"}}})
	r.stores(version{document: "b", number: 1, texts: []string{"three"}})
	_, points := r.store.written()
	r.store.drop(index, points["three"].ID)
	r.stores(version{document: "c", number: 1, texts: []string{"four"}})
	_, err := r.rows.Change(t.Context(), vector.Document{Scope: scope, ID: "c"}, func(row *manifest.Row) error {
		row.URL = "https://example.com/c"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	id, err := r.Client.Reindex(t.Context(), "acme", event.ReindexJob{Collection: "handbook"})
	if err != nil {
		t.Fatal(err)
	}
	done := r.OK(event.KindReindex, id).Reindexed
	if done.Documents != 2 || len(done.Jobs) != 2 || len(done.Incomplete) != 1 || done.Incomplete[0] != "b" {
		t.Errorf("reindexed %+v, want two, and b incomplete", *done)
	}
	got := map[string]event.Document{}
	for range 2 {
		job, _ := stagetest.Next(r.Kit, jobs, func(data []byte) (j event.IngestJob, err error) {
			err = json.Unmarshal(data, &j)
			return j, err
		})
		got[job.Document.ID] = job.Document
	}
	if d := got["a"]; d.Text != "one. two." || d.Title != "A" || d.Source != "a.md" || len(d.ACL) != 1 || d.MediaType != "text/markdown" {
		t.Errorf("document %+v", d)
	}
	if d := got["c"]; d.URL != "https://example.com/c" || d.Text != "" {
		t.Errorf("document %+v, want it fetched", d)
	}
}

// TestReindexUnknown: a document that is not there is an error that names it.
func TestReindexUnknown(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{})
	id, err := r.Client.Reindex(t.Context(), "acme", event.ReindexJob{Collection: "handbook", Document: "none"})
	if err != nil {
		t.Fatal(err)
	}
	if e := r.Failure(event.KindReindex, id); e.Field != "document" || !strings.Contains(e.Message, `"none"`) {
		t.Errorf("error %+v", e)
	}
}

// TestOldTombstonesAreForgotten: after a month, when the job mends.
func TestOldTombstonesAreForgotten(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{})
	for name, age := range map[string]time.Duration{"old": tombstoneAge + time.Hour, "young": tombstoneAge - time.Hour} {
		_, err := r.rows.Change(t.Context(), vector.Document{Scope: scope, ID: name}, func(row *manifest.Row) error {
			row.Delete(manifest.State{Version: 1, Job: "j", Outcome: event.OutcomeDeleted, Updated: time.Now().Add(-age)})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, fix := range []bool{false, true} {
		if v := r.verified(fix); !v.OK() || v.Documents != 0 {
			t.Errorf("verified %+v", v)
		}
		if old, young := r.row("old"), r.row("young"); old.Deleted == fix || !young.Deleted {
			t.Errorf("mended %t: old is remembered: %t, young: %t", fix, old.Deleted, young.Deleted)
		}
	}
}
