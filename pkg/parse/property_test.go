package parse_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/parse"
)

// checkDocument checks what holds for every Document.
func checkDocument(t testing.TB, doc parse.Document) {
	t.Helper()
	if !utf8.ValidString(doc.Text) || !utf8.ValidString(doc.Title) {
		t.Fatalf("text or title is not UTF-8")
	}
	if strings.ContainsAny(doc.Text, "\r\x00") {
		t.Fatalf("text holds a CR or NUL")
	}
	pos := 0
	for i, b := range doc.Blocks {
		if b.Start < pos || b.End <= b.Start || b.End > len(doc.Text) {
			t.Fatalf("block %d is [%d:%d] after %d of %d", i, b.Start, b.End, pos, len(doc.Text))
		}
		if gap := strings.TrimSpace(doc.Text[pos:b.Start]); gap != "" {
			t.Fatalf("text %q before block %d is in no block", gap, i)
		}
		if (b.Kind == parse.Heading) != (b.Level > 0) {
			t.Fatalf("block %d: kind %s with level %d", i, b.Kind, b.Level)
		}
		pos = b.End
	}
	if gap := strings.TrimSpace(doc.Text[pos:]); gap != "" {
		t.Fatalf("text %q after the last block is in no block", gap)
	}
}

// hostile are documents that are slow, deep or huge in naive parsers.
func hostile() map[string]string {
	var list strings.Builder
	for i := range 600 {
		list.WriteString(strings.Repeat("  ", i) + "- level\n")
	}
	return map[string]string{
		"deep list":    list.String(),
		"quotes":       strings.Repeat(">", 200_000) + "x",
		"quote lines":  strings.Repeat(strings.Repeat("> ", 100)+"x\n", 500),
		"bullets":      strings.Repeat("- ", 50_000) + "x",
		"numbers":      strings.Repeat("1. ", 50_000) + "x",
		"brackets":     strings.Repeat("[a](", 50_000),
		"stars":        strings.Repeat("*a **b ", 50_000),
		"definitions":  strings.Repeat("[a\n", 50_000),
		"fences":       strings.Repeat("```\n~~~\n", 20_000),
		"html":         strings.Repeat("<a\n", 50_000),
		"comments":     strings.Repeat("<!-- ", 50_000),
		"wide table":   strings.Repeat("|a", 20_000) + "|\n" + strings.Repeat("|-", 20_000) + "|\n" + strings.Repeat("|\n", 20_000),
		"delimiters":   strings.Repeat("|a|\n|-|-|\n", 20_000),
		"setext":       strings.Repeat("a\n", 20_000) + "===\n",
		"headings":     strings.Repeat("# h\n", 50_000),
		"blank lines":  strings.Repeat("\n", 200_000) + "x",
		"front matter": "---\n" + strings.Repeat("a: b\n", 50_000),
		"tabs":         strings.Repeat("\t", 100_000) + "x",
		"ticks":        strings.Repeat("`a``", 50_000),
	}
}

func TestHostileInput(t *testing.T) {
	t.Parallel()
	for name, src := range hostile() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, err := parse.Parse(t.Context(), parse.Input{Name: "x.md", Data: []byte(src)})
			if err != nil {
				t.Fatal(err)
			}
			checkDocument(t, doc)
		})
	}
}

// dataDir returns the shared test data (WEIR_DATA or its usual place beside the
// repository). Without it the test is skipped, in CI failed.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("WEIR_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("test data missing in CI: %v", err)
		}
		t.Skipf("SKIPPED, NOT TESTED: no test data (set WEIR_DATA): %v", err)
	}
	return dir
}

func TestDataFiles(t *testing.T) {
	t.Parallel()
	root := dataDir(t)
	for _, dir := range []string{"rag/ugly", "rag/formats"} {
		files, err := filepath.Glob(filepath.Join(root, dir, "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s: %v", dir, err)
		}
		for _, f := range files {
			t.Run(filepath.Base(f), func(t *testing.T) {
				t.Parallel()
				checkFile(t, f)
			})
		}
	}
}

// checkFile demands a good Document or a clear error for a file, whether its
// type is taken from the name, unknown, or claimed to be Markdown.
func checkFile(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	inputs := []parse.Input{
		{Name: filepath.Base(file), Data: data},
		{Data: data},
		{MediaType: "text/markdown", Data: data},
	}
	if len(data) > 1<<20 { // once is enough under the race detector
		inputs = inputs[:1]
	}
	for _, in := range inputs {
		doc, err := parse.Parse(t.Context(), in)
		if err != nil {
			var e *event.Error
			if !errors.As(err, &e) || e.Message == "" || e.Hint == "" {
				t.Errorf("error %v is not a clear *event.Error", err)
			}
			t.Logf("name %q type %q: %v", in.Name, in.MediaType, err)
			continue
		}
		checkDocument(t, doc)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"# A\n\ntext\n", "---\ntitle: x\n---\ny", "a\n===\n- b\n\n  c\n> d\n", "|a|\n|-|\n|b|\n",
		"```\nx", "\xff\xfea\x00", "\xef\xbb\xbfx\r\ny\rz", "[a]: b\n\n<div>\n\n***\n", "x\n-:\n-\n", "0\n-:\n-", "\t- a\n\t\tb",
	} {
		f.Add("x.md", []byte(s))
		f.Add("x.txt", []byte(s))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		doc, err := parse.Parse(t.Context(), parse.Input{Name: name, Data: data})
		if err != nil {
			var e *event.Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v is not an *event.Error", err)
			}
			return
		}
		checkDocument(t, doc)
	})
}
