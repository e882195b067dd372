// Package sentence finds sentences in text of any language, by rules: pure, in
// linear time and without a model.
package sentence

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Ends returns the ends of the sentences of a text, the last one its end; see
// [Append].
func Ends(text string) []int { return Append(nil, text, 0, len(text)) }

// Append appends the ends of the sentences of text[start:stop], the last one
// stop. A sentence ends
//   - after . ! ? … with closing quotes or brackets, before white space, unless
//     an abbreviation, an initial or a small letter says that it goes on;
//   - after the enders of scripts without blanks (。！？) and of others (। ؟ ۔);
//   - at a blank line and before a list item or quote line.
//
// Newlines belong to the sentence before, a blank to the one after: those are
// borders of tokens. A single newline ends nothing: prose is often wrapped.
func Append(ends []int, text string, start, stop int) []int {
	s := text[start:stop]
	for i := 0; i < len(s); {
		if !mayEnd[s[i]] {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		next := i + size
		end := 0
		switch r {
		case '\n':
			end = lineBreak(s, next)
		case '.', '!', '?', '…', '؟', '۔', '।', '॥':
			next = skipClosers(s, next)
			end = enderBeforeSpace(s, i, next)
		case '。', '！', '？', '｡', '︒':
			end = skipNewlines(s, skipClosers(s, next))
		}
		if end > 0 && end < len(s) {
			ends = append(ends, start+end)
			next = end
		}
		i = next
	}
	if len(s) > 0 {
		ends = append(ends, stop)
	}
	return ends
}

// mayEnd holds the first bytes of the characters that may end a sentence.
var mayEnd = [256]bool{'\n': true, '.': true, '!': true, '?': true, //nolint:gochecknoglobals // a table, never written
	0xD8: true, 0xDB: true, 0xE0: true, 0xE2: true, 0xE3: true, 0xEF: true}

// lineBreak returns the sentence end at the newline before i, 0 if none.
func lineBreak(s string, i int) int {
	if end := skipNewlines(s, i); end > i {
		return end
	}
	if startsItem(s[i:]) {
		return i
	}
	return 0
}

// startsItem reports whether a line begins with a list or quote marker.
func startsItem(line string) bool {
	line = line[:min(len(line), 64)]
	for line != "" && (line[0] == ' ' || line[0] == '\t') {
		line = line[1:]
	}
	digits := 0
	for digits < len(line) && line[digits]-'0' < 10 {
		digits++
	}
	switch {
	case digits > 9 || line == "":
		return false
	case digits > 0:
		line = line[digits:]
		return len(line) > 1 && (line[0] == '.' || line[0] == ')') && line[1] == ' '
	case line[0] == '>':
		return true
	case strings.HasPrefix(line, "•"):
		return true
	}
	return len(line) > 1 && strings.IndexByte("-*+", line[0]) >= 0 && line[1] == ' '
}

// enderBeforeSpace returns the end after the ender at offset at, whose closers
// reach to end, 0 if the sentence goes on.
func enderBeforeSpace(s string, at, end int) int {
	if end == len(s) {
		return end
	}
	r, size := utf8.DecodeRuneInString(s[end:])
	if !unicode.IsSpace(r) {
		return 0
	}
	if after, _ := utf8.DecodeRuneInString(s[end+size:]); unicode.IsLower(after) {
		return 0
	}
	if s[at] == '.' && abbreviated(s[:at]) {
		return 0
	}
	return skipNewlines(s, end)
}

// skipClosers returns i after further enders, closing quotes and brackets.
func skipClosers(s string, i int) int {
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !strings.ContainsRune(".!?…。！？\"'”’»)]}」』）】*_`", r) {
			break
		}
		i += size
	}
	return i
}

// skipNewlines returns the end of the lines that are blank from i on.
func skipNewlines(s string, i int) int {
	for j := i; j < len(s); j++ {
		switch s[j] {
		case '\n':
			i = j + 1
		case ' ', '\t':
		default:
			return i
		}
	}
	return i
}

// abbreviated reports whether the word before a full stop is an abbreviation,
// an initial or a list number, after which a sentence goes on.
func abbreviated(s string) bool {
	i := strings.LastIndexAny(s[max(0, len(s)-12):], " \t\n(") + 1
	word := strings.ToLower(s[max(0, len(s)-12):][i:])
	switch word {
	case "mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "e.g", "i.e", "cf", "al",
		"fig", "vol", "pp", "approx", "dept", "est", "inc", "ltd", "co", "corp",
		"z.b", "d.h", "u.a", "bzw", "nr", "bspw", "usw", "ca":
		return true
	}
	letters := utf8.RuneCountInString(word)
	r, _ := utf8.DecodeRuneInString(word)
	return letters == 1 && unicode.IsLetter(r)
}
