// Package tokens counts text as providers do: exactly, in the tokens of a byte
// pair encoding; roughly, by a provider's own estimate; and, for models whose
// tokenizer is not public, by what earlier answers have shown ([Calibration]).
// It also cuts text at token borders.
//
// Counts equal those of tiktoken, special tokens read as ordinary text. Time is
// O(n log n) for any input: own splitters take the place of the regular
// expressions, and merges come from a heap. The vocabularies are compiled in;
// only a [Store] does I/O, through an interface.
package tokens

import (
	"fmt"
	"runtime"
)

// The encodings [New] knows.
const (
	// O200kBase is the encoding of gpt-4o, gpt-4.1, the o series and gpt-5.
	O200kBase = "o200k_base"
	// Cl100kBase is the encoding of gpt-4, gpt-3.5 and text-embedding-3.
	Cl100kBase = "cl100k_base"
)

// Counter counts and cuts text in one encoding. It is safe for concurrent use;
// what it keeps between calls changes no result.
type Counter struct {
	encoding string
	vocab    *vocabulary
	classes  *classTable
	walkers  chan *walker // free ones, each with a cache of short words: as many as can run at once
}

// New returns the Counter of an encoding, [O200kBase] or [Cl100kBase]. The
// first call for an encoding reads its vocabulary (40 ms), later ones share it.
func New(encoding string) (*Counter, error) {
	load := o200k
	switch encoding {
	case O200kBase:
	case Cl100kBase:
		load = cl100k
	default:
		return nil, fmt.Errorf("tokens: unknown encoding %q, want %s or %s", encoding, O200kBase, Cl100kBase)
	}
	vocab, err := load()
	if err != nil {
		return nil, err
	}
	return &Counter{encoding: encoding, vocab: vocab, classes: classes(), walkers: make(chan *walker, runtime.GOMAXPROCS(0))}, nil
}

// Encoding returns the name of the encoding.
func (c *Counter) Encoding() string { return c.encoding }

// Count returns the number of tokens of text. Bytes that are not UTF-8 are
// counted as they are. It takes some 40 bytes of memory per byte of the longest
// word, and allocates nothing per token.
func (c *Counter) Count(text string) int {
	n, _ := c.count(text)
	return n
}

// count also returns the steps taken.
func (c *Counter) count(text string) (n, steps int) {
	w := c.walker()
	defer c.release(w)
	for pos := 0; pos < len(text); {
		size, low, high := w.split.common(text[pos:])
		if size > 0 {
			n += w.weighKey(low, high, text[pos:pos+size])
		} else {
			size = w.split.any(text[pos:])
			n += w.weigh(text, pos, size)
		}
		pos += size
	}
	return n, w.split.steps + w.merge.steps
}

// Encode returns the ids of the tokens of text, see [Counter.Count].
func (c *Counter) Encode(text string) []uint32 {
	ids := make([]uint32, 0, len(text)/4+1)
	p, m := c.parts()
	for len(text) > 0 {
		end := p.next(text)
		starts := m.merge(text[:end])
		for i, start := range starts[:len(starts)-1] {
			ids = append(ids, c.vocab.rank(text[start:starts[i+1]]))
		}
		text = text[end:]
	}
	return ids
}

// Decode returns the text of the tokens: that which [Counter.Encode] took, byte
// by byte. An id outside the vocabulary is an error.
func (c *Counter) Decode(ids []uint32) (string, error) {
	var text []byte
	for i, id := range ids {
		if known := len(c.vocab.starts) - 1; uint64(id) >= uint64(known) {
			return "", fmt.Errorf("tokens: id %d at %d is no token of %s, want less than %d", id, i, c.encoding, known)
		}
		text = append(text, c.vocab.token(id)...)
	}
	return string(text), nil
}

// parts returns what one pass over a text needs.
func (c *Counter) parts() (*splitter, *merger) {
	return &splitter{classes: c.classes, cased: c.encoding == O200kBase}, &merger{vocab: c.vocab}
}
