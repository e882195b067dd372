// Package chunk cuts parsed documents into chunks for embedding: within a hard
// token limit, along the structure of the document. It is pure and
// deterministic.
//
// How it cuts. Headings are hard borders; a heading stands at the start of the
// first chunk of its section. Within a section whole sentences, list items,
// table rows and code lines are packed. A table or code block that fits is never
// cut; a larger table is cut between rows and its header repeated, larger code
// between lines. Only a sentence, row or line that is too long alone is cut,
// between words where possible.
//
// A chunk in a long section ends where its content says so, in the last part of
// the limit, not where the limit does (see packer.border): after an edit the
// next chunks soon are those of before.
//
// Text is counted once, in pieces whose tokens add up exactly ([Counter]), and
// every border is a border of pieces. So time is linear in the text, and
// Chunk.Tokens exact.
package chunk

import (
	"fmt"
	"iter"
	"sort"
	"strings"

	"github.com/weir-dev/weir/pkg/parse"
)

// MinTokens is the least Options.MaxTokens: room for a prefix and a few words.
const MinTokens = 16

// Counter counts and cuts text in the tokens of the embedding model. A
// tokens.Counter is one.
type Counter interface {
	// Pieces yields the ends of the smallest pieces of text that can be counted
	// alone and the tokens of each, at most their bytes: those of any
	// neighbouring pieces together are the sum. A line end after a letter, digit
	// or blank ends a piece, unless a line end follows.
	Pieces(text string) iter.Seq2[int, int]
	// Split cuts text into parts of at most limit tokens, at rune borders; one
	// of a single rune may be larger. The parts joined are text.
	Split(text string, limit int) []string
}

// Options says how to cut.
type Options struct {
	// MaxTokens is the hard limit on Chunk.EmbedText, at least MinTokens. Only a
	// single rune of more tokens exceeds it.
	MaxTokens int
	// Overlap is how many tokens at most, in whole sentences, are repeated from
	// the chunk before within a section; 0 is none, at most MaxTokens/2. Code
	// lines and table rows are not repeated.
	Overlap int
	// Counter counts; it must not be nil.
	Counter Counter
}

// DefaultOptions returns 256 tokens with an overlap of 32.
func DefaultOptions(c Counter) Options {
	return Options{MaxTokens: 256, Overlap: 32, Counter: c}
}

// Validate reports the first invalid option by name and value.
func (o Options) Validate() error {
	switch {
	case o.MaxTokens < MinTokens:
		return fmt.Errorf("chunk options: MaxTokens must be at least %d, got %d", MinTokens, o.MaxTokens)
	case o.Overlap < 0 || o.Overlap > o.MaxTokens/2:
		return fmt.Errorf("chunk options: Overlap must be between 0 and half of MaxTokens (%d), got %d", o.MaxTokens/2, o.Overlap)
	case o.Counter == nil:
		return fmt.Errorf("chunk options: Counter must be set, got nil")
	}
	return nil
}

// Chunk is a part of a document.
type Chunk struct {
	// Text is Document.Text[Start:End].
	Text string
	// Prefix is what the chunk needs to be understood alone: on one line title
	// and heading path, but for the headings at the start of Text, and the
	// header of a table cut before. It may be ""; else it ends in a newline.
	Prefix string
	// Start and End are byte offsets into Document.Text of Text, the overlap
	// included.
	Start, End int
	// Overlap is the number of bytes at the start of Text that the chunk before
	// holds too.
	Overlap int
	// Section is the heading path of the text. Chunks share it: don't write.
	Section []string
	// FirstPage and LastPage are the numbers of the pages Text begins and ends
	// on; 0 if the document has none.
	FirstPage, LastPage int
	// Tokens is the number of tokens of EmbedText.
	Tokens int
}

// EmbedText returns what to embed: the prefix and the text.
func (c Chunk) EmbedText() string { return c.Prefix + c.Text }

// Split cuts a document. The chunks are in order and, each without its overlap,
// joined are the text, every byte of it; text of nothing but white space has
// none. Split fails for invalid options and for blocks that are out of order or
// out of the text.
func Split(doc parse.Document, opt Options) ([]Chunk, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	if err := checkBlocks(doc); err != nil {
		return nil, err
	}
	if strings.TrimSpace(doc.Text) == "" {
		return nil, nil
	}
	p := newPacker(doc, opt)
	p.document()
	setPages(p.chunks, doc.Pages)
	return p.chunks, nil
}

// checkBlocks checks what parse.Parse promises and the packer relies on.
func checkBlocks(doc parse.Document) error {
	pos := 0
	for i, b := range doc.Blocks {
		if b.Start < pos || b.End < b.Start || b.End > len(doc.Text) {
			return fmt.Errorf("chunk document: block %d [%d:%d] is out of order or out of %d bytes of text", i, b.Start, b.End, len(doc.Text))
		}
		pos = b.End
	}
	return nil
}

// setPages sets the pages of chunks. pages are in order.
func setPages(chunks []Chunk, pages []parse.Page) {
	if len(pages) == 0 {
		return
	}
	number := func(offset int) int { // of the last page that begins at offset or before
		i := sort.Search(len(pages), func(i int) bool { return pages[i].Start > offset })
		return pages[max(0, i-1)].Number
	}
	for i := range chunks {
		c := &chunks[i]
		c.FirstPage, c.LastPage = number(c.Start), number(c.End-1)
	}
}
