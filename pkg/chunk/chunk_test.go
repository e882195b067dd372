package chunk_test

import (
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/chunk"
	"github.com/weir-dev/weir/pkg/parse"
)

// words is a Counter with one token per word, for readable tables: a piece is a
// word with the blanks before and the line ends after it.
type words struct{}

var _ chunk.Counter = words{}

func (words) Pieces(text string) iter.Seq2[int, int] {
	return func(yield func(end, tokens int) bool) {
		start := 0
		for i := 1; i <= len(text); i++ {
			if i < len(text) && (text[i] != ' ' || strings.IndexByte(" \n", text[i-1]) >= 0) && (text[i] == '\n' || text[i-1] != '\n') {
				continue
			}
			if !yield(i, len(strings.Fields(text[start:i]))) {
				return
			}
			start = i
		}
	}
}

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

// seq returns n sentences of five words, numbered from first, a blank before each.
func seq(first, n int) string {
	var out []string
	for i := first; i < first+n; i++ {
		out = append(out, fmt.Sprintf(" This is sentence number %d.", i))
	}
	return strings.Join(out, "")
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
			"A\n\nintro\n\n", "# A\n\none\n\n", "A\n\n## B\n\ntwo\n\nthree\n"}},
		{"heading only sections", "# A\n\n## B\n\n### C\n\ntext\n\n## D\n", 40, 0, []string{
			"# A\n\n## B\n\n### C\n\ntext\n\n## D\n"}},
		{"the last heading does not fit", "# A\n" + seq(1, 3) + "\n## B\n", 17, 0, []string{
			"# A\n" + seq(1, 3) + "\n", "A\n\n## B\n"}},
		{"many headings", strings.Repeat("## h\n", 10) + "x\n", 16, 0, []string{
			"T\n\n" + strings.Repeat("## h\n", 7), "T\n\n" + strings.Repeat("## h\n", 3) + "x\n"}},
		{"nothing but headings", "## A\n\n### B\n", 40, 0, []string{"T\n\n## A\n\n### B\n"}},
		{"a heading of another path", "# A\n\n## B\n\n## C\n\nx\n\n### B\n\ny\n", 40, 0, []string{
			"# A\n\n## B\n\n## C\n\nx\n\n", "A > C\n\n### B\n\ny\n"}},
		{"later chunks have the heading", "# A\n\n## B\n\n" + seq(1, 6)[1:], 18, 0, []string{
			"# A\n\n## B\n\n" + seq(1, 2)[1:], "A > B\n\n" + seq(3, 3), "A > B\n\n" + seq(6, 1)}},
		{"sentences are packed", seq(1, 7)[1:], 16, 0, []string{
			"T\n\n" + seq(1, 3)[1:], "T\n\n" + seq(4, 3), "T\n\n" + seq(7, 1)}},
		{"overlap of whole sentences", seq(1, 5)[1:], 16, 6, []string{
			"T\n\n" + seq(1, 3)[1:], "T\n\n" + seq(3, 3)}},
		{"no overlap over headings", "# A\n" + seq(1, 1) + "\n# B\n" + seq(2, 1), 16, 8, []string{
			"# A\n" + seq(1, 1) + "\n", "A\n\n# B\n" + seq(2, 1)}},
		{"long sentence", strings.Repeat("w ", 39) + "w", 16, 0, []string{
			"T\n\nw" + strings.Repeat(" w", 14), "T\n\n" + strings.Repeat(" w", 15), "T\n\n" + strings.Repeat(" w", 10)}},
		{"table rows repeat the header", head + rows(1, 4), 24, 0, []string{
			"T\n\n" + head + rows(1, 2) + "\n",
			"T\n\n" + strings.TrimSpace(head) + " \n" + rows(3, 2)}},
		{"white space before a table is not its header", "\n\n" + head + rows(1, 4), 24, 0, []string{
			"T\n\n\n\n" + head + rows(1, 2) + "\n",
			"T\n\n" + strings.TrimSpace(head) + " \n" + rows(3, 2)}},
		{"small table is whole", seq(1, 2) + "\n\n" + head + rows(1, 1), 18, 0, []string{
			"T\n\n" + seq(1, 2) + "\n\n", "T\n\n" + head + rows(1, 1)}},
		{"code is whole", seq(1, 2) + "\n\n```\na b c\nd e f\n```\n", 16, 0, []string{
			"T\n\n" + seq(1, 2) + "\n\n", "T\n\n```\na b c\nd e f\n```\n"}},
		{"long code breaks at lines", "    a b c d e f\n    g h i j k l\n    m n o p q r\n", 16, 8, []string{
			"T\n\n    a b c d e f\n    g h i j k l\n", "T\n\n    m n o p q r\n"}},
		{"rules are text but no chunk", "# A\n\nx\n\n---\n\n# B\n\n---\n\n# C\n\nx\n\n---\n", 40, 0, []string{
			"# A\n\nx\n\n---\n\n", "A\n\n# B\n\n---\n\n# C\n\nx\n\n---\n"}},
		{"nothing but a rule", "\n---\n", 40, 0, []string{"T\n\n\n---\n"}},
		{"white space first", "\n\n# A\n\nx", 40, 0, []string{"\n\n# A\n\nx"}},
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
	doc := markdown(t, "# A\n\n"+seq(1, 5)[1:]+"\n")
	doc.Pages = []parse.Page{{Number: 1, Start: 0, End: 60}, {Number: 2, Start: 60, End: 100}, {Number: 3, Start: 100, End: len(doc.Text)}}
	got := split(t, doc, 16, 6)
	two, four := strings.Index(doc.Text, seq(2, 1)), strings.Index(doc.Text, seq(4, 1))
	want := []chunk.Chunk{
		{Start: 0, End: two + len(seq(2, 1)), Tokens: 12, FirstPage: 1, LastPage: 1},
		{Prefix: "A\n\n", Start: two, End: four + len(seq(4, 1)), Overlap: len(seq(2, 1)), Tokens: 16, FirstPage: 1, LastPage: 3},
		{Prefix: "A\n\n", Start: four, End: len(doc.Text), Overlap: len(seq(4, 1)), Tokens: 11, FirstPage: 2, LastPage: 3},
	}
	for i := range want {
		want[i].Text, want[i].Section = doc.Text[want[i].Start:want[i].End], []string{"A"}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("chunks\n got %+v\nwant %+v", got, want)
	}
}

func TestPrefixBudget(t *testing.T) {
	t.Parallel()
	doc := markdown(t, "# one two three\n\n## four\n\n### five six seven eight nine ten eleven twelve\n\n"+seq(1, 4))
	got := split(t, doc, 24, 0)
	if len(got) != 2 || got[0].Prefix != "" || got[1].Prefix != "one two three > four\n\n" {
		t.Errorf("chunks = %+v, want one with all headings and one with those that fit", got)
	}
	doc.Title = "a title\nof two lines"
	if got := split(t, doc, 64, 0); len(got) != 1 || got[0].Prefix != "a title of two lines\n\n" {
		t.Errorf("chunks = %+v, want the title on one line", got)
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

// TestSplitCoveredTable: a piece of the text that reaches over a table.
func TestSplitCoveredTable(t *testing.T) {
	t.Parallel()
	doc := parse.Document{Text: "x\n\n\n\n    y", Blocks: []parse.Block{
		{Kind: parse.Paragraph, End: 1}, {Kind: parse.Table, Start: 3, End: 3}, {Kind: parse.Paragraph, Start: 9, End: 10}}}
	got, err := chunk.Split(doc, chunk.DefaultOptions(counter(t)))
	if err != nil || len(got) != 1 || got[0].Text != doc.Text {
		t.Errorf("Split = %+v, %v; want the text in one chunk", got, err)
	}
}

func TestSplitEmpty(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " ", "\n \n\u2003"} {
		doc := parse.Document{Title: "T", Text: text, Blocks: []parse.Block{{Kind: parse.Paragraph, End: len(text)}}}
		got, err := chunk.Split(doc, chunk.DefaultOptions(words{}))
		if err != nil || len(got) != 0 {
			t.Errorf("Split of %q = %v, %v", text, got, err)
		}
	}
}
