package chunk_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/chunk"
	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/parse"
	"github.com/weir-dev/weir/pkg/tokens"
)

// checkChunks checks what holds for all chunks of a document.
func checkChunks(t testing.TB, doc parse.Document, opt chunk.Options, chunks []chunk.Chunk) {
	t.Helper()
	if blank := strings.TrimSpace(doc.Text) == ""; blank != (len(chunks) == 0) {
		t.Fatalf("%d chunks of a text that is blank: %v", len(chunks), blank)
	}
	pos := 0
	for i, c := range chunks {
		if c.Start < 0 || c.End > len(doc.Text) || c.Start >= c.End || doc.Text[c.Start:c.End] != c.Text {
			t.Fatalf("chunk %d [%d:%d] isn't its text %q", i, c.Start, c.End, c.Text)
		}
		if c.Overlap < 0 || c.Start+c.Overlap != pos || c.End <= pos {
			t.Fatalf("chunk %d [%d:%d] with overlap %d does not follow the chunk that ends at %d", i, c.Start, c.End, c.Overlap, pos)
		}
		if i > 0 && c.Overlap > 0 && c.Start <= chunks[i-1].Start {
			t.Fatalf("chunk %d [%d:%d] repeats the whole of [%d:%d]", i, c.Start, c.End, chunks[i-1].Start, chunks[i-1].End)
		}
		pos = c.End
		if !utf8.ValidString(c.Text) {
			t.Fatalf("chunk %d has text %q", i, c.Text)
		}
		checkTokens(t, i, c, opt)
		checkPrefix(t, i, c, doc)
	}
	if len(chunks) > 0 && pos != len(doc.Text) {
		t.Fatalf("the last chunk ends at %d of %d", pos, len(doc.Text))
	}
}

// checkTokens checks the limits of a chunk.
func checkTokens(t testing.TB, i int, c chunk.Chunk, opt chunk.Options) {
	t.Helper()
	if n := count(opt.Counter, c.EmbedText()); n != c.Tokens || n > opt.MaxTokens && utf8.RuneCountInString(c.Text) > 1 {
		t.Fatalf("chunk %d has %d tokens, says %d, limit %d: %q", i, n, c.Tokens, opt.MaxTokens, c.EmbedText())
	}
	if n := count(opt.Counter, c.Text[:c.Overlap]); n > opt.Overlap {
		t.Fatalf("chunk %d has an overlap of %d tokens, limit %d: %q", i, n, opt.Overlap, c.Text[:c.Overlap])
	}
}

// checkPrefix checks the form of the prefix, and that it does not repeat the
// headings the text begins with.
func checkPrefix(t testing.TB, i int, c chunk.Chunk, doc parse.Document) {
	t.Helper()
	if c.Prefix != "" && !strings.HasSuffix(c.Prefix, "\n") {
		t.Fatalf("chunk %d has prefix %q", i, c.Prefix)
	}
	line, _, _ := strings.Cut(c.Prefix, "\n")
	parts := strings.Split(strings.TrimSpace(line), " > ")
	first := sort.Search(len(doc.Blocks), func(i int) bool { return doc.Blocks[i].Start >= c.Start })
	pos := c.Start
	for _, b := range doc.Blocks[first:] {
		if b.Kind != parse.Heading || b.End > c.End || strings.TrimSpace(doc.Text[pos:b.Start]) != "" {
			break
		}
		pos = b.End
		if n := len(b.Section); n > 0 && n == len(c.Section) && slices.Equal(b.Section, c.Section) {
			title := b.Section[n-1]
			if had := countOf(c.Section, title); countOf(parts, title) >= had && doc.Title != title {
				t.Fatalf("chunk %d begins with heading %q, which its prefix %q has as well: %q", i, title, c.Prefix, c.Text)
			}
		}
	}
}

func countOf(values []string, value string) (n int) {
	for _, v := range values {
		if v == value {
			n++
		}
	}
	return n
}

// count sums what Pieces yields: for tokens.Counter, Count.
func count(c chunk.Counter, text string) int {
	if exact, ok := c.(*tokens.Counter); ok {
		return exact.Count(text)
	}
	sum := 0
	for _, n := range c.Pieces(text) {
		sum += n
	}
	return sum
}

// counter returns the real counter or ends the test.
func counter(t testing.TB) *tokens.Counter {
	t.Helper()
	c, err := tokens.New(tokens.Cl100kBase)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// check splits a document with several options, twice, and checks the chunks.
func check(t testing.TB, doc parse.Document, c chunk.Counter, options ...[2]int) {
	t.Helper()
	for _, o := range options {
		opt := chunk.Options{MaxTokens: o[0], Overlap: o[1], Counter: c}
		chunks, err := chunk.Split(doc, opt)
		if err != nil {
			t.Fatal(err)
		}
		checkChunks(t, doc, opt, chunks)
		if again, _ := chunk.Split(doc, opt); len(doc.Text) < 2_000 && !reflect.DeepEqual(chunks, again) {
			t.Fatal("two runs differ")
		}
	}
}

// TestSplitRandom checks random documents in both encodings with random options.
func TestSplitRandom(t *testing.T) {
	t.Parallel()
	o200k, err := tokens.New(tokens.O200kBase)
	if err != nil {
		t.Fatal(err)
	}
	counters, rnd := []chunk.Counter{counter(t), o200k}, rand.New(rand.NewPCG(1, 2))
	parts := []string{"# A\n", "## B b\n\n", "\n### C++\n", "---\n", "\n\n", "\n \n", "One sentence. ", "Two words! ", "e.g. this", " ", "  1", "x", "/usr\n",
		"文。次の文。", "、漢字", "- item\n", "> q\n", "```\ncode();\n// x\n```\n", "|a|b|\n|-|-|\n", "|1|2|\n", "++\n", strings.Repeat("long ", 60), strings.Repeat("w", 300), "👩‍👩‍👧‍👦", "\u2003", "\u0301"}
	for range 1_500 / every {
		var b strings.Builder
		for range 1 + rnd.IntN(40) {
			b.WriteString(parts[rnd.IntN(len(parts))])
		}
		doc, err := parse.Parse(t.Context(), parse.Input{Name: "T", MediaType: "text/markdown", Data: []byte(b.String())})
		if err != nil { // nothing but front matter or white space
			continue
		}
		limit := chunk.MinTokens + rnd.IntN(80)
		check(t, doc, counters[rnd.IntN(2)], [2]int{limit, rnd.IntN(limit/2 + 1)})
	}
}

func TestSplitHostile(t *testing.T) {
	t.Parallel()
	c := counter(t)
	for name, src := range map[string]string{
		"one word":       strings.Repeat("a", 4_000),
		"blanks":         "a" + strings.Repeat(" ", 4_000) + "b",
		"blank lines":    "a" + strings.Repeat("\n", 4_000) + "b",
		"lines of blank": "a" + strings.Repeat(" \n", 5_000) + "b",
		"dots":           strings.Repeat(".", 4_000) + "x",
		"emoji":          strings.Repeat("👩‍👩‍👧‍👦", 500),
		"cjk":            strings.Repeat("漢字仮名交じり文", 1_000),
		"combining":      strings.Repeat("e\u0301\u0302", 2_000),
		"long row":       "|a|b|\n|-|-|\n|" + strings.Repeat("x", 5_000) + "|y|\n|1|2|\n",
		"long header":    "|" + strings.Repeat("head ", 500) + "|b|\n|-|-|\n|1|2|\n",
		"many headings":  strings.Repeat("# h\n## i\nx\n", 500),
		"long headings":  strings.Repeat("# "+strings.Repeat("word ", 50)+"\n\nx\n\n", 20),
		"slash line":     "# C++\n\n/usr\n" + strings.Repeat("++\n/x ", 500),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, markdown(t, src), c, [2]int{256, 32}, [2]int{16, 8}, [2]int{64, 0})
		})
	}
}

func TestSplitDataFiles(t *testing.T) {
	t.Parallel()
	dir, c := dataset.Path(t, "rag"), counter(t)
	split := 0
	for _, pattern := range []string{"ugly/*", "formats/*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s: %v", pattern, err)
		}
		for i, f := range files {
			if i%every > 0 {
				continue
			}
			if doc, ok := parseFile(t, f); ok {
				split++
				check(t, doc, c, [2]int{256, 32})
			}
		}
	}
	for i, doc := range demoDocs(t) {
		if i%every == 0 {
			split++
			check(t, doc, c, [2]int{256, 32})
		}
	}
	t.Logf("%d files split", split)
}

// parseFile parses a file; ok is false if it is of no known format.
func parseFile(t testing.TB, path string) (doc parse.Document, ok bool) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc, err = parse.Parse(t.Context(), parse.Input{Name: filepath.Base(path), Data: data})
	return doc, err == nil
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{
		"# A\n\ntext. More text.\n", "|a|b|\n|-|-|\n|1|2|\n|3|4|\n", "```\nx\ny\n```\n---\n", "- a\n- b\n\n> c",
		"a\n===\nb\n---\n", "漢字。次。\n", "\x7f \n \x7f", "# " + strings.Repeat("h ", 60) + "\nx", "# C++\n/x", "x\n\n---\n\ny",
	} {
		f.Add([]byte(s), uint8(0), uint8(4))
		f.Add([]byte(s), uint8(200), uint8(32))
	}
	c := counter(f)
	f.Fuzz(func(t *testing.T, data []byte, limit, overlap uint8) {
		for _, mt := range []string{"text/markdown", "text/plain"} {
			doc, err := parse.Parse(t.Context(), parse.Input{MediaType: mt, Data: data})
			if err != nil {
				return
			}
			m := chunk.MinTokens + int(limit)
			check(t, doc, c, [2]int{m, min(int(overlap), m/2)})
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	doc := markdown(b, strings.Repeat("# Head\n\n"+seq(1, 40)+"\n\n", 50))
	opt := chunk.DefaultOptions(counter(b))
	b.SetBytes(int64(len(doc.Text)))
	for b.Loop() {
		if _, err := chunk.Split(doc, opt); err != nil {
			b.Fatal(err)
		}
	}
}
