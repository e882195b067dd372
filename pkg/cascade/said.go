package cascade

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// saidIn reports whether a sentence says the quantity: the number is its only one,
// nothing is denied, and there is no sign that could make another one of it.
func (q quantity) saidIn(text string) bool {
	var found quantity
	var rest string
	n, before, bare := 0, ' ', true // bare: without a unit
	for at := 0; at < len(text); {
		c, size := utf8.DecodeRuneInString(text[at:])
		_, fraction := vulgar(text[at:])
		starts := isDigit(text[at]) || fraction > 0 || currency(c) != "" || (c == '-' || c == '−') && !unicode.IsLetter(before)
		switch {
		case starts:
			said, left, ok := leadingQuantity(text[at:])
			if n++; !ok || n > 1 || unicode.IsLetter(before) || before == '-' {
				return false
			}
			found, rest, bare = said, left, said.unit == ""
			at, before = len(text)-len(left), '0'
			continue
		case !unicode.IsLetter(c) && !unicode.IsMark(c) && !strings.ContainsRune("-%()", c) && signAt(before, c, text[at+size:], true):
			return false
		}
		at, before = at+size, c
	}
	next := strings.TrimLeft(rest, " *_`")
	word := next[:wordLength(next)]
	if n == 0 || reckons(word) || denied(text) {
		return false
	}
	bare = bare && !strings.HasPrefix(next, "%") && (word == "" || filler(word))
	if !bare && q.unit != "" && found.unit != q.unit && !mentions(text, q.unit) {
		return false
	}
	found.unit = q.unit
	return found.same(q)
}

// mentions reports whether a text has all words of a unit.
func mentions(text, unit string) bool {
	var words []string
	for word := range strings.FieldsSeq(strings.ReplaceAll(text, "%", " % ")) {
		words = append(words, unitOf(strings.Trim(word, ".,;:!?*_`()'\"")))
	}
	for word := range strings.FieldsSeq(unit) {
		if !slices.Contains(words, word) {
			return false
		}
	}
	return true
}

// denied reports whether a text may deny or bound what it says, in the languages
// that are met most.
func denied(text string) bool {
	for word := range strings.FieldsFuncSeq(text, func(c rune) bool { return !unicode.IsLetter(c) && c != '\'' && c != '’' }) {
		if denies(word) {
			return true
		}
	}
	return strings.ContainsAny(text, "不没沒非無无")
}

func denies(word string) bool {
	low := strings.ToLower(word)
	return strings.HasSuffix(low, "n't") || strings.HasSuffix(low, "n’t") || slices.Contains(denials(), low)
}

func denials() []string {
	return []string{
		"not", "no", "never", "neither", "nor", "none", "cannot", "without", "except", "unless", "or", "than", "least", "most", "between", "under", "over", "wrong", "incorrect", "false", "impossible", "minus", "negative", "half", "twice", "double",
		"nicht", "kein", "keine", "oder", "ne", "pas", "non", "ou", "nunca", "não", "не",
	}
}
