package chunk

import (
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// pathSep stands between title and headings of a prefix.
	pathSep = " > "
	// prefixEnd closes the path line.
	prefixEnd = "\n\n"
	// prefixShare is the part of the limit a path may take: a quarter.
	prefixShare = 4
)

// prefix is the prefix of a chunk.
type prefix struct {
	text   string
	tokens int
}

// startPrefix returns the prefix of a chunk in the section that begins with a,
// no heading.
func (p *packer) startPrefix(a atom) prefix {
	pre := p.base
	if a.header != nil {
		pre = prefix{pre.text + a.header.text, p.needs(a)}
	}
	return p.before(pre, a)
}

// headingPrefix returns the prefix of a chunk that begins with the headings
// among atoms.
func (p *packer) headingPrefix(atoms []atom) prefix {
	return p.before(p.pathPrefix(atoms), atoms[0])
}

// before makes pre the prefix of a chunk that begins with a. Should the line end
// of the prefix be one piece with white space at the start of the chunk, the two
// are counted together, and pre.tokens corrected.
func (p *packer) before(pre prefix, a atom) prefix {
	text := p.doc.Text[a.start:a.end]
	lead := text[:leadingLines(text)]
	if lead == "" || pre.text == "" {
		return pre
	}
	tokens := p.tokens(pre.text+lead) - p.tokens(lead)
	if tokens > pre.tokens {
		return prefix{}
	}
	return prefix{pre.text, tokens}
}

// leadingLines returns the length of the white space s begins with, up to the
// last line end in it.
func leadingLines(s string) int {
	lead := s[:len(s)-len(strings.TrimLeftFunc(s, unicode.IsSpace))]
	return strings.LastIndexAny(lead, "\r\n") + 1
}

// pathPrefix returns the path line of the section, without the headings among
// atoms: the title and as many headings as fit into a share of the limit, the
// innermost first.
func (p *packer) pathPrefix(atoms []atom) prefix {
	parts, titled := p.pathParts(atoms)
	limit := p.opt.MaxTokens / prefixShare
	pre := p.line(parts)
	if pre.tokens > limit {
		pre = p.line(p.heaviest(parts, titled, limit))
	}
	if pre.tokens > p.opt.MaxTokens/2 { // the whole may have more tokens than its parts
		return prefix{}
	}
	return pre
}

// line returns the path line of parts.
func (p *packer) line(parts []string) prefix {
	if len(parts) == 0 {
		return prefix{}
	}
	text := closeLine(strings.Join(parts, pathSep), prefixEnd)
	return prefix{text, p.count(text)}
}

// pathParts returns the title, unless it is the first heading, and the headings
// of the path, but for those among atoms; titled is whether the title is there.
func (p *packer) pathParts(atoms []atom) (parts []string, titled bool) {
	title := p.title
	held := func(heading string, depth int) bool {
		return slices.ContainsFunc(atoms, func(a atom) bool {
			n := len(a.begins)
			return n > 0 && (depth == 0 || n == depth) && a.begins[n-1] == heading
		})
	}
	if title != "" && (len(p.path) == 0 || p.path[0] != title) && !held(title, 0) {
		parts, titled = append(parts, title), true
	}
	for i, h := range p.path {
		if !held(h, i+1) && h != "" {
			parts = append(parts, oneLine(h))
		}
	}
	return parts, titled
}

// heaviest returns those of parts that fit into limit tokens: the innermost
// heading, the title, then outwards.
func (p *packer) heaviest(parts []string, titled bool, limit int) []string {
	budget := limit - p.count(" "+prefixEnd)
	keep := make([]bool, len(parts))
	for _, i := range byWeight(len(parts), titled) {
		if n := p.count(pathSep + parts[i]); n <= budget {
			budget -= n
			keep[i] = true
		}
	}
	var kept []string
	for i, s := range parts {
		if keep[i] {
			kept = append(kept, s)
		}
	}
	return kept
}

// byWeight returns the indexes of n parts by importance: the innermost heading,
// the title (if the first part is one), then outwards.
func byWeight(n int, titled bool) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = n - 1 - i
	}
	if titled { // from the last place
		order = slices.Insert(order[:n-1], min(1, n-1), 0)
	}
	return order
}

// closeLine returns line with the line ends given, after a blank unless line
// ends in a letter or digit: so no piece of text reaches over the end.
func closeLine(line, end string) string {
	if r, _ := utf8.DecodeLastRuneInString(line); unicode.IsLetter(r) || unicode.IsNumber(r) {
		return line + end
	}
	return line + " " + end
}

// oneLine returns s with single blanks for all other white space, if it has any.
func oneLine(s string) string {
	plain := true // as most headings are
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] < utf8.RuneSelf
	}
	if plain || strings.IndexFunc(s, func(r rune) bool { return r != ' ' && unicode.IsSpace(r) }) < 0 {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}

// count counts a short text, remembering the result: prefixes repeat.
func (p *packer) count(text string) int {
	n, ok := p.counts[text]
	if !ok {
		n = p.tokens(text)
		p.counts[text] = n
	}
	return n
}

// tokens counts a text.
func (p *packer) tokens(text string) int { return p.tokensUpTo(text, math.MaxInt) }

// tokensUpTo counts a text until there are more than most.
func (p *packer) tokensUpTo(text string, most int) int {
	p.total, p.most = 0, most
	p.opt.Counter.Pieces(text)(p.addUp)
	return p.total
}

// addPiece is the loop of tokensUpTo.
func (p *packer) addPiece(_, tokens int) bool {
	p.total += tokens
	return p.total <= p.most
}
