package qdrantd

import "iter"

// entry is one non-zero on its way into an inverted index. Those of many rows
// are merged at once, sorted by dimension: to find the list of each as it comes
// takes five times as long, since few lists are in the processor's cache.
type entry struct {
	index, row uint32
	weight     float32
}

// appendEntries adds the non-zeros of a row.
func appendEntries(out []entry, row uint32, raw []byte) []entry {
	s := decodeSparse(raw)
	for n, i := range s.indices {
		out = append(out, entry{index: i, row: row, weight: s.values[n]})
	}
	return out
}

// sortEntries sorts by dimension and leaves those of one dimension in order. It
// uses scratch, of equal length, and returns one of the two.
func sortEntries(entries, scratch []entry) []entry {
	const bits, mask = 11, 1<<11 - 1
	for shift := 0; shift < 32; shift += bits {
		var starts [mask + 1]int
		for _, e := range entries {
			starts[e.index>>shift&mask]++
		}
		sum := 0
		for i, n := range starts {
			starts[i] = sum
			sum += n
		}
		for _, e := range entries {
			at := &starts[e.index>>shift&mask]
			scratch[*at] = e
			*at++
		}
		entries, scratch = scratch, entries
	}
	return entries
}

// dimensions iterates over sorted entries by dimension.
func dimensions(entries []entry) iter.Seq2[uint32, []entry] {
	return func(yield func(uint32, []entry) bool) {
		for len(entries) > 0 {
			n := 1
			for n < len(entries) && entries[n].index == entries[0].index {
				n++
			}
			if !yield(entries[0].index, entries[:n]) {
				return
			}
			entries = entries[n:]
		}
	}
}
