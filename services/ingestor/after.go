package ingestor

import (
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/stage"
)

// after ends a job whose version is no longer pending: with its result, or first
// by way of the embedder when the store is to be settled.
func (s *Service) after(w *work, row *manifest.Row, err error) ([]bus.Out, error) {
	if err != nil {
		return nil, err
	}
	if row.Version != w.version || row.Job != w.ID {
		return s.result(w, row, event.OutcomeSuperseded)
	}
	if !row.Unsettled() && row.Outcome != event.OutcomeStored {
		return s.result(w, row, row.Outcome)
	}
	out, err := s.step(w, "settle", w.batch(s.cfg.EmbeddingModel, event.SettleOnly))
	return []bus.Out{out}, err
}

// batch is a message to the embedder without its chunks.
func (w *work) batch(model string, number int) event.ChunkBatch {
	b := event.ChunkBatch{
		Envelope: w.Envelope, Kind: w.kind, Collection: w.collection, Document: w.document, DocumentVersion: w.version,
		Model: model, Batch: number, Receipt: w.receipt,
	}
	b.Document.Text, b.Document.Data = "", nil
	return b
}

func (s *Service) step(w *work, name string, batch event.ChunkBatch) (bus.Out, error) {
	return stage.StepOut(event.EmbedSubject(batch.Model, w.Lane, w.Tenant), name, w.Envelope, batch)
}

// result ends the job here: there is nothing to embed or to remove.
func (s *Service) result(w *work, row *manifest.Row, outcome event.Outcome) ([]bus.Out, error) {
	now := s.p.Now().UTC()
	w.receipt.TotalMS = event.Milliseconds(now.Sub(w.SubmittedAt))
	end := w.ResultOf(w.kind, now)
	end.Ingested, end.Receipt = row.Ingested(w.collection, w.document.ID, w.version, outcome), w.receipt
	out, err := stage.ResultOut(end)
	return []bus.Out{out}, err
}
