// Package tokens counts text in the tokens of a byte pair encoding and cuts
// text at token borders. It does no I/O: the vocabularies are compiled in.
//
// Present inexactness. Counting goes through github.com/tiktoken-go/tokenizer
// v0.10.0, which splits some runs of blanks and newlines differently from the
// reference implementation and takes quadratic time on them. Text is therefore
// counted in windows of at most 4 KiB, cut at newlines or blanks where there
// are any. The error is zero on ordinary prose, code and JSON, and stays below
// a few tokens per window on hostile input (long runs of white space, words of
// many KiB). An own splitter may replace the library behind the same API.
package tokens

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tiktoken-go/tokenizer"
	"github.com/tiktoken-go/tokenizer/codec"
)

// The encodings [New] knows.
const (
	// O200kBase is the encoding of gpt-4o, gpt-4.1, the o series and gpt-5.
	O200kBase = "o200k_base"
	// Cl100kBase is the encoding of gpt-4, gpt-3.5 and text-embedding-3.
	Cl100kBase = "cl100k_base"
)

// del is the one character the library drops: it is a token of its own in both
// encodings.
const del = 0x7f

// Counter counts and cuts text in one encoding. It is immutable and safe for
// concurrent use.
type Counter struct {
	encoding string
	codec    tokenizer.Codec
}

// New returns the Counter of an encoding, [O200kBase] or [Cl100kBase]. The
// first call for an encoding takes tens of milliseconds (building the
// vocabulary), later ones share it.
func New(encoding string) (*Counter, error) {
	switch encoding {
	case O200kBase:
		return &Counter{encoding: encoding, codec: codec.NewO200kBase()}, nil
	case Cl100kBase:
		return &Counter{encoding: encoding, codec: codec.NewCl100kBase()}, nil
	}
	return nil, fmt.Errorf("tokens: unknown encoding %q, want %s or %s", encoding, O200kBase, Cl100kBase)
}

// Encoding returns the name of the encoding.
func (c *Counter) Encoding() string { return c.encoding }

// Count returns the number of tokens of text, special tokens read as ordinary
// text. Each invalid UTF-8 sequence counts as one U+FFFD. Time is linear in
// len(text). See the package comment for how exact it is.
func (c *Counter) Count(text string) int {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	n := 0
	for len(text) > 0 {
		w := window(text)
		n += c.countWindow(text[:w])
		text = text[w:]
	}
	return n
}

// countWindow counts one window of valid UTF-8.
func (c *Counter) countWindow(s string) int {
	n, err := c.codec.Count(s)
	if err != nil {
		return len(s) // the library can't fail without a time limit; bytes are the upper bound
	}
	return n + strings.Count(s, string(rune(del)))
}
