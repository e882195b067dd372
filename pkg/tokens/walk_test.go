package tokens_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/tokens"
)

// piece is what Pieces yields.
type piece struct{ end, tokens int }

func pieces(c *tokens.Counter, text string) []piece {
	var out []piece
	for end, n := range c.Pieces(text) {
		out = append(out, piece{end, n})
	}
	return out
}

// checkPieces checks the promise of Pieces for a text: all runs of a short one,
// some of a long one.
func checkPieces(t *testing.T, c *tokens.Counter, text string, rnd *rand.Rand) {
	t.Helper()
	all := append([]piece{{}}, pieces(c, text)...)
	if last := all[len(all)-1].end; last != len(text) {
		t.Fatalf("%s: the pieces of %q end at %d of %d", c.Encoding(), text, last, len(text))
	}
	check := func(i, j int) {
		sum := 0
		for k := i + 1; k <= j; k++ {
			sum += all[k].tokens
		}
		if run := text[all[i].end:all[j].end]; c.Count(run) != sum {
			t.Fatalf("%s: %q in %q: the pieces %v have %d tokens, the whole %d", c.Encoding(), run, text, all[i+1:j+1], sum, c.Count(run))
		}
	}
	for i := 1; i < len(all); i++ {
		if all[i].end <= all[i-1].end || utf8.ValidString(text) && all[i].end < len(text) && !utf8.RuneStart(text[all[i].end]) {
			t.Fatalf("%s: the pieces of %q end at %v", c.Encoding(), text, all)
		}
		if len(all) > 24 {
			check(i-1, i+rnd.IntN(min(len(all)-i, 300)))
			continue
		}
		for j := i; j < len(all); j++ {
			check(i-1, j)
		}
	}
}

func counters(t testing.TB) []*tokens.Counter {
	return []*tokens.Counter{newCounter(t, tokens.Cl100kBase), newCounter(t, tokens.O200kBase)}
}

func TestPiecesAddUp(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(11, 12))
	parts := []string{" ", "  ", "\t", "\n", "\r\n\n", "\u2003", "\u3000", "'s", "'LL", "'", "a", "Hello", "wORLD", "ABC", "é", "ǅ", "漢字", "かな", "。", "、", "」", "（",
		"한국", "\u0301", "ß", "я", "1", "234", "٣", "½", "!", "/", "//", "...", "}", "\"", "_", "👍🏽", "/\n", "\n/", "ſ", "ा", "\xff", "\xe3\x80", "\x80"}
	for _, c := range counters(t) {
		for range 20_000 {
			var b strings.Builder
			for range 1 + rnd.IntN(10) {
				b.WriteString(parts[rnd.IntN(len(parts))])
			}
			checkPieces(t, c, b.String(), rnd)
		}
		for _, text := range hostile(3000) {
			checkPieces(t, c, text, rnd)
		}
	}
}

func TestPiecesEnds(t *testing.T) {
	t.Parallel()
	c := newCounter(t, tokens.Cl100kBase)
	for _, want := range [][]string{
		{"One", " two", "."}, {"x", "  ", " 1"}, {"x", "\n", " ", " 1"}, {"文", "。", "次", "。"}, {"x", " ", " y"},
	} {
		text, got, start := strings.Join(want, ""), []string(nil), 0
		for end := range c.Pieces(text) {
			got = append(got, text[start:end])
			start = end
		}
		if !slices.Equal(got, want) {
			t.Errorf("pieces of %q: %q, want %q", text, got, want)
		}
	}
}

func TestPiecesStop(t *testing.T) {
	t.Parallel()
	for end := range newCounter(t, tokens.Cl100kBase).Pieces("one two three") {
		if end != 3 {
			t.Fatalf("the first piece ends at %d, want 3", end)
		}
		break
	}
}

func FuzzPieces(f *testing.F) {
	for _, s := range []string{"", "a  1", "文。次の", "}\n//x", "\u2003\u2003!", "it's", "\xff\xfe", "ſ'ſ"} {
		f.Add(s)
	}
	all := counters(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range all {
			checkPieces(t, c, text, rand.New(rand.NewPCG(1, uint64(len(text)))))
		}
	})
}
