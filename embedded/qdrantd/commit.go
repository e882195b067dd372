package qdrantd

import (
	"errors"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// maxGroup bounds how many changes share one transaction, and so how long the
// first of them waits for the last.
const maxGroup = 16

// errAbandoned is the answer to a change whose transaction another change in it
// has broken off by a panic.
var errAbandoned = errors.New("the change was given up; nothing of it is stored")

// changeQueue collects changes of a collection while one is being written, so
// that those which wait share the next transaction and its flush to disk.
type changeQueue struct {
	writing sync.Mutex // held while a transaction is written
	mu      sync.Mutex
	waiting []*change
}

// change is one request's change.
type change struct {
	run  func(w *writer) error
	done bool
	txid uint64
	err  error
}

// end notes the outcome.
func (ch *change) end(txid uint64, err error) { ch.done, ch.txid, ch.err = true, txid, err }

func (q *changeQueue) add(ch *change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, ch)
}

// take returns the changes for the next transaction.
func (q *changeQueue) take() []*change {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), maxGroup)
	group := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return group
}

// update runs fn in a transaction, which is on disk when update returns nil, and
// returns the transaction's number. Changes that come at the same time share
// it; one that fails leaves nothing behind and does not disturb the others. So
// fn may run more than once, and only the last run counts.
func (c *collection) update(fn func(w *writer) error) (txid uint64, err error) {
	ch := &change{run: fn}
	c.changes.add(ch)
	c.changes.writing.Lock()
	defer c.changes.writing.Unlock()
	for !ch.done { // unless another request has written it along with its own
		c.write(c.changes.take())
	}
	return ch.txid, ch.err
}

// write commits a group of changes and tells the inverted indexes.
func (c *collection) write(group []*change) {
	defer func() { // only a panic leaves any undone
		for _, ch := range group {
			if !ch.done {
				ch.end(0, errAbandoned)
			}
		}
	}()
	for len(group) > 0 {
		var txid uint64
		var writers []*writer
		failed := -1
		err := c.db.Update(func(tx *bolt.Tx) (err error) {
			txid = uint64(tx.ID())
			writers, failed, err = c.runAll(tx, group)
			return err
		})
		if failed < 0 {
			c.publish(txid, writers, err)
			for _, ch := range group {
				ch.end(txid, err)
			}
			return
		}
		group[failed].end(0, err)
		group = slices.Delete(slices.Clone(group), failed, failed+1)
	}
}

// runAll runs each change in tx. On an error it tells which one failed.
func (c *collection) runAll(tx *bolt.Tx, group []*change) (writers []*writer, failed int, err error) {
	for i, ch := range group {
		w, err := c.newWriter(tx)
		if err == nil {
			err = ch.run(w)
		}
		if err == nil {
			err = w.flushCounts()
		}
		if err != nil {
			return nil, i, err
		}
		writers = append(writers, w)
	}
	return writers, -1, nil
}

// publish brings the inverted indexes to a transaction. One that failed as it
// was being committed may be visible or not: then they are built anew.
func (c *collection) publish(txid uint64, writers []*writer, err error) {
	for name, p := range c.postings {
		if err != nil {
			p.forget()
			continue
		}
		var changes []vectorChange
		for _, w := range writers {
			changes = append(changes, w.sparse[name]...)
		}
		p.commit(commit{txid: txid, changes: changes})
	}
}
