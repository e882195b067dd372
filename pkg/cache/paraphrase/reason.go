package paraphrase

import (
	"slices"
	"strings"
)

// differences names what words one form has and the other lacks; "" when they
// have the same, in whatever order.
func (f form) differences(g form) string {
	left, right := f.without(g), g.without(f)
	both := slices.Concat(left, right)
	is := func(test func(word) bool) bool { return slices.ContainsFunc(both, test) }
	lex := lexicon()
	in := func(set map[string]bool) func(word) bool {
		return func(w word) bool { return w.kind == kindWord && set[w.key] }
	}
	switch {
	case is(func(w word) bool { return w.kind == kindNumber || w.kind == kindLiteral && w.raw[0] <= '9' }):
		return ReasonNumber
	case is(func(w word) bool {
		return w.kind == kindDate || strings.HasPrefix(w.key, "month ") || lex.weekdays[w.key] != ""
	}):
		return ReasonDate
	case is(in(lex.negations)) || opposite(left, right):
		return ReasonPolarity
	case is(in(lex.scopes)):
		return ReasonScope
	case is(in(lex.comparing)):
		return ReasonCompare
	case is(in(lex.questions)):
		return ReasonQuestion
	case is(func(w word) bool { return w.kind == kindLiteral || capital(w.raw) && !w.first }):
		return ReasonEntity
	case len(both) > 0 && !onlyInflected(left, right):
		return ReasonWords
	case len(both) > 0 || !slices.Equal(f.helpers, g.helpers) || f.support != g.support:
		return ReasonTense
	}
	return ""
}

// without returns f's words that g lacks.
func (f form) without(g form) []word {
	count := map[string]int{}
	for _, w := range g.words {
		count[w.key]++
	}
	var out []word
	for _, w := range f.words {
		if count[w.key]--; count[w.key] < 0 {
			out = append(out, w)
		}
	}
	return out
}

// opposite reports whether a word on one side is known as the opposite of one on
// the other, or is it with a prefix.
func opposite(left, right []word) bool {
	lex := lexicon()
	for _, a := range left {
		for _, b := range right {
			if lex.opposites[a.key+" "+b.key] {
				return true
			}
			for _, prefix := range []string{"un", "in", "im", "ir", "il", "dis", "non", "non-", "de"} {
				if a.key == prefix+b.key || b.key == prefix+a.key {
					return true
				}
			}
		}
	}
	return false
}

// onlyInflected reports whether the words that differ are forms of the same verb,
// as far as their beginning tells.
func onlyInflected(left, right []word) bool {
	if len(left) != len(right) {
		return false
	}
	for i, a := range left {
		b := right[i].key
		if !isThird(a.key, b) && !isThird(b, a.key) && !isPast(a.key, b) && !isPast(b, a.key) {
			return false
		}
	}
	return true
}
