package tokens

import "unicode/utf8"

// splitter cuts text into the pieces within which tokens are merged. It does by
// hand what tiktoken's regular expressions do, reading each character at most
// a few times. Bytes that are not UTF-8 are read as symbols, one each.
type splitter struct {
	classes *classTable
	cased   bool // o200k_base: words are cut before capitals, too
	steps   int  // bytes read ahead, which tests hold to a multiple of the text's
}

// next returns the length of the first piece of s, which is not empty.
func (p *splitter) next(s string) int {
	if n, _, _ := p.common(s); n > 0 {
		return n
	}
	return p.any(s)
}

// any is next for all that common leaves.
func (p *splitter) any(s string) int {
	c, w := p.at(s, 0)
	if c&number != 0 {
		return p.digits(s)
	}
	if c&(letter|upper|lower) != 0 || len(s) == w || s[w] >= utf8.RuneSelf || p.classes[s[w]]&letter != 0 { // else there is no word
		if n := p.word(s, c, w); n > 0 {
			return n
		}
	}
	switch {
	case c&space == 0:
		return p.symbols(s, 0)
	case s[0] == ' ' && len(s) > 1:
		if c, _ := p.at(s, 1); c&(space|letter|number) == 0 {
			return p.symbols(s, 1)
		}
	}
	return p.blanks(s)
}

// at returns the class and the length of the character of s at i.
func (p *splitter) at(s string, i int) (class, int) {
	if s[i] < utf8.RuneSelf {
		return p.classes[s[i]], 1
	}
	r, w := utf8.DecodeRuneInString(s[i:])
	return p.classes[r], w
}

// run returns the end of the characters from i on that have a bit of mask.
func (p *splitter) run(s string, i int, mask class) int {
	start := i
	for i < len(s) {
		c, w := p.at(s, i)
		if c&mask == 0 {
			break
		}
		i += w
	}
	p.steps += i - start + 1
	return i
}

// word returns the length of a word at the start of s, where a character of
// class c and length w is; 0 if there is none. A word may begin with any one
// character that is no letter, digit or line end.
func (p *splitter) word(s string, c class, w int) int {
	switch {
	case !p.cased:
		return p.plainWord(s, c, w)
	case c&(upper|lower) != 0:
		return p.casedWord(s, 0)
	case c&(number|newline) == 0:
		if n := p.casedWord(s, w); n > w {
			return n
		}
	}
	return 0
}

// plainWord is a word of cl100k_base:
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+
func (p *splitter) plainWord(s string, c class, w int) int {
	if n := contraction(s); n > 0 {
		return n
	}
	switch {
	case c&letter != 0:
		return p.run(s, w, letter)
	case c&(number|newline) == 0:
		if n := p.run(s, w, letter); n > w {
			return n
		}
	}
	return 0
}

// casedWord returns the end of a word of o200k_base that begins at i, or i:
//
//	[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//	[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//
// The first line needs an end in lower case. Where none follows the capitals,
// it ends with the last of them that is lower as well (it gives back what it
// took too much), and only without such a one does the second line match.
func (p *splitter) casedWord(s string, i int) int {
	start, both := i, i
	for i < len(s) {
		c, w := p.at(s, i)
		if c&upper == 0 {
			break
		}
		i += w
		if c&lower != 0 {
			both = i
		}
	}
	p.steps += i - start + 1
	end := p.run(s, i, lower)
	if end == i && both > start {
		end = both
	}
	if end == start {
		return start
	}
	return end + contraction(s[end:])
}

// contraction returns the length of an English contraction ('s, 'll) at the
// start of s, 0 without. The long s folds to s as well.
func contraction(s string) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	switch s[1] | 0x20 {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if len(s) > 2 && s[2]|0x20 == 'e' {
			return 3
		}
	case 'l':
		if len(s) > 2 && s[2]|0x20 == 'l' {
			return 3
		}
	}
	if len(s) > 2 && s[1:3] == "ſ" {
		return 3
	}
	return 0
}

// digits returns the length of \p{N}{1,3}.
func (p *splitter) digits(s string) int {
	i := 0
	for range 3 {
		if i == len(s) {
			break
		}
		c, w := p.at(s, i)
		if c&number == 0 {
			break
		}
		i += w
	}
	p.steps += i
	return i
}

// symbols returns the end of [^\s\p{L}\p{N}]+[\r\n]* from i on; in o200k_base
// the tail is [\r\n/]*.
func (p *splitter) symbols(s string, i int) int {
	start := i
	for i < len(s) {
		c, w := p.at(s, i)
		if c&(space|letter|number) != 0 {
			break
		}
		i += w
	}
	for i < len(s) && (s[i] == '\r' || s[i] == '\n' || p.cased && s[i] == '/') {
		i++
	}
	p.steps += i - start + 1
	return i
}

// blanks returns the length of \s*[\r\n]+|\s+(?!\S)|\s+: white space up to its
// last line end, else all but its last character, which goes to a word after it.
func (p *splitter) blanks(s string) int {
	i, last, lineEnd := 0, 0, 0
	for i < len(s) {
		c, w := p.at(s, i)
		if c&space == 0 {
			break
		}
		last = i
		i += w
		if c&newline != 0 {
			lineEnd = i
		}
	}
	p.steps += i + 1
	switch {
	case lineEnd > 0:
		return lineEnd
	case i == len(s) || last == 0:
		return i
	}
	return last
}
