// Package ground checks an answer against the sources it cites: which sentence of
// a source supports each citation, and which sentences of the answer cite what
// does not hold them. It is pure and knows words, not meaning: an answer in
// another language than its source finds no support.
package ground

import (
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/sparse"
)

// MinSupport is the least share of a sentence's words that must be in the source
// it cites, within two sentences of it, for the citation to count as supported.
const MinSupport = 0.5

// maxQuote bounds a quote, in bytes.
const maxQuote = 600

// Checker checks answers. It is safe for concurrent use.
type Checker struct{ sparse *sparse.Encoder }

// New returns a Checker.
func New() *Checker { return &Checker{sparse: sparse.New()} }

// Check returns the sources that answer cites, by number, each with the part that
// supports it best (Source.Quote) and how well (Source.Support), and the sentences
// that none of the sources they cite supports: less than MinSupport of their words
// are there, or a number of theirs is not. A number that is none of the sources
// cites nothing, nor does one in code. The returned sources have no text.
func (c *Checker) Check(answer string, sources []event.Source) (citations []event.Source, unsupported []string) {
	cited := map[int]*event.Source{}
	for _, s := range statements(answer) {
		var known []event.Source
		best := 0.0
		for _, n := range s.cites {
			i := slices.IndexFunc(sources, func(s event.Source) bool { return s.Number == n })
			if i < 0 {
				continue
			}
			known = append(known, sources[i])
			if cited[n] == nil {
				source := sources[i]
				source.Text = ""
				cited[n] = &source
			}
			quote, support := c.support(s.text, sources[i].Text)
			if support > cited[n].Support {
				cited[n].Quote, cited[n].Support = quote, support
			}
			best = max(best, support)
		}
		if len(known) > 0 && (best < MinSupport || !holdNumbers(known, s.text)) {
			unsupported = append(unsupported, s.text)
		}
	}
	for _, s := range sources {
		if found := cited[s.Number]; found != nil {
			citations = append(citations, *found)
		}
	}
	return citations, unsupported
}

// support finds the part of a source that holds most of a statement: what the
// statement quotes word by word, else the best sentence, or the best two in a row
// where one is not enough.
func (c *Checker) support(statement, source string) (quote string, share float64) {
	want := c.terms(statement)
	var before terms
	var pair string
	pairShare, from, start := 0.0, 0, 0
	for _, end := range borders(source) {
		have := c.terms(source[start:end])
		if alone := want.in(have); alone > share {
			quote, share = source[start:end], alone
		}
		if both := want.in(before, have); both > pairShare {
			pair, pairShare = source[from:end], both
		}
		before, from, start = have, start, end
	}
	if share < MinSupport && pairShare > share {
		quote, share = pair, pairShare
	}
	if span := quoted(statement, source); span != "" {
		quote, share = span, max(share, want.in(c.terms(span)))
	}
	return short(quote), share
}

// terms are the words of a text, and the pieces of its words.
type terms struct{ words, pieces []uint32 }

func (c *Checker) terms(text string) terms {
	words, pieces := c.sparse.Query(text)
	return terms{words.Indices, pieces.Indices}
}

// in returns the share of the words that texts have, or of their pieces where
// nothing is a word of weight. It is 0 without either.
func (t terms) in(texts ...terms) float64 {
	list := func(t terms) []uint32 { return t.words }
	if len(t.words) == 0 {
		list = func(t terms) []uint32 { return t.pieces }
	}
	want := list(t)
	if len(want) == 0 {
		return 0
	}
	n := 0
	for _, term := range want {
		if slices.ContainsFunc(texts, func(have terms) bool { return slices.Contains(list(have), term) }) {
			n++
		}
	}
	return float64(n) / float64(len(want))
}

// short trims and bounds a quote at a rune's border.
func short(s string) string {
	s = strings.TrimSpace(s)
	if len(s) <= maxQuote {
		return s
	}
	return strings.ToValidUTF8(s[:maxQuote], "") + "…"
}
