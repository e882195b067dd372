package tokens

import (
	"iter"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// Pieces walks text once, in the smallest pieces that can be counted alone, and
// yields the end of each, in bytes, and its tokens. The tokens of any run of
// neighbouring pieces are exactly the sum of theirs: text may be cut after
// every piece without changing a count. Ends are rune borders in valid UTF-8,
// the last one is len(text). The work is that of [Counter.Count]; who stops
// early pays for what was walked.
//
// Pieces are tiktoken's, with two exceptions. A blank that stands alone because
// of what follows it ("  1" is " ", " ", "1") goes with that. And a piece is cut
// after full-width punctuation at its start ("。次"), where a sentence ends, if
// no token crosses that place.
func (c *Counter) Pieces(text string) iter.Seq2[int, int] {
	return func(yield func(end, tokens int) bool) {
		w := c.walker()
		defer c.release(w)
		held, blank := 0, false // tokens held back; the piece before is blank
		for pos := 0; pos < len(text); {
			n, low, high := w.split.common(text[pos:])
			if n > 0 {
				if !yield(pos+n, held+w.weighKey(low, high, text[pos:pos+n])) {
					return
				}
				held, blank = 0, false
				pos += n
				continue
			}
			n = w.split.any(text[pos:])
			end := pos + n
			was := blank
			if blank = endsBlank(text[pos:end], w.split.classes); blank && was {
				held += w.weigh(text, pos, n)
				pos = end
				continue
			}
			var tokens int
			if at := w.split.inner(text[pos:], n); at > 0 {
				first, all := w.tokensBefore(text[pos:end], at)
				if tokens = all - first; first > 0 {
					if !yield(pos+at, held+first) {
						return
					}
					held = 0
				}
			} else {
				tokens = w.weigh(text, pos, n)
			}
			if !yield(end, held+tokens) {
				return
			}
			held, pos = 0, end
		}
	}
}

// endsBlank reports whether a piece is white space without a line end at its
// end: only such pieces end in white space.
func endsBlank(piece string, classes *classTable) bool {
	b := piece[len(piece)-1]
	if b < utf8.RuneSelf {
		return classes[b]&(space|newline) == space
	}
	r, _ := utf8.DecodeLastRuneInString(piece)
	return classes[r]&space != 0
}

// inner returns where in the first piece of s, of n bytes, a sentence ends, if a
// text that begins there has its first piece end at n as well, else 0.
func (p *splitter) inner(s string, n int) int {
	if s[0] < 0xE3 || s[0] > 0xEF { // not U+3000 to U+FFFF
		return 0
	}
	r, w := utf8.DecodeRuneInString(s)
	if w == n || !fullWidth(r) || p.classes[r]&(letter|number) != 0 || p.next(s[w:]) != n-w {
		return 0
	}
	return w
}

// fullWidth reports whether r is CJK punctuation or a full-width form.
func fullWidth(r rune) bool { return r >= 0x3001 && r <= 0x303F || r >= 0xFF01 && r <= 0xFF65 }

// walker holds what a pass over a text needs. It is for one goroutine; a
// Counter keeps walkers for later passes, as the cache is worth most when full.
type walker struct {
	cache [1 << cacheBits][ways]cached // first, so that each set is one line of the processor's cache
	long  [1 << longBits][ways]longCached
	split splitter
	merge merger
}

const (
	// ways is how many pieces of the same hash a cache keeps.
	ways = 4
	// cacheBits is the binary logarithm of the sets of a walker's cache: a
	// megabyte, which holds the common words.
	cacheBits = 14
	// longBits is that of the cache of longer pieces, up to longBytes: eight
	// megabytes at most, usually a tenth of that.
	longBits, longBytes = 11, 1024
	// keepBytes is the length of the longest piece whose buffers are kept.
	keepBytes = 1 << 14
)

// cached is the key of a piece, in whose four highest bits its tokens are.
type cached struct{ low, high uint64 }

const tokensShift = 60

// longCached is a longer piece and its tokens.
type longCached struct {
	piece  []byte
	tokens int
}

// walker returns a walker of before or a new one.
func (c *Counter) walker() *walker {
	select {
	case w := <-c.walkers:
		return w
	default:
		return &walker{split: splitter{classes: c.classes, cased: c.encoding == O200kBase}, merge: merger{vocab: c.vocab}}
	}
}

// release keeps w for later, unless there are enough, without the buffers of an
// overlong word.
func (c *Counter) release(w *walker) {
	w.split.steps, w.merge.steps = 0, 0
	if cap(w.merge.ranks) > keepBytes {
		w.merge = merger{vocab: c.vocab}
	}
	select {
	case c.walkers <- w:
	default:
	}
}

// weigh returns the tokens of the piece text[pos:pos+n].
func (w *walker) weigh(text string, pos, n int) int {
	if n == 1 {
		return 1
	}
	if n > keyBytes {
		return w.weighLong(text[pos : pos+n])
	}
	low, high := key(text[pos : pos+n])
	return w.weighKey(low, high, text[pos:pos+n])
}

// weighKey is weigh for a piece of a known key.
func (w *walker) weighKey(low, high uint64, piece string) int {
	set := &w.cache[hash(low, high)>>(64-cacheBits)]
	for i := range set {
		e := set[i]
		if !e.is(low, high) {
			continue
		}
		if i > 0 { // what is asked for often moves to the front
			set[i-1], set[i] = e, set[i-1]
		}
		return int(e.high >> tokensShift)
	}
	tokens := len(w.merge.merge(piece)) - 1
	copy(set[1:], set[:])
	set[0] = cached{low, high | uint64(tokens)<<tokensShift}
	return tokens
}

func (e cached) is(low, high uint64) bool {
	return e.low == low && e.high&(1<<tokensShift-1) == high
}

// weighLong returns the tokens of a piece of more than keyBytes bytes.
func (w *walker) weighLong(piece string) int {
	if len(piece) > longBytes {
		return len(w.merge.merge(piece)) - 1
	}
	h := uint64(len(piece))
	for i := 0; i+8 <= len(piece); i += 8 {
		h = bits.RotateLeft64((h^load(piece[i:]))*hashFactor, 29)
	}
	h = (h ^ load(piece[len(piece)-8:])) * hashFactor
	set := &w.long[h>>(64-longBits)]
	for i, e := range set {
		if string(e.piece) == piece {
			set[max(0, i-1)], set[i] = e, set[max(0, i-1)]
			return e.tokens
		}
	}
	tokens := len(w.merge.merge(piece)) - 1
	free := set[ways-1].piece[:0]
	copy(set[1:], set[:])
	set[0] = longCached{append(free, piece...), tokens}
	return tokens
}

// tokensBefore returns the tokens of piece before offset at, 0 if at is no token
// border, and all its tokens.
func (w *walker) tokensBefore(piece string, at int) (first, all int) {
	starts := w.merge.merge(piece)
	i, _ := slices.BinarySearch(starts, uint32(at))
	if int(starts[i]) != at {
		i = 0
	}
	return i, len(starts) - 1
}
