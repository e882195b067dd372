package parse_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/parse"
)

// mustParse parses Markdown or ends the test.
func mustParse(t *testing.T, name, data string) parse.Document {
	t.Helper()
	doc, err := parse.Parse(t.Context(), parse.Input{Name: name, Data: []byte(data)})
	if err != nil {
		t.Fatalf("Parse(%s): %v", name, err)
	}
	checkDocument(t, doc)
	return doc
}

// blockText is a block with its text instead of offsets.
type blockText struct {
	Kind    parse.Kind
	Level   int
	Text    string
	Section string
}

func blockTexts(doc parse.Document) []blockText {
	var out []blockText
	for _, b := range doc.Blocks {
		out = append(out, blockText{b.Kind, b.Level, doc.Text[b.Start:b.End], strings.Join(b.Section, "/")})
	}
	return out
}

func TestMarkdownBlocks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, src string
		want      []blockText
	}{
		{"headings nest", "# A\n\none\n\n### C\ntwo\n\n## B\nthree\n# D\n", []blockText{
			{parse.Heading, 1, "# A", "A"},
			{parse.Paragraph, 0, "one", "A"},
			{parse.Heading, 3, "### C", "A/C"},
			{parse.Paragraph, 0, "two", "A/C"},
			{parse.Heading, 2, "## B", "A/B"},
			{parse.Paragraph, 0, "three", "A/B"},
			{parse.Heading, 1, "# D", "D"},
		}},
		{"setext", "Top\n===\n\nsub\n---\nx\n", []blockText{
			{parse.Heading, 1, "Top\n===", "Top"},
			{parse.Heading, 2, "sub\n---", "Top/sub"},
			{parse.Paragraph, 0, "x", "Top/sub"},
		}},
		{"code", "```go\n# no heading\n\nx\n```\n\n    indented\n", []blockText{
			{parse.Code, 0, "```go\n# no heading\n\nx\n```", ""},
			{parse.Code, 0, "    indented", ""},
		}},
		{"unclosed fence", "a\n\n```\nb\n\n# c\n", []blockText{
			{parse.Paragraph, 0, "a", ""},
			{parse.Code, 0, "```\nb\n\n# c", ""},
		}},
		{"list, quote, html, rule", "- a\n  - b\n\n  c\n\n> q\nlazy\n\n***\n\n<div>\nx\n</div>\n", []blockText{
			{parse.List, 0, "- a\n  - b\n\n  c", ""},
			{parse.Paragraph, 0, "> q\nlazy", ""},
			{parse.Rule, 0, "***", ""},
			{parse.Paragraph, 0, "<div>\nx\n</div>", ""},
		}},
		{"table", "intro\n| a | b |\n|---|:-:|\n| 1 | 2 |\n\nend\n", []blockText{
			{parse.Paragraph, 0, "intro", ""},
			{parse.Table, 0, "| a | b |\n|---|:-:|\n| 1 | 2 |", ""},
			{parse.Paragraph, 0, "end", ""},
		}},
		{"no table: columns differ", "| a | b |\n|---|\n", []blockText{
			{parse.Paragraph, 0, "| a | b |\n|---|", ""},
		}},
		{"link definitions stay", "[a]: http://x\n\ntext [a]\n", []blockText{
			{parse.Paragraph, 0, "[a]: http://x", ""},
			{parse.Paragraph, 0, "text [a]", ""},
		}},
		{"heading without text", "# A\n\n#\n\nx\n", []blockText{
			{parse.Heading, 1, "# A", "A"},
			{parse.Heading, 1, "#", ""},
			{parse.Paragraph, 0, "x", ""},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := blockTexts(mustParse(t, "x.md", tt.src)); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("blocks\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestLongHeadingIsParagraph(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, "x.md", strings.Repeat("many words ", 40)+"\n---\nend\n")
	if doc.Blocks[0].Kind != parse.Paragraph {
		t.Errorf("kind = %s, want paragraph", doc.Blocks[0].Kind)
	}
}

func TestHeadingText(t *testing.T) {
	t.Parallel()
	tests := []struct{ src, want string }{
		{"# Plain ##", "Plain"},
		{"# *Em* and **strong** __too__", "Em and strong too"},
		{"# The `a*b` [link](http://e.com) ![img](x.png)", "The a*b link img"},
		{"# Intro {#intro}", "Intro"},
		{"# <a name=\"x\"></a>Tag 1 < 2", "Tag 1 < 2"},
		{"# R&amp;D &copy; & co", "R&D © & co"},
		{`# snake_case \*literal\* \n`, `snake_case *literal* \n`},
		{"# `<-chan` 2 * 3", "<-chan 2 * 3"},
		{"# Größe 漢字", "Größe 漢字"},
		{"# [x] open [y", "[x] open [y"},
	}
	for _, tt := range tests {
		doc := mustParse(t, "x.md", tt.src+"\n")
		if got := doc.Blocks[0].Section; len(got) != 1 || got[0] != tt.want {
			t.Errorf("heading %q = %q, want %q", tt.src, got, tt.want)
		}
	}
}

func TestTitle(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, file, src, want string }{
		{"front matter", "a.md", "---\ntitle: \"x: y\"\nacl: [a]\n---\n# H\n", "x: y"},
		{"single quotes", "a.md", "---\ntitle: 'it''s'\n...\nx", "it's"},
		{"bare with comment", "a.md", "---\n# c\ntitle: T t # c\n---\nx", "T t"},
		{"block scalar is not simple", "a.md", "---\ntitle: |\n  x\n---\n# H\n", "H"},
		{"first h1", "a.md", "## Sub\n\n# Main\n", "Main"},
		{"file name", "dir/a.md", "## Sub\n", "a.md"},
		{"windows path", `c:\d\a.txt`, "x", "a.txt"},
		{"plain text has no front matter", "a.txt", "---\ntitle: x\n---\nbody", "a.txt"},
		{"nothing", "", "x", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := mustParse(t, tt.file, tt.src).Title; got != tt.want {
				t.Errorf("title = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file, data, want string
		replaced               int
	}{
		{"crlf, cr and bom", "a.md", "\xef\xbb\xbf# A\r\nb\rc\n", "# A\nb\nc\n", 0},
		{"front matter goes", "a.md", "---\r\na: b\r\n---\r\nx\r\n", "x\n", 0},
		{"rule is no front matter", "a.md", "---\n\nx\n\n---\ny\n", "---\n\nx\n\n---\ny\n", 0},
		{"open front matter stays", "a.md", "---\na: b\n", "---\na: b\n", 0},
		{"utf-16le", "a.txt", "\xff\xfeh\x00i\x00\x3d\xd8\x00\xde", "hi😀", 0},
		{"utf-16be", "a.txt", "\xfe\xff\x00h\x00i", "hi", 0},
		{"utf-16 lone surrogate", "a.txt", "\xff\xfeh\x00\x3d\xd8", "h\uFFFD", 1},
		{"one bad byte", "a.txt", "abc\xff", "abc\uFFFD", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc := mustParse(t, tt.file, tt.data)
			if doc.Text != tt.want || doc.Replaced != tt.replaced {
				t.Errorf("text = %q replaced %d, want %q %d", doc.Text, doc.Replaced, tt.want, tt.replaced)
			}
		})
	}
}

func TestPlainText(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, "a.txt", "\n# no heading\nline\n \t\nsecond  \n\n\n")
	want := []blockText{
		{parse.Paragraph, 0, "# no heading\nline", ""},
		{parse.Paragraph, 0, "second", ""},
	}
	if got := blockTexts(doc); !reflect.DeepEqual(got, want) {
		t.Errorf("blocks = %+v, want %+v", got, want)
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, mediaType, want string }{
		{"a.md", "", "text/markdown"},
		{"a.MD", "application/octet-stream", "text/markdown"},
		{"a", "Text/Markdown; charset=utf-8", "text/markdown"},
		{"a.md", "text/plain", "text/markdown"},
		{"a.go", "", "text/x-go"},
		{"a", "", "text/plain"},
		{"a.html", "text/plain", "text/html"},
		{"a.txt", "text/html", "text/html"},
		{"https://e.com/a.html?x=a.csv#b.md", "", "text/html"},
		{"a", "application/json", "application/json"},
		{"a", "application/problem+json", "application/json"},
		{"a", "image/svg+xml", "application/xml"},
		{"a", "application/vnd.unknown", "text/plain"},
		{"a.pdf", "", "text/plain"},
		{"a.docx", "application/pdf", "text/plain"},
		{"a.rst", "", "text/x-rst"},
		{"a.yml", "", "application/yaml"},
		{"a.csv", "", "text/csv"},
	}
	for _, tt := range tests {
		doc, err := parse.Parse(t.Context(), parse.Input{Name: tt.name, MediaType: tt.mediaType, Data: []byte("x")})
		if err != nil || doc.MediaType != tt.want {
			t.Errorf("%s as %q: %q, %v, want %s", tt.name, tt.mediaType, doc.MediaType, err, tt.want)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		in    parse.Input
		class event.Class
		want  string // part of the message
	}{
		{"empty", parse.Input{Name: "a.txt"}, event.ClassInvalid, "empty"},
		{"blank", parse.Input{Name: "a.md", Data: []byte(" \n\t\u00a0\n")}, event.ClassInvalid, "white space"},
		{"front matter only", parse.Input{Name: "a.md", Data: []byte("---\na: b\n---\n")}, event.ClassInvalid, "empty"},
		{"too large", parse.Input{Data: []byte("abcd"), Limits: parse.Limits{MaxBytes: 3}}, event.ClassTooLarge, "4 bytes, the limit is 3"},
		{"html without text", parse.Input{Data: []byte(" <!DOCTYPE html><p>")}, event.ClassInvalid, "empty"},
		{"pdf by magic", parse.Input{Name: "a.txt", Data: []byte("%PDF-1.7")}, event.ClassInvalid, "PDF"},
		{"zip by magic", parse.Input{Data: []byte("PK\x03\x04..")}, event.ClassInvalid, "ZIP"},
		{"gzip by magic", parse.Input{Data: []byte("\x1f\x8b\x08")}, event.ClassInvalid, "gzip"},
		{"png by magic", parse.Input{Data: []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")}, event.ClassInvalid, "PNG"},
		{"nul", parse.Input{Name: "a.txt", Data: []byte("ab\x00c")}, event.ClassInvalid, "NUL character at byte 2"},
		{"controls", parse.Input{Name: "a.txt", Data: []byte(strings.Repeat("ab\x01\x02\x03", 9))}, event.ClassInvalid, "27 control characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := parse.Parse(t.Context(), tt.in)
			var e *event.Error
			if !errors.As(err, &e) {
				t.Fatalf("error = %v, want an *event.Error", err)
			}
			if e.Class != tt.class || e.Field != "document" || e.Hint == "" || !strings.Contains(e.Message, tt.want) {
				t.Errorf("error = %+v, want class %s and %q", e, tt.class, tt.want)
			}
		})
	}
}
