package paraphrase

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// kind is what a word stands for.
type kind uint8

const (
	kindWord    kind = iota
	kindNumber       // a value, with its unit
	kindDate         // a date or a time
	kindLiteral      // an identifier, code, an address, a quotation: nothing is done to it
)

// word is a word of a question.
type word struct {
	key   string // what is compared
	raw   string // as written, without the punctuation around it
	kind  kind
	first bool // begins a sentence
	pause bool // a comma or the like follows
	stop  bool // a sentence ends behind it
}

const (
	openers = "\"'([{“‘«¿¡`"
	closers = "\"')]}”’».,;:?!…`。？！、，；：।؟،"
	quotes  = "\"“”«»`"
	stops   = ".?!…。？！।؟"
)

// split cuts a text into words. Punctuation around words is left out, but not
// what is a part of them: C++, -5, f(x), .NET.
func split(text string) []word {
	if !utf8.ValidString(text) {
		return []word{{key: text, raw: text, kind: kindLiteral}}
	}
	text = strings.NewReplacer("’", "'", "ʼ", "'", "—", " - ", "–", "-").Replace(norm.NFC.String(text))
	var words []word
	quoted, first := false, true
	for _, field := range strings.Fields(text) {
		raw, head, tail := trim(field)
		inQuotes := quoted != (strings.Count(head, `"`)%2 == 1 || strings.ContainsAny(head, quotes[1:]))
		if strings.Count(field, `"`)%2 == 1 {
			quoted = !quoted
		} else if strings.ContainsAny(field, quotes[1:]) {
			quoted = strings.ContainsAny(head, quotes[1:]) && !strings.ContainsAny(tail, quotes[1:])
		}
		if raw == "" || raw == "-" {
			pause(words)
			continue
		}
		if strings.ContainsAny(head, "([{") {
			pause(words)
		}
		w := word{key: strings.ToLower(raw), raw: raw, first: first, pause: tail != "" && tail != "'", stop: strings.ContainsAny(tail, stops)}
		switch {
		case inQuotes:
			w.kind, w.key = kindLiteral, `"`+raw // not the word itself
		case isLiteral(raw):
			w.kind, w.key = kindLiteral, raw
		}
		words = append(words, w)
		first = w.stop
	}
	return words
}

// pause notes that a clause ends.
func pause(words []word) {
	if len(words) > 0 {
		words[len(words)-1].pause = true
	}
}

// trim cuts the punctuation around a word. Around what has a digit only that of
// sentences goes: brackets and ! mean something there.
func trim(field string) (raw, head, tail string) {
	open, shut := openers, closers
	if strings.ContainsAny(field, "0123456789") {
		open, shut = quotes+"'¿¡", "\"'”’».,;:?…`。？、，；：।؟،"
		if strings.HasPrefix(field, "(") && strings.HasSuffix(strings.TrimRight(field, shut), ")") && strings.Count(field, "(") == 1 {
			open, shut = open+"(", shut+")"
		}
	}
	raw = strings.TrimLeft(field, open)
	head = field[:len(field)-len(raw)]
	if strings.ContainsAny(raw, "([{") { // its brackets are its own
		shut = strings.NewReplacer(")", "", "]", "", "}", "").Replace(shut)
	}
	body := strings.TrimRight(raw, shut)
	return body, head, raw[len(body):]
}

// isLiteral reports whether a word is more than letters: it has a digit beside
// letters, or a symbol other than an apostrophe or a hyphen between letters.
func isLiteral(raw string) bool {
	for i, r := range raw {
		switch {
		case unicode.IsLetter(r), unicode.IsMark(r):
		case (r == '\'' || r == '-') && i > 0 && i < len(raw)-1:
		case r == '&' && raw == "&":
		default:
			return true
		}
	}
	return false
}

// capital reports whether a word has an upper-case letter.
func capital(raw string) bool { return strings.ToLower(raw) != raw }
