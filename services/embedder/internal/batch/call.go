package batch

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

// embed gets the vectors of the items. What the provider refuses for what is in it
// is tried again in halves: of the documents first, so that one document's fault is
// not another's, then of the texts of the one, until the text is found.
func (q *queue) embed(items []item) {
	err := q.try(items)
	if err == nil {
		return
	}
	documents := split(items)
	if !divisible(err) || len(items) == 1 || len(documents) == 1 && items[0].doc.isRefused(false) {
		// Of a document that is known to be refused, to find one more text that is
		// takes calls and mends nothing.
		fail(items, err)
		return
	}
	q.b.metrics.divided.Inc()
	if len(documents) > 1 {
		half := len(documents) / 2
		q.embed(slices.Concat(documents[:half]...))
		q.embed(slices.Concat(documents[half:]...))
		return
	}
	q.embed(items[:len(items)/2])
	q.embed(items[len(items)/2:])
}

// divisible reports whether a call failed for what was in it: then a part of it may
// not.
func divisible(err error) bool {
	e := event.AsError(err)
	switch e.Class {
	case event.ClassTooLarge, event.ClassContent:
		return true
	case event.ClassInvalid:
		return e.Field != "model"
	}
	return false
}

// fail ends items for an error. One that is refused by itself is named.
func fail(items []item, err error) {
	if len(items) == 1 && divisible(err) {
		it := items[0]
		it.doc.isRefused(true)
		named := *event.AsError(err)
		named.Message, named.Err = name(it.doc.texts, it.at)+": "+named.Message, err
		err = &named
	}
	for _, it := range items {
		it.doc.fail(1, err)
	}
}

// try makes one call for the items and hands out its vectors.
func (q *queue) try(items []item) error {
	documents := split(items)
	ctx, cancel := callContext(documents)
	defer cancel()
	_, prefix := q.b.of(q.key)
	inputs, sizes := make([]string, len(items)), make([]int, len(items))
	for i, it := range items {
		inputs[i] = prefix + it.text().Text
		sizes[i] = len(inputs[i])
	}
	response, report, err := q.b.embedder.Embed(ctx, callFor(documents), llm.EmbedRequest{Inputs: inputs})
	if err != nil {
		return err
	}
	if len(response.Vectors) != len(items) {
		return event.Errorf(event.ClassInternal, "%d vectors for %d texts", len(response.Vectors), len(items))
	}
	q.b.metrics.observe(len(items), response.Usage.PromptTokens)
	tokens, costs := shares(int64(response.Usage.PromptTokens), sizes), shares(report.CostNanoUSD(), sizes)
	for i, it := range items {
		it.take(response.Vectors[i], int(tokens[i]), costs[i])
	}
	return nil
}

// callFor is the call for some documents, in the name of the first; all are told
// what it waits for.
func callFor(documents [][]item) guard.Call {
	call := documents[0][0].doc.call
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
func callContext(documents [][]item) (context.Context, context.CancelFunc) {
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
