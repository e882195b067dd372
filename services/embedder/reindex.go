package embedder

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/vector"
)

// maxJobs bounds the jobs named in a result.
const maxJobs = 1000

// reindex submits an ingest job for each document: from its URL, or from the text
// that its chunks hold. Each becomes a version of its own; chunks that are cut in
// the same way keep their vectors.
func (s *Service) reindex(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	received := s.p.Now()
	job, err := event.DecodeReindexJob(in.Subject, in.Data)
	if err != nil {
		return nil, err
	}
	if err := s.permits(&job.Envelope, job.Collection); err != nil {
		return nil, err
	}
	job.ID = in.JobID(job.ID)
	var done event.Reindexed
	for e, err := range s.rows.All(ctx, vector.Scope{Tenant: job.Tenant, Collection: job.Collection}) {
		if err != nil {
			return nil, err
		}
		if e.Row.Deleted || e.Row.Version == 0 || job.Document != "" && job.Document != e.Document.ID {
			continue
		}
		if err := s.reindexOne(ctx, &job, e, &done); err != nil {
			return nil, fmt.Errorf("reindexing document %s: %w", e.Document.ID, err)
		}
	}
	if job.Document != "" && done.Documents+len(done.Incomplete) == 0 {
		return nil, event.Invalid("document", "see weir docs ls", "collection %q has no document %q", job.Collection, job.Document)
	}
	end := job.ResultOf(event.KindReindex, s.p.Now())
	end.Reindexed = &done
	return s.maintained(in, received, end)
}

func (s *Service) reindexOne(ctx context.Context, job *event.ReindexJob, e manifest.Entry, done *event.Reindexed) error {
	d := event.Document{ID: e.Document.ID, Source: e.Row.Meta.Source, Title: e.Row.Meta.Title, Metadata: e.Row.Meta.Metadata, ACL: e.Row.Meta.ACL}
	// The state that is read is ordered right behind itself: whatever came, or waits,
	// since then is later.
	d.Version = e.Row.Version + 1
	if d.URL = e.Row.URL; d.URL == "" {
		whole, err := s.text(ctx, e, &d)
		if err != nil {
			return err
		}
		if !whole {
			done.Incomplete = append(done.Incomplete, d.ID)
			return nil
		}
	}
	id := event.ChunkHash(job.ID + "/" + d.ID) // the same at every delivery
	data, err := json.Marshal(event.IngestJob{Envelope: event.Envelope{V: event.Version, ID: id, Deadline: job.Deadline}, Collection: job.Collection, Document: d})
	if err != nil {
		return err
	}
	err = s.bus.Publish(ctx, bus.Out{
		Subject: event.Address{Kind: event.KindIngest, Lane: event.LaneBatch, Tenant: job.Tenant}.Subject(),
		ID:      job.Tenant + "." + id, Data: data, Header: nats.Header{bus.HeaderJob: {id}},
	})
	if err != nil {
		return err
	}
	done.Documents++
	if len(done.Jobs) < maxJobs {
		done.Jobs = append(done.Jobs, id)
	}
	return nil
}

// text puts a document together again: its chunks less what each repeats of the
// one before are its text. It reports false when one is missing, or was taken off
// the manifest because it is, and when there is no text.
func (s *Service) text(ctx context.Context, e manifest.Entry, d *event.Document) (bool, error) {
	if e.Row.Content == "" {
		return false, nil
	}
	places, err := s.written(ctx)
	if err != nil {
		return false, err
	}
	var b strings.Builder
	for refs := range slices.Chunk(e.Row.Chunks, verifyPage) {
		stored, err := s.vectors.Get(ctx, places[0], e.Document.Scope, refs.IDs().Strings())
		if err != nil {
			return false, err
		}
		byID := make(map[string]string, len(stored))
		for _, p := range stored {
			byID[p.ID] = p.Chunk.Text
		}
		for _, r := range refs {
			text, ok := byID[r.ID.String()]
			if !ok || r.Overlap > len(text) {
				return false, nil
			}
			b.WriteString(text[r.Overlap:])
		}
	}
	if b.Len() == 0 {
		return false, nil
	}
	d.Text, d.MediaType = b.String(), e.Row.MediaType
	if !e.Row.KeepsText {
		d.MediaType = "text/markdown"
	}
	return true, nil
}
