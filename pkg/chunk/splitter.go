package chunk

import (
	"strings"

	"github.com/weir-dev/weir/pkg/parse"
	"github.com/weir-dev/weir/pkg/sentence"
)

const (
	// maxGap is the longest run of white space between two blocks, in bytes,
	// that a chunk reaches over.
	maxGap = 64
	// minOverlapPiece is the least Overlap, in tokens, at which long sentences
	// are cut small enough for their pieces to be repeated.
	minOverlapPiece = 8
	// wholeBytes is how many bytes per token of budget a block may have to be
	// worth counting as a whole.
	wholeBytes = 32
)

// header is the header of a table: its first two lines.
type header struct {
	text   string // ends in a newline
	tokens int
}

// atom is a piece of text that is packed whole. The atoms of a section tile it:
// an atom holds the white space after it.
type atom struct {
	start, end int // bytes in Document.Text
	tokens     int
	header     *header // what a chunk that begins here must repeat, nil for nothing
	repeat     bool    // may be overlap
	content    bool    // worth a chunk: neither a rule nor white space
	closes     bool    // ends the chunk
}

// splitter holds the state of one Split.
type splitter struct {
	doc    parse.Document
	opt    Options
	counts map[string]int
	chunks []Chunk
}

func newSplitter(doc parse.Document, opt Options) *splitter {
	return &splitter{doc: doc, opt: opt, counts: map[string]int{}}
}

// section appends the chunks of one section.
func (s *splitter) section(sec section) {
	var pre prefix
	if !sec.headings {
		if s.bare(sec) {
			return
		}
		pre = s.pathPrefix(sec.path)
	}
	blocks := sec.blocks
	if b := blocks[:min(1, len(blocks))]; !sec.headings && len(b) > 0 && b[0].Kind == parse.Heading &&
		(pre.heading || len(b[0].Section) == 0) {
		blocks = blocks[1:]
	}
	p := &packer{splitter: s, sec: sec, prefix: pre, budget: s.opt.MaxTokens - pre.tokens, first: len(s.chunks)}
	for i, b := range blocks {
		next := b.End
		if i+1 < len(blocks) {
			next = blocks[i+1].Start
		}
		for _, a := range p.atoms(b, next) {
			p.add(a)
		}
	}
	p.flush()
}

// bare reports whether a section is only a heading that fits into prefixes, the
// common case, without counting a token.
func (s *splitter) bare(sec section) bool {
	if len(sec.blocks) != 1 || sec.blocks[0].Kind != parse.Heading {
		return false
	}
	if len(sec.path) == 0 {
		return true
	}
	title := sec.path[len(sec.path)-1]
	return len(pathSep+title)+len(prefixEnd) <= s.opt.MaxTokens/prefixShare
}

// atoms cuts a block whose white space reaches to next.
func (p *packer) atoms(b parse.Block, next int) []atom {
	closes := next-b.End > maxGap
	if closes {
		next = b.End
	}
	var out []atom
	switch b.Kind {
	case parse.Rule:
		out = []atom{{start: b.Start, end: next, tokens: p.tokens(b.Start, next), content: p.sec.headings}}
	case parse.Code:
		out = p.wholeOr(b.Start, next, p.lines)
	case parse.Table:
		out = p.wholeOr(b.Start, next, p.table)
	default:
		out = p.sentences(b.Start, next)
	}
	if closes && len(out) > 0 {
		out[len(out)-1].closes = true
	}
	return out
}

// wholeOr returns text[start:end] as one atom if it fits into a chunk, else cut.
func (p *packer) wholeOr(start, end int, cut func(start, end int) []atom) []atom {
	if end-start <= wholeBytes*p.budget {
		if n := p.tokens(start, end); n <= p.budget {
			return []atom{{start: start, end: end, tokens: n, content: true}}
		}
	}
	return cut(start, end)
}

// sentences returns the sentences of text[start:end]; one that is too long is
// cut into lines, and those into pieces.
func (p *packer) sentences(start, end int) []atom {
	pieces := p.budget
	if p.opt.Overlap >= minOverlapPiece {
		pieces = min(p.opt.Overlap, p.budget)
	}
	var out []atom
	pos := start
	for _, e := range sentence.Ends(p.doc.Text[start:end]) {
		a := p.atom(pos, start+e)
		if a.tokens <= p.budget {
			out = append(out, a)
		} else {
			out = p.cutLines(out, pos, start+e, func(l atom) []atom { return p.cutLong(l, p.budget, pieces) })
		}
		pos = start + e
	}
	for i := range out {
		out[i].repeat = true
	}
	return out
}

// lines returns the lines of code.
func (p *packer) lines(start, end int) []atom {
	return p.cutLines(nil, start, end, func(l atom) []atom { return p.cutLong(l, p.budget, p.budget) })
}

// table returns the rows of a table, the first one with its header.
func (p *packer) table(start, end int) []atom {
	text := p.doc.Text[start:end]
	head := lineEnd(text, lineEnd(text, 0))
	h := &header{text: strings.TrimRight(text[:head], " \t\n") + "\n"}
	h.tokens = p.opt.Counter.Count(h.text)
	if h.tokens > p.budget/2 {
		h = nil
	}
	var out []atom
	rows := start
	if first := lineEnd(text, head); h != nil && first > head {
		if a := p.atom(start, start+first); a.tokens <= p.budget {
			out = append(out, a)
			rows = a.end
		}
	}
	if rows == start { // no header to repeat, or a first row too long to go with it
		out = p.cutLines(out, start, start+head, func(l atom) []atom { return p.cutLong(l, p.budget, p.budget) })
		rows = start + head
	}
	budget := p.budget
	if h != nil {
		budget -= h.tokens
	}
	return p.cutLines(out, rows, end, func(l atom) []atom {
		cut := p.cutLong(l, budget, budget)
		for i := range cut {
			cut[i].header = h
		}
		return cut
	})
}

// cutLines appends what cut makes of every line of text[start:end].
func (p *packer) cutLines(out []atom, start, end int, cut func(atom) []atom) []atom {
	for start < end {
		e := start + lineEnd(p.doc.Text[start:end], 0)
		out = append(out, cut(p.atom(start, e))...)
		start = e
	}
	return out
}

// cutLong cuts an atom of more than fits tokens into pieces of at most limit.
func (s *splitter) cutLong(a atom, fits, limit int) []atom {
	if a.tokens <= fits {
		return []atom{a}
	}
	return s.cutAtom(a, limit)
}

// cutAtom cuts an atom into pieces of at most limit tokens.
func (s *splitter) cutAtom(a atom, limit int) []atom {
	var out []atom
	pos := a.start
	for _, piece := range s.opt.Counter.Split(s.doc.Text[a.start:a.end], limit) {
		b := s.atom(pos, pos+len(piece))
		b.header, b.repeat = a.header, a.repeat
		out = append(out, b)
		pos = b.end
	}
	return out
}

// atom counts text[start:end].
func (s *splitter) atom(start, end int) atom {
	return atom{start: start, end: end, tokens: s.tokens(start, end),
		content: strings.TrimSpace(s.doc.Text[start:end]) != ""}
}

func (s *splitter) tokens(start, end int) int {
	return s.opt.Counter.Count(s.doc.Text[start:end])
}

// lineEnd returns the offset after the line of s that begins at i.
func lineEnd(s string, i int) int {
	if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(s)
}
