package sparse

import (
	"slices"
	"sync"

	"github.com/twmb/murmur3"
)

// Encoder makes vectors. It is safe for concurrent use: what it keeps between
// calls (buffers, stems of words seen) is never seen in a result.
type Encoder struct {
	stops   map[string]struct{}
	scratch sync.Pool
}

// New returns an Encoder.
func New() *Encoder {
	e := &Encoder{stops: stopWords()}
	e.scratch.New = func() any { return newScratch(e.stops) }
	return e
}

// Passage returns the vectors a passage is stored with. text is all it shall be
// found by: title, heading path and body. A text without words (of only stop
// words, for bm25) has empty vectors.
func (e *Encoder) Passage(text string) (bm25, grams Vector) {
	s := e.scratch.Get().(*scratch)
	defer e.release(s)
	s.read(text)
	return s.words.passage(saturationWords, averageWords), s.grams.passage(saturationGrams, averageGrams)
}

// Query returns the vectors of a question: 1 for each distinct term. They are
// meant for a store that multiplies each by its IDF.
func (e *Encoder) Query(text string) (bm25, grams Vector) {
	s := e.scratch.Get().(*scratch)
	defer e.release(s)
	s.read(text)
	return s.words.query(), s.grams.query()
}

// Term is one occurrence of a term of the bm25 list.
type Term struct {
	// ID is its dimension in bm25 vectors.
	ID uint32
	// Exact is equal for equal words before stemming (case and accents folded).
	Exact uint32
	// Number says that the word has a digit.
	Number bool
	// Length is what it adds to the length of a passage, in words.
	Length float64
}

// Weight is the weight, in a passage's bm25 vector, of a term that occurs n times
// in it. length is the sum of the lengths of the passage's terms.
func Weight(n int, length float64) float64 {
	return weight(n, length, saturationWords, averageWords)
}

// Terms appends the terms of the bm25 list to to, in the order of the text.
func (e *Encoder) Terms(to []Term, text string) []Term {
	s := e.scratch.Get().(*scratch)
	defer e.release(s)
	s.wanted = true
	s.read(text)
	s.wanted = false
	return append(to, s.terms...)
}

// release keeps s for a later call, unless a huge text made it huge.
func (e *Encoder) release(s *scratch) {
	if cap(s.text) <= textKept {
		e.scratch.Put(s)
	}
}

// bag is the terms of one list: their ids, and their length as BM25 counts it.
type bag struct {
	ids    []uint32
	spare  []uint32 // for sorting
	length float64
}

func (b *bag) reset() { b.ids, b.length = b.ids[:0], 0 }

func (b *bag) add(id uint32, length float64) {
	b.ids = append(b.ids, id)
	b.length += length
}

// termID is a term's dimension, as Qdrant and fastembed number them.
func termID(term []byte) uint32 {
	id := int32(murmur3.Sum32(term)) //nolint:gosec // the bits are meant, not the number
	if id < 0 {
		id = -id
	}
	return uint32(id) //nolint:gosec // the magnitude of -2^31 is its own bit pattern
}

// passage weighs each distinct term by BM25.
func (b *bag) passage(saturation, average float64) Vector {
	v := b.distinct()
	next := 0
	for i, id := range v.Indices {
		first := next
		for next < len(b.ids) && b.ids[next] == id {
			next++
		}
		v.Values[i] = float32(weight(next-first, b.length, saturation, average))
	}
	return v
}

// weight is BM25's of a term that a passage has n times.
func weight(n int, length, saturation, average float64) float64 {
	tf := float64(n)
	return tf * (saturation + 1) / (tf + saturation*(1-lengthShare+lengthShare*length/average))
}

func (b *bag) query() Vector {
	v := b.distinct()
	for i := range v.Values {
		v.Values[i] = 1
	}
	return v
}

// distinct sorts the ids and returns each once, with room for its value.
func (b *bag) distinct() Vector {
	b.sort()
	n := 0
	for i, id := range b.ids {
		if i == 0 || id != b.ids[i-1] {
			n++
		}
	}
	if n == 0 {
		return Vector{}
	}
	v := Vector{Indices: make([]uint32, 0, n), Values: make([]float32, n)}
	for i, id := range b.ids {
		if i == 0 || id != b.ids[i-1] {
			v.Indices = append(v.Indices, id)
		}
	}
	return v
}

// radixFrom is the number of ids from which sorting them digit by digit is
// faster than by comparison (measured).
const radixFrom = 512

// sort puts the ids in order.
func (b *bag) sort() {
	if len(b.ids) < radixFrom {
		slices.Sort(b.ids)
		return
	}
	const bits, mask = 11, 1<<11 - 1
	var starts [3][mask + 1]int
	for _, id := range b.ids {
		starts[0][id&mask]++
		starts[1][id>>bits&mask]++
		starts[2][id>>(2*bits)]++
	}
	b.spare = slices.Grow(b.spare[:0], len(b.ids))[:len(b.ids)]
	for digit := range starts {
		start := &starts[digit]
		at := 0
		for i, n := range start {
			start[i], at = at, at+n
		}
		for _, id := range b.ids {
			slot := &start[id>>(digit*bits)&mask]
			b.spare[*slot] = id
			*slot++
		}
		b.ids, b.spare = b.spare, b.ids
	}
}
