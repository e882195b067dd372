package qdrantd

import (
	"context"
	"sort"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// postings keeps the inverted index of one sparse vector in step with the file.
// It is built from the file when first needed; commits go to both. A snapshot
// that the index cannot answer for is searched in the file instead, which gives
// the same result.
type postings struct {
	bucket []byte
	builds chan struct{} // holds a token while nobody builds

	mu       sync.RWMutex
	index    *inverted // nil until built
	building bool
	spoiled  bool     // what is being built lacks a commit
	pending  []commit // those since the building began
	changed  chan struct{}
}

// commit is what one transaction changed of a sparse vector.
type commit struct {
	txid    uint64
	changes []vectorChange
}

func newPostings(spec vectorSpec) *postings {
	p := &postings{bucket: spec.bucket(), builds: make(chan struct{}, 1), changed: make(chan struct{})}
	p.builds <- struct{}{}
	return p
}

// ready builds the index unless there is one. The caller must have no open
// transaction: a second one can wait for a writer that waits for the first.
func (p *postings) ready(ctx context.Context, db *bolt.DB) error {
	p.mu.RLock()
	built := p.index != nil
	p.mu.RUnlock()
	if built {
		return nil
	}
	select {
	case <-p.builds:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { p.builds <- struct{}{} }()
	p.mu.Lock()
	built = p.index != nil
	p.building, p.spoiled, p.pending = !built, false, nil
	p.mu.Unlock()
	if built {
		return nil
	}
	var index *inverted
	err := db.View(func(tx *bolt.Tx) error {
		index = buildInverted(tx, p.bucket)
		return nil
	})
	p.finish(index)
	return err
}

// finish takes a built index into use, with the commits since. Every commit that
// the index's snapshot lacks ended after the building began, so it is pending.
func (p *postings) finish(index *inverted) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if index != nil && !p.spoiled {
		for _, c := range p.pending {
			if c.txid > index.since {
				index.apply(c.txid, c.changes)
			}
		}
		p.index = index
	}
	p.building, p.pending = false, nil
}

// commit takes over a transaction that has been committed. Calls come one at a
// time, in the order of the transactions.
func (p *postings) commit(c commit) {
	p.mu.Lock()
	switch {
	case p.index != nil:
		p.index.apply(c.txid, c.changes)
	case p.building:
		p.pending = append(p.pending, c)
	}
	p.wake()
	index := p.index
	p.mu.Unlock()
	if index != nil {
		p.tidy(index)
	}
}

// tidy merges and compacts the index when that is due. Only the goroutine that
// commits changes the index, so it may read it without the lock.
func (p *postings) tidy(index *inverted) {
	wasteful := index.wasteful()
	if !wasteful && len(index.recent) < maxRecent {
		return
	}
	entries := index.sortRecent()
	p.mu.Lock()
	index.merge(entries)
	p.mu.Unlock()
	if !wasteful {
		return
	}
	compacted := index.compact()
	p.mu.Lock()
	p.index = compacted
	p.mu.Unlock()
}

// wake lets those look again who wait for a commit; p.mu must be held.
func (p *postings) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// forget drops the index: on closing, and when it is not known whether a
// transaction was committed.
func (p *postings) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index, p.spoiled = nil, true
	p.wake()
}

// postingView is what the index holds of some dimensions, as of one transaction.
type postingView struct {
	txid  uint64
	slots []uint64
	died  []uint64
	n     float64 // vectors
	terms []postingTerm
	// found are the non-zeros of rows that are not merged yet.
	found []foundEntry
}

// foundEntry is a non-zero in the n-th of a view's dimensions.
type foundEntry struct {
	n, row uint32
	weight float32
}

// postingTerm is one dimension of a view.
type postingTerm struct {
	base, tail []posting
	df         float64 // vectors that have it
}

// at looks up dimensions as of a transaction. It waits for a commit that is
// already visible in the file. It returns nil when the file must be searched.
func (p *postings) at(ctx context.Context, txid uint64, indices []uint32) (*postingView, error) {
	for {
		p.mu.RLock()
		if p.index == nil || p.index.since > txid {
			p.mu.RUnlock()
			return nil, nil
		}
		if p.index.applied >= txid {
			v, merged, recent := p.index.view(txid, indices)
			p.mu.RUnlock()
			v.addRecent(indices, merged, recent)
			return v, nil
		}
		changed := p.changed
		p.mu.RUnlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// view is at for an index that has the transaction. Recent rows, which begin
// with number merged, are yet to be added to it.
func (x *inverted) view(txid uint64, indices []uint32) (v *postingView, merged uint32, recent [][]byte) {
	newer := sort.Search(len(x.marks), func(i int) bool { return x.marks[i].txid > txid })
	rows := x.marks[newer-1].rows
	later := x.deaths[sort.Search(len(x.deaths), func(i int) bool { return x.deaths[i].txid > txid }):]
	v = &postingView{
		txid: txid, slots: x.slots[:rows], died: x.died[:rows], terms: make([]postingTerm, len(indices)),
		n: float64(int(x.marks[newer-1].rows) - (len(x.deaths) - len(later))),
	}
	for n, i := range indices {
		at, ok := x.ids[i]
		if !ok {
			continue
		}
		l := &x.lists[at]
		t := postingTerm{base: upTo(l.base, rows), tail: upTo(l.tail, rows)}
		dead := int(l.dead)
		for _, d := range later { // they were alive then
			if holds(l.base, d.row) || holds(l.tail, d.row) {
				dead--
			}
		}
		t.df = float64(len(t.base) + len(t.tail) - dead)
		v.terms[n] = t
	}
	if rows > x.merged {
		recent = x.recent[:rows-x.merged]
	}
	return v, x.merged, recent
}

// addRecent adds rows to a view that are not in the lists.
func (v *postingView) addRecent(indices []uint32, merged uint32, recent [][]byte) {
	for i, raw := range recent {
		row := merged + uint32(i)
		if !v.alive(row) {
			continue
		}
		s := decodeSparse(raw)
		overlap(indices, s.indices, func(n, at int) {
			v.found = append(v.found, foundEntry{n: uint32(n), row: row, weight: s.values[at]})
			v.terms[n].df++
		})
	}
}

// frequencies are the number of vectors, and of those with each dimension.
func (v *postingView) frequencies() (n float64, df []float64) {
	df = make([]float64, len(v.terms))
	for i, t := range v.terms {
		df[i] = t.df
	}
	return v.n, df
}

// alive reports whether a row is part of the view's transaction.
func (v *postingView) alive(row uint32) bool {
	died := atomic.LoadUint64(&v.died[row])
	return died == 0 || died > v.txid
}

// add adds to each row's score what a query's weights give it, dimension by
// dimension in their order, so that sums are those of a scan to the last bit.
func (v *postingView) add(scores, weights []float32) {
	for i, t := range v.terms {
		w := weights[i]
		for _, p := range t.base {
			scores[p.row] += w * p.weight
		}
		for _, p := range t.tail {
			scores[p.row] += w * p.weight
		}
	}
	for _, f := range v.found {
		scores[f.row] += weights[f.n] * f.weight
	}
}
