package cascade

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// normal is the text's words, numbers and signs in lower case without articles, one
// blank between. In numbers separators and zeros at the ends do not count.
func normal(text string) []byte {
	out := make([]byte, 0, len(text))
	before, line := ' ', true // the character before, and whether a line begins
	for at := 0; at < len(text); {
		c, size := utf8.DecodeRuneInString(text[at:])
		if isDigit(text[at]) {
			if digits, rest := decimal(text[at:]); digits != "" {
				out = append(blank(out), digits...)
				at, before, line = len(text)-len(rest), '0', false
				continue
			}
		}
		rest := text[at+size:]
		switch {
		case unicode.IsLetter(c) || unicode.IsMark(c):
			size = max(wordEnd(text[at:]), size)
			word := text[at : at+size]
			if !article(word, text[at+size:], len(out) == 0) {
				out = lower(blank(out), word)
			}
			if c, _ = utf8.DecodeLastRuneInString(word); utf8.RuneCountInString(word) == 1 {
				c = variable
			}
		case unicode.IsNumber(c), signAt(before, c, rest, line):
			if c == '−' || c == '–' {
				c = '-'
			}
			out = utf8.AppendRune(blank(out), c)
		}
		line = c == '\n' || line && unicode.IsSpace(c)
		at, before = at+size, c
	}
	return out
}

// variable stands for a word of one letter, which may be one of algebra.
const variable = '0'

// skipped are the characters that never count: the punctuation of sentences,
// quotes and a part of Markdown.
func skipped(c rune) bool {
	return strings.ContainsRune(".,;:?¿¡…—'\"`“”„‘’«»‹›、。，；：？！\u200b\ufeff", c)
}

// signAt reports whether a character that is no word counts as one. It depends on
// its neighbours where Markdown and sentences use signs that have a meaning, too.
func signAt(before, c rune, rest string, line bool) bool {
	after, _ := utf8.DecodeRuneInString(rest)
	switch c {
	case '!': // the end of a sentence, but a factorial behind a variable or a number
		return !unicode.IsLetter(before) || rest != "" && !unicode.IsSpace(after)
	case '-', '−': // not in well-known, nor before an item of a list
		return (!unicode.IsLetter(before) || !unicode.IsLetter(after)) && (!line || !unicode.IsSpace(after))
	case '\'': // f'(x)
		return before == variable && after == '('
	case ':': // 3:2, but no other colon
		return unicode.IsDigit(before) && (unicode.IsDigit(after) || unicode.IsLetter(after))
	case '–':
		return !unicode.IsSpace(after)
	case '*', '_': // not around words, nor before an item
		return word(before) && word(after) || c == '*' && unicode.IsSpace(before) && unicode.IsSpace(after) && !line
	case '#': // C#, not a heading
		return word(before)
	case '~':
		return !unicode.IsDigit(after)
	case '\\':
		return unicode.IsLetter(after)
	case '$': // a currency, not the mark of a formula
		return unicode.IsDigit(after)
	}
	return !unicode.IsSpace(c) && !unicode.IsControl(c) && !skipped(c)
}

func word(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) || c == ')' || c == '(' }

func blank(out []byte) []byte {
	if len(out) > 0 {
		return append(out, ' ')
	}
	return out
}

func wordEnd(text string) int {
	for i, c := range text {
		if !unicode.IsLetter(c) && !unicode.IsMark(c) && (i == 0 || !unicode.IsNumber(c)) {
			return i
		}
	}
	return len(text)
}

// article reports whether a word is one: before another word, and no name like the
// A of vitamin A.
func article(word, rest string, first bool) bool {
	if len(word) > 3 || word == "A" && !first {
		return false
	}
	next := strings.TrimLeft(rest, " *_`\"'“‘")
	c, _ := utf8.DecodeRuneInString(next)
	if next == rest || !unicode.IsLetter(c) && !unicode.IsDigit(c) {
		return false
	}
	return strings.EqualFold(word, "the") || strings.EqualFold(word, "a") || strings.EqualFold(word, "an")
}
