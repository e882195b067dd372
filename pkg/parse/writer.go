package parse

import (
	"strings"
	"unicode/utf8"
)

// maxCells bounds the columns of a table that are padded, and the cells a
// spanning cell stands for.
const maxCells = 64

// writer writes Markdown: what readers of rich formats make. Text comes out as
// it went in, but where a line would be taken for markup a backslash is put
// before it.
type writer struct {
	b    strings.Builder
	list bool // the last block was a list item
}

// block begins a new block.
func (m *writer) block() {
	if m.b.Len() > 0 {
		m.b.WriteString("\n\n")
	}
	m.list = false
}

// heading writes a heading of a level from 1 to 6.
func (m *writer) heading(level int, s string) {
	s = oneLine(s)
	if s == "" {
		return
	}
	if len(s) > maxHeading-10 {
		m.paragraph(s)
		return
	}
	m.block()
	m.b.WriteString(strings.Repeat("#", min(max(level, 1), 6)))
	m.b.WriteByte(' ')
	m.b.WriteString(s)
}

// paragraph writes a paragraph; blank lines in s end one and begin another.
func (m *writer) paragraph(s string) {
	first := true
	for line := range strings.Lines(cleanText(s)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			first = true
			continue
		case first:
			m.block()
		default:
			m.b.WriteByte('\n')
		}
		if !first || line != "--" { // the line above a signature: here it underlines nothing
			line = escapeLine(bulletLine(line))
		}
		m.b.WriteString(line)
		first = false
	}
}

// bulletLine makes a line that begins with a drawn bullet a list item.
func bulletLine(line string) string {
	r, size := utf8.DecodeRuneInString(line)
	if !isBullet(r) || strings.TrimSpace(line[size:]) == "" {
		return line
	}
	return "- " + strings.TrimSpace(line[size:])
}

func isBullet(r rune) bool { return strings.ContainsRune("•◦▪▸‣●○■", r) }

// item writes a list item at a depth from 0.
func (m *writer) item(depth int, s string) {
	s = oneLine(s)
	if s == "" {
		return
	}
	if !m.list {
		m.block()
	} else {
		m.b.WriteByte('\n')
	}
	m.b.WriteString(strings.Repeat("    ", min(depth, maxOpenBlocks/2)) + "- ")
	m.b.WriteString(escapeLine(s))
	m.list = true
}

// code writes a fenced block.
func (m *writer) code(s string) {
	s = strings.Trim(cleanText(s), "\n")
	if strings.TrimSpace(s) == "" {
		return
	}
	fence := strings.Repeat("`", max(3, longestRun(s, '`')+1))
	m.block()
	m.b.WriteString(fence + "\n")
	m.b.WriteString(s)
	m.b.WriteString("\n" + fence)
}

// markdown writes Markdown that another reader made.
func (m *writer) markdown(s string) {
	s = strings.Trim(s, "\n")
	if strings.TrimSpace(s) == "" {
		return
	}
	m.block()
	m.b.WriteString(s)
}

// table writes a table whose header is the first row.
func (m *writer) table(rows [][]string) {
	t := tableWriter{m: m}
	for _, row := range rows {
		t.columns = max(t.columns, rowLen(row))
	}
	for _, row := range rows {
		t.row(row)
	}
}

// tables are the open tables of a document, innermost last. One in another is text
// of its cell.
type tables struct {
	open []openTable
	deep int // tables open beyond maxTables
}

// maxTables is how deep tables in tables are followed; deeper ones are text.
const maxTables = 4

type openTable struct {
	rows   [][]string
	cell   []byte // of the open cell
	repeat int    // the columns it stands for, in OpenDocument
}

// top is the innermost table, nil outside of tables.
func (t *tables) top() *openTable {
	if len(t.open) == 0 {
		return nil
	}
	return &t.open[len(t.open)-1]
}

func (t *tables) begin() {
	if len(t.open) == maxTables {
		t.deep++
		return
	}
	t.open = append(t.open, openTable{})
}

// end writes the outermost table, and an inner one into its cell.
func (t *tables) end(out *writer) {
	top := t.top()
	switch {
	case t.deep > 0:
		t.deep--
		return
	case top == nil:
		return
	}
	rows := top.rows
	t.open = t.open[:len(t.open)-1]
	outer := t.top()
	if outer == nil {
		out.table(rows)
		return
	}
	for _, row := range rows {
		outer.cell = append(outer.cell, strings.Join(row, " ")+"\n"...)
	}
}

// tableWriter writes a table row by row. Empty rows are left out, and a table of
// one column is paragraphs: such frame text rather than order it.
type tableWriter struct {
	m       *writer
	columns int // of the widest row
	begun   bool
}

// row writes a row; the first is the header. The header has all columns; other
// rows too, if they are not very many.
func (t *tableWriter) row(cells []string) {
	cells = cells[:rowLen(cells)]
	switch {
	case len(cells) == 0:
		return
	case t.columns == 1:
		t.m.paragraph(cells[0])
		return
	case t.begun:
		t.m.b.WriteByte('\n')
	default:
		t.m.block()
	}
	b := &t.m.b
	b.WriteByte('|')
	for _, c := range cells {
		b.WriteByte(' ')
		b.WriteString(cell(c))
		b.WriteString(" |")
	}
	if !t.begun || t.columns <= maxCells {
		b.WriteString(strings.Repeat("  |", t.columns-len(cells)))
	}
	if !t.begun {
		b.WriteString("\n|" + strings.Repeat(" --- |", t.columns))
	}
	t.begun = true
}

// rowLen returns the number of cells of a row without the empty ones at its end.
func rowLen(row []string) int {
	n := len(row)
	for n > 0 && strings.TrimSpace(row[n-1]) == "" {
		n--
	}
	return n
}

// cell returns the text of a table cell on one line, bars escaped.
func cell(s string) string {
	return strings.ReplaceAll(oneLine(s), "|", `\|`)
}

// escapeLine puts a backslash before a line of text that would be taken for the
// start of a heading, rule, fence, quote, table or HTML. Lists may look like
// lists.
func escapeLine(s string) string {
	if s == "" {
		return s
	}
	switch s[0] {
	case '#', '`', '~', '<', '>', '|':
		if isMarkup(s) {
			return `\` + s
		}
	case '-', '=', '*', '_', ':', '+':
		if strings.Trim(s, "-=*_:+| \t") == "" {
			return `\` + s
		}
	}
	return s
}

// isMarkup reports whether the first character of s makes its line markup.
func isMarkup(s string) bool {
	switch s[0] {
	case '#':
		rest := strings.TrimLeft(s, "#")
		return len(s)-len(rest) <= 6 && (rest == "" || rest[0] == ' ' || rest[0] == '\t')
	case '`', '~':
		return strings.HasPrefix(s, strings.Repeat(s[:1], 3))
	case '<':
		return len(s) > 1 && (s[1] == '!' || s[1] == '?' || s[1] == '/' || s[1]|0x20 >= 'a' && s[1]|0x20 <= 'z')
	}
	return true
}

// cleanText returns s as valid UTF-8 with LF line ends, without NUL.
func cleanText(s string) string {
	return normaliseLines(strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD"))
}

// longestRun returns the length of the longest run of c in s.
func longestRun(s string, c byte) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != c {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
