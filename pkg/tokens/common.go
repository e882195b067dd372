package tokens

import (
	"math/bits"
	"unicode/utf8"
)

// Eight bytes of a word are looked at at once, one in each byte of a uint64.
const (
	everyByte = 0x0101010101010101
	highBits  = 0x80 * everyByte
)

// common returns the length and the key of the first piece of s if it is, as
// most are, an ASCII word of at most keyBytes bytes and no end of the text is
// near; 0 if it is anything else. The word may begin with a blank or symbol.
func (p *splitter) common(s string) (n int, low, high uint64) {
	if len(s) < 17 {
		return 0, 0, 0
	}
	low = load(s)
	letters := p.letters(low)
	first := 0 // bytes before the letters that the word needs
	if letters&0x80 == 0 {
		if p.cased && s[0]-'A' < 26 {
			first = 1
		} else if first = p.lead(s); first == 0 {
			return 0, 0, 0
		}
		letters |= 0x8080 >> (16 - 8*first)
	}
	n = bits.TrailingZeros64(^letters&highBits) / 8
	if n == 8 {
		high = load(s[8:])
		n += bits.TrailingZeros64(^p.letters(high)&highBits) / 8
	}
	if n <= first || n > keyBytes || s[n] >= utf8.RuneSelf || p.cased && s[n] == '\'' {
		return 0, 0, 0
	}
	p.steps += n + 1
	if n < 8 {
		return n, low & (1<<(8*n) - 1), uint64(n) << 56
	}
	return n, low, high&(1<<(8*n-64)-1) | uint64(n)<<56
}

// lead returns how many bytes at the start of s, where no letter is, may stand
// before the small letters of a word (any letters if not cased); 0 if it is no
// start of a word.
func (p *splitter) lead(s string) int {
	switch {
	case s[0] >= utf8.RuneSelf || p.classes[s[0]]&(letter|number|newline) != 0 || !p.cased && s[0] == '\'':
		return 0
	case p.cased && s[1]-'A' < 26:
		return 2
	}
	return 1
}

// letters sets the high bit of the bytes of x that are ASCII letters, small ones
// if words are cut by case.
func (p *splitter) letters(x uint64) uint64 {
	y := x
	if !p.cased {
		y |= ('a' - 'A') * everyByte
	}
	y &^= highBits // so that no sum carries into the next byte
	return (y + (0x80-'a')*everyByte) &^ (y + (0x7F-'z')*everyByte) &^ x & highBits
}
