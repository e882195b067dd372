// Package chunk cuts parsed documents into chunks for embedding: within a hard
// token limit, along the structure of the document. It is pure and
// deterministic.
//
// How it cuts. Headings are hard borders. Within a section whole sentences,
// list items, table rows and code lines are packed greedily up to the limit. A
// table or code block that fits into one chunk is never cut; a larger table is
// cut between rows and its header repeated, larger code between lines. Only a
// sentence, row or line that is too long alone is cut, at token borders, where
// possible between words.
//
// Each byte is counted twice, once in its piece and once in its finished chunk,
// so time is linear in the text.
package chunk

import (
	"fmt"

	"github.com/weir-dev/weir/pkg/parse"
)

// MinTokens is the least Options.MaxTokens: room for a prefix and a few words.
const MinTokens = 16

// Counter counts and cuts text in the tokens of the embedding model. A
// tokens.Counter is one.
type Counter interface {
	// Count returns the number of tokens of text, at most len(text).
	Count(text string) int
	// Split cuts text into pieces of at most limit tokens, at rune borders; a
	// piece of one rune may be larger. The pieces joined are text.
	Split(text string, limit int) []string
}

// Options says how to cut.
type Options struct {
	// MaxTokens is the hard limit on Chunk.EmbedText, at least MinTokens.
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
	// Text is Document.Text[Start:End], without white space around it.
	Text string
	// Prefix is what the chunk needs to be understood alone: title and heading
	// path on one line, and the header of a table cut before. It may be "";
	// else it ends in a newline.
	Prefix string
	// Start and End are byte offsets into Document.Text of Text, the overlap
	// included.
	Start, End int
	// Overlap is the number of bytes at the start of Text that the chunk before
	// holds too.
	Overlap int
	// Section is the heading path of the text. Chunks share it: don't write.
	Section []string
	Page    int
	// Tokens is the number of tokens of EmbedText, never over the limit.
	Tokens int
}

// EmbedText returns what to embed: the prefix and the text.
func (c Chunk) EmbedText() string { return c.Prefix + c.Text }

// Split cuts a document. The chunks are in order and hold every byte of the
// text that is not white space, except rules and headings; a heading is held by
// the prefixes of its section, and by the text only if it is too long for them
// or the document is nothing but headings. Split fails for invalid options and
// for blocks that are out of order or out of the text.
func Split(doc parse.Document, opt Options) ([]Chunk, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	if err := checkBlocks(doc); err != nil {
		return nil, err
	}
	s := newSplitter(doc, opt)
	for _, sec := range sections(doc.Blocks) {
		s.section(sec)
	}
	if len(s.chunks) == 0 { // nothing but headings
		s.section(section{blocks: doc.Blocks, headings: true})
	}
	return s.chunks, nil
}

// checkBlocks checks what parse.Parse promises and the splitter relies on.
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

// section is a run of blocks with one heading path.
type section struct {
	path     []string
	blocks   []parse.Block // the heading, if there is one, is the first
	headings bool          // headings are text
}

// sections cuts blocks before every heading.
func sections(blocks []parse.Block) []section {
	var out []section
	for start := 0; start < len(blocks); {
		end := start + 1
		for end < len(blocks) && blocks[end].Kind != parse.Heading {
			end++
		}
		out = append(out, section{path: blocks[start].Section, blocks: blocks[start:end]})
		start = end
	}
	return out
}
