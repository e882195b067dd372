package chunk

// leastFill is the least part of the limit, in percent, at which a border may be
// chosen by content. Lower makes smaller chunks, higher makes borders move more
// often after an edit: 70 leaves 4 in 5 tokens used.
const leastFill = 70

// hashBytes is how much of an atom's end its rank depends on.
const hashBytes = 64

// border returns how many atoms of the open chunk to close it with, as a does
// not fit. Of the places in the last part of the limit from which the rest goes
// into one chunk with a, it takes one between blocks if there is one, and of
// those the one whose text has the least hash. An edit elsewhere seldom changes
// which that is, so the chunks after an edit are soon the same again; borders at
// the limit itself would all move, up to the next heading.
func (p *packer) border(a atom) int {
	best, least := len(p.open), ^uint64(0)
	first, after := a, 0 // what follows the border: the first atom, the tokens before a
	for i := len(p.open); i > p.fresh; i-- {
		last := p.open[i-1]
		full := p.prefix.tokens + p.sum - after
		if 100*full < leastFill*p.opt.MaxTokens {
			break
		}
		if !last.heading && p.needs(first)+after+a.tokens <= p.opt.MaxTokens {
			if r := p.rank(last); r < least {
				best, least = i, r
			}
		}
		first = last
		after += last.tokens
	}
	return best
}

// needs returns the tokens of the prefix of a chunk that begins with a.
func (p *packer) needs(a atom) int {
	if a.header != nil {
		return p.base.tokens + a.header.tokens
	}
	return p.base.tokens
}

// rank orders atoms by how good a border is after them, the best first: ends of
// blocks, then by a hash (FNV-1a) of the end of their text.
func (p *packer) rank(a atom) uint64 {
	h := uint64(14695981039346656037)
	for i := max(a.start, a.end-hashBytes); i < a.end; i++ {
		h = (h ^ uint64(p.doc.Text[i])) * 1099511628211
	}
	h >>= 1
	if !a.blockEnd {
		h |= 1 << 63
	}
	return h
}
