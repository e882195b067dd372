// Package parse turns the bytes of a document into text with a block
// structure: what the chunker cuts and what citations point into. It does no
// I/O of its own and reads no clock: the same input gives the same Document.
//
// Rich formats (HTML, PDF, Office and OpenDocument files, EPUB, e-mail, tables)
// become Markdown: headings "#", tables with bars, fenced code. Markdown, plain
// text, data files and source code keep their text. Every offset is an offset
// into Document.Text: UTF-8, line ends LF, no byte order mark, no front matter.
//
// What a format hides from its readers is left out: scripts, styles, comments,
// hidden elements, slides, sheets and runs, tracked deletions. What is visible
// is data, whatever it says.
package parse

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
)

// Kind is the sort of a block.
type Kind string

// The kinds.
const (
	Heading   Kind = "heading"
	Paragraph Kind = "paragraph" // also quotes, raw HTML and link definitions
	List      Kind = "list"      // a whole list with all it holds
	Code      Kind = "code"      // fenced (fences included) or indented; a part of a source or data file
	Table     Kind = "table"     // line 1 is the header, line 2 the delimiter, then a row per line
	Rule      Kind = "rule"      // a thematic break: no content
)

// Input is one document as it came in.
type Input struct {
	// Name is the file name, path or URL; its last part is the title of last
	// resort and its extension tells the format when MediaType doesn't.
	Name string
	// MediaType is the declared type ("text/html; charset=koi8-r"); "",
	// "text/plain" and "application/octet-stream" say nothing about the format.
	// A charset it names is believed unless the bytes contradict it.
	MediaType string
	// Data is the content. It is only read.
	Data []byte
	// Limits bounds the work; the zero value takes the defaults.
	Limits Limits
	// PDF reads PDF files; nil refuses them.
	PDF PDF
}

// PDF reads the text of PDF files. It is a port because readers of PDF are
// large and start processes or sandboxes; package pdfium is one.
type PDF interface {
	// Pages returns the text of every page, in reading order. A blank line
	// ends a paragraph, a line "# …" to "###### …" is a heading. It fails with
	// ErrPassword for an encrypted file and *PagesError over limit pages.
	Pages(ctx context.Context, data []byte, limit int) ([]string, error)
}

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

// Page is a page of a PDF file or a slide.
type Page struct {
	// Number counts from 1 as the file has them: pages without text are
	// left out.
	Number int
	// Start and End are byte offsets into Document.Text, End exclusive. Pages
	// are in order and don't overlap; a paragraph that runs on to the next page
	// belongs to the page it begins on.
	Start, End int
}

// Document is a parsed document.
type Document struct {
	// Title is the title the format gives (front matter, <title>, document
	// properties, subject), else the first level 1 heading, else the last part
	// of Input.Name.
	Title string
	// Text is the normalised text, valid UTF-8.
	Text string
	// Blocks are in order, don't overlap, and cover every byte of Text that is
	// not white space.
	Blocks []Block
	// Pages are the pages of paged formats (PDF, presentations), else nil.
	Pages []Page
	// Meta holds what the format says about the document: "author", "date",
	// "from", "to", each at most 300 bytes and only when present.
	Meta map[string]string
	// MediaType is the format it was read as, such as "text/markdown",
	// "application/pdf" or "text/x-go".
	MediaType string
	// Replaced is the number of invalid bytes replaced by U+FFFD, a few at most.
	Replaced int
}

// Parse reads a document. Every error is an *event.Error for field "document"
// whose Err is the cause: ClassTooLarge over a limit, ClassInvalid for formats
// and encodings that are not understood, broken files and documents without
// text, ClassDeadline or ClassCanceled when ctx ends. Time and memory are linear
// in the text, whatever it holds; nesting is followed to a fixed depth.
func Parse(ctx context.Context, in Input) (Document, error) {
	w := &work{limits: in.Limits.withDefaults(), pdf: in.PDF}
	if len(in.Data) > w.limits.MaxBytes {
		return Document{}, tooLarge(nil, "document has %d bytes, the limit is %d (MaxBytes)", len(in.Data), w.limits.MaxBytes)
	}
	c, err := w.read(ctx, in)
	if err != nil {
		return Document{}, asError(ctx, err)
	}
	doc, err := c.document(ctx, in.Name, w.limits)
	if err != nil {
		return Document{}, asError(ctx, err)
	}
	return doc, nil
}

// content is what a reader made of the bytes.
type content struct {
	title     string
	text      string
	style     style
	pages     []Page
	meta      map[string]string
	mediaType string
	replaced  int
}

// style says how blocks are found in text.
type style int

const (
	styleMarkdown style = iota
	stylePlain
	styleCode // cut at blank lines before lines that are not indented
	styleKeys // cut at lines that are not indented
	styleTree // cut one level below the root
)

// document finds the blocks and the title.
func (c *content) document(ctx context.Context, name string, limits Limits) (Document, error) {
	if strings.TrimSpace(c.text) == "" {
		return Document{}, event.Invalid(field, "send a document that has text", "document is empty or holds only white space")
	}
	if len(c.text) > limits.MaxText {
		return Document{}, tooLarge(nil, "document has %d bytes of text, the limit is %d (MaxText)", len(c.text), limits.MaxText)
	}
	if err := ctx.Err(); err != nil {
		return Document{}, err
	}
	doc := Document{Title: cutText(oneLine(c.title)), Text: c.text, Pages: c.pages, Meta: c.meta, MediaType: c.mediaType, Replaced: c.replaced}
	switch c.style {
	case stylePlain:
		doc.Blocks = lineBlocks(c.text, Paragraph, startsParagraph)
	case styleCode:
		doc.Blocks = lineBlocks(c.text, Code, startsDeclaration)
	case styleKeys:
		doc.Blocks = lineBlocks(c.text, Code, memberStart(0))
	case styleTree:
		doc.Blocks = lineBlocks(c.text, Code, memberStart(leastIndent(c.text)))
	default:
		if n := strings.Count(c.text, "\n"); n > maxLines {
			return Document{}, tooLarge(nil, "document has %d lines of Markdown, the limit is %d", n, maxLines)
		}
		doc.Blocks = markdownBlocks(c.text)
	}
	if len(doc.Blocks) > maxBlocks {
		return Document{}, tooLarge(nil, "document has more than %d paragraphs", maxBlocks)
	}
	if doc.Title == "" {
		doc.Title = fallbackTitle(doc.Blocks, name)
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
	return cutText(baseName(name))
}

// baseName returns the last part of a path or URL as valid UTF-8.
func baseName(name string) string {
	if name == "" {
		return ""
	}
	return strings.ToValidUTF8(path.Base(strings.ReplaceAll(name, `\`, "/")), "\uFFFD")
}

// oneLine joins the words of s with single blanks, as valid UTF-8.
func oneLine(s string) string {
	return strings.ToValidUTF8(strings.Join(strings.Fields(strings.ReplaceAll(s, "\x00", "")), " "), "\uFFFD")
}

// addMeta stores a value that is not empty.
func (c *content) addMeta(key, value string) {
	value = cutText(oneLine(value))
	if value == "" {
		return
	}
	if c.meta == nil {
		c.meta = map[string]string{}
	}
	c.meta[key] = value
}

// tooLarge returns an error of a limit.
func tooLarge(cause error, format string, args ...any) *event.Error {
	return &event.Error{Class: event.ClassTooLarge, Field: field, Err: cause,
		Message: fmt.Sprintf(format, args...), Hint: "split the document or raise the limit"}
}
