package batch

import (
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

// Limits bound one call to a provider. A text that exceeds them alone is sent
// alone: the provider has the last word.
type Limits struct{ Items, Tokens, Bytes int }

// Size is what a text counts in a call.
type Size struct{ Tokens, Bytes int }

// SizeOf is the size of a text with the given count of tokens, 0 if not known. A
// quarter of the characters is counted at least: some providers do so, whatever
// the tokens.
func SizeOf(text string, tokens int) Size {
	return Size{Tokens: max(tokens, utf8.RuneCountInString(text)/4+1), Bytes: len(text)}
}

func (s Size) plus(o Size) Size {
	return Size{Tokens: s.Tokens + o.Tokens, Bytes: s.Bytes + o.Bytes}
}

// Of narrows l to what the model takes in one request and to what its rate limits
// let through soon. Tokens are then those of our own count.
func (l Limits) Of(m catalog.Model) Limits {
	l.Items, l.Bytes = least(l.Items, m.Batch.Items), least(l.Bytes, m.Batch.Bytes)
	l.Tokens = least(least(l.Tokens, m.Batch.Tokens), guard.BatchTokens(m))
	if l.Tokens > 0 && m.Tokens.Ratio > 1 {
		l.Tokens = max(1, int(float64(l.Tokens)/m.Tokens.Ratio))
	}
	return l
}

func sizeOfPrefix(prefix string) Size {
	if prefix == "" {
		return Size{}
	}
	return SizeOf(prefix, 0)
}

// least is the lower bound; 0 is none.
func least(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Fill says how many of the first of n texts go into one call, at least one, and
// whether that is all it takes. A limit of 0 is none.
func (l Limits) Fill(n int, size func(i int) Size) (taken int, full bool) {
	var sum Size
	for i := range n {
		next := sum.plus(size(i))
		if i > 0 && (l.reached(i, sum) || over(l.Tokens, next.Tokens) || over(l.Bytes, next.Bytes)) {
			return i, true
		}
		sum = next
	}
	return n, l.reached(n, sum)
}

func (l Limits) reached(n int, s Size) bool {
	return over(l.Items, n+1) || over(l.Tokens, s.Tokens+1) || over(l.Bytes, s.Bytes+1)
}

func over(limit, n int) bool { return limit > 0 && n > limit }

// shares parts a whole by size; the parts sum up to it. What rounding leaves goes
// to the later ones.
func shares(whole int64, sizes []int) []int64 {
	rest := int64(0)
	for _, n := range sizes {
		rest += int64(n)
	}
	out := make([]int64, len(sizes))
	for i, n := range sizes {
		out[i] = whole
		if rest > 0 {
			out[i] = min(whole, int64(float64(whole)*(float64(n)/float64(rest))))
		}
		if i == len(sizes)-1 {
			out[i] = whole
		}
		whole, rest = whole-out[i], rest-int64(n)
	}
	return out
}
