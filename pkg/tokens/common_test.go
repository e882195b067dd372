package tokens

import (
	"strings"
	"testing"
)

// TestCommon compares the quick way to a word with the thorough one, and its
// key: after every byte, for every length, before every byte.
func TestCommon(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{O200kBase, Cl100kBase} {
		c, err := New(encoding)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := c.parts()
		taken := 0
		for n := range keyBytes + 2 {
			for b := range 1 << 16 { // both bytes
				s := string([]byte{byte(b >> 8)}) + strings.Repeat("w", n) + string([]byte{byte(b)}) + strings.Repeat("é", keyBytes)
				got, low, high := p.common(s)
				if got == 0 {
					continue
				}
				taken++
				if want := p.any(s); got != want {
					t.Fatalf("%s: piece of %q is %d bytes, want %d", encoding, s, got, want)
				}
				if wantLow, wantHigh := key(s[:got]); low != wantLow || high != wantHigh {
					t.Fatalf("%s: key of %q is %x %x, want %x %x", encoding, s[:got], low, high, wantLow, wantHigh)
				}
			}
		}
		if taken < 1<<16 {
			t.Errorf("%s: %d words are taken, want many more", encoding, taken)
		}
	}
}
