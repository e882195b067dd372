package batch

import (
	"context"
	"slices"
	"sync"
	"time"
)

// queue holds the texts that wait for a call, and makes the calls.
type queue struct {
	b      *Batcher
	key    key
	calls  int // at once, at most
	linger time.Duration
	// places bounds the texts that wait; nil for questions, of which the server
	// takes only so many.
	places chan struct{}

	mu      sync.Mutex
	waiting []waiting
	running int
	timer   *time.Timer
}

type waiting struct {
	item
	size  Size // with the model's prefix
	since time.Time
}

func newQueue(b *Batcher, k key) *queue {
	q := &queue{b: b, key: k, calls: b.cfg.QueryCalls, linger: b.cfg.QueryLinger}
	if k.kind != questions {
		q.calls, q.linger = b.cfg.Calls, b.cfg.Linger
		q.places = make(chan struct{}, 2*b.cfg.Items) // a batch and the next
	}
	q.timer = time.AfterFunc(time.Hour, q.dispatch)
	q.timer.Stop()
	return q
}

// wait waits for a place in the queue; false when ctx ended first.
func (q *queue) wait(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case q.places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// add queues items, each with its place.
func (q *queue) add(items ...item) {
	_, prefix := q.b.of(q.key)
	before, now := sizeOfPrefix(prefix), time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range items {
		if it.doc.ctx.Err() != nil { // leave may have been here already
			q.free(1)
			it.doc.fail(1, context.Cause(it.doc.ctx))
			continue
		}
		t := it.text()
		q.waiting = append(q.waiting, waiting{it, SizeOf(t.Text, t.Tokens).plus(before), now})
	}
	q.dispatchLocked()
}

// leave gives up what waits of a document whose context has ended.
func (q *queue) leave(doc *document) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := len(q.waiting)
	q.waiting = slices.DeleteFunc(q.waiting, func(w waiting) bool { return w.doc == doc })
	if n := before - len(q.waiting); n > 0 {
		q.free(n)
		doc.fail(n, context.Cause(doc.ctx))
	}
	q.dispatchLocked()
}

// free gives back places in the queue.
func (q *queue) free(n int) {
	for range n {
		if q.places != nil {
			<-q.places
		}
	}
}

func (q *queue) dispatch() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dispatchLocked()
}

// dispatchLocked starts the calls that are due, and sets the timer for the next.
func (q *queue) dispatchLocked() {
	q.timer.Stop()
	for q.running < q.calls && len(q.waiting) > 0 {
		m, _ := q.b.of(q.key)
		limits := q.b.cfg.Of(m)
		n, full := limits.Fill(len(q.waiting), func(i int) Size { return q.waiting[i].size })
		if left := q.left(); !full && left > 0 {
			q.timer.Reset(left)
			return
		}
		batch := make([]item, n)
		for i := range batch {
			batch[i] = q.waiting[i].item
		}
		q.waiting = slices.Delete(q.waiting, 0, n)
		q.free(n)
		q.running++
		go q.run(batch)
	}
}

// left is how long the oldest text still waits for others. One that somebody waits
// for, a question or a job's, waits only while a call is under way.
func (q *queue) left() time.Duration {
	if q.key.kind != passages && q.running == 0 {
		return 0
	}
	return q.linger - time.Since(q.waiting[0].since)
}

func (q *queue) run(batch []item) {
	running := q.b.metrics.calls.WithLabelValues(string(q.key.kind))
	running.Inc()
	q.embed(batch)
	running.Dec()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	q.dispatchLocked()
}
