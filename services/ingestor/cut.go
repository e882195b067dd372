package ingestor

import (
	"context"
	"fmt"
	"strings"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/chunk"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/parse"
	"github.com/weir-dev/weir/pkg/stage"
)

// cut parses a document and sends its chunks on.
func (s *Service) cut(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	received := s.p.Now()
	job, err := event.DecodeIngestJob(in.Subject, in.Data)
	if err != nil {
		return nil, err
	}
	job.ID, job.SubmittedAt = in.JobID(job.ID), in.Stored.UTC()
	doc, err := s.parse(ctx, &job.Document)
	if err != nil {
		return nil, err
	}
	pieces, err := chunk.Split(doc, s.options)
	if err != nil {
		return nil, fmt.Errorf("cutting document %s: %w", job.Document.ID, err)
	}
	s.metrics.observe(len(pieces), len(doc.Text))

	batch := event.ChunkBatch{
		Envelope: job.Envelope, Collection: job.Collection, Document: job.Document, Model: s.cfg.EmbeddingModel,
		DocumentVersion: in.Stored.UnixMicro(), Bytes: len(doc.Text), Chunks: chunks(&job, pieces),
	}
	batch.Document.Text, batch.Document.Data = "", nil
	if batch.Document.Title == "" {
		batch.Document.Title = doc.Title
	}
	batch.Receipt.WaitingMS = event.Milliseconds(received.Sub(in.Stored))
	out, err := stage.StepOut(event.EmbedSubject(batch.Model, batch.Lane, batch.Tenant), "embed", batch.Envelope, batch)
	if err != nil {
		return nil, err
	}
	chunked := event.Life{Type: event.LifeChunked, Stage: "ingestor", Attempt: in.Deliveries,
		Detail: fmt.Sprintf("%d chunks", len(pieces))}
	return []bus.Out{out, stage.LifeOut(batch.Tenant, batch.ID, s.p.Now(), chunked)}, nil
}

func (s *Service) parse(ctx context.Context, d *event.Document) (parse.Document, error) {
	data, mediaType := d.Data, d.MediaType
	if d.Text != "" {
		data = []byte(d.Text)
		mediaType, _, _ = strings.Cut(mediaType, ";") // it was decoded: its charset says nothing any more
	}
	name := d.Source
	if name == "" {
		name = d.ID
	}
	doc, err := parse.Parse(ctx, parse.Input{
		Name: name, MediaType: mediaType, Data: data, Limits: parse.Limits{MaxBytes: s.cfg.MaxDocumentBytes}})
	if d.Title != "" {
		doc.Title = d.Title
	}
	return doc, err
}

// chunks names the pieces. Equal text in one document is told apart by its
// occurrence, so that no chunk overwrites another.
func chunks(job *event.IngestJob, pieces []chunk.Chunk) []event.Chunk {
	seen := map[string]int{}
	out := make([]event.Chunk, len(pieces))
	for i, p := range pieces {
		content := p.EmbedText()
		out[i] = event.Chunk{
			ID:     event.ChunkID(job.Tenant, job.Collection, job.Document.ID, content, seen[content]),
			Prefix: p.Prefix, Text: p.Text, Section: p.Section, Start: p.Start, End: p.End, Tokens: p.Tokens,
		}
		seen[content]++
	}
	return out
}
