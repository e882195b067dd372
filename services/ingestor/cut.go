package ingestor

import (
	"context"
	"fmt"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/chunk"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/parse"
	"github.com/weir-dev/weir/pkg/stage"
)

// cut reads the document, makes it the pending version, and sends on those of its
// chunks that the current version doesn't have.
func (s *Service) cut(ctx context.Context, w *work, state manifest.State, l *loaded) ([]bus.Out, error) {
	doc, err := parse.Parse(ctx, parse.Input{
		Name: nameOf(&w.document), MediaType: l.mediaType, Data: l.data, PDF: s.ports.PDF,
		Limits: parse.Limits{MaxBytes: s.cfg.MaxDocumentBytes},
	})
	if err != nil {
		return nil, err
	}
	if w.document.Title != "" {
		doc.Title = w.document.Title
	}
	w.document.Title, state.Meta.Title = doc.Title, doc.Title
	pieces, err := chunk.Split(doc, s.options(w.Tenant, w.collection))
	if err != nil {
		return nil, fmt.Errorf("cutting document %s: %w", w.document.ID, err)
	}
	if n := len(pieces); n > manifest.MaxChunks {
		return nil, &event.Error{Class: event.ClassTooLarge, Field: "document",
			Message: fmt.Sprintf("document has %d chunks, the limit is %d", n, manifest.MaxChunks), Hint: "split the document, or make chunks larger"}
	}
	s.metrics.observe(len(pieces), len(doc.Text))
	chunks := chunks(w, pieces)
	state.MediaType, state.KeepsText, state.Bytes = doc.MediaType, parse.KeepsText(doc.MediaType), len(doc.Text)
	for i, c := range chunks {
		id, err := manifest.ParseID(c.ID)
		if err != nil {
			return nil, err
		}
		p := pieces[i]
		state.Chunks = append(state.Chunks, manifest.Ref{ID: id, Start: p.Start, End: p.End, Overlap: p.Overlap, Page: p.FirstPage})
		state.Tokens += p.Tokens
	}
	verdict := manifest.Proceed
	row, err := s.rows.Change(ctx, w.name(), func(row *manifest.Row) error {
		if verdict = row.Begin(pending(row, state)); verdict == manifest.Proceed {
			return nil
		}
		return bus.ErrKeep
	})
	if err != nil || verdict != manifest.Proceed {
		return s.after(w, &row, err)
	}
	return s.send(w, row.Pending, chunks)
}

// pending is the version with its chunks that the row's current version lacks.
func pending(row *manifest.Row, next manifest.State) manifest.Pending {
	p := manifest.Pending{State: next}
	have := row.Chunks.Set()
	for i, c := range next.Chunks {
		if !have[c.ID] {
			p.Added = append(p.Added, i)
		}
	}
	return p
}

// chunks names the pieces. Equal text in one document is told apart by its
// occurrence, so that no chunk overwrites another.
func chunks(w *work, pieces []chunk.Chunk) []event.Chunk {
	seen := map[string]int{}
	out := make([]event.Chunk, len(pieces))
	for i, p := range pieces {
		content := p.EmbedText()
		out[i] = event.Chunk{
			ID:   event.ChunkID(w.Tenant, w.collection, w.document.ID, content, seen[content]),
			Hash: event.ChunkHash(content), Prefix: p.Prefix, Text: p.Text, Section: p.Section, Tokens: p.Tokens,
		}
		seen[content]++
	}
	return out
}

// send makes the messages of a pending version, one per batch that is not yet
// stored.
func (s *Service) send(w *work, p *manifest.Pending, chunks []event.Chunk) ([]bus.Out, error) {
	var outs []bus.Out
	for b, done := range p.Work {
		if done.Done {
			continue
		}
		batch := w.batch(s.cfg.EmbeddingModel, b)
		tokens := 0
		for _, i := range p.BatchOf(b) {
			batch.Chunks = append(batch.Chunks, chunks[i])
			tokens += chunks[i].Tokens
		}
		// Another cut of the same job, or other bytes at its URL, is another message.
		out, err := s.step(w, fmt.Sprintf("embed-%s-%s-%d", p.Config, p.Content, b), batch)
		if err != nil {
			return nil, err
		}
		out.Header.Set(stage.HeaderTokens, fmt.Sprint(max(1, tokens)))
		outs = append(outs, out)
	}
	chunked := event.Life{Type: event.LifeChunked, Stage: "ingestor", Attempt: w.deliveries,
		Detail:   fmt.Sprintf("%d chunks, %d of them new", len(chunks), len(p.Added)),
		Progress: &event.Progress{Done: p.Done(), Total: len(p.Added)}}
	return append(outs, stage.LifeOut(w.Tenant, w.ID, s.p.Now(), chunked)), nil
}
