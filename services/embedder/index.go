package embedder

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/migration"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/vector"
	"github.com/weir-dev/weir/services/embedder/internal/batch"
)

// delivery is one delivery of a batch of a document's chunks.
type delivery struct {
	event.ChunkBatch
	in       *bus.Message
	received time.Time
	ids      manifest.IDs
	lines    []bus.Out // for the ledger
	work     manifest.Work
}

func (d *delivery) name() vector.Document {
	return vector.Document{Scope: vector.Scope{Tenant: d.Tenant, Collection: d.Collection}, ID: d.Document.ID}
}

func (d *delivery) meta() vector.Meta {
	return vector.Meta{Source: d.Document.Source, Title: d.Document.Title, Metadata: d.Document.Metadata, ACL: d.Document.ACL}
}

// index stores a batch of a document's chunks and marks it in the manifest. The
// mark of the last batch makes the version current; what it leaves over is then
// removed. Point ids are made of the content, so a redelivery writes the same
// points again.
func (s *Service) index(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	d := &delivery{in: in, received: s.p.Now()}
	var err error
	if d.ChunkBatch, err = event.Decode[event.ChunkBatch](in.Data); err != nil {
		return nil, err
	}
	for _, c := range d.Chunks {
		id, err := manifest.ParseID(c.ID)
		if err != nil {
			return nil, event.Invalid("chunks", "only ingestors send chunks", "%v", err)
		}
		d.ids = append(d.ids, id)
	}
	row, err := s.rows.Get(ctx, d.name())
	if err != nil {
		return nil, err
	}
	switch verdict := s.wanted(d, &row); verdict {
	case manifest.Current:
		return s.finish(ctx, d, row)
	case manifest.Superseded:
		return s.superseded(ctx, d, row)
	}
	if row.Pending.Work[d.Batch].Done {
		return nil, nil // stored by an earlier delivery
	}
	return s.store(ctx, d)
}

// wanted says what is to be done about the batch, before anything is paid for.
func (s *Service) wanted(d *delivery, row *manifest.Row) manifest.Verdict {
	if d.Batch == event.SettleOnly {
		return row.Settles(d.DocumentVersion, d.ID)
	}
	return row.Wants(d.DocumentVersion, d.ID, d.Batch, d.ids)
}

// store embeds the chunks, stores them, and marks the batch.
func (s *Service) store(ctx context.Context, d *delivery) ([]bus.Out, error) {
	d.work.WaitingMS = event.Milliseconds(d.received.Sub(d.in.Stored))
	if err := s.storeInAll(ctx, d); err != nil {
		return nil, s.unfinished(ctx, d, err)
	}
	// Before the mark: a delivery that finds the batch marked knows of no calls.
	if err := s.bus.Publish(ctx, d.lines...); err != nil {
		return nil, s.unfinished(ctx, d, err)
	}
	d.lines = nil
	verdict := manifest.Proceed
	row, err := s.rows.Change(ctx, d.name(), func(row *manifest.Row) error {
		verdict = row.Mark(d.DocumentVersion, d.ID, d.Batch, d.ids, d.work)
		if verdict == manifest.Superseded {
			return bus.ErrKeep
		}
		return nil
	})
	if err != nil {
		return nil, s.unfinished(ctx, d, err)
	}
	switch verdict {
	case manifest.Superseded:
		return s.superseded(ctx, d, row)
	case manifest.Current:
		return s.finish(ctx, d, row)
	}
	done := event.Life{Type: event.LifeEmbedded, Stage: "embedder", Attempt: d.in.Deliveries,
		Progress: &event.Progress{Done: row.Pending.Done(), Total: len(row.Pending.Added)}}
	return []bus.Out{stage.LifeOut(d.Tenant, d.ID, s.p.Now(), done)}, nil
}

// storeInAll stores the chunks in each index that is written. Vectors may be waited
// for for long: an index that is added meanwhile gets the chunks as well, since a
// migration that has passed by no more looks for them, and one that was given up is
// left out.
func (s *Service) storeInAll(ctx context.Context, d *delivery) error {
	done := map[vector.Index]bool{}
	for {
		places, err := s.written(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(places, func(p vector.Index) bool { return !done[p] })
		if i < 0 {
			return nil
		}
		place := places[i]
		if err := s.storeIn(ctx, d, place, len(done) == 0); err != nil {
			if now, lookErr := s.written(ctx); lookErr != nil || slices.Contains(now, place) {
				return err
			}
		}
		done[place] = true
	}
}

// storeIn gets the chunks' vectors of one model, from what the tenant has stored
// or from the provider, and stores the chunks. When some vectors can't be had, the
// others are stored all the same: the next delivery finds them there.
func (s *Service) storeIn(ctx context.Context, d *delivery, place vector.Index, first bool) error {
	vectors, missing, err := s.known(ctx, d, place)
	if err != nil {
		return fmt.Errorf("looking for stored vectors of document %s: %w", d.Document.ID, err)
	}
	var embedding error
	if len(missing) > 0 {
		embedding = s.embed(ctx, d, place.Model, vectors, missing)
	}
	if first {
		d.work.Reused, d.work.Embedded = len(d.Chunks)-len(missing), len(missing)
	}
	if err := s.put(ctx, d, place, vectors); err != nil {
		return fmt.Errorf("storing document %s: %w", d.Document.ID, err)
	}
	return embedding
}

// known returns the vectors that the tenant has stored of equal chunks, in any of
// its documents, and the indexes of the chunks without.
func (s *Service) known(ctx context.Context, d *delivery, place vector.Index) (vectors [][]float32, missing []int, err error) {
	hashes := make([]string, len(d.Chunks))
	for i, c := range d.Chunks {
		hashes[i] = c.Hash
	}
	vectors = make([][]float32, len(d.Chunks))
	var stored map[string][]float32
	if len(hashes) > 0 {
		stored, err = s.vectors.Vectors(ctx, place, d.Tenant, hashes)
	}
	for i, hash := range hashes {
		if vectors[i] = stored[hash]; vectors[i] == nil {
			missing = append(missing, i)
		}
	}
	return vectors, missing, err
}

// embed fills in the missing vectors. On an error some may still be missing.
func (s *Service) embed(ctx context.Context, d *delivery, model string, vectors [][]float32, missing []int) error {
	texts, tokens := make([]batch.Text, len(missing)), 0
	for n, i := range missing {
		c := d.Chunks[i]
		texts[n] = batch.Text{Text: c.Prefix + c.Text, Tokens: c.Tokens}
		tokens += c.Tokens
	}
	call := s.call(d, model)
	if err := s.guard.Afford(ctx, call, llm.Usage{PromptTokens: tokens}); err != nil {
		return fmt.Errorf("embedding document %s: %w", d.Document.ID, err)
	}
	since := s.p.Now()
	got, usage, err := s.batcher.Embed(ctx, call, texts)
	for n, i := range missing {
		if n < len(got) {
			vectors[i] = got[n]
		}
	}
	if usage > 0 || err == nil {
		if lineErr := s.book(ctx, d, call, usage, since); lineErr != nil {
			return lineErr
		}
	}
	if err != nil {
		return fmt.Errorf("embedding document %s: %w", d.Document.ID, err)
	}
	return nil
}

// book accounts for one model's embedding of the batch.
func (s *Service) book(ctx context.Context, d *delivery, call guard.Call, tokens int, since time.Time) error {
	line := s.line(call, tokens)
	line.DurationMS = event.Milliseconds(line.At.Sub(since))
	d.work.Attempts = append(d.work.Attempts, event.Attempt{Model: line.Model, PromptTokens: tokens, CostNanoUSD: line.CostNanoUSD,
		DurationMS: line.DurationMS, Catalog: line.Catalog})
	stage.Charge(ctx, int64(tokens))
	out, err := ledger.LineOut(line)
	d.lines = append(d.lines, out)
	return err
}

// line is the line of the ledger for a call that has just ended.
func (s *Service) line(call guard.Call, tokens int) ledger.Line {
	used := llm.Usage{PromptTokens: tokens}
	return ledger.Line{
		V: event.Version, Tenant: call.Tenant, Job: call.Job, Step: call.Step, Epoch: call.Epoch, Call: 1, Model: call.Model,
		Catalog: s.catalog.Current().Revision, At: s.p.Now().UTC(), Usage: used, CostNanoUSD: s.guard.Price(call.Model, used),
	}
}

// call is what the guard is told of a batch.
func (s *Service) call(d *delivery, model string) guard.Call {
	tell := stage.TellWaiting(s.bus, d.Envelope, "embedder", s.p.Now)
	return guard.Call{
		Tenant: d.Tenant, Job: d.ID, Step: fmt.Sprintf("embed-%d-%s", d.Batch, model), Epoch: d.in.Epoch(), Lane: d.Lane, Model: model,
		Attempts: guard.DefaultAttempts,
		OnWait:   func(w guard.Wait) { tell(w.Reason, w.Event()) },
	}
}

// put stores the chunks that have a vector.
func (s *Service) put(ctx context.Context, d *delivery, place vector.Index, vectors [][]float32) error {
	var points []vector.Point
	for i, c := range d.Chunks {
		if vectors[i] == nil {
			continue
		}
		bm25, grams := s.sparse.Passage(c.Prefix + c.Text)
		points = append(points, vector.Point{
			ID: c.ID, Dense: vectors[i], BM25: bm25, Grams: grams,
			Chunk: vector.Chunk{
				Document: d.Document.ID, Version: d.DocumentVersion, Hash: c.Hash, Prefix: c.Prefix, Text: c.Text,
				Tokens: c.Tokens, Section: c.Section, Created: d.SubmittedAt,
				Meta: d.meta(),
			},
		})
	}
	if len(points) == 0 {
		return nil
	}
	return s.vectors.Upsert(ctx, place, d.name().Scope, points)
}

// unfinished accounts for what a delivery took that didn't get to its end: the
// next one pays only for what is still missing. Should there be none, the failed
// result shows what all deliveries of the version's batches took.
func (s *Service) unfinished(ctx context.Context, d *delivery, err error) error {
	ctx = context.WithoutCancel(ctx)
	if lineErr := s.bus.Publish(ctx, d.lines...); lineErr != nil {
		s.p.Logger.Warn("recording calls of an unfinished batch", "job", d.ID, "error", lineErr)
	}
	row, noteErr := s.rows.Change(ctx, d.name(), func(row *manifest.Row) error {
		if len(d.work.Attempts) == 0 {
			return bus.ErrKeep
		}
		return row.Note(d.DocumentVersion, d.ID, d.Batch, d.work.Attempts)
	})
	if noteErr != nil {
		s.p.Logger.Warn("noting calls of an unfinished batch", "job", d.ID, "error", noteErr)
	}
	receipt := d.Receipt
	switch p := row.Pending; {
	case noteErr == nil && row.Version == d.DocumentVersion && row.Job == d.ID:
		manifest.AddWork(&receipt, row.Work...)
	case noteErr == nil && p != nil && p.Version == d.DocumentVersion && p.Job == d.ID:
		manifest.AddWork(&receipt, p.Work...)
	default:
		manifest.AddWork(&receipt, d.work)
	}
	return stage.WithReceipt(err, receipt)
}

// written are the places of documents. That the catalog lacks a model is not the
// job's fault: it is kept for when the catalog has it.
func (s *Service) written(ctx context.Context) ([]vector.Index, error) {
	places, err := s.places(ctx)
	return places, unfit(err)
}

// unfit makes trouble with the settings pass for trouble that may pass.
func unfit(err error) error {
	if e := event.AsError(err); e != nil && e.Class == event.ClassInvalid {
		return &event.Error{Class: event.ClassUnavailable, Field: e.Field, Message: e.Message, Hint: e.Hint, Err: err}
	}
	return err
}

// places are where chunks are stored: the index of the model in force and, while
// another one takes over, its as well.
func (s *Service) places(ctx context.Context) ([]vector.Index, error) {
	state, err := s.record.Get(ctx)
	if err != nil {
		return nil, err
	}
	return s.placesOf(&state)
}

func (s *Service) placesOf(state *migration.State) ([]vector.Index, error) {
	names := state.Models(s.cfg.Model)
	places := make([]vector.Index, len(names))
	for i, name := range names {
		var err error
		if places[i], err = s.place(name); err != nil {
			return nil, err
		}
	}
	return places, nil
}

// place is where a model's vectors are kept.
func (s *Service) place(model string) (vector.Index, error) {
	m, err := s.catalog.Current().Embedding("WEIR_EMBEDDER_MODEL", strings.TrimSpace(model))
	return vector.Index{Name: vector.DefaultIndex, Model: m.ID, Dimension: m.Dimensions}, err
}
