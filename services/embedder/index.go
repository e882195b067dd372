package embedder

import (
	"context"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/vector"
)

// index embeds and stores a document's chunks, then removes the chunks of its
// earlier versions, or its own when a later one was stored meanwhile. Point ids
// are made of the content, so a redelivery writes the same points again.
func (s *Service) index(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	received := s.p.Now()
	batch, err := event.Decode[event.ChunkBatch](in.Data)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(batch.Chunks))
	tokens := 0
	for i, c := range batch.Chunks {
		texts[i] = c.Prefix + c.Text
		tokens += c.Tokens
	}
	place, err := s.place()
	if err != nil {
		return nil, err
	}
	call := s.call(&batch, in)
	if err := s.guard.Afford(ctx, call, llm.Usage{PromptTokens: tokens}); err != nil {
		return nil, fmt.Errorf("embedding document %s: %w", batch.Document.ID, err)
	}
	vectors, usage, err := s.batcher.embed(ctx, call, texts)
	line := s.line(&batch, call, usage, received)
	receipt := batch.Receipt
	receipt.WaitingMS += event.Milliseconds(received.Sub(in.Stored))
	receipt.Add(event.Attempt{Model: line.Model, PromptTokens: usage, CostNanoUSD: line.CostNanoUSD, DurationMS: line.DurationMS, Catalog: line.Catalog})
	if err != nil {
		return nil, s.unfinished(ctx, line, receipt, fmt.Errorf("embedding document %s: %w", batch.Document.ID, err))
	}
	if err := s.write(ctx, place, &batch, vectors); err != nil {
		return nil, s.unfinished(ctx, line, receipt, err)
	}
	receipt.TotalMS = event.Milliseconds(s.p.Now().Sub(batch.SubmittedAt))
	stage.Charge(ctx, int64(usage))
	result, err := stage.ResultOut(event.Result{
		V: event.Version, ID: batch.ID, Tenant: batch.Tenant, Kind: event.KindIngest, Status: event.StatusOK,
		Ingested: &event.Ingested{Collection: batch.Collection, Document: batch.Document.ID, Chunks: len(batch.Chunks),
			Tokens: tokens, Bytes: batch.Bytes},
		Receipt: receipt, FinishedAt: s.p.Now().UTC(),
	})
	if err != nil {
		return nil, err
	}
	out, err := ledger.LineOut(line)
	return []bus.Out{out, result}, err
}

// write stores the chunks, and removes those of other versions.
func (s *Service) write(ctx context.Context, place vector.Index, batch *event.ChunkBatch, vectors [][]float32) error {
	doc := vector.Document{Scope: vector.Scope{Tenant: batch.Tenant, Collection: batch.Collection}, ID: batch.Document.ID}
	if err := s.store.Upsert(ctx, place, doc.Scope, s.points(batch, vectors)); err != nil {
		return fmt.Errorf("storing document %s: %w", doc.ID, err)
	}
	if err := s.store.DeleteStale(ctx, place, doc, batch.DocumentVersion); err != nil {
		return fmt.Errorf("removing old chunks of document %s: %w", doc.ID, err)
	}
	return nil
}

// line is the ledger's for what the document's embedding took.
func (s *Service) line(batch *event.ChunkBatch, call guard.Call, tokens int, since time.Time) ledger.Line {
	used, now := llm.Usage{PromptTokens: tokens}, s.p.Now()
	return ledger.Line{
		V: event.Version, Tenant: batch.Tenant, Job: batch.ID, Step: call.Step, Epoch: call.Epoch, Call: 1,
		Model: s.cfg.Model, Catalog: s.catalog.Current().Revision, At: now.UTC(), Usage: used,
		CostNanoUSD: s.guard.Price(s.cfg.Model, used), DurationMS: event.Milliseconds(now.Sub(since)),
	}
}

// unfinished accounts for vectors that were paid for and not stored: another
// delivery pays again.
func (s *Service) unfinished(ctx context.Context, line ledger.Line, receipt event.Receipt, err error) error {
	if line.Usage.PromptTokens == 0 {
		return err
	}
	out, lineErr := ledger.LineOut(line)
	if lineErr == nil {
		lineErr = s.bus.Publish(context.WithoutCancel(ctx), out)
	}
	if lineErr != nil {
		s.p.Logger.Warn("recording a call whose vectors are not stored", "job", line.Job, "error", lineErr)
	}
	return stage.WithReceipt(err, receipt)
}

// call is what the guard is told of a document.
func (s *Service) call(batch *event.ChunkBatch, in *bus.Message) guard.Call {
	tell := stage.TellWaiting(s.bus, batch.Envelope, "embedder", s.p.Now)
	return guard.Call{
		Tenant: batch.Tenant, Job: batch.ID, Step: "embed", Epoch: in.Epoch(), Lane: batch.Lane, Model: s.cfg.Model,
		Attempts: guard.DefaultAttempts,
		OnWait:   func(w guard.Wait) { tell(w.Reason, w.Until) },
	}
}

func (s *Service) points(batch *event.ChunkBatch, vectors [][]float32) []vector.Point {
	points := make([]vector.Point, len(batch.Chunks))
	for i, c := range batch.Chunks {
		points[i] = vector.Point{ID: c.ID, Vector: vectors[i], Chunk: vector.Chunk{
			Document: batch.Document.ID, Version: batch.DocumentVersion, Position: i, Text: c.Text,
			Source: batch.Document.Source, Title: batch.Document.Title, Section: c.Section,
			Start: c.Start, End: c.End, Created: batch.SubmittedAt, Metadata: batch.Document.Metadata,
		}}
	}
	return points
}
