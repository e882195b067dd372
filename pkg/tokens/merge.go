package tokens

import "slices"

// merger joins the bytes of a piece to tokens: of all neighbours that together
// are a token it joins those of the lowest rank, the leftmost first, until there
// are none. Its buffers are used again for the next piece, so it is for one
// goroutine.
type merger struct {
	vocab *vocabulary
	// A part begins at some of the offsets. ranks is that of the part joined
	// with the next one, next and prev are the offsets of its neighbours.
	ranks, next, prev []uint32
	heap              []uint64 // possible merges: the rank high, the offset low
	starts            []uint32 // the result
	steps             int      // lookups and moves in the heap, bounded by a test
}

// merge cuts piece, which is not empty, into tokens and returns their offsets
// and at the end the length of piece; they are valid until the next call. Time
// is O(n log n).
func (m *merger) merge(piece string) []uint32 {
	n := uint32(len(piece))
	m.starts = m.starts[:0]
	if m.vocab.rank(piece) != noRank { // as most words are
		m.starts = append(m.starts, 0, n)
		return m.starts
	}
	if len(piece) <= shortPiece {
		return m.mergeShort(piece)
	}
	m.link(piece)
	for len(m.heap) > 0 {
		rank, at := uint32(m.heap[0]>>32), uint32(m.heap[0])
		m.pop()
		if m.ranks[at] == rank { // else it is out of date
			m.join(piece, at)
		}
	}
	for i := uint32(0); i < n; i = m.next[i] {
		m.starts = append(m.starts, i)
	}
	m.starts = append(m.starts, n)
	return m.starts
}

// shortPiece is the length, in bytes, up to which a search through all parts for
// each merge is faster than the heap: by half at 16 bytes, as fast at 64.
const shortPiece = 48

// mergeShort is merge for a short piece.
func (m *merger) mergeShort(piece string) []uint32 {
	n := len(piece)
	starts, ranks := slices.Grow(m.starts[:0], n+1)[:n+1], slices.Grow(m.ranks[:0], n)[:n]
	for i := range n - 1 {
		starts[i], ranks[i] = uint32(i), m.vocab.rank(piece[i:i+2])
	}
	starts[n-1], starts[n], ranks[n-1] = uint32(n-1), uint32(n), noRank
	for {
		lowest, at := uint32(noRank), 0
		for i, r := range ranks {
			if r < lowest {
				lowest, at = r, i
			}
		}
		m.steps++
		if lowest == noRank {
			break
		}
		starts, ranks = slices.Delete(starts, at+1, at+2), slices.Delete(ranks, at+1, at+2)
		ranks[at] = noRank
		if at+2 < len(starts) {
			ranks[at] = m.vocab.rank(piece[starts[at]:starts[at+2]])
		}
		if at > 0 {
			ranks[at-1] = m.vocab.rank(piece[starts[at-1]:starts[at+1]])
		}
	}
	m.starts, m.ranks = starts, ranks
	return starts
}

// join makes one part of the part at offset at and the next one.
func (m *merger) join(piece string, at uint32) {
	gone := m.next[at]
	m.ranks[gone] = noRank
	m.next[at] = m.next[gone]
	if int(m.next[at]) < len(piece) {
		m.prev[m.next[at]] = at
	}
	m.offer(piece, at)
	if at > 0 {
		m.offer(piece, m.prev[at])
	}
}

// link makes every byte a part and fills the heap.
func (m *merger) link(piece string) {
	n := len(piece)
	m.ranks, m.next, m.prev = slices.Grow(m.ranks[:0], n), slices.Grow(m.next[:0], n), slices.Grow(m.prev[:0], n)
	m.heap = m.heap[:0]
	for i := range n {
		rank := uint32(noRank)
		if i+1 < n {
			rank = m.vocab.rank(piece[i : i+2])
		}
		m.ranks = append(m.ranks, rank)
		m.next = append(m.next, uint32(i+1))
		m.prev = append(m.prev, uint32(i-1)) // of the first it is never read
		if rank != noRank {
			m.heap = append(m.heap, uint64(rank)<<32|uint64(i))
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
}

// offer finds the rank of the part at i with the next one and puts the merge
// into the heap.
func (m *merger) offer(piece string, i uint32) {
	m.steps++
	m.ranks[i] = noRank
	n := uint32(len(piece))
	if m.next[i] == n {
		return
	}
	if m.ranks[i] = m.vocab.rank(piece[i:m.next[m.next[i]]]); m.ranks[i] != noRank {
		m.push(uint64(m.ranks[i])<<32 | uint64(i))
	}
}

// push adds an entry to the heap.
func (m *merger) push(entry uint64) {
	m.heap = append(m.heap, entry)
	i := len(m.heap) - 1
	for i > 0 && m.heap[(i-1)/2] > entry {
		m.heap[i] = m.heap[(i-1)/2]
		i = (i - 1) / 2
		m.steps++
	}
	m.heap[i] = entry
}

// pop removes the lowest entry of the heap.
func (m *merger) pop() {
	last := len(m.heap) - 1
	m.heap[0] = m.heap[last]
	m.heap = m.heap[:last]
	if last > 0 {
		m.down(0)
	}
}

// down moves entry i of the heap to its place among those below it.
func (m *merger) down(i int) {
	entry := m.heap[i]
	for {
		child := 2*i + 1
		if child >= len(m.heap) {
			break
		}
		if child+1 < len(m.heap) && m.heap[child+1] < m.heap[child] {
			child++
		}
		if m.heap[child] >= entry {
			break
		}
		m.heap[i] = m.heap[child]
		i = child
		m.steps++
	}
	m.heap[i] = entry
}
