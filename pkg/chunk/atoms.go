package chunk

import (
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/parse"
	"github.com/weir-dev/weir/pkg/sentence"
)

// minOverlapPart is the least Overlap, in tokens, at which long sentences are
// cut small enough for their parts to be repeated.
const minOverlapPart = 8

// maxMarks is how many times the limit of tokens is collected, at most, before a
// sentence or line is cut: so memory does not grow with its length.
const maxMarks = 4

// mark is a piece of the text, as the Counter yields it.
type mark struct{ end, tokens int }

// block packs the text from b.Start to next, or to the end of the piece that
// reaches over next, and returns where it ended.
func (p *packer) block(b parse.Block, next int) int {
	limit := p.limit()
	p.atoms = p.atoms[:0]
	switch b.Kind {
	case parse.Code:
		p.cutLines(b, next, limit)
		p.joinWhole(limit)
	case parse.Table:
		p.table(b, next, limit)
		p.joinWhole(limit)
	case parse.Heading, parse.Rule:
		p.ends = append(p.ends[:0], next)
		p.cut(b.Start, limit)
	default:
		p.ends = sentence.Append(p.ends[:0], p.doc.Text, b.Start, next)
		p.cut(b.Start, limit)
	}
	p.describe(b)
	for _, a := range p.atoms {
		p.add(a)
	}
	return p.atoms[len(p.atoms)-1].end
}

// limit returns how many tokens an atom may have beside prefix and headings that
// wait for content; those go alone if they would take more than half.
func (p *packer) limit() int {
	budget := p.opt.MaxTokens - p.base.tokens
	if len(p.open) > 0 && !p.hasContent() {
		with := p.opt.MaxTokens - max(p.base.tokens, p.prefix.tokens)
		if p.sum <= with/2 {
			return with - p.sum
		}
	}
	return budget
}

// describe sets what all atoms of b have.
func (p *packer) describe(b parse.Block) {
	for i := range p.atoms {
		a := &p.atoms[i]
		switch b.Kind {
		case parse.Heading:
			a.heading = true
		case parse.Code, parse.Table:
			a.content = p.hasText(*a)
		case parse.Rule:
		default:
			a.content, a.repeat = p.hasText(*a), true
		}
	}
	if b.Kind == parse.Heading {
		p.atoms[0].begins = b.Section
	}
	p.atoms[len(p.atoms)-1].blockEnd = true
}

func (p *packer) hasText(a atom) bool { return strings.TrimSpace(p.doc.Text[a.start:a.end]) != "" }

// joinWhole makes one atom of a block that fits.
func (p *packer) joinWhole(limit int) {
	if a, ok := join(p.atoms, limit); ok {
		p.atoms = append(p.atoms[:0], a)
	}
}

// join makes one atom of several, if they fit.
func join(atoms []atom, limit int) (a atom, ok bool) {
	sum := tokensOf(atoms)
	if sum > limit || slices.ContainsFunc(atoms, func(a atom) bool { return a.solo }) {
		return atom{}, false
	}
	return atom{start: atoms[0].start, end: atoms[len(atoms)-1].end, tokens: sum}, true
}

// cutLines makes an atom of every line of b.
func (p *packer) cutLines(b parse.Block, next, limit int) {
	p.ends = lineEnds(p.ends[:0], p.doc.Text, b, next)
	p.cut(b.Start, limit)
}

// lineEnds appends the line ends of b; the white space up to next is the last
// line's.
func lineEnds(ends []int, text string, b parse.Block, next int) []int {
	ends = slices.Grow(ends, strings.Count(text[b.Start:b.End], "\n")+1)
	for pos := b.Start; ; {
		i := strings.IndexByte(text[pos:b.End], '\n')
		if i < 0 {
			return append(ends, next)
		}
		pos += i + 1
		ends = append(ends, pos)
	}
}

// table makes an atom of every row of b, the first one with the header.
func (p *packer) table(b parse.Block, next, limit int) {
	rows := b
	rows.Start += leadingLines(p.doc.Text[b.Start:b.End])
	p.ends = lineEnds(p.ends[:0], p.doc.Text, rows, next)
	if len(p.ends) < 3 {
		p.cut(b.Start, limit)
		return
	}
	head := p.ends[1]
	h := &header{text: closeLine(strings.TrimSpace(p.doc.Text[b.Start:head]), "\n")}
	if h.tokens = p.tokensUpTo(h.text, limit/2); h.tokens > limit/2 {
		p.cut(b.Start, limit)
		return
	}
	p.cut(b.Start, limit-h.tokens)
	i := 0
	for i < len(p.atoms) && p.atoms[i].start < head {
		i++
	}
	for j := i; j < len(p.atoms); j++ {
		p.atoms[j].header = h
	}
	if i == 2 && len(p.atoms) > 2 {
		if a, ok := join(p.atoms[:3], limit); ok {
			p.atoms = p.atoms[2:]
			p.atoms[0] = a
		}
	}
}

// room returns s with space for one more: a full slice gets twice its space, as
// append gives long ones a quarter more, and copies them again and again.
func room[T any](s []T) []T {
	if len(s) < cap(s) {
		return s
	}
	return slices.Grow(s, max(8, len(s)))
}

// cutting is where cut is.
type cutting struct {
	from  int  // where the walk began
	limit int  // of an atom, in tokens
	start int  // of the next atom
	sum   int  // tokens from there on
	next  int  // index of the end in packer.ends that it goes to
	long  bool // part of the text up to that end was cut off before
}

// cut appends the atoms of the text from pos on up to each of p.ends, or to the
// end of the piece that reaches over it: of at most limit tokens, but for solo
// ones. It calls the walk itself: a range over it would allocate every time.
func (p *packer) cut(pos, limit int) {
	p.atoms = slices.Grow(p.atoms, len(p.ends))
	p.marks, p.at = p.marks[:0], cutting{from: pos, limit: limit, start: pos}
	p.opt.Counter.Pieces(p.doc.Text[pos:])(p.take)
}

// takePiece takes the next piece of cut, appends an atom if it reaches an end,
// and reports whether an end is left.
func (p *packer) takePiece(end, tokens int) bool {
	at, m := &p.at, mark{p.at.from + end, tokens}
	p.marks = append(p.marks, m)
	at.sum += tokens
	if m.end < p.ends[at.next] {
		if at.sum > maxMarks*at.limit {
			at.start, at.sum = p.cutLong(at.start, at.limit, true)
			at.long = true
		}
		return true
	}
	if at.sum <= at.limit && !at.long {
		p.atoms = append(room(p.atoms), atom{start: at.start, end: m.end, tokens: at.sum})
	} else {
		p.cutLong(at.start, at.limit, false)
	}
	for at.next < len(p.ends) && p.ends[at.next] <= m.end {
		at.next++
	}
	p.marks, at.start, at.sum, at.long = p.marks[:0], m.end, 0, false
	return at.next < len(p.ends)
}

// cutLong appends the atoms of p.marks, which begin at start and are of more
// than limit tokens: small atoms, if there is overlap. If more follows it leaves
// the marks whose atom may reach further, and returns their start and tokens.
func (p *packer) cutLong(start, limit int, more bool) (rest, tokens int) {
	size := limit
	if p.opt.Overlap >= minOverlapPart {
		size = min(p.opt.Overlap, limit)
	}
	marks := p.marks
	for len(marks) > 0 {
		n := 1
		if marks[0].tokens > limit {
			p.cutPiece(start, marks[0], limit)
		} else {
			var sum int
			if n, sum = p.fill(marks, size); n == len(marks) && more {
				p.marks = p.marks[:copy(p.marks, marks)]
				return start, sum
			}
			p.atoms = append(room(p.atoms), atom{start: start, end: marks[n-1].end, tokens: sum})
		}
		start = marks[n-1].end
		marks = marks[n:]
	}
	p.marks = p.marks[:0]
	return start, 0
}

// fill returns how many of the marks make at most size tokens, one at least, and
// their tokens: up to the last line end or blank in the second half, if there is
// one and more follows.
func (p *packer) fill(marks []mark, size int) (n, sum int) {
	best, bestSum := 0, 0
	for n < len(marks) && (n == 0 || sum+marks[n].tokens <= size) {
		sum += marks[n].tokens
		n++
		if 2*sum > size && betweenWords(p.doc.Text, marks[n-1].end) {
			best, bestSum = n, sum
		}
	}
	if n == len(marks) || best == 0 {
		return n, sum
	}
	return best, bestSum
}

// betweenWords reports whether offset i is a line start or stands before a blank.
func betweenWords(text string, i int) bool {
	return i == len(text) || text[i] == ' ' || text[i-1] == '\n'
}

// cutPiece appends a piece of more than limit tokens in parts of about the same
// size, each of which is a chunk: their tokens depend on what stands beside.
func (p *packer) cutPiece(start int, m mark, limit int) {
	parts := (m.tokens + limit - 1) / limit
	for _, part := range p.opt.Counter.Split(p.doc.Text[start:m.end], (m.tokens+parts-1)/parts) {
		p.atoms = append(room(p.atoms), atom{start: start, end: start + len(part), tokens: limit, solo: true})
		start += len(part)
	}
}
