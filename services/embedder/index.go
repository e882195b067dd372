package embedder

import (
	"context"
	"fmt"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/vector"
)

// index embeds and stores a document's chunks, then removes the chunks of its
// earlier versions, or its own when a later one was stored meanwhile. Point ids are made of the content, so a redelivery writes
// the same points again.
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
	if err != nil {
		return nil, fmt.Errorf("embedding document %s: %w", batch.Document.ID, err)
	}
	embedded := s.p.Now()
	doc := vector.Document{Scope: vector.Scope{Tenant: batch.Tenant, Collection: batch.Collection}, ID: batch.Document.ID}
	if err := s.store.Upsert(ctx, place, doc.Scope, s.points(&batch, vectors)); err != nil {
		return nil, fmt.Errorf("storing document %s: %w", doc.ID, err)
	}
	if err := s.store.DeleteStale(ctx, place, doc, batch.DocumentVersion); err != nil {
		return nil, fmt.Errorf("removing old chunks of document %s: %w", doc.ID, err)
	}

	receipt := batch.Receipt
	receipt.WaitingMS += event.Milliseconds(received.Sub(in.Stored))
	receipt.TotalMS = event.Milliseconds(s.p.Now().Sub(batch.SubmittedAt))
	attempt := event.Attempt{Model: s.cfg.Model, PromptTokens: usage, CostNanoUSD: s.guard.Price(s.cfg.Model, llm.Usage{PromptTokens: usage}),
		DurationMS: event.Milliseconds(embedded.Sub(received)), Catalog: s.catalog.Current().Revision}
	receipt.Add(attempt)
	stage.Charge(ctx, int64(usage))
	result, err := stage.ResultOut(event.Result{
		V: event.Version, ID: batch.ID, Tenant: batch.Tenant, Kind: event.KindIngest, Status: event.StatusOK,
		Ingested: &event.Ingested{Collection: batch.Collection, Document: doc.ID, Chunks: len(batch.Chunks),
			Tokens: tokens, Bytes: batch.Bytes},
		Receipt: receipt, FinishedAt: s.p.Now().UTC(),
	})
	if err != nil {
		return nil, err
	}
	line, err := ledger.LineOut(ledger.Line{
		V: event.Version, Tenant: batch.Tenant, Job: batch.ID, Step: call.Step, Epoch: call.Epoch, Call: 1,
		Model: attempt.Model, Catalog: attempt.Catalog, At: embedded.UTC(), Usage: llm.Usage{PromptTokens: usage},
		CostNanoUSD: attempt.CostNanoUSD, DurationMS: attempt.DurationMS,
	})
	if err != nil {
		return nil, err
	}
	return []bus.Out{line, result}, nil
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
