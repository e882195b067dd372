package sparse

import "unicode"

// class is how a rune takes part in terms.
type class uint8

const (
	classNone class = iota // ends a word
	classWord              // letters of scripts that write blanks between words, digits
	classMark              // belongs to what stands before it
	// classIdeograph: a letter is a syllable or a word; pieces are 1 and 2 letters.
	classIdeograph
	// classUnspaced: alphabets without blanks; pieces are 3 letters.
	classUnspaced
)

func classOf(r rune) class {
	switch {
	case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
		return classWord
	case r < 0x80, r == unicode.ReplacementChar:
		return classNone
	// Letters known without a table, for speed: Greek and Cyrillic, Kana, Han, Hangul.
	case 0x03B1 <= r && r <= 0x03C9, 0x0430 <= r && r <= 0x045F:
		return classWord
	case 0x3041 <= r && r <= 0x3096, 0x30A1 <= r && r <= 0x30FA, 0x4E00 <= r && r <= 0x9FFF, 0xAC00 <= r && r <= 0xD7A3:
		return classIdeograph
	case unicode.IsMark(r), r == 'ー':
		return classMark
	case !unicode.IsLetter(r) && !unicode.IsNumber(r):
		return classNone
	case isIdeograph(r):
		return classIdeograph
	case isUnspaced(r):
		return classUnspaced
	}
	return classWord
}

// isIdeograph reports whether r is of the Chinese, Japanese or Korean scripts.
// Halfwidth forms are not here: normalising removes them.
func isIdeograph(r rune) bool {
	switch {
	case 0x1100 <= r && r <= 0x11FF, // Hangul letters
		0x2E80 <= r && r <= 0x2FDF,   // radicals
		0x3005 <= r && r <= 0x3007,   // repetition, zero
		0x3040 <= r && r <= 0x312F,   // Hiragana, Katakana, Bopomofo
		0x3130 <= r && r <= 0x318F,   // Hangul letters
		0x31A0 <= r && r <= 0x31FF,   // Bopomofo, Katakana
		0x3400 <= r && r <= 0x9FFF,   // Han
		0xA960 <= r && r <= 0xA97F,   // Hangul letters
		0xAC00 <= r && r <= 0xD7FF,   // Hangul
		0xF900 <= r && r <= 0xFAFF,   // Han
		0x1AFF0 <= r && r <= 0x1B16F, // Kana
		0x20000 <= r && r <= 0x3FFFF: // Han
		return true
	}
	return false
}

// isUnspaced reports whether r is Thai, Lao, Burmese or Khmer.
func isUnspaced(r rune) bool {
	return 0x0E00 <= r && r <= 0x0EFF || 0x1000 <= r && r <= 0x109F ||
		0x1780 <= r && r <= 0x17FF || 0xA9E0 <= r && r <= 0xA9FF || 0xAA60 <= r && r <= 0xAA7F
}

func isLatin(r rune) bool {
	if r < 0x80 {
		return 'a' <= r && r <= 'z'
	}
	return unicode.Is(unicode.Latin, r)
}

func isArabic(r rune) bool { return 0x0600 <= r && r <= 0x06FF }

func isDigit(r rune) bool {
	if r < 0x80 {
		return '0' <= r && r <= '9'
	}
	return unicode.IsDigit(r)
}

// lastAccent is the end of the blocks whose marks are accents and vowel points,
// which a searcher may leave out. Behind it, in the scripts of India and beyond,
// marks are vowels.
const lastAccent = 0x08FF

// dropped reports whether r has no part in the spelling: accents, vowel points,
// the Arabic stretcher, joiners and the soft hyphen.
func dropped(r rune) bool {
	switch r {
	case 0x00AD, 0x0640, 0x200C, 0x200D, 0x2060, 0xFEFF:
		return true
	}
	return 0x0300 <= r && r <= lastAccent && unicode.Is(unicode.Mn, r)
}

// fold makes letters that differ only by case equal; the way by upper case takes
// final sigma and dotless i with it.
func fold(r rune) rune {
	switch {
	case r < 0x80:
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	case 0x0590 <= r && r < 0x10A0, 0x2E80 <= r && r < 0xA640, 0xAC00 <= r && r < 0xFB00:
		return r // scripts without case
	}
	if 0x0430 <= r && r <= 0x044F || 0x03B1 <= r && r <= 0x03C9 && r != 'ς' {
		return r // lower already; known without a table, for speed
	}
	return unicode.ToLower(unicode.ToUpper(r))
}
