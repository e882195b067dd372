package chunk_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/chunk"
	"github.com/weir-dev/weir/pkg/parse"
)

// words is a Counter with one token per word, for readable tables.
type words struct{}

var _ chunk.Counter = words{}

func (words) Count(text string) int { return len(strings.Fields(text)) }

func (words) Split(text string, limit int) []string {
	var out []string
	start, n, in := 0, 0, false
	for i, r := range text {
		space := r == ' ' || r == '\n'
		if !space && !in {
			if n == limit {
				out, start, n = append(out, text[start:i]), i, 0
			}
			n++
		}
		in = !space
	}
	return append(out, text[start:])
}

// markdown parses src, titled T.
func markdown(t testing.TB, src string) parse.Document {
	t.Helper()
	doc, err := parse.Parse(t.Context(), parse.Input{Name: "T", MediaType: "text/markdown", Data: []byte(src)})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// split cuts with the words counter and checks what always holds.
func split(t testing.TB, doc parse.Document, limit, overlap int) []chunk.Chunk {
	t.Helper()
	opt := chunk.Options{MaxTokens: limit, Overlap: overlap, Counter: words{}}
	chunks, err := chunk.Split(doc, opt)
	if err != nil {
		t.Fatal(err)
	}
	checkChunks(t, doc, opt, chunks)
	return chunks
}

// seq returns n sentences of five words, numbered from first.
func seq(first, n int) string {
	var out []string
	for i := first; i < first+n; i++ {
		out = append(out, fmt.Sprintf("This is sentence number %d.", i))
	}
	return strings.Join(out, " ")
}

// rows returns table rows of seven fields each.
func rows(first, n int) string {
	var b strings.Builder
	for i := first; i < first+n; i++ {
		fmt.Fprintf(&b, "| r%d | x y |\n", i)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestSplit(t *testing.T) {
	t.Parallel()
	const head = "| a | b |\n|---|---|\n" // six fields
	tests := []struct {
		name           string
		src            string
		limit, overlap int
		want           []string // EmbedText
	}{
		{"headings are hard borders", "intro\n\n# A\n\none\n\n## B\n\ntwo\n\nthree\n", 40, 0, []string{
			"A\n\nintro", "A\n\none", "A > B\n\ntwo\n\nthree"}},
		{"heading only sections", "# A\n\n## B\n\n### C\n\ntext\n\n## D\n", 40, 0, []string{"A > B > C\n\ntext"}},
		{"nothing but headings", "## A\n\n### B\n", 40, 0, []string{"## A\n\n### B"}},
		{"sentences are packed", seq(1, 7), 16, 0, []string{
			"T\n\n" + seq(1, 3), "T\n\n" + seq(4, 3), "T\n\n" + seq(7, 1)}},
		{"overlap of whole sentences", seq(1, 5), 16, 6, []string{
			"T\n\n" + seq(1, 3), "T\n\n" + seq(3, 3)}},
		{"no overlap over headings", "# A\n" + seq(1, 1) + "\n# B\n" + seq(2, 1), 16, 8, []string{
			"A\n\n" + seq(1, 1), "A > B\n\n" + seq(2, 1)}},
		{"long sentence", strings.Repeat("w ", 40), 16, 0, []string{
			"T\n\n" + strings.TrimSpace(strings.Repeat("w ", 15)),
			"T\n\n" + strings.TrimSpace(strings.Repeat("w ", 15)),
			"T\n\n" + strings.TrimSpace(strings.Repeat("w ", 10))}},
		{"table rows repeat the header", head + rows(1, 4), 24, 0, []string{
			"T\n\n" + head + rows(1, 2),
			"T\n\n" + head + rows(3, 2)}},
		{"small table is whole", seq(1, 2) + "\n\n" + head + rows(1, 1), 18, 0, []string{
			"T\n\n" + seq(1, 2), "T\n\n" + head + rows(1, 1)}},
		{"code is whole", seq(1, 2) + "\n\n```\na b c\nd e f\n```\n", 16, 0, []string{
			"T\n\n" + seq(1, 2), "T\n\n```\na b c\nd e f\n```"}},
		{"long code breaks at lines", "    a b c d e f\n    g h i j k l\n    m n o p q r\n", 16, 8, []string{
			"T\n\n    a b c d e f\n    g h i j k l", "T\n\n    m n o p q r"}},
		{"rules are no text", "# A\n\n---\n\n# A2\n\nx\n\n---\n", 40, 0, []string{"A > A2\n\nx"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, c := range split(t, markdown(t, tt.src), tt.limit, tt.overlap) {
				got = append(got, c.EmbedText())
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("chunks\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestChunkFields(t *testing.T) {
	t.Parallel()
	doc := markdown(t, "# A\n\n"+seq(1, 5)+"\n")
	got := split(t, doc, 16, 6)
	two := strings.Index(doc.Text, seq(3, 1))
	want := []chunk.Chunk{
		{Text: seq(1, 3), Prefix: "A\n\n", Start: 5, End: 5 + len(seq(1, 3)), Section: []string{"A"}, Tokens: 16},
		{Text: seq(3, 3), Prefix: "A\n\n", Start: two, End: two + len(seq(3, 3)), Overlap: len(seq(3, 1)), Section: []string{"A"}, Tokens: 16},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("chunks\n got %+v\nwant %+v", got, want)
	}
}

func TestPrefixBudget(t *testing.T) {
	t.Parallel()
	doc := markdown(t, "# one two three\n\n## four\n\n### five six seven eight nine ten eleven twelve\n\nbody\n")
	got := split(t, doc, 24, 0)
	want := "one two three > four\n\n### five six seven eight nine ten eleven twelve\n\nbody"
	if len(got) != 1 || got[0].EmbedText() != want {
		t.Errorf("chunks = %+v, want one: %q", got, want)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		opt  chunk.Options
		want string
	}{
		{chunk.DefaultOptions(words{}), ""},
		{chunk.Options{MaxTokens: 15, Counter: words{}}, "MaxTokens must be at least 16, got 15"},
		{chunk.Options{MaxTokens: 64, Overlap: 33, Counter: words{}}, "Overlap must be between 0 and half of MaxTokens (32), got 33"},
		{chunk.Options{MaxTokens: 64, Overlap: -1, Counter: words{}}, "got -1"},
		{chunk.Options{MaxTokens: 64}, "Counter must be set"},
	}
	for _, tt := range tests {
		err := tt.opt.Validate()
		if tt.want == "" {
			if err != nil {
				t.Errorf("Validate(%+v) = %v", tt.opt, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Validate(%+v) = %v, want %q", tt.opt, err, tt.want)
		}
		if _, serr := chunk.Split(parse.Document{}, tt.opt); serr == nil {
			t.Errorf("Split took options %+v", tt.opt)
		}
	}
}

func TestSplitBadBlocks(t *testing.T) {
	t.Parallel()
	doc := parse.Document{Text: "abc", Blocks: []parse.Block{{Kind: parse.Paragraph, End: 4}}}
	if _, err := chunk.Split(doc, chunk.DefaultOptions(words{})); err == nil {
		t.Error("Split took a block beyond the text")
	}
}

func TestSplitEmpty(t *testing.T) {
	t.Parallel()
	got, err := chunk.Split(parse.Document{}, chunk.DefaultOptions(words{}))
	if err != nil || len(got) != 0 {
		t.Errorf("Split of nothing = %v, %v", got, err)
	}
}
