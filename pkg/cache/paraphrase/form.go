package paraphrase

import (
	"slices"
	"strings"
	"unicode"
)

// form is a question without its harmless differences.
type form struct {
	words   []word
	helpers []string // forms of be, have and the modal verbs, wherever they stood
	support string   // do, does or did, when one only makes the question
	polar   bool     // a question for yes or no
	english bool
	cased   bool // capitals are for names
}

func (f form) empty() bool { return len(f.words) == 0 }

// maxText bounds, in bytes, the questions that are read: a longer one is a document
// and must be equal as in another language.
const maxText = 4 << 10

// read brings a question into its form, with or without articles, see dropThe.
func read(text string, articles bool) form {
	words := split(text)
	f := form{words: words, english: len(text) <= maxText && isEnglish(words), cased: isCased(words)}
	if !f.english {
		for i, w := range words {
			if w.kind == kindWord && !w.first {
				words[i].key = w.raw
			}
		}
		return f
	}
	mention := isMention(words)
	if mention {
		words = expandFirst(words)
	} else {
		words = readDates(readNumbers(expand(words)))
	}
	words, f.polar = cutFrames(words)
	words = replacePhrases(words, mention)
	words = moveFront(words)
	if len(words) > 0 && (lexicon().helpers[words[0].key] || isSupport(words[0])) {
		f.polar = true
	}
	if !articles {
		words = dropThe(words, f.cased)
	}
	words, f.support = cutSupport(words)
	words, f.helpers = cutHelpers(words)
	f.words = orderFromTo(words)
	return f
}

// isEnglish reports whether a text is surely English: Latin letters only, an
// English word that other languages lack, none of theirs.
func isEnglish(words []word) bool {
	lex, found := lexicon(), false
	for _, w := range words {
		for _, r := range w.raw {
			if unicode.IsLetter(r) && !unicode.Is(unicode.Latin, r) || unicode.IsDigit(r) && r > '9' {
				return false
			}
		}
		lower := strings.ToLower(w.raw)
		if lex.foreign[lower] && (lower == w.raw || w.first) {
			return false
		}
		found = found || lex.english[lower]
	}
	return found
}

// isCased reports whether capitals tell names: the text begins with one, and not
// all its words have one. Who writes "what is the capital of france" has none.
func isCased(words []word) bool {
	if len(words) == 0 || !capital(words[0].raw) {
		return false
	}
	return slices.ContainsFunc(words, func(w word) bool { return !w.first && w.kind == kindWord && len(w.raw) > 1 && !capital(w.raw) })
}

// isMention reports whether a question may be about words, not about what they
// stand for: then none is replaced behind its beginning.
func isMention(words []word) bool {
	return slices.ContainsFunc(words, func(w word) bool { return lexicon().mentions[strings.ToLower(w.raw)] })
}

// expandFirst writes out a contraction at the beginning only.
func expandFirst(words []word) []word {
	n := min(1, len(words))
	return slices.Concat(expand(words[:n]), words[n:])
}

// expand writes contractions out: "don't" is do, not.
func expand(words []word) []word {
	lex := lexicon()
	out := make([]word, 0, len(words))
	for _, w := range words {
		parts, ok := lex.contractions[w.key]
		if !ok && len(w.key) > len("n't") && strings.HasSuffix(w.key, "n't") {
			parts, ok = []string{strings.TrimSuffix(w.key, "n't"), "not"}, true
		}
		if !ok || w.kind != kindWord {
			out = append(out, w)
			continue
		}
		for i, p := range parts {
			last := i == len(parts)-1
			out = append(out, word{key: p, raw: p, first: w.first && i == 0, pause: w.pause && last, stop: w.stop && last})
		}
	}
	return out
}

// moveFront puts a clause that stands in front, set off by a comma, to the end:
// "in 1990, who led X" is "who led X in 1990". Only within one sentence, and where it
// can't belong to another verb there: "by 1990, who said he would go" stays.
func moveFront(words []word) []word {
	if len(words) == 0 || !lexicon().fronts[words[0].key] {
		return words
	}
	at := slices.IndexFunc(words, func(w word) bool { return w.pause })
	inner := func(w word) bool { return w.stop }
	if at < 0 || at == len(words)-1 || slices.ContainsFunc(words[:len(words)-1], inner) {
		return words
	}
	front, rest := slices.Clone(words[:at+1]), slices.Clone(words[at+1:])
	bound := func(w word) bool { return lexicon().reports[strings.ToLower(w.raw)] || lexicon().asks[w.key] }
	if slices.ContainsFunc(rest[:len(rest)-1], func(w word) bool { return w.pause }) || slices.ContainsFunc(rest[1:], bound) ||
		at > 0 && strings.HasSuffix(front[1].key, "ing") {
		return words
	}
	front[at].pause = false
	rest[0].first = true
	return append(rest, front...)
}

// dropThe leaves out "the" before a word and "of" with a name or a determiner, unless
// a preposition is before it: "the capital of France", "the price of a car". Elsewhere
// it says something: "the time" is not "time", "in the office" not "in office", "the
// proof of work" not "proof of work". cased says that capitals tell names. "a" stays:
// "a king" is not "the king".
func dropThe(words []word, cased bool) []word {
	lex := lexicon()
	out := make([]word, 0, len(words))
	for i, w := range words {
		if w.key != "the" || w.pause || i+3 >= len(words) || words[i+2].key != "of" {
			out = append(out, w)
			continue
		}
		noun, of := words[i+1], words[i+3]
		known := lex.determiners[of.key] || cased && capital(of.raw)
		behind := i > 0 && !words[i-1].pause && lex.markers[words[i-1].key] && !lex.asks[words[i-1].key]
		if !known || behind || noun.kind != kindWord || noun.pause || lex.counted[noun.key] {
			out = append(out, w)
		}
	}
	return out
}

func isSupport(w word) bool { return w.key == "do" || w.key == "does" || w.key == "did" }

// cutSupport takes out the do that only makes a question: the first one, with at
// least two words behind it and nothing like "to" before it.
func cutSupport(words []word) ([]word, string) {
	i := slices.IndexFunc(words, isSupport)
	if i < 0 || i > len(words)-3 || i > 0 && (words[i-1].key == "to" || lexicon().helpers[words[i-1].key]) {
		return words, ""
	}
	support := words[i].key
	words = slices.Delete(slices.Clone(words), i, i+1)
	words[0].first = true
	return words, support
}

// cutHelpers takes the helping verb out of the words, since questions and clauses
// have it in different places. With several, or "only", their places are kept.
func cutHelpers(words []word) ([]word, []string) {
	lex := lexicon()
	helper := func(w word) bool {
		return w.kind == kindWord && lex.helpers[w.key] && w.key != "may" || w.key == "may" && !capital(w.raw)
	}
	i := slices.IndexFunc(words, helper)
	focus := func(w word) bool { return lex.focus[w.key] }
	if i < 0 || slices.ContainsFunc(words[i+1:], helper) || slices.ContainsFunc(words, focus) {
		return words, nil
	}
	helpers := []string{words[i].key}
	return slices.Delete(slices.Clone(words), i, i+1), helpers
}

// orderFromTo writes "to Y from X" as "from X to Y" where both are names: "to work
// from home" is not "from home to work".
func orderFromTo(words []word) []word {
	to := slices.IndexFunc(words, func(w word) bool { return w.key == "to" })
	if to < 0 {
		return words
	}
	from := to + 1
	for from < len(words) && !lexicon().markers[words[from].key] {
		from++
	}
	if from == len(words) || words[from].key != "from" || from == to+1 {
		return words
	}
	end := from + 1
	for end < len(words) && !lexicon().markers[words[end].key] && !words[end-1].pause {
		end++
	}
	name := func(i int) bool { return capital(words[i].raw) && !words[i].first }
	if end == from+1 || !name(to+1) || !name(from+1) {
		return words
	}
	return slices.Concat(words[:to], words[from:end], words[to:from], words[end:])
}
