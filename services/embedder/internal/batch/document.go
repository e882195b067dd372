package batch

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/weir-dev/weir/pkg/llm/guard"
)

// document gathers the vectors of one call to Embed or Query.
type document struct {
	ctx   context.Context //nolint:containedctx // a request's context travels with it through the queue
	call  guard.Call      // what a call for it alone would be
	texts []Text
	done  chan struct{} // closed when nothing is pending

	mu      sync.Mutex
	pending int
	refused bool // a text was found that the provider doesn't take
	vectors [][]float32
	tokens  int
	cost    int64
	err     error
}

// item is one text of a document under way.
type item struct {
	doc *document
	at  int
}

func newDocument(ctx context.Context, call guard.Call, texts []Text) *document {
	d := &document{ctx: ctx, call: call, texts: texts, pending: len(texts), vectors: make([][]float32, len(texts)), done: make(chan struct{})}
	if len(texts) == 0 {
		close(d.done)
	}
	return d
}

func (d *document) items(from, to int) []item {
	out := make([]item, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, item{doc: d, at: i})
	}
	return out
}

func (it item) text() Text { return it.doc.texts[it.at] }

// take stores the vector of a text and what it cost.
func (it item) take(vector []float32, tokens int, cost int64) {
	d := it.doc
	d.mu.Lock()
	defer d.mu.Unlock()
	d.vectors[it.at] = vector
	d.tokens, d.cost = d.tokens+tokens, d.cost+cost
	d.finishLocked(1)
}

// fail ends n texts without a vector. The first error is kept.
func (d *document) fail(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
	d.finishLocked(n)
}

func (d *document) finishLocked(n int) {
	if d.pending -= n; d.pending == 0 {
		close(d.done)
	}
}

// isRefused reports whether one of the document's texts is known to be refused; with
// mark it is from now on.
func (d *document) isRefused(mark bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused = d.refused || mark
	return d.refused
}

// name is what errors call a text.
func name(texts []Text, i int) string {
	return cmp.Or(texts[i].Name, fmt.Sprintf("text %d of %d", i+1, len(texts)))
}

// split groups items by document, in the order of their first ones: those of
// documents in work side by side arrive interleaved.
func split(items []item) [][]item {
	var groups [][]item
	at := map[*document]int{}
	for _, it := range items {
		i, ok := at[it.doc]
		if !ok {
			i = len(groups)
			at[it.doc], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], it)
	}
	return groups
}
