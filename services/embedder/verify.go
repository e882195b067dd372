package embedder

import (
	"context"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/vector"
)

// maxFindings bounds the chunks named in a result.
const maxFindings = 1000

// verifyPage is how many points are looked at at once.
const verifyPage = 1000

// tombstoneAge is how long a removed document is remembered, so that a job of an
// earlier version that comes late doesn't bring it back. Dead letters, which may be
// published again, are kept as long.
const tombstoneAge = 30 * 24 * time.Hour

// verify compares the points of a tenant with the manifest, and mends the
// difference when the job says so. Documents may change meanwhile: what looks
// wrong is looked at again before it counts.
func (s *Service) verify(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	received := s.p.Now()
	job, err := event.DecodeVerifyJob(in.Subject, in.Data)
	if err != nil {
		return nil, err
	}
	if err := s.permits(&job.Envelope, job.Collection); err != nil {
		return nil, err
	}
	job.ID, job.SubmittedAt = in.JobID(job.ID), in.Stored.UTC()
	c := &check{s: s, job: &job, scope: vector.Scope{Tenant: job.Tenant, Collection: job.Collection}}
	places, err := s.written(ctx)
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		if err := c.run(ctx, place, i == 0); err != nil {
			return nil, fmt.Errorf("verifying %s: %w", place.Model, err)
		}
	}
	c.found.Fixed = job.Fix
	end := job.ResultOf(event.KindVerify, s.p.Now())
	end.Verified = &c.found
	return s.maintained(in, received, end)
}

// permits reports whether a tenant may use a collection and lane: jobs come from
// NATS, too, where nobody has looked.
func (s *Service) permits(job *event.Envelope, collection string) error {
	return s.catalog.Current().Permits(job.Tenant, catalog.Use{Lane: job.Lane, Collection: collection})
}

// check is one comparison.
type check struct {
	s     *Service
	job   *event.VerifyJob
	scope vector.Scope
	found event.Verified
}

// run compares one index with the manifest. Only that in force must be complete:
// one that is being filled is not yet, and what it lacks is nobody's loss.
func (c *check) run(ctx context.Context, place vector.Index, inForce bool) error {
	seen := map[manifest.ID]bool{}
	if err := c.points(ctx, place, seen); err != nil || !inForce {
		return err
	}
	for e, err := range c.s.rows.All(ctx, c.scope) {
		if err != nil {
			return err
		}
		if !e.Row.Deleted && e.Row.Version > 0 {
			c.found.Documents++
		}
		if err := c.row(ctx, place, e, seen); err != nil {
			return err
		}
	}
	return nil
}

// points looks for points that belong to no version.
func (c *check) points(ctx context.Context, place vector.Index, seen map[manifest.ID]bool) error {
	scan := vector.Scan{Scope: c.scope, Limit: verifyPage}
	for {
		page, err := c.s.vectors.Scan(ctx, place, scan)
		if err != nil || len(page) == 0 {
			return err
		}
		byDocument := map[vector.Document][]vector.Stored{}
		for _, p := range page {
			id, err := manifest.ParseID(p.ID)
			if err != nil {
				return err
			}
			seen[id] = true
			doc := vector.Document{Scope: vector.Scope{Tenant: p.Tenant, Collection: p.Collection}, ID: p.Chunk.Document}
			byDocument[doc] = append(byDocument[doc], p)
		}
		c.found.Points += len(page)
		for doc, points := range byDocument {
			if err := c.document(ctx, place, doc, points); err != nil {
				return err
			}
		}
		scan.After = page[len(page)-1].ID
		c.tell()
	}
}

// document compares some points of a document with its row as it is now.
func (c *check) document(ctx context.Context, place vector.Index, doc vector.Document, points []vector.Stored) error {
	row, err := c.s.rows.Get(ctx, doc)
	if err != nil {
		return err
	}
	suspects := wrong(&row, points)
	if len(suspects) == 0 {
		return nil
	}
	// The points were read before the row: what another worker has mended since is
	// not wrong.
	ids := make([]string, len(suspects))
	for i, p := range suspects {
		ids[i] = p.ID
	}
	if points, err = c.s.vectors.Get(ctx, place, doc.Scope, ids); err != nil {
		return err
	}
	meta := false
	for _, p := range wrong(&row, points) {
		id, _ := manifest.ParseID(p.ID) // points did it
		if row.Holds(id) {
			c.found.MetaStale++
			meta = true
			continue
		}
		c.found.OrphanCount++
		c.found.Orphans = c.name(c.found.Orphans, doc, id)
		if c.job.Fix {
			// A later version that writes it again keeps it.
			if err := c.s.vectors.Delete(ctx, place, doc, []string{p.ID}, p.Chunk.Version+1); err != nil {
				return err
			}
		}
	}
	if !meta || !c.job.Fix {
		return nil
	}
	return c.mend(ctx, doc, func(row *manifest.Row) error { row.MetaStale = !row.Deleted; return nil })
}

// wrong are those of a document's points that none of its versions wants, or whose
// meta is not the current one's. What the row itself knows of is left out.
func wrong(row *manifest.Row, points []vector.Stored) []vector.Stored {
	var ids manifest.IDs
	for _, p := range points {
		id, _ := manifest.ParseID(p.ID) // points did it
		ids = append(ids, id)
	}
	current, garbage := row.Chunks.Set(), map[manifest.ID]bool{}
	for _, id := range row.Garbage(ids) {
		garbage[id] = true
	}
	for _, id := range row.Stale {
		delete(garbage, id)
	}
	var out []vector.Stored
	for i, p := range points {
		otherMeta := current[ids[i]] && !row.MetaStale && !manifest.SameMeta(p.Chunk.Meta, row.Meta)
		if otherMeta || garbage[ids[i]] {
			out = append(out, p)
		}
	}
	return out
}

// row looks for chunks without a point, and for what was begun and not ended.
func (c *check) row(ctx context.Context, place vector.Index, e manifest.Entry, seen map[manifest.ID]bool) error {
	if err := c.unfinished(ctx, e); err != nil {
		return err
	}
	if c.job.Fix && e.Row.Deleted && c.s.p.Now().Sub(e.Row.Updated) > tombstoneAge {
		return c.s.rows.Forget(ctx, e.Document)
	}
	gone := map[manifest.ID]bool{}
	var look []string
	for _, r := range e.Row.Chunks {
		if !seen[r.ID] {
			gone[r.ID] = true
			look = append(look, r.ID.String())
		}
	}
	if len(look) == 0 {
		return nil
	}
	there, err := c.s.vectors.Get(ctx, place, e.Document.Scope, look) // stored since the scan?
	if err != nil {
		return err
	}
	for _, p := range there {
		id, _ := manifest.ParseID(p.ID) // it was made by String
		delete(gone, id)
	}
	row, err := c.s.rows.Get(ctx, e.Document)
	if err != nil || row.Version != e.Row.Version || len(gone) == 0 {
		return err // another version by now
	}
	for id := range gone {
		c.found.MissingCount++
		c.found.Missing = c.name(c.found.Missing, e.Document, id)
	}
	c.found.Reread = append(c.found.Reread, e.Document.Scope.Collection+"/"+e.Document.ID)
	if !c.job.Fix {
		return nil
	}
	return c.mend(ctx, e.Document, func(row *manifest.Row) error { return row.Lose(e.Row.Version, gone) })
}

// unfinished finds a pending version whose job has ended, and what is left to
// settle.
func (c *check) unfinished(ctx context.Context, e manifest.Entry) error {
	job, pending := e.Row.Job, e.Row.Pending
	switch {
	case pending != nil:
		job = pending.Job
	case !e.Row.Unsettled():
		return nil
	}
	ended, err := c.s.bus.Finished(ctx, e.Document.Scope.Tenant, job)
	if err != nil || !ended {
		return err
	}
	row, err := c.s.rows.Get(ctx, e.Document) // read after the result: a job that ended well has left nothing
	if err != nil || row.Settle() != e.Row.Settle() || pending == nil && !row.Unsettled() {
		return err
	}
	c.found.Unfinished++
	switch {
	case !c.job.Fix:
		return nil
	case pending != nil:
		return c.abandon(ctx, e.Document, pending)
	}
	return c.mend(ctx, e.Document, func(*manifest.Row) error { return bus.ErrKeep })
}

// abandon gives a pending version up. The current one is an older one, so settling
// the store after it leaves what the pending one wrote.
func (c *check) abandon(ctx context.Context, doc vector.Document, p *manifest.Pending) error {
	var stale manifest.IDs
	row, err := c.s.rows.Change(ctx, doc, func(row *manifest.Row) error {
		err := row.Abandon(p.Job)
		stale = nil
		if err == nil {
			stale = row.Stale
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := c.s.remove(ctx, doc, stale, p.Version); err != nil {
		return err
	}
	_, err = c.s.settle(ctx, doc, row)
	return err
}

// mend changes a row and settles the store after it.
func (c *check) mend(ctx context.Context, doc vector.Document, change func(*manifest.Row) error) error {
	row, err := c.s.rows.Change(ctx, doc, change)
	if err != nil {
		return err
	}
	_, err = c.s.settle(ctx, doc, row)
	return err
}

func (c *check) name(list []event.Finding, doc vector.Document, id manifest.ID) []event.Finding {
	if len(list) >= maxFindings {
		return list
	}
	return append(list, event.Finding{Collection: doc.Scope.Collection, Document: doc.ID, Chunk: id.String()})
}

func (c *check) tell() {
	if c.job.Tenant == "" { // a migration's, which tells for itself
		return
	}
	life := event.Life{Type: event.LifeProgress, Stage: "embedder", Progress: &event.Progress{Done: c.found.Points}}
	c.s.bus.Publish(context.Background(), stage.LifeOut(c.job.Tenant, c.job.ID, c.s.p.Now(), life)) //nolint:errcheck // a view of the job
}
