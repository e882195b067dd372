// Package paraphrase says whether two questions mean the same, so that an answer
// to one may be given to the other. It is pure.
//
// It does not guess meaning. It brings both questions into a form in which a short
// list of harmless differences is gone (politeness, contractions, spelling, number
// and date formats, a few synonyms and turns of phrase, a clause that moved to the
// front) and compares the forms word by word, in order. Whatever is left differs:
// a word that no list knows is never taken for another. The lists are English.
// Questions in another language, or in one that can't be told, must be equal but
// for case at the beginning, blanks and the punctuation around words.
package paraphrase

import (
	"cmp"
	"slices"
	"strings"
)

// The reasons of [Differ], the first that applies.
const (
	ReasonNumber   = "number"        // a number, its unit, a quantity
	ReasonDate     = "date"          // a date, month, weekday or time
	ReasonPolarity = "polarity"      // a negation or an opposite
	ReasonScope    = "scope"         // all, some, only, at least
	ReasonCompare  = "comparison"    // more, less, than, before, after
	ReasonQuestion = "question word" // who, when, how many; or a question and a statement
	ReasonEntity   = "entity"        // a name, an identifier, a quotation, or their case
	ReasonTense    = "tense"         // is, was, can, should
	ReasonWords    = "words"         // another word
	ReasonOrder    = "order"         // the same words in another order
	ReasonText     = "text"          // no English: the texts are not equal
)

// Differ says in what two questions may differ in meaning; "" when they mean the
// same. It is symmetric, and in doubt they differ.
func Differ(a, b string) (reason string) {
	if a == b {
		return ""
	}
	reason = differ(read(a, true), read(b, true))
	if reason != "" && differ(read(a, false), read(b, false)) == "" {
		return ""
	}
	return reason
}

// differ is Differ on forms.
func differ(fa, fb form) string {
	if !fa.english || !fb.english {
		if !fa.empty() && slices.EqualFunc(fa.words, fb.words, sameKey) {
			return ""
		}
		return ReasonText
	}
	switch {
	case fa.empty() || fb.empty():
		return ReasonWords
	case fa.polar != fb.polar:
		if reason := fa.differences(fb); reason != ReasonTense {
			return cmp.Or(reason, ReasonQuestion)
		}
		return ReasonQuestion
	case !fa.equal(fb):
		return cmp.Or(fa.differences(fb), ReasonOrder)
	case !slices.EqualFunc(fa.words, fb.words, func(x, y word) bool { return sameCase(x, y, fa.cased && fb.cased) }):
		return ReasonEntity
	}
	return ""
}

// equal compares the forms: helping verbs, and the words in their order.
func (f form) equal(g form) bool {
	if !slices.Equal(f.helpers, g.helpers) {
		return false
	}
	switch {
	case f.support == g.support:
		return slices.EqualFunc(f.words, g.words, sameKey)
	case g.support == "":
		return f.supports(g)
	case f.support == "":
		return g.supports(f)
	}
	return false
}

// supports reports whether f is g in the form of a question: "does ... work" for
// "works", "did ... end" for "ended".
func (f form) supports(g form) bool {
	if len(f.words) != len(g.words) {
		return false
	}
	inflected := 0
	for i, w := range f.words {
		other := g.words[i].key
		switch {
		case w.key == other:
		case f.support == "does" && isThird(w.key, other), f.support == "did" && isPast(w.key, other):
			inflected++
		default:
			return false
		}
	}
	if f.support == "did" {
		return inflected == 1
	}
	return inflected <= 1
}

// isThird reports whether verb in the third person is other.
func isThird(verb, other string) bool {
	if strings.HasSuffix(verb, "y") && other == strings.TrimSuffix(verb, "y")+"ies" {
		return true
	}
	return other == verb+"s" || other == verb+"es"
}

// isPast reports whether other is the past of verb.
func isPast(verb, other string) bool {
	if past, ok := lexicon().past[verb]; ok {
		return other == past
	}
	last := verb[len(verb)-1:]
	switch other {
	case verb + "ed", strings.TrimSuffix(verb, "e") + "ed", strings.TrimSuffix(verb, "y") + "ied", verb + last + "ed":
		return true
	}
	return false
}

// sameCase reports whether two words with one key may be one although one of them
// has a capital. cased says that both texts use capitals for names only.
func sameCase(a, b word, cased bool) bool {
	switch {
	case a.raw == b.raw || a.first || b.first || a.kind != kindWord:
		return true
	case lexicon().alsoNames[a.key]:
		return capital(a.raw) == capital(b.raw)
	}
	return !cased || capital(a.raw) == capital(b.raw)
}

func sameKey(a, b word) bool { return a.key == b.key }

// Relative reports whether a question is about the time at which it is asked:
// today, the latest version, next week. Its answer must not be kept for other days.
func Relative(question string) bool {
	lex := lexicon()
	lower := strings.ToLower(question)
	for _, part := range lex.relativeParts {
		if strings.Contains(lower, part) {
			return true
		}
	}
	words := split(question)
	if asksNow(expand(words)) {
		return true
	}
	before := ""
	for _, w := range words {
		text := strings.ToLower(w.raw)
		if lex.relative[text] || lex.pointers[before] && lex.spans[strings.TrimSuffix(text, "s")] {
			return true
		}
		before = text
	}
	return false
}

// asksNow reports whether words ask for the time, the day or the weather, with
// nothing behind it but a place: "what is the time complexity" does not.
func asksNow(words []word) bool {
	for i := range words {
		n := longest(lexicon().now, words[i:])
		if n == 0 {
			continue
		}
		at := i + n
		if at == len(words) || words[at-1].pause || words[at].key == "in" || words[at].key == "at" {
			return true
		}
	}
	return false
}
