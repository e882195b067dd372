package embedder

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/services/embedder/internal/batch"
)

const (
	// textSlots is how many embed jobs are in work for each slot of documents: many
	// hold one short text, and calls are shared among those in work.
	textSlots = 4
	// portion is how many texts of a job are embedded before their cost is stored: a
	// crash leaves no more than that unaccounted for.
	portion = 512
)

// textRunner takes embed jobs.
func (s *Service) textRunner() (*stage.Runner, error) {
	cfg := s.cfg.Stage("embedder", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.JobConsumer("embedder-texts", event.KindEmbed, lane, fleet)
	})
	cfg.Instance, cfg.Timeout = "texts", stage.NoTimeout
	cfg.Share, cfg.Paused = s.guard.Share, s.guard.Broke
	for i := range cfg.Sources {
		cfg.Sources[i].Slots *= textSlots
	}
	return stage.New(cfg, s.bus, stage.HandlerFunc(s.embedTexts), s.p)
}

// textJob is one delivery of an embed job.
type textJob struct {
	event.EmbedJob
	in      *bus.Message
	model   catalog.Model
	tell    func(reason string, wait event.Wait)
	receipt event.Receipt
	done    event.Embedded
}

// embedTexts does an embed job. Its result holds the vectors; a redelivery gets them
// anew.
func (s *Service) embedTexts(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	received := s.p.Now()
	j := &textJob{in: in}
	var err error
	if j.EmbedJob, err = event.DecodeEmbedJob(in.Subject, in.Data); err != nil {
		return nil, err
	}
	j.ID, j.SubmittedAt = in.JobID(j.ID), in.Stored.UTC()
	if j.model, err = s.textModel(ctx, j.Model); err != nil {
		return nil, err
	}
	if err = s.catalog.Current().Permits(j.Tenant, catalog.Use{Lane: j.Lane, Model: j.model.ID}); err != nil {
		return nil, err // jobs come from NATS, too, where nobody has looked
	}
	j.receipt.WaitingMS = event.Milliseconds(received.Sub(in.Stored))
	j.tell = stage.TellWaiting(s.bus, j.Envelope, "embedder", s.p.Now)
	texts := make([]batch.Text, len(j.Inputs))
	for i, text := range j.Inputs {
		texts[i] = batch.Text{Text: text, Tokens: s.guard.CountText(j.model.ID, text), Name: fmt.Sprintf("inputs[%d]", i)}
	}
	if err := s.batcher.Fit(j.model.ID, texts); err != nil {
		return nil, err
	}
	for n := 0; len(texts) > 0; n++ {
		size := min(portion, len(texts))
		if err := s.embedPortion(ctx, j, n, texts[:size]); err != nil {
			return nil, stage.WithReceipt(err, j.receipt)
		}
		texts = texts[size:]
	}
	return s.embedded(j)
}

// textModel is the model that a job names, or the one in force.
func (s *Service) textModel(ctx context.Context, name string) (catalog.Model, error) {
	if name == "" {
		var err error
		if name, err = s.model(ctx); err != nil {
			return catalog.Model{}, err
		}
	}
	c := s.catalog.Current()
	if m, ok := c.Model(name); ok && m.Mode == catalog.ModeEmbedding {
		return m, nil
	}
	var known []string
	for _, m := range c.EmbeddingModels() {
		known = append(known, m.ID)
	}
	return catalog.Model{}, event.Invalid("model", "leave it out or use one of "+strings.Join(known, ", "), "unknown embedding model %q", name)
}

// embedPortion gets the vectors of the n-th portion of a job's texts, and stores what
// they cost.
func (s *Service) embedPortion(ctx context.Context, j *textJob, n int, texts []batch.Text) error {
	call := guard.Call{
		Tenant: j.Tenant, Job: j.ID, Step: fmt.Sprint("embed-", n), Epoch: j.in.Epoch(), Lane: j.Lane, Model: j.model.ID,
		Attempts: guard.DefaultAttempts,
		OnWait:   func(w guard.Wait) { j.tell(w.Reason, w.Event()) },
	}
	expected := 0
	for _, t := range texts {
		expected += t.Tokens
	}
	if err := s.guard.Afford(ctx, call, llm.Usage{PromptTokens: expected}); err != nil {
		return fmt.Errorf("embedding texts: %w", err)
	}
	since := s.p.Now()
	vectors, used, err := s.batcher.EmbedPlain(ctx, call, texts)
	if used > 0 || err == nil {
		if lineErr := s.bookPortion(ctx, j, call, used, since); lineErr != nil {
			return lineErr
		}
	}
	if err != nil {
		return fmt.Errorf("embedding texts: %w", err)
	}
	for _, v := range vectors {
		j.done.Vectors = append(j.done.Vectors, littleEndian(v))
	}
	j.done.Dimensions = len(vectors[0])
	return nil
}

// bookPortion accounts for the calls of a portion, at once: the job may not come to
// its end.
func (s *Service) bookPortion(ctx context.Context, j *textJob, call guard.Call, used int, since time.Time) error {
	line := s.line(call, used)
	line.DurationMS = event.Milliseconds(line.At.Sub(since))
	j.done.Tokens += used
	j.receipt.GeneratingMS += line.DurationMS
	j.receipt.Add(event.Attempt{Model: line.Model, PromptTokens: used, CostNanoUSD: line.CostNanoUSD, DurationMS: line.DurationMS, Catalog: line.Catalog})
	stage.Charge(ctx, int64(used))
	out, err := ledger.LineOut(line)
	if err != nil {
		return err
	}
	return s.bus.Publish(context.WithoutCancel(ctx), out)
}

// embedded is the result of a job.
func (s *Service) embedded(j *textJob) ([]bus.Out, error) {
	now := s.p.Now()
	j.done.Model = j.model.ID
	j.receipt.TotalMS = event.Milliseconds(now.Sub(j.SubmittedAt))
	end := j.ResultOf(event.KindEmbed, now)
	end.Embedded, end.Receipt = &j.done, j.receipt
	out, err := stage.ResultOut(end)
	return []bus.Out{out}, err
}

// littleEndian is a vector as results hold it.
func littleEndian(v []float32) []byte {
	out := slices.Grow([]byte(nil), 4*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}
