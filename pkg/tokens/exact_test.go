package tokens_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tiktoken-go/tokenizer"
	"github.com/tiktoken-go/tokenizer/codec"

	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/tokens"
)

// TestVectors compares with the ids of the official tiktoken.
func TestVectors(t *testing.T) {
	t.Parallel()
	var vectors []struct {
		S             string
		O200k, Cl100k []uint32
	}
	data, err := os.ReadFile(dataset.Path(t, "tokens", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 416 {
		t.Fatalf("%d vectors, want all 416", len(vectors))
	}
	cl, o2 := newCounter(t, tokens.Cl100kBase), newCounter(t, tokens.O200kBase)
	for _, v := range vectors {
		for c, want := range map[*tokens.Counter][]uint32{cl: v.Cl100k, o2: v.O200k} {
			if got := c.Encode(v.S); !slices.Equal(got, want) {
				t.Errorf("%s Encode(%q) = %v, want %v", c.Encoding(), v.S, got, want)
			}
			if got := c.Count(v.S); got != len(want) {
				t.Errorf("%s Count(%q) = %d, want %d", c.Encoding(), v.S, got, len(want))
			}
		}
	}
}

// TestAgainstTokenizer compares random texts with tiktoken-go/tokenizer, which
// is exact for all but DEL and blanks between two line ends.
func TestAgainstTokenizer(t *testing.T) {
	t.Parallel()
	theirs := map[string]tokenizer.Codec{tokens.O200kBase: codec.NewO200kBase(), tokens.Cl100kBase: codec.NewCl100kBase()}
	for encoding, codec := range theirs {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			c, rnd := newCounter(t, encoding), rand.New(rand.NewPCG(1, 2))
			for range 4000 {
				text := randomText(rnd, 1+rnd.IntN(40))
				ids, _, err := codec.Encode(text)
				if err != nil {
					t.Fatal(err)
				}
				got := c.Encode(text)
				if !slices.EqualFunc(got, ids, func(a uint32, b uint) bool { return uint(a) == b }) {
					t.Fatalf("Encode(%q) = %v, tokenizer %v", text, got, ids)
				}
			}
		})
	}
}

// randomText joins n parts that are apt to meet the borders of the splitters,
// and none at which tokenizer is known to err.
func randomText(rnd *rand.Rand, n int) string {
	parts := []string{" ", "  ", "\t", "\n", "\r\n\n", "'s", "'LL", "'ve", "a", "Hello", "wORLD", "ABC", "é", "É", "ǅ", "ʰ", "漢字",
		"かな", "한국", "\u0301", "\u0301\u0308", "ß", "Ω", "я", "1", "234", "٣", "Ⅷ", "½", "!", "//", "...", "{}", "\"", "_", "👍🏽", "\u00a0", "/\n", "ſ", "'ſ", "ा"}
	var b strings.Builder
	blank := false // line ends after blanks only once
	for range n {
		part := parts[rnd.IntN(len(parts))]
		isBlank := strings.TrimSpace(part) == ""
		if blank && isBlank {
			continue
		}
		blank = isBlank
		b.WriteString(part)
	}
	return b.String()
}

func FuzzCount(f *testing.F) {
	for _, s := range []string{"", "hello world", "a\x7f b", "漢字\n \n", "\xff\xfe", "don't\n/x", "'ſ", "e\u0301A", "\u0301ABC", "AAb漢A"} {
		f.Add(s)
	}
	for name, s := range hostile(1000) {
		f.Add(s + name)
	}
	counters := []*tokens.Counter{newCounter(f, tokens.O200kBase), newCounter(f, tokens.Cl100kBase)}
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range counters {
			ids := c.Encode(text)
			if back, err := c.Decode(ids); err != nil || back != text {
				t.Fatalf("%s: %q comes back as %q, error %v", c.Encoding(), text, back, err)
			}
			if n := c.Count(text); n != len(ids) || n > len(text) {
				t.Fatalf("%s: Count(%q) = %d, %d ids", c.Encoding(), text, n, len(ids))
			}
			if !utf8.ValidString(text) {
				continue
			}
			// No piece reaches over a line end before a letter.
			if n := c.Count(text + "\nand"); n != c.Count(text+"\n")+1 {
				t.Fatalf("%s: %q and a line more: %d tokens", c.Encoding(), text, n)
			}
		}
	})
}

func TestDecodeUnknownID(t *testing.T) {
	t.Parallel()
	_, err := newCounter(t, tokens.Cl100kBase).Decode([]uint32{0, 1 << 20})
	if err == nil || !strings.Contains(err.Error(), "1048576 at 1") {
		t.Fatalf("Decode error = %v, want one naming the id and its place", err)
	}
}

// hostile are inputs of about n bytes that are slow or wrong in other libraries.
func hostile(n int) map[string]string {
	fill := func(s string) string { return strings.Repeat(s, n/len(s)+1) }
	rnd := rand.New(rand.NewPCG(3, 4))
	var unicode, digits, mixed strings.Builder
	for unicode.Len() < n {
		unicode.WriteRune(rune(rnd.IntN(utf8.MaxRune)))
	}
	for digits.Len() < n {
		fmt.Fprint(&digits, rnd.IntN(10))
	}
	for mixed.Len() < n {
		mixed.WriteString([]string{"a", "^", " ", "\n", "9", "漢", "Aa", "'s", "\xff"}[rnd.IntN(9)])
	}
	return map[string]string{
		"one letter": fill("a"), "carets": fill("^"), "spaces": fill(" "), "newlines": fill("\n"), "blank newline": fill(" \n"),
		"deletes": fill("\x7f"), "wide blanks": fill("\u2003\n"), "capitals": fill("A漢"), "alternating": fill("aA"), "tabs": fill("\t "),
		"cjk": fill("漢字仮名交じり文"), "emoji": fill("👩‍👩‍👧‍👦"), "invalid": fill("\xff\xfe"), "base64": fill("dGhpcyBpcyBubyB0ZXh0"),
		"unicode": unicode.String(), "digits": digits.String(), "mixed": mixed.String(), "marks": fill("\u0301"), "quotes": fill("'"),
	}
}

func BenchmarkCount(b *testing.B) {
	texts := map[string]string{
		"prose": strings.Repeat("A benchmark counts the tokens of ordinary prose, over and over. ", 1000),
		"code":  strings.Repeat("\tif err := run(ctx, cfg); err != nil {\n\t\treturn fmt.Errorf(\"running: %w\", err)\n\t}\n", 800),
		"cjk":   strings.Repeat("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。", 700),
	}
	for name, text := range hostile(1 << 20) {
		texts["1MB "+name] = text
	}
	for _, encoding := range []string{tokens.O200kBase, tokens.Cl100kBase} {
		c := newCounter(b, encoding)
		for name, text := range texts {
			b.Run(encoding+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					c.Count(text)
				}
			})
		}
	}
}
