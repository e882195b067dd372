package chunk

import (
	"strings"
	"unicode"
)

// packer fills chunks with the atoms of one section.
type packer struct {
	*splitter
	sec    section
	prefix prefix
	budget int // tokens beside the prefix
	first  int // index of the section's first chunk

	atomsIn []atom // the open chunk
	sum     int    // its tokens beside the prefix
	tail    []atom // the atoms of the chunk before: where overlap comes from
}

// add packs an atom, closing the open chunk first when it doesn't fit.
func (p *packer) add(a atom) {
	if len(p.atomsIn) > 0 && p.sum+a.tokens > p.budget {
		p.flush()
	}
	if len(p.atomsIn) == 0 {
		if !a.content {
			return
		}
		p.open(a)
	}
	p.atomsIn = append(p.atomsIn, a)
	p.sum += a.tokens
	if a.closes {
		p.flush()
	}
}

// open begins a chunk whose first new atom is a: with the header of its table,
// else with as much overlap as fits.
func (p *packer) open(a atom) {
	p.sum = 0
	if a.header != nil {
		p.sum = a.header.tokens
		return
	}
	room := min(p.opt.Overlap, p.budget-a.tokens)
	i, next := len(p.tail), a.start
	for i > 0 && p.overlaps(p.tail[i-1], next) && p.sum+p.tail[i-1].tokens <= room {
		i--
		p.sum += p.tail[i].tokens
		next = p.tail[i].start
	}
	for i < len(p.tail) && !p.tail[i].content {
		p.sum -= p.tail[i].tokens
		i++
	}
	p.atomsIn = append(p.atomsIn, p.tail[i:]...)
}

// overlaps reports whether a, which must end at next, may be repeated: not if
// it begins the chunk before, which would then be of no use.
func (p *packer) overlaps(a atom, next int) bool {
	return a.repeat && a.end == next && len(p.chunks) > p.first && a.start > p.chunks[len(p.chunks)-1].Start
}

// flush closes the open chunk.
func (p *packer) flush() {
	if len(p.atomsIn) == 0 {
		return
	}
	p.emit(p.atomsIn)
	p.tail, p.atomsIn = p.atomsIn, nil
}

// emit appends the chunk of some atoms, less at their end what has no content.
// Should the whole have more tokens than its parts, it is cut again.
func (p *packer) emit(atoms []atom) {
	for len(atoms) > 0 && !atoms[len(atoms)-1].content {
		atoms = atoms[:len(atoms)-1]
	}
	if len(atoms) == 0 {
		return
	}
	c := p.chunk(atoms)
	if c.Tokens <= p.opt.MaxTokens {
		if p.fresh(c) {
			p.chunks = append(p.chunks, c)
		}
		return
	}
	if n := len(atoms); n > 1 {
		cut := n - max(1, n/8)
		p.emit(atoms[:cut])
		p.emit(atoms[cut:])
		return
	}
	p.emitLong(atoms[0], c)
}

// emitLong appends the chunks of one atom whose chunk c is over the limit.
func (p *packer) emitLong(a atom, c Chunk) {
	pieces := p.cutAtom(a, max(1, a.tokens/2))
	if len(pieces) > 1 {
		for _, b := range pieces {
			p.emit([]atom{b})
		}
		return
	}
	c.Prefix = "" // a single rune
	c.Tokens = p.opt.Counter.Count(c.Text)
	p.chunks = append(p.chunks, c)
}

// fresh reports whether c holds anything the chunk before doesn't.
func (p *packer) fresh(c Chunk) bool {
	return len(p.chunks) == p.first || c.End > p.chunks[len(p.chunks)-1].End
}

// chunk makes the chunk of some atoms.
func (p *packer) chunk(atoms []atom) Chunk {
	start, end := trim(p.doc.Text, atoms[0].start, atoms[len(atoms)-1].end)
	c := Chunk{Text: p.doc.Text[start:end], Prefix: p.prefix.text, Start: start, End: end, Section: p.sec.path}
	if h := atoms[0].header; h != nil {
		c.Prefix += h.text
	}
	if len(p.chunks) > p.first {
		c.Overlap = max(0, min(p.chunks[len(p.chunks)-1].End, end)-start)
	}
	c.Tokens = p.opt.Counter.Count(c.EmbedText())
	return c
}

// trim returns the range without white space around it, but keeps the
// indentation of its first line.
func trim(text string, start, end int) (from, to int) {
	s := text[start:end]
	to = start + len(strings.TrimRightFunc(s, unicode.IsSpace))
	lead := len(s) - len(strings.TrimLeftFunc(s, unicode.IsSpace))
	if i := strings.LastIndexByte(s[:lead], '\n'); i >= 0 {
		return start + i + 1, to
	}
	if start > 0 && text[start-1] != '\n' {
		return start + lead, to
	}
	return start, to
}
