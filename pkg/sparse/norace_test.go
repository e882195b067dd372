//go:build !race

package sparse

import (
	"strings"
	"testing"
)

// The race detector makes a pool forget at random, so this runs without it.
func TestAllocations(t *testing.T) {
	e := New()
	text := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 20)
	e.Passage(text)
	// Two slices for each of two vectors.
	if n := testing.AllocsPerRun(100, func() { e.Passage(text) }); n > 4.5 {
		t.Errorf("a passage takes %.1f allocations, want 4", n)
	}
}
