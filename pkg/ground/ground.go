// Package ground checks an answer against the sources it cites: which sentence of
// a source supports each citation, and which sentences of the answer cite what
// does not hold them. It is pure and knows words, not meaning: an answer in
// another language than its source finds no support.
package ground

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/sentence"
	"github.com/weir-dev/weir/pkg/sparse"
)

// MinSupport is the least share of a sentence's words that must be in the source
// it cites, within two sentences of it, for the citation to count as supported.
const MinSupport = 0.5

// maxQuote bounds a quote, in bytes.
const maxQuote = 600

// marker is a citation in an answer: [1] or [1, 2].
var marker = regexp.MustCompile(`\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]`)

// quotation is text in quotation marks.
var quotation = regexp.MustCompile(`"([^"]{12,})"|“([^”]{12,})”|„([^“]{12,})“|«([^»]{12,})»`)

// Checker checks answers. It is safe for concurrent use.
type Checker struct{ sparse *sparse.Encoder }

// New returns a Checker.
func New() *Checker { return &Checker{sparse: sparse.New()} }

// Check returns the sources that answer cites, by number, each with the part that
// supports it best (Source.Quote) and how well (Source.Support), and the sentences
// whose citations hold less than MinSupport of them. A number that is none of the
// sources cites nothing. The returned sources have no text.
func (c *Checker) Check(answer string, sources []event.Source) (citations []event.Source, unsupported []string) {
	cited := map[int]*event.Source{}
	for _, s := range statements(answer) {
		best, known := 0.0, false
		for _, n := range s.cites {
			i := slices.IndexFunc(sources, func(s event.Source) bool { return s.Number == n })
			if i < 0 {
				continue
			}
			known = true
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
		if known && best < MinSupport {
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

// statement is a sentence of an answer and what it cites.
type statement struct {
	text  string
	cites []int
}

// statements cuts an answer into sentences. Markers behind the full stop belong to
// the sentence before.
func statements(answer string) []statement {
	var out []statement
	start := 0
	for _, end := range sentence.Ends(answer) {
		part := answer[start:end]
		start = end
		cites, rest := cut(part)
		if lead := leading(part); len(lead) > 0 && len(out) > 0 {
			out[len(out)-1].cites = append(out[len(out)-1].cites, lead...)
			cites = cites[len(lead):]
		}
		if rest == "" {
			if len(out) > 0 {
				out[len(out)-1].cites = append(out[len(out)-1].cites, cites...)
			}
			continue
		}
		out = append(out, statement{text: rest, cites: cites})
	}
	return out
}

// cut takes the markers out of a sentence.
func cut(s string) (cites []int, rest string) {
	for _, m := range marker.FindAllStringSubmatch(s, -1) {
		cites = append(cites, numbers(m[1])...)
	}
	return cites, strings.Join(strings.Fields(marker.ReplaceAllString(s, " ")), " ")
}

// leading returns the numbers of the markers a sentence begins with.
func leading(s string) []int {
	var out []int
	for {
		s = strings.TrimLeft(s, " \t\n.,;")
		m := marker.FindStringSubmatchIndex(s)
		if m == nil || m[0] != 0 {
			return out
		}
		out = append(out, numbers(s[m[2]:m[3]])...)
		s = s[m[1]:]
	}
}

func numbers(list string) []int {
	var out []int
	for digits := range strings.SplitSeq(list, ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(digits)); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// support finds the part of a source that holds most of a statement: a quotation
// word by word, else the best two sentences in a row.
func (c *Checker) support(statement, source string) (quote string, share float64) {
	for _, m := range quotation.FindAllStringSubmatch(statement, -1) {
		if span := find(source, strings.Join(m[1:], "")); span != "" {
			return short(span), 1
		}
	}
	want := c.terms(statement)
	if len(want) == 0 {
		return "", 0
	}
	var before []uint32
	from, start := 0, 0
	for _, end := range sentence.Ends(source) {
		have := c.terms(source[start:end])
		if alone := part(want, have); alone > share {
			quote, share = source[start:end], alone
		}
		if both := part(want, append(slices.Clone(before), have...)); both > share+0.1 { // worth a longer quote
			quote, share = source[from:end], both
		}
		before, from, start = have, start, end
	}
	return short(quote), share
}

// terms are the words of a text, or the pieces of words where nothing is a word
// with a stem of its own.
func (c *Checker) terms(text string) []uint32 {
	words, pieces := c.sparse.Query(text)
	if len(words.Indices) > 0 {
		return words.Indices
	}
	return pieces.Indices
}

// part is the share of want that is in have.
func part(want, have []uint32) float64 {
	set := make(map[uint32]bool, len(have))
	for _, t := range have {
		set[t] = true
	}
	n := 0
	for _, t := range want {
		if set[t] {
			n++
		}
	}
	return float64(n) / float64(len(want))
}

// find returns the span of a text that equals phrase but for case and white space.
func find(text, phrase string) string {
	words := strings.Fields(phrase)
	for i, w := range words {
		words[i] = regexp.QuoteMeta(w)
	}
	re, err := regexp.Compile(`(?i)` + strings.Join(words, `\s+`))
	if err != nil {
		return "" // a phrase too large for an expression
	}
	return re.FindString(text)
}

// short trims and bounds a quote at a rune's border.
func short(s string) string {
	s = strings.TrimSpace(s)
	if len(s) <= maxQuote {
		return s
	}
	return strings.ToValidUTF8(s[:maxQuote], "") + "…"
}
