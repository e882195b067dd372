package parse

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/weir-dev/weir/pkg/event"
)

// The limits used where a field of Limits is 0.
const (
	DefaultMaxBytes = 32 << 20 // 32 MiB
	DefaultMaxText  = 64 << 20 // 64 MiB
	DefaultMaxPages = 5000
	DefaultMaxDepth = 4
	DefaultMaxParts = 10_000
)

const (
	// maxLines bounds the lines of Markdown: each may become a node of a tree
	// and a block, of together some 700 bytes.
	maxLines = 1 << 20
	// maxBlocks bounds the blocks of other text.
	maxBlocks = 1 << 20
)

// field is the job field all errors of this package are about.
const field = "document"

// hint says what would have been accepted.
const hint = "accepted are Markdown, HTML, text, PDF, docx, pptx, xlsx, odt, epub, e-mail, csv, tsv, JSON, YAML, XML, TOML and source code"

// The conditions a PDF reader reports.
var (
	// ErrPassword is that of an encrypted file.
	ErrPassword = errors.New("the file is protected by a password")
	// errText is the cause of a limit on text.
	errText = errors.New("too much text")
)

// PagesError is the error of a document with too many pages.
type PagesError struct{ Pages, Max int }

// Error implements error.
func (e *PagesError) Error() string {
	return fmt.Sprintf("document has %d pages, the limit is %d (MaxPages)", e.Pages, e.Max)
}

// Limits bounds what Parse accepts and the work it does; over a limit it fails
// with ClassTooLarge. 0 means the default.
type Limits struct {
	// MaxBytes is the largest len(Input.Data).
	MaxBytes int
	// MaxText bounds the bytes that come out: those unpacked from archives,
	// in total and whatever the archive claims, and those of Document.Text.
	MaxText int
	// MaxPages bounds the pages of a PDF file and the slides of a presentation.
	MaxPages int
	// MaxDepth bounds nesting: an attachment of an attached e-mail is 2 deep.
	MaxDepth int
	// MaxParts bounds the files of an archive and the parts of an e-mail.
	MaxParts int
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		value *int
		def   int
	}{
		{&l.MaxBytes, DefaultMaxBytes}, {&l.MaxText, DefaultMaxText}, {&l.MaxPages, DefaultMaxPages},
		{&l.MaxDepth, DefaultMaxDepth}, {&l.MaxParts, DefaultMaxParts},
	} {
		if *f.value <= 0 {
			*f.value = f.def
		}
	}
	return l
}

// work is one call of Parse: its limits and how much of them is used.
type work struct {
	limits   Limits
	pdf      PDF
	unpacked int // bytes that came out of decompressors
	parts    int
	depth    int
}

// part counts one file of an archive or part of an e-mail.
func (w *work) part() error {
	w.parts++
	if w.parts > w.limits.MaxParts {
		return tooLarge(nil, "document has more than %d parts (MaxParts)", w.limits.MaxParts)
	}
	return nil
}

// deeper counts a level of nesting; the caller calls up.
func (w *work) deeper() error {
	if w.depth >= w.limits.MaxDepth {
		return tooLarge(nil, "document is nested deeper than %d levels (MaxDepth)", w.limits.MaxDepth)
	}
	w.depth++
	return nil
}

func (w *work) up() { w.depth-- }

// unpack returns a reader of what r decompresses to, counted against MaxText:
// the size in an archive's header is only the sender's word.
func (w *work) unpack(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if left := w.limits.MaxText - w.unpacked; len(p) > left+1 {
			p = p[:left+1]
		}
		n, err := r.Read(p)
		if w.unpacked += n; w.unpacked > w.limits.MaxText {
			w.unpacked = w.limits.MaxText
			return 0, tooLarge(errText, "document unpacks to more than %d bytes (MaxText)", w.limits.MaxText)
		}
		return n, err
	})
}

// readerFunc is a function as an io.Reader.
type readerFunc func(p []byte) (int, error)

// Read implements io.Reader.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// asError makes any error one for the document.
func asError(ctx context.Context, err error) *event.Error {
	if cause := ctx.Err(); cause != nil {
		e := event.AsError(cause)
		return &event.Error{Class: e.Class, Field: field, Err: cause,
			Message: "reading stopped: " + cause.Error(), Hint: "allow more time or send a smaller document"}
	}
	return broken(err, "document")
}

// broken returns the error of a file that is damaged.
func broken(cause error, what string) *event.Error {
	var e *event.Error
	if errors.As(cause, &e) {
		return e
	}
	return &event.Error{Class: event.ClassInvalid, Field: field, Err: cause,
		Message: fmt.Sprintf("%s can't be read: %v", what, cause), Hint: "check that the file opens elsewhere; send it again or as another format"}
}
