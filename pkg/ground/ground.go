// Package ground checks an answer against the sources it cites: which sentence of
// a source supports each citation, and which sentences of the answer cite what
// does not hold them. It is pure and knows words, not meaning: an answer in
// another language than its source finds no support.
package ground

import (
	"regexp"
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
	read := map[int]*reading{}
	for _, s := range statements(answer) {
		var cited []*reading
		for _, n := range s.cites {
			i := slices.IndexFunc(sources, func(s event.Source) bool { return s.Number == n })
			if i < 0 {
				continue
			}
			if read[n] == nil {
				read[n] = c.read(sources[i])
			}
			if !slices.Contains(cited, read[n]) {
				cited = append(cited, read[n])
			}
		}
		if len(cited) == 0 {
			continue
		}
		want, quotes, best := c.terms(s.text), quotations(s.text), 0.0
		for _, r := range cited {
			best = max(best, r.support(c, quotes, want))
		}
		if best < MinSupport || !holdNumbers(cited, s.text) {
			unsupported = append(unsupported, s.text)
		}
	}
	for _, s := range sources {
		if found := read[s.Number]; found != nil {
			citations = append(citations, found.citation)
		}
	}
	return citations, unsupported
}

// reading is a source that is cited, read once.
type reading struct {
	citation  event.Source // without the text
	text      string
	sentences []span
	numbers   map[string]bool // see has
}

// span is a sentence of a source.
type span struct {
	start, end int
	terms      terms
}

func (c *Checker) read(source event.Source) *reading {
	r := &reading{citation: source, text: source.Text}
	r.citation.Text = ""
	start := 0
	for _, end := range borders(r.text) {
		r.sentences = append(r.sentences, span{start, end, c.terms(r.text[start:end])})
		start = end
	}
	return r
}

// support says how well the source supports a statement, and quotes the part that
// does if no other statement is supported better.
func (r *reading) support(c *Checker, quotes []*regexp.Regexp, want terms) float64 {
	quote, share := r.best(want)
	for _, re := range quotes {
		if exact := re.FindString(r.text); exact != "" {
			quote, share = exact, max(share, want.in(c.terms(exact)))
			break
		}
	}
	if share > r.citation.Support {
		r.citation.Quote, r.citation.Support = short(quote), share
	}
	return share
}

// best finds the sentence that holds most of a statement, or the two in a row where
// one is not enough.
func (r *reading) best(want terms) (quote string, share float64) {
	for _, s := range r.sentences {
		if alone := want.in(s.terms); alone > share {
			quote, share = r.text[s.start:s.end], alone
		}
	}
	if share >= MinSupport {
		return quote, share
	}
	for i := 1; i < len(r.sentences); i++ {
		before, s := r.sentences[i-1], r.sentences[i]
		if both := want.in(before.terms, s.terms); both > share {
			quote, share = r.text[before.start:s.end], both
		}
	}
	return quote, share
}

// terms are the words of a text, and the pieces of its words, each in order.
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
		if slices.ContainsFunc(texts, func(have terms) bool {
			_, has := slices.BinarySearch(list(have), term)
			return has
		}) {
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
