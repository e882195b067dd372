package parse_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/parse"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	para := "<w:p><w:r><w:t>" + strings.Repeat("x ", 5000) + "</w:t></w:r></w:p>"
	nested := "Subject: a\n\nx"
	for range 6 {
		nested = "Subject: a\nContent-Type: message/rfc822\n\n" + nested
	}
	parts := "Subject: a\nFrom: b\nContent-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 20) + "--b--"
	slides := pptxOf(t, "<p:sp><a:p><a:t>x</a:t></a:p></p:sp>", "<p:sp><a:p><a:t>y</a:t></a:p></p:sp>")
	book := strings.Repeat("<p>chapter</p>", 1000)
	gzipped := gzipOf(t, "x")
	for range 6 {
		gzipped = gzipOf(t, string(gzipped))
	}
	tests := []struct {
		name   string
		in     parse.Input
		limits parse.Limits
		want   string
	}{
		{"bytes", parse.Input{Data: []byte("abcd")}, parse.Limits{MaxBytes: 3}, "4 bytes, the limit is 3 (MaxBytes)"},
		{"text", parse.Input{Name: "a.txt", Data: []byte("abcd")}, parse.Limits{MaxText: 3}, "4 bytes of text, the limit is 3 (MaxText)"},
		{"docx", parse.Input{Data: docxOf(t, para)}, parse.Limits{MaxText: 5000}, "unpacks to more than 5000 bytes (MaxText)"},
		{"xlsx", parse.Input{Data: xlsxOf(t)}, parse.Limits{MaxText: 1000}, "unpacks to more than 1000 bytes (MaxText)"},
		{"epub", parse.Input{Data: epubOf(t, book, book)}, parse.Limits{MaxText: 9000}, "unpacks to more than 9000 bytes (MaxText)"},
		{"gzip", parse.Input{Data: gzipOf(t, strings.Repeat("x", 5000))}, parse.Limits{MaxText: 4000}, "unpacks to more than 4000 bytes (MaxText)"},
		{"gzip in gzip", parse.Input{Data: gzipped}, parse.Limits{}, "deeper than 4 levels (MaxDepth)"},
		{"mail in mail", parse.Input{Name: "a.eml", Data: []byte(nested)}, parse.Limits{}, "deeper than 4 levels (MaxDepth)"},
		{"parts of a mail", parse.Input{Name: "a.eml", Data: []byte(parts)}, parse.Limits{MaxParts: 10}, "more than 10 parts (MaxParts)"},
		{"files of an archive", parse.Input{Data: slides}, parse.Limits{MaxParts: 3}, "more than 3 parts (MaxParts)"},
		{"slides", parse.Input{Data: slides}, parse.Limits{MaxPages: 1}, "2 slides, the limit is 1 (MaxPages)"},
		{"pages", parse.Input{Data: []byte("%PDF-1.7"), PDF: fakePDF{err: &parse.PagesError{Pages: 9, Max: 8}}}, parse.Limits{MaxPages: 8}, "9 pages, the limit is 8 (MaxPages)"},
		{"lines", parse.Input{Name: "a.md", Data: bytes.Repeat([]byte("a\n\n"), 2<<20)}, parse.Limits{}, "lines of Markdown, the limit is 1048576"},
		{"paragraphs", parse.Input{Name: "a.txt", Data: bytes.Repeat([]byte("a\n\n"), 2<<20)}, parse.Limits{}, "more than 1048576 paragraphs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.in.Limits = tt.limits
			_, err := parse.Parse(t.Context(), tt.in)
			checkError(t, err, event.ClassTooLarge, tt.want)
		})
	}
}

// TestZipBomb checks that the bytes that come out are counted, whatever the
// header says of them.
func TestZipBomb(t *testing.T) {
	t.Parallel()
	data := docxOf(t, strings.Repeat(" ", 1<<20)+"<w:p><w:r><w:t>x</w:t></w:r></w:p>")
	for _, size := range []uint32{1 << 20, 1<<20 + 200} { // claim to be small, wherever the size stands
		for i := range len(data) - 4 {
			if got := uint32(data[i]) | uint32(data[i+1])<<8 | uint32(data[i+2])<<16 | uint32(data[i+3])<<24; got >= size && got < size+200 {
				copy(data[i:], "\x10\x00\x00\x00")
			}
		}
	}
	_, err := parse.Parse(t.Context(), parse.Input{Data: data, Limits: parse.Limits{MaxText: 100_000}})
	var e *event.Error
	if !errors.As(err, &e) || e.Err == nil {
		t.Fatalf("error %v has no cause", err)
	}
}

func TestBroken(t *testing.T) {
	t.Parallel()
	docx := docxOf(t, "<w:p><w:r><w:t>x</w:t></w:r></w:p>")
	pdf := func(err error, pages ...string) parse.Input {
		return parse.Input{Data: []byte("%PDF-1.7"), PDF: fakePDF{pages: pages, err: err}}
	}
	cause := errors.New("bad xref")
	tests := []struct {
		name string
		in   parse.Input
		want string
	}{
		{"cut archive", parse.Input{Name: "a.docx", Data: docx[:len(docx)/2]}, "can't be read: zip: not a valid zip file"},
		{"bad xml", parse.Input{Data: docxOf(t, "<w:p></w:x>")}, "word/document.xml of the archive can't be read: XML syntax error"},
		{"deep xml", parse.Input{Data: docxOf(t, strings.Repeat("<x>", 20_000))}, "nested deeper than 10000"},
		{"long tag", parse.Input{Data: docxOf(t, "<x "+strings.Repeat("a='' ", 300_000)+"/>")}, "a tag longer than 1048576 bytes"},
		{"no content", parse.Input{Data: zipOf(t, map[string]string{"mimetype": "application/vnd.oasis.opendocument.text"})}, `no file "content.xml"`},
		{"other archive", parse.Input{Data: zipOf(t, map[string]string{"a.txt": "x"})}, "ZIP archive that is no document"},
		{"cut gzip", parse.Input{Data: gzipOf(t, strings.Repeat("abc", 100))[:20]}, "gzip file can't be read"},
		{"no pdf reader", parse.Input{Data: []byte("%PDF-1.7")}, "no PDF reader is set"},
		{"broken pdf", pdf(cause), "PDF file can't be read: bad xref"},
		{"password", pdf(parse.ErrPassword), "protected by a password"},
		{"scan", pdf(nil, "", " \n"), "no text layer: its 2 pages are images"},
		{"rtf", parse.Input{Name: "a.doc", Data: []byte("{\\rtf1 x}")}, "RTF"},
		{"old office", parse.Input{Name: "a.doc", Data: append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), make([]byte, 600)...)}, "old Office file"},
		{"audio", parse.Input{Name: "a.txt", Data: append([]byte("fLaC\x00\x00\x00\x22"), make([]byte, 30)...)}, "FLAC audio"},
		{"elf", parse.Input{Data: []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00")}, "not text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := parse.Parse(t.Context(), tt.in)
			checkError(t, err, event.ClassInvalid, tt.want)
		})
	}
	if _, err := parse.Parse(t.Context(), pdf(cause)); !errors.Is(err, cause) {
		t.Errorf("error %v hides its cause", err)
	}
}

// panicPDF is a parse.PDF with a defect.
type panicPDF struct{}

func (panicPDF) Pages(context.Context, []byte, int) ([]string, error) { panic("index out of range") }

func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	_, err := parse.Parse(t.Context(), parse.Input{Data: []byte("%PDF-1.7"), PDF: panicPDF{}})
	checkError(t, err, event.ClassInvalid, `its reader failed with "index out of range"`)
}

func TestContext(t *testing.T) {
	t.Parallel()
	data := docxOf(t, strings.Repeat("<w:p><w:r><w:t>x</w:t></w:r></w:p>", 1000))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := parse.Parse(ctx, parse.Input{Data: data})
	checkError(t, err, event.ClassCanceled, "context canceled")
	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	_, err = parse.Parse(ctx, parse.Input{Name: "a.txt", Data: []byte("x")})
	checkError(t, err, event.ClassDeadline, "deadline exceeded")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v hides its cause", err)
	}
}
