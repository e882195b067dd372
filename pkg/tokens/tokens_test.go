package tokens_test

import (
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/tokens"
)

// newCounter returns a Counter or ends the test.
func newCounter(t testing.TB, encoding string) *tokens.Counter {
	t.Helper()
	c, err := tokens.New(encoding)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewUnknownEncoding(t *testing.T) {
	t.Parallel()
	_, err := tokens.New("p50k_base")
	if err == nil || !strings.Contains(err.Error(), `"p50k_base"`) {
		t.Fatalf("New(p50k_base) error = %v, want one naming the encoding", err)
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	cl, o2 := newCounter(t, tokens.Cl100kBase), newCounter(t, tokens.O200kBase)
	tests := []struct {
		name, text string
		cl, o2     int
	}{
		{"empty", "", 0, 0},
		{"words", "hello world", 2, 2},
		{"delete characters", "a\x7f\x7fb", 4, 4},
		{"an invalid byte is a token", "\xff", 1, 1},
		{"special tokens are text", "<|endoftext|>", 7, 7},
		{"line", "one\ntwo\n", 4, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := cl.Count(tt.text); got != tt.cl {
				t.Errorf("cl100k Count(%q) = %d, want %d", tt.text, got, tt.cl)
			}
			if got := o2.Count(tt.text); got != tt.o2 {
				t.Errorf("o200k Count(%q) = %d, want %d", tt.text, got, tt.o2)
			}
		})
	}
}

func TestCountAdds(t *testing.T) {
	t.Parallel()
	line := "The quick brown fox jumps over the lazy dog, twice; then it sleeps.\n"
	for _, enc := range []string{tokens.Cl100kBase, tokens.O200kBase} {
		c := newCounter(t, enc)
		want := 1000 * c.Count(line)
		if got := c.Count(strings.Repeat(line, 1000)); got != want {
			t.Errorf("%s: 1000 lines = %d tokens, want %d", enc, got, want)
		}
		word := strings.TrimSpace(line) + " "
		one := c.Count(strings.Repeat(word, 2)) - c.Count(word)
		want = c.Count(word) + 999*one
		if got := c.Count(strings.Repeat(word, 1000)); got != want {
			t.Errorf("%s: one line of 1000 sentences = %d tokens, want %d", enc, got, want)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c := newCounter(t, tokens.O200kBase)
	text := strings.Repeat("Concurrent counting of one text. ", 50)
	want := c.Count(text)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got := c.Count(text); got != want {
				t.Errorf("Count = %d, want %d", got, want)
			}
			c.Split(text, 16)
		})
	}
	wg.Wait()
}

func TestSplit(t *testing.T) {
	t.Parallel()
	c := newCounter(t, tokens.Cl100kBase)
	texts := hostile(2500)
	texts["empty"] = ""
	texts["prose"] = strings.Repeat("Some words make a sentence of no end and ", 300)
	for name, text := range texts {
		for _, limit := range []int{4, 64} {
			pieces := c.Split(text, limit)
			if strings.Join(pieces, "") != text {
				t.Fatalf("%s/%d: the pieces joined differ from the text", name, limit)
			}
			for i, p := range pieces {
				if n := c.Count(p); n > limit || p == "" {
					t.Errorf("%s/%d: piece %d %q has %d tokens", name, limit, i, p, n)
				}
				if utf8.ValidString(text) && !utf8.ValidString(p) {
					t.Errorf("%s/%d: piece %d %q cuts a rune", name, limit, i, p)
				}
			}
		}
	}
}

func TestSplitPrefersWords(t *testing.T) {
	t.Parallel()
	c := newCounter(t, tokens.Cl100kBase)
	text := strings.Repeat("incomprehensibilities unquestionably ", 40)
	for _, p := range c.Split(text, 16)[1:] {
		if p[0] != ' ' {
			t.Fatalf("piece %q begins within a word", p)
		}
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"", "hello world", "a\x7f b", "漢字\n \n", "\xff\xfe", "don't\n/x"} {
		f.Add(s, 3)
	}
	c := newCounter(f, tokens.O200kBase)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = max(4, limit%512)
		pieces := c.Split(text, limit)
		if strings.Join(pieces, "") != text {
			t.Fatalf("the pieces of %q joined differ: %q", text, pieces)
		}
		for _, p := range pieces {
			if n := c.Count(p); n > limit && utf8.ValidString(text) {
				t.Fatalf("piece %q has %d tokens, limit %d", p, n, limit)
			}
		}
	})
}
