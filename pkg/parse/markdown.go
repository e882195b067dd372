package parse

import (
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// maxOpenBlocks is how deep quotes and lists are followed. Deeper markers are
// read as text, which keeps hostile nesting linear and the stack small; a list
// level counts two.
const maxOpenBlocks = 32

// bounded is a block parser of a container that opens no deeper than
// maxOpenBlocks.
type bounded struct {
	parser.BlockParser
}

// Open implements parser.BlockParser.
func (b bounded) Open(parent ast.Node, r text.Reader, pc parser.Context) (ast.Node, parser.State) {
	if len(pc.OpenedBlocks()) >= maxOpenBlocks {
		return nil, parser.NoChildren
	}
	return b.BlockParser.Open(parent, r, pc)
}

// newBlockParser returns a CommonMark parser of blocks only. Inline content,
// link definitions and table cells are not parsed: nothing here needs them, and
// their worst cases are not linear. See tables.go for tables.
func newBlockParser() parser.Parser {
	return parser.NewParser(parser.WithBlockParsers(
		util.Prioritized(parser.NewSetextHeadingParser(), 100),
		util.Prioritized(parser.NewThematicBreakParser(), 200),
		util.Prioritized(bounded{parser.NewListParser()}, 300),
		util.Prioritized(parser.NewListItemParser(), 400),
		util.Prioritized(parser.NewCodeBlockParser(), 500),
		util.Prioritized(parser.NewATXHeadingParser(), 600),
		util.Prioritized(parser.NewFencedCodeBlockParser(), 700),
		util.Prioritized(bounded{parser.NewBlockquoteParser()}, 800),
		util.Prioritized(parser.NewHTMLBlockParser(), 900),
		util.Prioritized(parser.NewParagraphParser(), 1000),
	))
}

// markdownBlocks returns the top-level blocks of Markdown. A block reaches to
// the next one's start, so that no text is lost between them.
func markdownBlocks(src string) []Block {
	data := []byte(src)
	root := newBlockParser().Parse(text.NewReader(data))
	a := assembler{src: src}
	start := 0
	node := root.FirstChild()
	for node != nil {
		next := node.NextSibling()
		end := len(src)
		if next != nil {
			end = lineStart(src, nodeStart(next), start)
		}
		if next == nil || end > start {
			a.add(node, start, end)
			start = end
		}
		node = next
	}
	return a.blocks
}

// nodeStart returns the offset of a top-level node, -1 if it is unknown.
func nodeStart(n ast.Node) int {
	pos := n.Pos()
	if lines := n.Lines(); lines != nil && lines.Len() > 0 {
		if first := lines.At(0).Start; pos < 0 || first < pos {
			pos = first
		}
	}
	return pos
}

// lineStart returns the start of the line that holds pos, not before least.
func lineStart(src string, pos, least int) int {
	if pos <= least {
		return least
	}
	return least + strings.LastIndexByte(src[least:pos], '\n') + 1
}

// assembler makes Blocks of nodes and keeps the heading path.
type assembler struct {
	src    string
	blocks []Block
	path   []string // headings above, outermost first
	levels []int    // their levels
}

// add appends the block or blocks of one node that reaches from start to end.
func (a *assembler) add(n ast.Node, start, end int) {
	end = start + trimmedLen(a.src[start:end])
	start += leadingBlankLines(a.src[start:end])
	if start >= end {
		return
	}
	b := Block{Kind: Paragraph, Start: start, End: end}
	switch n := n.(type) {
	case *ast.Heading:
		if title, ok := a.headingText(n); ok {
			b.Kind, b.Level = Heading, n.Level
			a.enter(n.Level, title)
		}
	case *ast.List:
		b.Kind = List
	case *ast.CodeBlock, *ast.FencedCodeBlock:
		b.Kind = Code
	case *ast.ThematicBreak:
		b.Kind = Rule
	case *ast.Paragraph:
		if at := tableStart(a.src[start:end]); at >= 0 {
			a.addTable(b, start+at)
			return
		}
	}
	b.Section = a.path
	a.blocks = append(a.blocks, b)
}

// addTable splits a paragraph whose table begins at offset at.
func (a *assembler) addTable(b Block, at int) {
	table := Block{Kind: Table, Start: at, End: b.End, Section: a.path}
	b.Section = a.path
	b.End = b.Start + trimmedLen(a.src[b.Start:at])
	if b.End > b.Start {
		a.blocks = append(a.blocks, b)
	}
	a.blocks = append(a.blocks, table)
}

// headingText returns the plain text of a heading; ok is false if it is too
// long for one.
func (a *assembler) headingText(n *ast.Heading) (title string, ok bool) {
	var b strings.Builder
	lines := n.Lines()
	for i := range lines.Len() {
		seg := lines.At(i)
		if b.Len()+seg.Len() > maxHeading {
			return "", false
		}
		b.WriteString(a.src[seg.Start:seg.Stop])
		b.WriteByte(' ')
	}
	return plainHeading(b.String()), true
}

// enter makes title the innermost heading of its level. Paths already given
// out stay as they are. A heading without text ends sections but opens none.
func (a *assembler) enter(level int, title string) {
	keep := 0
	for keep < len(a.levels) && a.levels[keep] < level {
		keep++
	}
	a.levels = a.levels[:keep]
	path := append(make([]string, 0, keep+1), a.path[:keep]...)
	if title != "" {
		path = append(path, title)
		a.levels = append(a.levels, level)
	}
	a.path = path
}

// leadingBlankLines returns the length of the blank lines s begins with.
func leadingBlankLines(s string) int {
	n := 0
	for {
		line, _, ok := strings.Cut(s[n:], "\n")
		if !ok || strings.TrimSpace(line) != "" {
			return n
		}
		n += len(line) + 1
	}
}
