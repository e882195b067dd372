package rerank

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/sentence"
	"github.com/weir-dev/weir/pkg/sparse"
)

// passage is a candidate as the question sees it.
type passage struct {
	sentences []part
	title     terms
	found     terms // in title and text
	exact     terms // in title and text, in the question's own form
	// counts and weights are those of the question's terms in the passage's bm25
	// vector.
	counts  []int
	weights []float64
}

// part is one sentence of a passage.
type part struct {
	start, end int // bytes of the text
	hits       []hit
	found      terms
	length     int  // in terms
	answers    bool // has what the question's kind asks for
	// What Reading.measure adds: shares of the question's weight, 0 to 1.
	cover, inTitle, pairs, near, dense float64
}

// hit is a term of the question in a sentence.
type hit struct{ term, position int }

func readPassage(e *sparse.Encoder, q *question, c Candidate) passage {
	p := passage{counts: make([]int, len(q.terms)), weights: make([]float64, len(q.terms))}
	head := c.Title + "\n" + strings.Join(c.Section, "\n")
	buffer := e.Terms(nil, head)
	words := 0.0
	for _, t := range buffer {
		words += t.Length
		if place, ok := q.place[t.ID]; ok {
			p.title |= 1 << place
			p.note(q, place, t)
		}
	}
	start := 0
	for _, end := range sentence.Ends(c.Text) {
		text := strings.TrimSpace(c.Text[start:end])
		if text != "" {
			from := start + strings.Index(c.Text[start:end], text)
			buffer = e.Terms(buffer[:0], text)
			words += p.add(q, part{start: from, end: from + len(text), answers: q.answeredBy(text, buffer)}, buffer)
		}
		start = end
	}
	for t, n := range p.counts {
		if n > 0 {
			p.weights[t] = sparse.Weight(n, words)
		}
	}
	return p
}

// add adds a sentence and its terms, and returns its length in words.
func (p *passage) add(q *question, s part, found []sparse.Term) (words float64) {
	s.length = len(found)
	for i, t := range found {
		words += t.Length
		if place, ok := q.place[t.ID]; ok {
			s.found |= 1 << place
			s.hits = append(s.hits, hit{place, i})
			p.note(q, place, t)
		}
	}
	p.sentences = append(p.sentences, s)
	return words
}

func (p *passage) note(q *question, place int, t sparse.Term) {
	p.found |= 1 << place
	p.counts[place]++
	if t.Exact == q.terms[place].Exact {
		p.exact |= 1 << place
	}
}

// answeredBy reports whether the sentence has what the question's kind asks for
// and the question itself does not have.
func (q *question) answeredBy(text string, found []sparse.Term) bool {
	switch q.kind {
	case kindName:
		return q.hasName(text)
	case kindNumber, kindTime:
		for _, t := range found {
			if _, asked := q.place[t.ID]; t.Number && !asked {
				return true
			}
		}
	}
	return false
}

// hasName reports whether text has a capital letter that begins no sentence, in
// a word the question does not have.
func (q *question) hasName(text string) bool {
	first := true
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) }) {
		r, _ := utf8.DecodeRuneInString(word)
		if !first && unicode.IsUpper(r) && !strings.Contains(q.lower, strings.ToLower(word)) {
			return true
		}
		first = false
	}
	return false
}
