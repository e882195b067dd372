package tokens

import (
	"sync"
	"unicode"
)

// class is what the splitters need to know of a character, as bits.
type class uint8

// The bits. A character that may stand on both sides of a change of case (a
// mark, a letter without case) is upper and lower.
const (
	letter  class = 1 << iota // \p{L}
	number                    // \p{N}
	space                     // \s: White_Space
	newline                   // \r or \n
	upper                     // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
	lower                     // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
)

// classTable holds the class of every character. Only the touched parts of its
// megabyte take memory.
type classTable [unicode.MaxRune + 1]class

// classes is made at first use.
var classes = sync.OnceValue(newClassTable) //nolint:gochecknoglobals // a table, never written

func newClassTable() *classTable {
	t := new(classTable)
	t.add(letter|upper, unicode.Lu, unicode.Lt)
	t.add(letter|lower, unicode.Ll)
	t.add(letter|upper|lower, unicode.Lm, unicode.Lo)
	t.add(upper|lower, unicode.M)
	t.add(number, unicode.N)
	t.add(space, unicode.White_Space)
	t['\r'] |= newline
	t['\n'] |= newline
	return t
}

// add sets the bits c of the characters in the ranges.
func (t *classTable) add(c class, ranges ...*unicode.RangeTable) {
	for _, table := range ranges {
		for _, r := range table.R16 {
			for x := rune(r.Lo); x <= rune(r.Hi); x += rune(r.Stride) {
				t[x] |= c
			}
		}
		for _, r := range table.R32 {
			for x := rune(r.Lo); x <= rune(r.Hi); x += rune(r.Stride) {
				t[x] |= c
			}
		}
	}
}
