package parse

import (
	"context"
	"encoding/xml"
	"strconv"
	"strings"
)

// readODF reads OpenDocument text, spreadsheets and presentations.
func (w *work) readODF(ctx context.Context, data []byte) (content, error) {
	a, err := w.openArchive(data)
	if err != nil {
		return content{}, err
	}
	c := content{}
	format, err := zipFormat(data)
	if err != nil {
		return content{}, err
	}
	c.mediaType = string(format)
	if err := a.properties(ctx, &c, "meta.xml"); err != nil {
		return content{}, err
	}
	d := odf{sheets: format == odsFile, slides: format == odpFile, limits: w.limits, c: &c}
	if err := a.xml(ctx, "content.xml", d.visit); err != nil {
		return content{}, err
	}
	c.text = d.out.b.String()
	return c, nil
}

// odf collects the blocks of an OpenDocument file.
type odf struct {
	out            writer
	c              *content
	limits         Limits
	sheets, slides bool

	text  strings.Builder
	open  []odfParagraph // paragraphs around the open one (notes, frames)
	para  odfParagraph
	depth int // open paragraphs beyond those kept in open
	lists int
	skip  int

	tables []odfTable
	page   int
	start  int
	title  strings.Builder
	shape  string // presentation:class of the frame
}

type odfParagraph struct {
	text  string
	level int
	open  bool
}

type odfTable struct {
	rows   [][]string
	cell   strings.Builder
	repeat int
}

func (d *odf) visit(t xml.Token) error {
	switch t := t.(type) {
	case xml.StartElement:
		if d.skip > 0 || odfSkipped(t) {
			d.skip++
			return nil
		}
		return d.begin(t)
	case xml.EndElement:
		if d.skip > 0 {
			d.skip--
			return nil
		}
		d.end(t.Name.Local)
	case xml.CharData:
		if d.para.open && d.skip == 0 {
			d.text.WriteString(collapse(string(t)))
		}
	}
	return nil
}

// odfSkipped reports elements that are not shown, and those that say nothing.
func odfSkipped(e xml.StartElement) bool {
	switch e.Name.Local {
	case "tracked-changes", "annotation", "hidden-text", "page-number", "sequence-decls", "settings", "forms", "scripts",
		"automatic-styles", "font-face-decls", "desc", "note-citation":
		return true
	case "table", "table-row", "table-column":
		return xmlAttr(e, "visibility") == "collapse" || xmlAttr(e, "display") == "false"
	}
	return false
}

// collapse makes white space single blanks, as ODF wants it.
func collapse(s string) string {
	out := strings.Join(strings.Fields(s), " ")
	if out == "" {
		if s != "" {
			return " "
		}
		return ""
	}
	if isSpace(s[0]) {
		out = " " + out
	}
	if isSpace(s[len(s)-1]) {
		out += " "
	}
	return out
}

func (d *odf) begin(e xml.StartElement) error {
	switch e.Name.Local {
	case "h", "p":
		d.beginParagraph(e)
	case "s":
		d.text.WriteByte(' ')
	case "tab":
		d.text.WriteByte(' ')
	case "line-break":
		d.text.WriteByte('\n')
	case "list":
		d.lists++
	case "frame":
		d.shape = xmlAttr(e, "class")
	case "page":
		if e.Name.Space != "" && strings.Contains(e.Name.Space, "drawing") {
			return d.beginPage()
		}
	case "table":
		if d.sheets {
			d.out.heading(2, xmlAttr(e, "name"))
		}
		if len(d.tables) < maxTables {
			d.tables = append(d.tables, odfTable{})
		} else {
			d.depth++
		}
	case "table-row":
		if n := len(d.tables); n > 0 {
			d.tables[n-1].rows = append(d.tables[n-1].rows, nil)
		}
	case "table-cell", "covered-table-cell":
		if n := len(d.tables); n > 0 {
			d.tables[n-1].repeat, _ = strconv.Atoi(xmlAttr(e, "number-columns-repeated"))
		}
	}
	return nil
}

func (d *odf) beginParagraph(e xml.StartElement) {
	d.para.text = d.text.String()
	if len(d.open) < maxOpenBlocks {
		d.open = append(d.open, d.para)
	}
	d.text.Reset()
	d.para = odfParagraph{open: true}
	if e.Name.Local == "h" {
		level, _ := strconv.Atoi(xmlAttr(e, "outline-level"))
		d.para.level = max(level, 1)
	}
}

func (d *odf) beginPage() error {
	d.page++
	d.start = d.out.b.Len()
	d.title.Reset()
	if d.page > d.limits.MaxPages {
		return tooLarge(nil, "document has more than %d slides (MaxPages)", d.limits.MaxPages)
	}
	return nil
}

func (d *odf) end(local string) {
	switch local {
	case "h", "p":
		d.endParagraph()
	case "list":
		d.lists--
	case "frame":
		d.shape = ""
	case "table-cell", "covered-table-cell":
		d.endCell()
	case "table":
		d.endTable()
	case "page":
		if d.slides {
			d.c.addPage(&d.out, d.page, d.start)
		}
	}
}

func (d *odf) endParagraph() {
	s, level := strings.TrimSpace(d.text.String()), d.para.level
	d.text.Reset()
	d.para = odfParagraph{}
	if n := len(d.open); n > 0 {
		d.para = d.open[n-1]
		d.open = d.open[:n-1]
		d.text.WriteString(d.para.text)
	}
	switch n := len(d.tables); {
	case s == "":
	case n > 0:
		d.tables[n-1].cell.WriteString(s + "\n")
	case level > 0:
		d.out.heading(level, s)
	case d.slides && d.shape == "title":
		d.out.heading(2, s)
	case d.lists > 0:
		d.out.item(d.lists-1, 0, s)
	default:
		d.out.paragraph(s)
	}
}

func (d *odf) endCell() {
	n := len(d.tables)
	if n == 0 {
		return
	}
	t := &d.tables[n-1]
	last := len(t.rows) - 1
	if last < 0 {
		return
	}
	text := t.cell.String()
	t.cell.Reset()
	t.rows[last] = append(t.rows[last], text)
	if text != "" {
		return
	}
	for range min(t.repeat, maxCells) - 1 { // empty cells in the middle of a row
		t.rows[last] = append(t.rows[last], "")
	}
}

func (d *odf) endTable() {
	if d.depth > 0 {
		d.depth--
		return
	}
	n := len(d.tables)
	if n == 0 {
		return
	}
	rows := d.tables[n-1].rows
	d.tables = d.tables[:n-1]
	if n == 1 {
		d.out.table(rows)
		return
	}
	for _, row := range rows {
		d.tables[n-2].cell.WriteString(strings.Join(row, " ") + "\n")
	}
}
