package parse_test

import (
	"context"
	"errors"
	"reflect"
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
	if pos == 0 {
		t.Fatal("a document without a block")
	}
	end, number := 0, 0
	for _, p := range doc.Pages {
		if p.Start < end || p.End <= p.Start || p.End > len(doc.Text) || p.Number <= number {
			t.Fatalf("page %+v after %d, of %d", p, end, len(doc.Text))
		}
		end, number = p.End, p.Number
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

// checkInput demands a good Document, the same each time, or an *event.Error.
// Small limits keep the fuzzer quick.
func checkInput(t *testing.T, in parse.Input) {
	t.Helper()
	in.Limits = parse.Limits{MaxText: 1 << 20, MaxParts: 100, MaxPages: 20}
	doc, err := parse.Parse(context.Background(), in)
	again, err2 := parse.Parse(context.Background(), in)
	if err != nil {
		var e *event.Error
		if !errors.As(err, &e) || e.Field != "document" || e.Hint == "" {
			t.Fatalf("error %v is no clear *event.Error", err)
		}
		if strings.Contains(e.Message, "its reader failed") {
			t.Fatalf("panic: %v", e.Err)
		}
		if err2 == nil || err2.Error() != err.Error() {
			t.Fatalf("error %v, then %v", err, err2)
		}
		return
	}
	checkDocument(t, doc)
	if !reflect.DeepEqual(doc, again) {
		t.Fatalf("two readings differ")
	}
}

// FuzzParse reads any bytes under any name.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"# A\n\ntext\n", "---\ntitle: x\n---\ny", "a\n===\n- b\n\n  c\n> d\n", "|a|\n|-|\n|b|\n",
		"```\nx", "\xff\xfea\x00", "\xef\xbb\xbfx\r\ny\rz", "[a]: b\n\n<div>\n\n***\n", "x\n-:\n-\n", "0\n-:\n-", "\t- a\n\t\tb",
		"na\xefve caf\xe9 \xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7", "a\x00\x00\x00b\x00\x00\x00", "T\n=\nA\n~~~~\n",
		"* A\n#+begin_src\n* b", "a,b\n\"c\n", `{"a":[1,{"b":"\"]"}]}`, "<a><b/></a>", "a: 1\nb: 2", "func f() {\n\n}\n\nx",
		"<p>a<table><td>b<script>c</script><a href=d>e</a><!--f--><div hidden>g", "<h1>&lt;a<br>&gt;\ufdd0",
		"Subject: =?utf-8?q?=C3?=\nFrom: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: message/rfc822\n\nTo: c\n\ny",
	} {
		for _, name := range []string{"x.md", "x.txt", "x.html", "x.csv", "x.json", "x.xml", "x.org", "x.rst", "x.go", "x.eml", ""} {
			f.Add(name, []byte(s))
		}
	}
	for _, data := range [][]byte{
		docxOf(f, "<w:p><w:r><w:t>x</w:t></w:r></w:p>"), pptxOf(f, "<p:sp><a:p><a:t>x</a:t></a:p></p:sp>"), xlsxOf(f),
		odfOf(f, "text", "<text:p>x</text:p>"), epubOf(f, "<p>x", "<p>y"), gzipOf(f, "x"), []byte("%PDF-1.7"),
	} {
		f.Add("", data)
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		checkInput(t, parse.Input{Name: name, Data: data, PDF: fakePDF{pages: strings.Split(string(data), "\f")}})
	})
}

// FuzzOffice reads any markup as the body of the formats that are archives.
func FuzzOffice(f *testing.F) {
	for _, s := range []string{
		"<w:p><w:pPr><w:pStyle w:val=\"Own\"/></w:pPr><w:r><w:t>x</w:t><w:br/></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc></w:tr></w:tbl>",
		"<p:sp><p:nvPr><p:ph type=\"title\"/></p:nvPr><a:p><a:t>x</a:t></a:p></p:sp><a:tbl><a:tr><a:tc><a:p><a:t>y</a:t></a:p></a:tc></a:tr></a:tbl>",
		"<draw:page><text:h>x</text:h><text:list><text:list-item><text:p>y<text:s/></text:p></text:list-item></text:list></draw:page>",
		"<table:table><table:table-row><table:table-cell table:number-columns-repeated=\"9\"><text:p>a</text:p></table:table-cell></table:table-row></table:table>",
		"<h1>x</h1><p>y<ul><li>z", "</w:p></w:tc></w:tbl>", "<w:tc><w:p><w:p><w:t>x", "<a:tr></a:tbl>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, data := range [][]byte{
			docxOf(t, body), pptxOf(t, body, body), odfOf(t, "text", body), odfOf(t, "spreadsheet", body), odfOf(t, "presentation", body), epubOf(t, body, body),
		} {
			checkInput(t, parse.Input{Data: data})
		}
	})
}

// FuzzPDF joins the lines of any pages.
func FuzzPDF(f *testing.F) {
	f.Add("# T\n\na\u00ad\nb-\nc", "d\n\n1 2 3\n4 5 6\n漢\n字", " \n")
	f.Add("x", "", "- y\n---\n")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		checkInput(t, parse.Input{Data: []byte("%PDF-1.7"), PDF: fakePDF{pages: []string{a, b, c}}})
	})
}
