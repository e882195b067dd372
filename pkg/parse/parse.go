// Package parse turns the bytes of a document into text with a block
// structure: what the chunker cuts and what citations point into. It is pure:
// no I/O, no clock, the same input gives the same Document.
//
// Markdown and plain text are understood. The text keeps its markup, so every
// offset is an offset into what the author wrote, after normalisation: UTF-8,
// line ends LF, no byte order mark, no front matter.
package parse

import (
	"fmt"
	"path"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
)

// DefaultMaxBytes is the limit on a document's size used when
// Limits.MaxBytes is 0: 32 MiB.
const DefaultMaxBytes = 32 << 20

// field is the job field all errors of this package are about.
const field = "document"

// hint says what would have been accepted.
const hint = "accepted are Markdown and plain text, as UTF-8 or as UTF-16 with a byte order mark"

// Limits bounds what Parse accepts.
type Limits struct {
	// MaxBytes is the largest len(Input.Data); 0 means DefaultMaxBytes.
	MaxBytes int
}

// Input is one document as it came in.
type Input struct {
	// Name is the file name, path or URL; its last part is the title of last
	// resort and its extension tells the format when MediaType doesn't.
	Name string
	// MediaType is the declared type ("text/markdown; charset=utf-8"); "" and
	// "application/octet-stream" mean unknown.
	MediaType string
	// Data is the content. It is only read.
	Data []byte
	// Limits bounds the work; the zero value takes the defaults.
	Limits Limits
}

// Kind is the sort of a block.
type Kind string

// The kinds.
const (
	Heading   Kind = "heading"
	Paragraph Kind = "paragraph" // also quotes, raw HTML and link definitions
	List      Kind = "list"      // a whole list with all it holds
	Code      Kind = "code"      // fenced (fences included) or indented
	Table     Kind = "table"     // line 1 is the header, line 2 the delimiter, then a row per line
	Rule      Kind = "rule"      // a thematic break: no content
)

// Block is one top-level block of a document.
type Block struct {
	Kind Kind
	// Level is 1 to 6 for a heading, else 0.
	Level int
	// Start and End are byte offsets into Document.Text, End exclusive.
	Start, End int
	// Section is the path of headings the block stands under, outermost first,
	// as plain text; a heading's own text, unless empty, is its last element.
	// Blocks share these slices: don't write to them.
	Section []string
}

// Page is a page of a document that has pages: bytes Start to End of
// Document.Text. Number is 1 for the first.
type Page struct{ Number, Start, End int }

// Document is a parsed document.
type Document struct {
	// Title is the front matter's title, else the first level 1 heading, else
	// the last part of Input.Name.
	Title string
	// Text is the normalised text, valid UTF-8.
	Text string
	// Blocks are in order, don't overlap, and cover every byte of Text that is
	// not white space.
	Blocks []Block
	// Pages are in order; nil for formats without pages.
	Pages []Page
	// MediaType is the format it was read as: "text/markdown" or "text/plain".
	MediaType string
	// Replaced is the number of invalid bytes replaced by U+FFFD, a few at most.
	Replaced int
}

// Parse reads a document. Every error is an *event.Error for field "document":
// ClassTooLarge over the limits, ClassInvalid for formats and encodings that
// are not understood and for documents without text. Time and memory are linear
// in len(in.Data), whatever it holds; nesting is followed to a fixed depth.
func Parse(in Input) (Document, error) {
	limit := in.Limits.MaxBytes
	if limit <= 0 {
		limit = DefaultMaxBytes
	}
	if len(in.Data) > limit {
		return Document{}, &event.Error{Class: event.ClassTooLarge, Field: field,
			Message: fmt.Sprintf("document has %d bytes, the limit is %d", len(in.Data), limit),
			Hint:    "split the document or raise the limit"}
	}
	f, err := formatOf(in)
	if err != nil {
		return Document{}, err
	}
	text, replaced, err := decode(in.Data)
	if err != nil {
		return Document{}, err
	}
	doc := Document{MediaType: string(f), Replaced: replaced}
	if f == markdown {
		doc.Title, text = cutFrontMatter(text)
	}
	if strings.TrimSpace(text) == "" {
		return Document{}, event.Invalid(field, "send a document that has text", "document is empty or holds only white space")
	}
	doc.Text = text
	if f == markdown {
		doc.Blocks = markdownBlocks(text)
	} else {
		doc.Blocks = plainBlocks(text)
	}
	if doc.Title == "" {
		doc.Title = fallbackTitle(doc.Blocks, in.Name)
	}
	return doc, nil
}

// fallbackTitle returns the first level 1 heading, else the file name.
func fallbackTitle(blocks []Block, name string) string {
	for _, b := range blocks {
		if b.Level == 1 && len(b.Section) > 0 {
			return b.Section[0]
		}
	}
	if name == "" {
		return ""
	}
	base := path.Base(strings.ReplaceAll(name, `\`, "/"))
	return cutText(strings.ToValidUTF8(base, "\uFFFD"))
}
