package ingestor

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/vector"
)

// work is one version of one document under way.
type work struct {
	event.Envelope
	kind       event.Kind
	collection string
	document   event.Document
	version    int64
	receipt    event.Receipt
	deliveries int
}

func (w *work) name() vector.Document {
	return vector.Document{Scope: vector.Scope{Tenant: w.Tenant, Collection: w.collection}, ID: w.document.ID}
}

func (s *Service) newWork(in *bus.Message, env event.Envelope, kind event.Kind, collection string, doc event.Document) *work {
	w := &work{Envelope: env, kind: kind, collection: collection, document: doc, version: doc.Version, deliveries: in.Deliveries}
	if w.version == 0 {
		w.version = in.Stored.UnixMicro()
	}
	w.ID, w.SubmittedAt = in.JobID(env.ID), in.Stored.UTC()
	w.receipt.WaitingMS = event.Milliseconds(s.p.Now().Sub(in.Stored))
	return w
}

// ingest makes the job's document the pending version and sends its new chunks to
// the embedder. What did not change is not even read.
func (s *Service) ingest(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	job, err := event.DecodeIngestJob(in.Subject, in.Data)
	if err != nil {
		return nil, err
	}
	if err := s.permits(&job.Envelope, job.Collection); err != nil {
		return nil, err
	}
	return s.begin(ctx, s.newWork(in, job.Envelope, event.KindIngest, job.Collection, job.Document))
}

// permits reports whether a tenant may use a collection and lane: jobs come from
// NATS, too, where nobody has looked.
func (s *Service) permits(job *event.Envelope, collection string) error {
	if s.ports.Catalog == nil {
		return nil
	}
	return s.ports.Catalog.Current().Permits(job.Tenant, catalog.Use{Lane: job.Lane, Collection: collection})
}

// begin compares the version with the current one, and goes on with its content
// when that is another.
func (s *Service) begin(ctx context.Context, w *work) ([]bus.Out, error) {
	row, err := s.rows.Get(ctx, w.name())
	if err != nil {
		return nil, err
	}
	if outs, done, err := s.known(w, &row); done || err != nil {
		return outs, err
	}
	loaded, err := s.load(ctx, w, &row)
	if err != nil {
		return nil, err
	}
	state := s.state(w, loaded)
	if sameContent(&row, &state) {
		row, done, err := s.refresh(ctx, w, state, loaded)
		switch {
		case done || err != nil:
			return s.after(w, &row, err)
		case loaded.unchanged: // since a version that is no longer current, so there are no bytes
			return s.begin(ctx, w)
		}
	}
	return s.cut(ctx, w, state, loaded)
}

// known answers a version of which the row tells the end: a later one was there,
// or this one is current already.
func (s *Service) known(w *work, row *manifest.Row) (outs []bus.Out, done bool, err error) {
	switch {
	case w.version < row.Version, w.version == row.Version && w.ID != row.Job:
		outs, err = s.result(w, row, event.OutcomeSuperseded)
	case w.version == row.Version:
		outs, err = s.after(w, row, nil)
	default:
		return nil, false, nil
	}
	return outs, true, err
}

// state is what the manifest is told of the version, but for its chunks.
func (s *Service) state(w *work, l *loaded) manifest.State {
	d, now := &w.document, s.p.Now().UTC()
	return manifest.State{
		Version: w.version, Job: w.ID, Outcome: event.OutcomeStored, Content: l.content, Config: s.config(w),
		Meta: vector.Meta{Source: d.Source, Title: d.Title, Metadata: d.Metadata, ACL: d.ACL},
		URL:  d.URL, ETag: l.etag, LastModified: l.modified, Created: now, Updated: now,
	}
}

// sameContent reports whether the current version was made of the same bytes in
// the same way.
func sameContent(row *manifest.Row, next *manifest.State) bool {
	return !row.Deleted && row.Content != "" && row.Content == next.Content && row.Config == next.Config
}

// refresh makes the version current without reading it. done is false when the
// row changed meanwhile and the content is no longer the same.
func (s *Service) refresh(ctx context.Context, w *work, next manifest.State, l *loaded) (row manifest.Row, done bool, err error) {
	row, err = s.rows.Change(ctx, w.name(), func(row *manifest.Row) error {
		done = sameContent(row, &next)
		if !done {
			return bus.ErrKeep
		}
		next := next
		next.Outcome = event.OutcomeUnchanged
		if next.Meta.Title == "" {
			next.Meta.Title = row.Meta.Title // found in the document
		}
		if l.unchanged {
			next.ETag, next.LastModified = row.ETag, row.LastModified
		}
		row.Refresh(next)
		return nil
	})
	return row, done, err
}

// cutVersion is part of every config hash. Raise it when parse or chunk make other
// chunks of the same bytes: every document is then cut anew at its next ingest.
const cutVersion = 1

// config names how the document is read and cut: what the chunks are made of
// besides the bytes.
func (s *Service) config(w *work) string {
	o, d := s.options(w.Tenant, w.collection), &w.document
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%s/%d/%d/%q/%q/%q", cutVersion, s.cfg.Encoding, o.MaxTokens, o.Overlap,
		d.MediaType, d.Title, nameOf(d)))
	return fmt.Sprintf("%x", sum[:8])
}

// remove makes a tombstone of a document and has the embedder remove its chunks.
func (s *Service) remove(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	job, err := event.DecodeDeleteJob(in.Subject, in.Data)
	if err != nil {
		return nil, err
	}
	if err := s.permits(&job.Envelope, job.Collection); err != nil {
		return nil, err
	}
	w := s.newWork(in, job.Envelope, event.KindDelete, job.Collection, event.Document{ID: job.Document, Version: job.Version})
	row, err := s.rows.Change(ctx, w.name(), func(row *manifest.Row) error {
		if row.Delete(manifest.State{
			Version: w.version, Job: w.ID, Outcome: event.OutcomeDeleted, Updated: s.p.Now().UTC()}) == manifest.Superseded {
			return bus.ErrKeep
		}
		return nil
	})
	return s.after(w, &row, err)
}
