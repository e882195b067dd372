package tokens

import (
	"unicode"
	"unicode/utf8"
)

const (
	// maxWindow bounds one call of the library, in bytes.
	maxWindow = 4 << 10
	// maxBlank bounds a run of white space within a window, in bytes: the
	// library is quadratic in it when it holds newlines.
	maxBlank = 256
)

// window returns the length in bytes of the first window of text: the whole
// text when it is short, else up to a border no token crosses (a line start, a
// blank before a word) when there is one, else up to a rune border.
func window(text string) int {
	b := borders{}
	for i, r := range text {
		if i+utf8.RuneLen(r) > maxWindow {
			return b.best(i)
		}
		if end := b.add(i, r); end > 0 {
			return end
		}
	}
	return len(text)
}

// borders remembers where a window may end.
type borders struct {
	line, word   int // last line start and last blank before a word; 0 is none
	blank        int // bytes of white space directly before
	prev, before rune
}

// add takes the rune r at offset i. A result over 0 is an end forced by a long
// run of white space.
func (b *borders) add(i int, r rune) int {
	if unicode.IsSpace(r) {
		b.blank += utf8.RuneLen(r)
		if b.blank >= maxBlank {
			return i + utf8.RuneLen(r)
		}
	} else {
		b.blank = 0
		switch {
		case b.prev == '\n' && r != '/': // "\n/" may be one piece after punctuation
			b.line = i
		case b.prev == ' ' && i > 1 && !unicode.IsSpace(b.before):
			b.word = i - 1
		}
	}
	b.before, b.prev = b.prev, r
	return 0
}

// best picks the border for a window that is full at offset full.
func (b *borders) best(full int) int {
	switch {
	case b.line > maxWindow/2:
		return b.line
	case b.word > 0:
		return b.word
	case b.line > 0:
		return b.line
	}
	return full
}
