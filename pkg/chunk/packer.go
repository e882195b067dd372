package chunk

import (
	"slices"

	"github.com/weir-dev/weir/pkg/parse"
)

// header is the header of a table.
type header struct {
	text   string // ends in a line end
	tokens int
}

// atom is a part of the text that is packed whole. The atoms of a document tile
// it: an atom holds the white space after it.
type atom struct {
	start, end int // bytes in Document.Text
	tokens     int
	header     *header  // what a chunk that begins here must repeat, nil for nothing
	begins     []string // the path of the heading it begins with, nil for none
	heading    bool     // of a heading
	repeat     bool     // may be overlap
	content    bool     // worth a chunk: neither a heading nor a rule nor white space
	blockEnd   bool     // the last of its block
	solo       bool     // part of a piece too long for a chunk; tokens are not exact
}

func tokensOf(atoms []atom) int {
	sum := 0
	for _, a := range atoms {
		sum += a.tokens
	}
	return sum
}

// packer fills the chunks of one document with its atoms.
type packer struct {
	doc    parse.Document
	opt    Options
	title  string
	counts map[string]int // tokens of prefixes and their parts
	chunks []Chunk
	path   []string // of the section
	base   prefix   // of a chunk in the middle of the section

	open   []atom   // the open chunk, overlap first
	fresh  int      // its first atom that is not overlap
	sum    int      // its tokens beside the prefix
	prefix prefix   // its prefix
	within []string // its section
	tail   []atom   // the chunk before, where overlap comes from
	solo   bool     // the chunk before is of solo atoms

	ends  []int  // buffers of atoms.go
	marks []mark //
	atoms []atom //
	at    cutting
	total int // of tokensUpTo
	most  int //
	// Methods as values, made once: takePiece and addPiece.
	take, addUp func(end, tokens int) bool
}

func isHeading(a atom) bool { return a.heading }

func newPacker(doc parse.Document, opt Options) *packer {
	p := &packer{doc: doc, opt: opt, counts: map[string]int{}, title: oneLine(doc.Title),
		chunks: make([]Chunk, 0, len(doc.Text)/(2*opt.MaxTokens)+1), marks: make([]mark, 0, min(len(doc.Text), 256))}
	p.take, p.addUp = p.takePiece, p.addPiece
	return p
}

// document packs all blocks.
func (p *packer) document() {
	blocks := p.doc.Blocks
	if len(blocks) == 0 {
		blocks = []parse.Block{{Kind: parse.Paragraph, End: len(p.doc.Text)}}
	}
	pos := 0
	for i, b := range blocks {
		next := len(p.doc.Text)
		if i+1 < len(blocks) {
			next = blocks[i+1].Start
		}
		if pos >= next { // a piece of the text reaches over the block
			continue
		}
		if i == 0 || b.Kind == parse.Heading || !slices.Equal(b.Section, p.path) {
			p.enter(b)
		}
		b.Start, b.End = pos, max(pos, b.End)
		pos = p.block(b, next)
	}
	p.finish()
}

// enter begins the section of b. What has no content yet stays open for a
// heading.
func (p *packer) enter(b parse.Block) {
	if b.Kind != parse.Heading || p.hasContent() {
		p.flush()
	}
	p.sum -= tokensOf(p.open[:p.fresh])
	p.open, p.fresh, p.tail = p.open[p.fresh:], 0, p.tail[:0]
	p.path = b.Section
	p.base = p.pathPrefix(nil)
}

// hasContent reports whether the open chunk is worth one.
func (p *packer) hasContent() bool {
	return slices.ContainsFunc(p.open[p.fresh:], func(a atom) bool { return a.content })
}

// add packs an atom, closing the open chunk first when it does not fit.
func (p *packer) add(a atom) {
	switch {
	case a.solo:
		p.flush()
		p.emitSolo(a)
		return
	case a.heading:
		p.addHeading(a)
		return
	case len(p.open) > 0 && p.prefix.tokens+p.sum+a.tokens > p.opt.MaxTokens:
		p.cutOpen(a)
	case len(p.open) == 0:
		p.begin(nil, a)
	}
	p.push(a)
}

func (p *packer) push(a atom) {
	p.open = append(p.open, a)
	p.sum += a.tokens
}

// addHeading packs a heading behind the headings that wait for content.
func (p *packer) addHeading(a atom) {
	with := p.headingPrefix(append(p.open, a))
	if len(p.open) > 0 && with.tokens+p.sum+a.tokens > p.opt.MaxTokens {
		p.flush()
		p.tail = p.tail[:0]
		with = p.headingPrefix([]atom{a})
	}
	if with.tokens+p.sum+a.tokens > p.opt.MaxTokens {
		with = prefix{}
	}
	p.prefix, p.within = with, p.path
	p.push(a)
}

// cutOpen closes the open chunk at its best border and opens one with what is
// left of it, so that a fits.
func (p *packer) cutOpen(a atom) {
	at := p.border(a)
	left := p.open[at:]
	p.emit(p.open[:at])
	free := p.tail[:0]
	p.tail, p.open = p.open[:at], free
	p.begin(left, a)
}

// begin opens a chunk of some atoms, with as much overlap as fits if a follows.
// A row of a table has its header instead.
func (p *packer) begin(atoms []atom, a atom) {
	first, need := a, a.tokens+tokensOf(atoms)
	if len(atoms) > 0 {
		first = atoms[0]
	}
	p.open, p.fresh, p.sum, p.within = p.open[:0], 0, 0, p.path
	if first.header == nil {
		room := min(p.opt.Overlap, p.opt.MaxTokens-p.base.tokens-need)
		for _, b := range p.overlap(first.start, room) {
			p.push(b)
		}
		p.fresh = len(p.open)
	}
	for _, b := range atoms {
		p.push(b)
	}
	if p.fresh > 0 {
		first = p.open[0]
	}
	if slices.ContainsFunc(atoms, isHeading) {
		p.prefix = p.headingPrefix(atoms)
	} else {
		p.prefix = p.startPrefix(first)
	}
	if p.prefix.tokens+p.sum+a.tokens > p.opt.MaxTokens { // longer without the headings
		p.prefix = prefix{}
	}
}

// overlap returns the last atoms before the offset next that may be repeated in
// at most room tokens: never the whole chunk before, and no white space first.
func (p *packer) overlap(next, room int) []atom {
	i := len(p.tail)
	for i > 1 && p.tail[i-1].repeat && p.tail[i-1].end == next && p.tail[i-1].tokens <= room {
		i--
		next = p.tail[i].start
		room -= p.tail[i].tokens
	}
	for i < len(p.tail) && !p.tail[i].content {
		i++
	}
	return p.tail[i:]
}

// flush closes the open chunk.
func (p *packer) flush() {
	if len(p.open) > p.fresh {
		p.emit(p.open)
	}
	free := p.tail[:0]
	p.tail, p.open, p.fresh, p.sum = p.open, free, 0, 0
}

// finish closes the last chunk. Headings without content go with the chunk
// before if they fit.
func (p *packer) finish() {
	if n := len(p.chunks); n > 0 && len(p.open) > 0 && !p.hasContent() && !p.solo {
		last, fresh := &p.chunks[n-1], p.open[p.fresh:]
		if sum := last.Tokens + tokensOf(fresh); sum <= p.opt.MaxTokens {
			last.End, last.Tokens = fresh[len(fresh)-1].end, sum
			last.Text = p.doc.Text[last.Start:last.End]
			return
		}
	}
	p.flush()
}

// emit appends the chunk of the first atoms of the open chunk.
func (p *packer) emit(atoms []atom) {
	c := Chunk{Prefix: p.prefix.text, Start: atoms[0].start, End: atoms[len(atoms)-1].end, Section: p.within, Tokens: p.prefix.tokens + tokensOf(atoms)}
	c.Text, c.Overlap = p.doc.Text[c.Start:c.End], atoms[p.fresh].start-c.Start
	p.chunks, p.solo = append(room(p.chunks), c), false
}

// emitSolo appends the chunk of a solo atom, without a prefix if the two do not
// go together.
func (p *packer) emitSolo(a atom) {
	c := Chunk{Text: p.doc.Text[a.start:a.end], Prefix: p.base.text, Start: a.start, End: a.end, Section: p.path}
	if a.header != nil {
		c.Prefix += a.header.text
	}
	if c.Tokens = p.tokens(c.EmbedText()); c.Tokens > p.opt.MaxTokens {
		c.Prefix, c.Tokens = "", p.tokens(c.Text)
	}
	p.chunks, p.solo, p.tail = append(room(p.chunks), c), true, p.tail[:0]
}
