package llmsim

import (
	"unicode"
	"unicode/utf8"
)

// maxWordBytes bounds one word; a longer run of letters (base64, minified
// code) is cut into words of this length.
const maxWordBytes = 64

// isWide reports whether r belongs to a script written without spaces, where
// characters and pairs of characters stand for words.
func isWide(r rune) bool {
	if r < 0x0E00 {
		return false
	}
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// scanWords calls fn with every word of text in lower case, its place in text
// and whether it belongs to a script without spaces (then it is one character).
// The bytes are valid during the call only; fn may change them. A possessive
// 's is left out.
func scanWords(text string, buf []byte, fn func(word []byte, at int, wide bool)) []byte {
	buf = buf[:0]
	start := 0
	flush := func() {
		if len(buf) > 0 {
			fn(buf, start, false)
			buf = buf[:0]
		}
	}
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			lower := asciiWord[c]
			switch {
			case lower != 0:
				if len(buf) == 0 {
					start = i
				}
				buf = append(buf, lower)
			case c == '\'' && len(buf) > 0:
				i += skipPossessive(text[i:])
				continue
			default:
				flush()
			}
			i++
		} else {
			r, size := utf8.DecodeRuneInString(text[i:])
			switch {
			case isWide(r):
				flush()
				fn(append(buf, text[i:i+size]...), i, true)
			case r == '’' && len(buf) > 0:
				i += size - 1 + skipPossessive("'"+text[i+size:min(len(text), i+size+4)])
				continue
			case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
				if len(buf) == 0 {
					start = i
				}
				buf = utf8.AppendRune(buf, unicode.ToLower(r))
			default:
				flush()
			}
			i += size
		}
		if len(buf) >= maxWordBytes {
			flush()
		}
	}
	flush()
	return buf
}

// asciiWord maps ASCII letters and digits to their lower case, the rest to 0.
var asciiWord = func() (table [utf8.RuneSelf]byte) { //nolint:gochecknoglobals // a table, never written
	for c := range table {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			table[c] = byte(c)
		case c >= 'A' && c <= 'Z':
			table[c] = byte(c) + 'a' - 'A'
		}
	}
	return table
}()

// skipPossessive returns how many bytes of text, which begins with an
// apostrophe, to leave out: the 's of a possessive, or the apostrophe alone, so
// that "don't" is one word.
func skipPossessive(text string) int {
	if len(text) >= 2 && (text[1] == 's' || text[1] == 'S') && (len(text) == 2 || text[2] >= utf8.RuneSelf || asciiWord[text[2]] == 0) {
		return 2
	}
	return 1
}

// stem cuts the English endings that change most between a question and its
// answer (plural, -ed, -ing, -ly, -tion, final e) from a word in lower case,
// in place. It is deliberately lighter than Porter's: what it misses the
// character grams find.
func stem(w []byte) []byte {
	n := len(w)
	if n < 4 || w[0] <= '9' {
		return w
	}
	w = stemPlural(w)
	switch {
	case hasSuffix(w, "ing") && hasVowel(w[:len(w)-3]) && len(w) >= 6:
		w = undouble(w[:len(w)-3])
	case hasSuffix(w, "ed") && hasVowel(w[:len(w)-2]) && len(w) >= 5:
		w = undouble(w[:len(w)-2])
	case hasSuffix(w, "tion") && len(w) >= 7:
		w = w[:len(w)-3]
	case hasSuffix(w, "ly") && len(w) >= 6:
		w = w[:len(w)-2]
	}
	if n := len(w); n >= 4 && w[n-1] == 'e' {
		w = w[:n-1]
	}
	if n := len(w); n >= 4 && w[n-1] == 'y' {
		w[n-1] = 'i'
	}
	return w
}

// stemPlural cuts a plural ending.
func stemPlural(w []byte) []byte {
	n := len(w)
	switch {
	case w[n-1] != 's' || hasSuffix(w, "ss") || hasSuffix(w, "us") || hasSuffix(w, "is"):
		return w
	case hasSuffix(w, "ies") && n > 4:
		w[n-3] = 'y'
		return w[:n-2]
	case hasSuffix(w, "xes"), hasSuffix(w, "ches"), hasSuffix(w, "shes"), hasSuffix(w, "sses"):
		return w[:n-2]
	}
	return w[:n-1]
}

// undouble cuts the second of a doubled consonant at the end: "stopp" to "stop".
func undouble(w []byte) []byte {
	n := len(w)
	if n >= 4 && w[n-1] == w[n-2] && w[n-1] != 'l' && w[n-1] != 's' && !hasVowel(w[n-1:]) {
		return w[:n-1]
	}
	return w
}

func hasSuffix(w []byte, suffix string) bool {
	return len(w) >= len(suffix) && string(w[len(w)-len(suffix):]) == suffix
}

func hasVowel(w []byte) bool {
	for _, c := range w {
		switch c {
		case 'a', 'e', 'i', 'o', 'u', 'y':
			return true
		}
	}
	return false
}
