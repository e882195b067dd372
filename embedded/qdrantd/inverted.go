package qdrantd

import (
	"cmp"
	"slices"
	"sort"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// inverted is the index of one sparse vector in memory: for each dimension, the
// vectors that have it, with their weights. It takes 8 bytes per non-zero, about
// 80 per dimension in use and 50 per vector.
//
// A vector is a row. Rows are numbered in the order they were written and never
// change: a vector that is replaced or deleted is a row that died, and its
// successor a new one. So what a reader has looked up stays as it was, and a
// reader of an older snapshot leaves out what came later. Rows that died are
// swept out when they are many (see compact). New rows are kept as they are
// until there are enough of them to be merged into the lists at once.
//
// Only one goroutine writes at a time, under the lock of postings.
type inverted struct {
	since   uint64 // the oldest transaction it can answer for
	applied uint64 // the newest
	ids     map[uint32]uint32
	lists   []postingList
	slots   []uint64          // row -> slot
	died    []uint64          // row -> transaction, 0 while it lives; atomic
	rowOf   map[uint64]uint32 // slot -> its living row
	merged  uint32            // rows below it are in the lists
	recent  [][]byte          // the stored forms of the rows that are not yet
	marks   []mark
	deaths  []death // in order
}

// posting is one non-zero of a row.
type posting struct {
	row    uint32
	weight float32
}

// postingList has the postings of one dimension by row: those it was built with,
// which share one allocation with other lists, and those that came later.
type postingList struct {
	base, tail []posting
	dead       uint32 // postings of rows that died
}

// mark says how many rows there were after a transaction.
type mark struct {
	txid uint64
	rows uint32
}

// death says when a row died.
type death struct {
	txid uint64
	row  uint32
}

// vectorChange is a change of one point's sparse vector.
type vectorChange struct {
	slot uint64
	old  []uint32 // the indices it had
	raw  []byte   // the stored form it has now, nil for none
}

// buildInverted indexes what a bucket holds, in two passes: one to count, one to
// fill lists of the right size.
func buildInverted(tx *bolt.Tx, bucket []byte) *inverted {
	b := tx.Bucket(bucket)
	x := &inverted{since: uint64(tx.ID()), applied: uint64(tx.ID()), ids: map[uint32]uint32{}, rowOf: map[uint64]uint32{}}
	var counts []uint32
	for _, raw := range cursorPairs(b.Cursor()) {
		for _, i := range decodeSparse(raw).indices {
			at, ok := x.ids[i]
			if !ok {
				at = uint32(len(counts))
				x.ids[i] = at
				counts = append(counts, 0)
			}
			counts[at]++
		}
	}
	x.allocate(counts)
	for key, raw := range cursorPairs(b.Cursor()) {
		row := x.addRow(slotOf(key))
		s := decodeSparse(raw)
		for n, i := range s.indices {
			l := &x.lists[x.ids[i]]
			l.base = append(l.base, posting{row: row, weight: s.values[n]})
		}
	}
	x.merged = uint32(len(x.slots))
	x.marks = []mark{{txid: x.since, rows: x.merged}}
	return x
}

// allocate makes empty lists with room for as many postings as counted.
func (x *inverted) allocate(counts []uint32) {
	total := 0
	for _, n := range counts {
		total += int(n)
	}
	arena := make([]posting, total)
	x.lists = make([]postingList, len(counts))
	from := 0
	for i, n := range counts {
		to := from + int(n)
		x.lists[i].base = arena[from:from:to]
		from = to
	}
}

// addRow adds the row of a slot's vector.
func (x *inverted) addRow(slot uint64) uint32 {
	row := uint32(len(x.slots))
	x.slots = append(x.slots, slot)
	x.died = append(x.died, 0)
	x.rowOf[slot] = row
	return row
}

// apply brings the index to a committed transaction.
func (x *inverted) apply(txid uint64, changes []vectorChange) {
	for _, c := range changes {
		x.kill(txid, c)
		if c.raw != nil {
			x.addRow(c.slot)
			x.recent = append(x.recent, c.raw)
		}
	}
	x.applied = txid
	if rows := uint32(len(x.slots)); rows != x.marks[len(x.marks)-1].rows {
		x.marks = append(x.marks, mark{txid: txid, rows: rows})
	}
	if len(x.marks) > maxMarks {
		x.marks = slices.Delete(x.marks, 0, maxMarks/2)
		x.since = x.marks[0].txid
	}
}

// maxMarks bounds how many transactions back the index can answer for.
const maxMarks = 4096

// kill ends the row a slot has.
func (x *inverted) kill(txid uint64, c vectorChange) {
	row, ok := x.rowOf[c.slot]
	if !ok {
		return
	}
	delete(x.rowOf, c.slot)
	atomic.StoreUint64(&x.died[row], txid)
	x.deaths = append(x.deaths, death{txid: txid, row: row})
	if row >= x.merged {
		return
	}
	for _, i := range c.old {
		x.lists[x.ids[i]].dead++
	}
}

// maxRecent is how many rows wait to be merged; a search compares them one by
// one.
const maxRecent = 2048

// sortRecent returns the non-zeros of the recent rows, by dimension.
func (x *inverted) sortRecent() []entry {
	var entries []entry
	for i, raw := range x.recent {
		entries = appendEntries(entries, x.merged+uint32(i), raw)
	}
	return sortEntries(entries, make([]entry, len(entries)))
}

// merge puts the recent rows, sorted, into the lists.
func (x *inverted) merge(entries []entry) {
	for index, group := range dimensions(entries) {
		at, ok := x.ids[index]
		if !ok {
			at = uint32(len(x.lists))
			x.ids[index] = at
			x.lists = append(x.lists, postingList{})
		}
		l := &x.lists[at]
		l.tail = slices.Grow(l.tail, len(group))
		for _, e := range group {
			l.tail = append(l.tail, posting{row: e.row, weight: e.weight})
			if x.died[e.row] != 0 {
				l.dead++
			}
		}
	}
	x.merged, x.recent = uint32(len(x.slots)), nil // not emptied: readers have it
}

// wasteful reports whether dead rows are worth sweeping out.
func (x *inverted) wasteful() bool { return len(x.deaths) > 4096 && len(x.deaths) > len(x.slots)/3 }

// compact returns a copy without the rows that died. It answers only for the
// newest transaction and later ones. There must be no recent rows.
func (x *inverted) compact() *inverted {
	out := &inverted{since: x.applied, applied: x.applied, ids: map[uint32]uint32{}, rowOf: make(map[uint64]uint32, len(x.rowOf))}
	newRow := make([]uint32, len(x.slots))
	for row, slot := range x.slots {
		if x.died[row] == 0 {
			newRow[row] = out.addRow(slot)
		}
	}
	var counts []uint32
	for i, at := range x.ids {
		if n := x.lists[at].len() - x.lists[at].dead; n > 0 {
			out.ids[i] = uint32(len(counts))
			counts = append(counts, n)
		}
	}
	out.allocate(counts)
	for i, at := range out.ids {
		from, to := x.lists[x.ids[i]], &out.lists[at]
		for _, part := range [][]posting{from.base, from.tail} {
			for _, p := range part {
				if x.died[p.row] == 0 {
					to.base = append(to.base, posting{row: newRow[p.row], weight: p.weight})
				}
			}
		}
	}
	out.merged = uint32(len(out.slots))
	out.marks = []mark{{txid: out.since, rows: out.merged}}
	return out
}

// len is the number of postings, of dead rows too.
func (l *postingList) len() uint32 { return uint32(len(l.base) + len(l.tail)) }

// upTo is the part of a list with the rows below a number.
func upTo(list []posting, rows uint32) []posting {
	if n := len(list); n == 0 || list[n-1].row < rows {
		return list
	}
	return list[:sort.Search(len(list), func(i int) bool { return list[i].row >= rows })]
}

// holds reports whether a row is in a list.
func holds(list []posting, row uint32) bool {
	_, ok := slices.BinarySearchFunc(list, row, func(p posting, row uint32) int { return cmp.Compare(p.row, row) })
	return ok
}
