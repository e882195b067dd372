package paraphrase

import (
	"slices"
	"strings"
)

// cutFrames leaves out what only asks for the answer: greetings, "could you tell
// me", "I would like to know", and thanks at the end. A frame goes only when a
// question word follows; "do you know if" makes a question for yes or no.
func cutFrames(words []word) (rest []word, polar bool) {
	words = cutEnd(words)
	for {
		if n := greeting(words); n > 0 {
			words = words[n:]
			continue
		}
		n := frame(words, maxFrames)
		if n == 0 {
			break
		}
		words = words[n:]
		if words[0].key == "if" || words[0].key == "whether" {
			words, polar = words[1:], true
		}
	}
	if len(words) > 0 {
		words = slices.Clone(words)
		words[0].first = true
	}
	return words, polar
}

// greeting returns how many words a greeting has that words begin with: one that
// is set off, or that a question follows. "Hello world" is none.
func greeting(words []word) int {
	n := longest(lexicon().greetings, words)
	if n == 0 || n == len(words) {
		return 0
	}
	if words[n-1].pause || lexicon().asks[words[n].key] || words[n-1].key == "please" || frame(words[n:], maxFrames) > 0 {
		return n
	}
	return 0
}

// maxFrames bounds the frames in a row.
const maxFrames = 3

// frame returns how many words a frame has that words begin with, if a question
// word or another frame and a question word follow.
func frame(words []word, depth int) int {
	n := longest(lexicon().frames, words)
	if n == 0 || n >= len(words)-1 {
		return 0
	}
	ask := words[n].key
	if lexicon().asks[ask] && (ask != "when" && ask != "if" || lexicon().wondering[keys(words[:n])]) || depth > 1 && frame(words[n:], depth-1) > 0 {
		return n
	}
	return 0
}

// cutEnd leaves out thanks at the end, set off by punctuation: "how do I say thanks"
// has none.
func cutEnd(words []word) []word {
	for n := min(5, len(words)-1); n > 0; n-- {
		if at := len(words) - n; words[at-1].pause && lexicon().thanks[keys(words[at:])] {
			return words[:at]
		}
	}
	return words
}

// keys joins the words of a phrase.
func keys(words []word) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = w.key
	}
	return strings.Join(list, " ")
}

// maxPhrase is the most words a phrase of a list has.
const maxPhrase = 8

// longest returns how many words the longest phrase has that words begin with.
func longest(phrases map[string]bool, words []word) int {
	for n := min(maxPhrase, len(words)); n > 0; n-- {
		if phrases[keys(words[:n])] {
			return n
		}
	}
	return 0
}

// replacePhrases puts one expression in the place of those that mean the same:
// turns of phrase, spellings, synonyms. In a mention only what begins a question is
// replaced.
func replacePhrases(words []word, mention bool) []word {
	out := make([]word, 0, len(words))
	for i := 0; i < len(words); {
		if mention && (i > 0 || !lexicon().asks[words[0].key]) {
			return append(out, words[i:]...)
		}
		same, n := replacement(words[i:])
		if n == 0 || keeps(words, i, n) {
			w := words[i]
			w.key = spell(w)
			out, i = append(out, w), i+1
			continue
		}
		w := join(words[i : i+n])
		for j, key := range strings.Fields(same) {
			part := w
			part.key, part.raw, part.first = key, key, w.first && j == 0
			if key == "i" {
				part.raw = "I"
			}
			part.pause, part.stop = false, false
			out = append(out, part)
		}
		last := &out[len(out)-1]
		last.pause, last.stop = w.pause, w.stop
		if n == 1 && w.raw != strings.ToUpper(w.raw) {
			last.raw = w.raw // its case may matter
		}
		i += n
	}
	return out
}

// keeps reports whether the n words at i are no phrase where they stand: a noun
// without a determiner, a preposition with one, "how do I look".
func keeps(words []word, i, n int) bool {
	lex := lexicon()
	switch {
	case n > 1:
		return i+n < len(words) && lex.states[words[i+n].key] && lex.same[keys(words[i:i+n])] == "howto"
	case words[i].key == "regarding":
		return i > 0 && lex.determiners[words[i-1].key]
	}
	return lex.countable[words[i].key] && !determined(words[:i])
}

// determined reports whether a determiner stands before what follows words, with up
// to two other words between.
func determined(words []word) bool {
	lex := lexicon()
	for _, w := range slices.Backward(words[max(0, len(words)-3):]) {
		if lex.determiners[w.key] || w.kind == kindNumber {
			return true
		}
		if w.pause || lex.markers[w.key] || lex.helpers[w.key] || isSupport(w) {
			return false
		}
	}
	return false
}

// replacement is what stands for the longest phrase of the lists that words begin
// with, and how many words it has.
func replacement(words []word) (same string, n int) {
	for n := min(maxPhrase, len(words)); n > 0; n-- {
		if same, ok := lexicon().same[keys(words[:n])]; ok && unbroken(words[:n]) {
			return same, n
		}
	}
	return "", 0
}

// unbroken reports whether words are a phrase: plain, with no comma inside. US and
// UK are names in capitals only.
func unbroken(words []word) bool {
	for i, w := range words {
		if w.kind != kindWord || i < len(words)-1 && w.pause || (w.key == "us" || w.key == "uk") && w.raw != strings.ToUpper(w.raw) {
			return false
		}
	}
	return true
}

// spell is the American spelling of a word.
func spell(w word) string {
	if w.kind != kindWord || len(w.key) < 7 {
		return w.key
	}
	for british, american := range lexicon().endings {
		if stem, ok := strings.CutSuffix(w.key, british); ok {
			return stem + american
		}
	}
	return w.key
}
