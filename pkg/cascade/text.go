package cascade

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/murmur3"
)

// maxHashed bounds how many bytes of a text are hashed.
const maxHashed = 8 << 10

// HashText returns the distinct hashes of a text's words, word pairs and pieces of
// words, sorted: the features of a linear text model (the hashing trick,
// Weinberger et al., ICML 2009). Case does not count; a number counts by how many
// digits it has. It looks at the first 8 KiB.
func HashText(text string) []uint32 {
	text = head(text, maxHashed)
	h := hasher{found: make([]uint32, 0, len(text)*2)}
	start := -1
	for i, c := range text {
		in := unicode.IsLetter(c) || unicode.IsDigit(c)
		switch {
		case in && start < 0:
			start = i
		case !in && start >= 0:
			h.word(text[start:i])
			start = -1
		}
		if !in && c != ' ' && c < utf8.RuneSelf {
			h.add(kindSign, []byte{byte(c)})
		}
	}
	if start >= 0 {
		h.word(text[start:])
	}
	slices.Sort(h.found)
	return slices.Compact(h.found)
}

// The kinds of features, so that a word and a piece with the same letters differ.
const (
	kindWord = iota + 1
	kindPair
	kindPiece
	kindSign
)

// piece is how many bytes a piece of a word has.
const piece = 4

type hasher struct {
	found  []uint32
	buffer []byte
	before uint32 // hash of the word before
}

func (h *hasher) add(kind uint32, text []byte) uint32 {
	sum := murmur3.SeedSum32(kind, text)
	h.found = append(h.found, sum)
	return sum
}

func (h *hasher) word(word string) {
	h.buffer = lower(append(h.buffer[:0], ' '), word)
	if h.buffer[1] >= '0' && h.buffer[1] <= '9' {
		for i := range h.buffer[1:] {
			h.buffer[i+1] = '0'
		}
	}
	h.buffer = append(h.buffer, ' ')
	sum := h.add(kindWord, h.buffer[1:len(h.buffer)-1])
	pair := [8]byte{
		byte(h.before), byte(h.before >> 8), byte(h.before >> 16), byte(h.before >> 24),
		byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24),
	}
	h.add(kindPair, pair[:])
	h.before = sum
	for i := 0; i+piece <= len(h.buffer); i++ {
		h.add(kindPiece, h.buffer[i:i+piece])
	}
}
