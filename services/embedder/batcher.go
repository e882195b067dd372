package embedder

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

// batcher joins the chunks of all documents in work into calls to the provider
// of up to BatchItems chunks and BatchBytes bytes. A call waits at most Linger
// to be filled.
type batcher struct {
	cfg      Config
	embedder caller
	metrics  *metrics
	in       chan *item
	calls    chan struct{} // a semaphore of cfg.Calls
}

// caller is what the embedder needs of the guard.
type caller interface {
	Embed(ctx context.Context, c guard.Call, req llm.EmbedRequest) (llm.EmbedResponse, guard.Report, error)
}

// item is one text under way; its document's wait group is done with it.
type item struct {
	doc  *document
	at   int // index in the document
	text string
}

// document gathers the vectors of one call to embed.
type document struct {
	ctx     context.Context //nolint:containedctx // a request's context travels with it through the queue
	call    guard.Call      // what a call for it alone would be
	pending sync.WaitGroup

	mu      sync.Mutex
	vectors [][]float32
	tokens  int
	err     error
}

func newBatcher(cfg Config, e caller, m *metrics) *batcher {
	return &batcher{cfg: cfg, embedder: e, metrics: m, in: make(chan *item), calls: make(chan struct{}, cfg.Calls)}
}

// embed returns a vector per text and the document's share of the tokens. On
// an error of any of its calls it returns the first one, and the tokens that the
// others took.
func (b *batcher) embed(ctx context.Context, call guard.Call, texts []text) ([][]float32, int, error) {
	doc := &document{ctx: ctx, call: call, vectors: make([][]float32, len(texts))}
	for i, text := range texts {
		doc.pending.Add(1)
		select {
		case b.in <- &item{doc: doc, at: i, text: text.text}:
		case <-ctx.Done():
			doc.pending.Done()
			doc.pending.Wait()
			return nil, doc.tokens, fmt.Errorf("waiting for a batch: %w", context.Cause(ctx))
		}
	}
	doc.pending.Wait()
	if doc.err != nil && ctx.Err() != nil { // the cause, not how the call saw it
		return nil, doc.tokens, fmt.Errorf("waiting for a batch: %w", context.Cause(ctx))
	}
	return doc.vectors, doc.tokens, doc.err
}

// run forms batches until ctx ends; no call to embed may be under way then.
func (b *batcher) run(ctx context.Context) {
	var batch []*item
	var bytes int
	linger := time.NewTimer(time.Hour)
	linger.Stop()
	flush := func() {
		linger.Stop()
		full := batch
		batch, bytes = nil, 0
		b.calls <- struct{}{}
		go func() {
			defer func() { <-b.calls }()
			b.call(full)
		}()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case it := <-b.in:
			if len(batch) > 0 && bytes+len(it.text) > b.cfg.BatchBytes {
				flush()
			}
			if len(batch) == 0 {
				linger.Reset(b.cfg.Linger)
			}
			batch, bytes = append(batch, it), bytes+len(it.text)
			if len(batch) >= b.cfg.BatchItems {
				flush()
			}
		case <-linger.C:
			flush()
		}
	}
}

// call embeds one batch. When the provider refuses a batch of several
// documents for what is in it, each document is tried by itself, so that one
// document's fault is not another's.
func (b *batcher) call(batch []*item) {
	documents := split(batch)
	err := b.try(documents...)
	if err == nil {
		return
	}
	if len(documents) == 1 || event.AsError(err).Class.Retryable() {
		fail(batch, err)
		return
	}
	for _, items := range documents {
		if err := b.try(items); err != nil {
			fail(items, err)
		}
	}
}

// try makes one call for the documents and hands out its vectors.
func (b *batcher) try(documents ...[]*item) error {
	ctx, cancel := b.callContext(documents)
	defer cancel()
	items := slices.Concat(documents...)
	texts, bytes := make([]string, len(items)), 0
	for i, it := range items {
		texts[i], bytes = it.text, bytes+len(it.text)
	}
	response, _, err := b.embedder.Embed(ctx, callFor(documents), llm.EmbedRequest{Inputs: texts})
	if err != nil {
		return err
	}
	b.metrics.observe(len(items), response.Usage.PromptTokens)
	left, leftBytes := response.Usage.PromptTokens, bytes
	for i, it := range items {
		// Shares by size; what rounding leaves goes to the later ones.
		share := left
		if leftBytes > 0 {
			share = left * len(it.text) / leftBytes
		}
		left, leftBytes = left-share, leftBytes-len(it.text)
		it.doc.add(it.at, response.Vectors[i], share)
	}
	return nil
}

// callFor is the call for some documents: as urgent as the most urgent one, and in
// the name of the first.
func callFor(documents [][]*item) guard.Call {
	call := documents[0][0].doc.call
	for _, items := range documents {
		if items[0].doc.call.Lane == event.LaneInteractive {
			call.Lane = event.LaneInteractive
		}
	}
	waits := make([]func(guard.Wait), 0, len(documents))
	for _, items := range documents {
		if tell := items[0].doc.call.OnWait; tell != nil {
			waits = append(waits, tell)
		}
	}
	call.OnWait = func(w guard.Wait) {
		for _, tell := range waits {
			tell(w)
		}
	}
	return call
}

// callContext ends when the contexts of all documents in the call have ended:
// nobody waits for it then.
func (b *batcher) callContext(documents [][]*item) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	var ended atomic.Int64
	stops := make([]func() bool, len(documents))
	for i, items := range documents {
		stops[i] = context.AfterFunc(items[0].doc.ctx, func() {
			if ended.Add(1) == int64(len(documents)) {
				cancel()
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}

func (d *document) add(at int, vector []float32, tokens int) {
	d.mu.Lock()
	d.vectors[at], d.tokens = vector, d.tokens+tokens
	d.mu.Unlock()
	d.pending.Done()
}

func fail(items []*item, err error) {
	for _, it := range items {
		it.doc.mu.Lock()
		if it.doc.err == nil {
			it.doc.err = err
		}
		it.doc.mu.Unlock()
		it.doc.pending.Done()
	}
}

// split groups a batch by document, in order of their first chunks: chunks of
// documents in work side by side arrive interleaved.
func split(batch []*item) [][]*item {
	var groups [][]*item
	at := map[*document]int{}
	for _, it := range batch {
		i, ok := at[it.doc]
		if !ok {
			i = len(groups)
			at[it.doc], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], it)
	}
	return groups
}

type text struct {
	text   string
	tokens int
}
