// Package batch joins texts of many documents, or of many questions, into calls for
// their vectors.
//
//	Embed ─► queue of a model and lane ─► a batch: full, or Linger over ─► guard
//	EmbedPlain ─► the same of embed jobs ─► at once, or Linger       ─► guard
//	Query ─► queue of the model's questions ─► at once, or QueryLinger  ─► guard
//
// Each queue has calls of its own, so that none waits behind another: questions not
// behind documents, interactive documents not behind a backlog, one model not behind
// the outage of another. While calls wait for admission the next batch fills.
package batch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

// Config is how calls are made. All fields are set and more than 0, but for the
// lingers.
type Config struct {
	// Limits of one call, beside those of the catalog.
	Limits
	// Linger is how long a call waits to be filled up with other documents' texts;
	// QueryLinger is the same for questions, which wait only while a call is under
	// way.
	Linger, QueryLinger time.Duration
	// Calls and QueryCalls are how many calls are made at once for the documents of
	// a model and lane, and for the questions to a model.
	Calls, QueryCalls int
}

// Embedder is what is needed of the guard.
type Embedder interface {
	Embed(ctx context.Context, c guard.Call, req llm.EmbedRequest) (llm.EmbedResponse, guard.Report, error)
}

// Batcher makes the calls. It is safe for concurrent use. Its goroutines end with
// the calls that Embed and Query wait for.
type Batcher struct {
	cfg      Config
	embedder Embedder
	catalog  guard.Catalog
	metrics  *Metrics

	mu     sync.Mutex
	queues map[key]*queue
}

// key is what texts of one call have in common.
type key struct {
	model string
	lane  event.Lane
	kind  kind
}

// kind is what texts are embedded for.
type kind string

const (
	passages  kind = "documents"
	questions kind = "queries"
	plain     kind = "texts" // of embed jobs, without a prefix
)

// New returns a batcher.
func New(cfg Config, e Embedder, c guard.Catalog, m *Metrics) *Batcher {
	return &Batcher{cfg: cfg, embedder: e, catalog: c, metrics: m, queues: map[key]*queue{}}
}

// Text is a text to be embedded. The model's prefix is put before it.
type Text struct {
	Text string
	// Tokens by our own count, 0 if not known.
	Tokens int
	// Name is what errors call it; "" is its place among the others.
	Name string
}

// Embed returns a vector per text, in their order, and the tokens they took. The
// texts share calls with those of other documents of the same model and lane; a call
// is as call says of the first document in it.
//
// When some of the calls fail it returns the vectors of the others, nil where there
// is none, with the first error and the tokens taken. A text that the provider
// refuses is named in the error, and is no other document's fault. A text over the
// model's limit is refused before anything is paid for. When ctx ends, texts that
// wait are given up; calls that went out are waited for, unless nobody else does.
func (b *Batcher) Embed(ctx context.Context, call guard.Call, texts []Text) ([][]float32, int, error) {
	return b.embed(ctx, passages, call, texts)
}

// EmbedPlain is Embed of texts as they are, without the model's prefix. They share
// calls with each other only, and wait for others only while a call is under way.
func (b *Batcher) EmbedPlain(ctx context.Context, call guard.Call, texts []Text) ([][]float32, int, error) {
	return b.embed(ctx, plain, call, texts)
}

// Fit refuses texts, as EmbedPlain does, that are over the model's limit: of a job
// that is embedded in portions, before the first is paid for.
func (b *Batcher) Fit(model string, texts []Text) error {
	return b.fits(key{model: model, kind: plain}, texts)
}

func (b *Batcher) embed(ctx context.Context, of kind, call guard.Call, texts []Text) ([][]float32, int, error) {
	k := key{call.Model, call.Lane, of}
	if err := b.fits(k, texts); err != nil {
		return make([][]float32, len(texts)), 0, err
	}
	doc := newDocument(ctx, call, texts)
	q := b.queue(k)
	stop := context.AfterFunc(ctx, func() { q.leave(doc) })
	defer stop()
	for i := range texts {
		if !q.wait(ctx) {
			doc.fail(len(texts)-i, context.Cause(ctx))
			break
		}
		q.add(doc.items(i, i+1)...)
	}
	<-doc.done
	if doc.err != nil && ctx.Err() != nil { // the cause, not how a call saw it
		return doc.vectors, doc.tokens, fmt.Errorf("waiting for a batch: %w", context.Cause(ctx))
	}
	return doc.vectors, doc.tokens, doc.err
}

// Answer is what a question is told.
type Answer struct {
	Vectors     [][]float32 // in the texts' order
	Tokens      int
	CostNanoUSD int64
}

// Query returns the vectors of a question's texts. Questions that come while others
// are asked share calls, and pay by their size. It returns when ctx ends, whatever
// becomes of the call.
func (b *Batcher) Query(ctx context.Context, model string, texts []string) (Answer, error) {
	list := make([]Text, len(texts))
	for i, text := range texts {
		list[i].Text = text
	}
	doc := newDocument(ctx, guard.Call{Lane: event.LaneInteractive, Model: model, Attempts: guard.DefaultAttempts}, list)
	q := b.queue(key{model, event.LaneInteractive, questions})
	q.add(doc.items(0, len(texts))...)
	select {
	case <-doc.done:
	case <-ctx.Done():
		q.leave(doc)
		return Answer{}, fmt.Errorf("waiting for a batch: %w", context.Cause(ctx))
	}
	if doc.err != nil {
		return Answer{}, doc.err
	}
	return Answer{Vectors: doc.vectors, Tokens: doc.tokens, CostNanoUSD: doc.cost}, nil
}

// fits refuses texts that are over the model's limit.
func (b *Batcher) fits(k key, texts []Text) error {
	m, before := b.of(k)
	prefix := sizeOfPrefix(before).Tokens
	for i, t := range texts {
		if limit := m.Context.Input; limit > 0 && t.Tokens+prefix > limit {
			e := &event.Error{Class: event.ClassTooLarge, Field: "chunks",
				Message: fmt.Sprintf("%s has %d tokens, model %s takes %d", name(texts, i), t.Tokens+prefix, m.ID, limit),
				Hint:    "make chunks smaller, or use a model that takes more"}
			if k.kind == plain {
				e.Field, e.Hint = name(texts, i), "shorten it, or use a model that takes more"
			}
			return e
		}
	}
	return nil
}

// queue is that of k, made on its first use.
func (b *Batcher) queue(k key) *queue {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, ok := b.queues[k]
	if !ok {
		q = newQueue(b, k)
		b.queues[k] = q
	}
	return q
}

// of is the model of a queue, and what it wants before each text. One that is not
// known is refused by the guard.
func (b *Batcher) of(k key) (m catalog.Model, prefix string) {
	m, _ = b.catalog.Current().Model(k.model)
	switch k.kind {
	case questions:
		return m, m.QueryPrefix
	case passages:
		return m, m.PassagePrefix
	}
	return m, ""
}
