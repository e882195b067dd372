package embedder

import (
	"context"
	"fmt"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/vector"
)

// finish settles the store after the document's current version and ends the job
// that made it.
func (s *Service) finish(ctx context.Context, d *delivery, row manifest.Row) ([]bus.Out, error) {
	row, err := s.settle(ctx, d.name(), row)
	if err != nil {
		return nil, s.unfinished(ctx, d, err)
	}
	if row.Version != d.DocumentVersion || row.Job != d.ID {
		return s.end(d, &row, event.OutcomeSuperseded)
	}
	return s.end(d, &row, row.Outcome)
}

// settle removes what the row calls stale and writes new meta, until nothing is
// left to do.
func (s *Service) settle(ctx context.Context, doc vector.Document, row manifest.Row) (manifest.Row, error) {
	for row.Unsettled() {
		if err := s.settleOnce(ctx, doc, &row); err != nil {
			return row, fmt.Errorf("removing old chunks of document %s: %w", doc.ID, err)
		}
		seen, wrote, meta := row.Settle(), row.MetaStale, row.Meta
		var err error
		row, err = s.rows.Change(ctx, doc, func(row *manifest.Row) error {
			switch {
			case row.Settled(seen):
				return nil
			case wrote:
				return row.MetaWritten(meta)
			}
			return bus.ErrKeep
		})
		if err != nil {
			return row, err
		}
	}
	return row, nil
}

func (s *Service) settleOnce(ctx context.Context, doc vector.Document, row *manifest.Row) error {
	places, err := s.written(ctx)
	if err != nil {
		return err
	}
	for _, place := range places {
		if row.Deleted {
			if err := s.vectors.DeleteDocument(ctx, place, doc, row.Version); err != nil {
				return err
			}
		}
		if len(row.Stale) > 0 && row.Pending == nil {
			if err := s.vectors.Delete(ctx, place, doc, row.Stale.Strings(), row.Before()); err != nil {
				return err
			}
		}
		if row.MetaStale && !row.Deleted {
			if err := s.vectors.SetMeta(ctx, place, doc, row.Meta); err != nil {
				return err
			}
		}
	}
	return nil
}

// superseded removes what the batch stored that no version wants, and ends its
// job: a later version was there first.
func (s *Service) superseded(ctx context.Context, d *delivery, row manifest.Row) ([]bus.Out, error) {
	if err := s.withdraw(ctx, d, &row); err != nil {
		return nil, s.unfinished(ctx, d, err)
	}
	if p := row.Pending; p != nil && p.Version == d.DocumentVersion && p.Job == d.ID {
		return d.lines, nil // its document was cut in another way meanwhile, whose batches end the job
	}
	return s.end(d, &row, event.OutcomeSuperseded)
}

// withdraw removes those of the batch's chunks that no version wants. Those that
// one does may have got this version's meta.
func (s *Service) withdraw(ctx context.Context, d *delivery, row *manifest.Row) error {
	garbage := row.Garbage(d.ids)
	if len(garbage) > 0 {
		if err := s.remove(ctx, d.name(), garbage, d.DocumentVersion); err != nil {
			return fmt.Errorf("removing chunks of a superseded version: %w", err)
		}
	}
	if len(garbage) == len(d.ids) {
		return nil
	}
	changed, err := s.rows.Change(ctx, d.name(), func(row *manifest.Row) error { return row.MetaWritten(d.meta()) })
	if err == nil {
		*row, err = s.settle(ctx, d.name(), changed)
	}
	return err
}

// remove removes chunks of a document as they were written up to a version.
func (s *Service) remove(ctx context.Context, doc vector.Document, ids manifest.IDs, version int64) error {
	places, err := s.written(ctx)
	if err != nil {
		return err
	}
	for _, place := range places {
		if err := s.vectors.Delete(ctx, place, doc, ids.Strings(), version+1); err != nil {
			return err
		}
	}
	return nil
}

// end is the result of the job, after its lines for the ledger.
func (s *Service) end(d *delivery, row *manifest.Row, outcome event.Outcome) ([]bus.Out, error) {
	receipt := d.Receipt
	if outcome == event.OutcomeSuperseded {
		manifest.AddWork(&receipt, d.work)
	} else {
		manifest.AddWork(&receipt, row.Work...)
	}
	now := s.p.Now().UTC()
	receipt.TotalMS = event.Milliseconds(now.Sub(d.SubmittedAt))
	end := d.ResultOf(d.Kind, now)
	end.Ingested, end.Receipt = row.Ingested(d.Collection, d.Document.ID, d.DocumentVersion, outcome), receipt
	result, err := stage.ResultOut(end)
	return append(d.lines, result), err
}
