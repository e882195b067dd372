package parse

import (
	"context"
	"encoding/xml"
	"strconv"
	"strings"
)

// readODF reads OpenDocument text, spreadsheets and presentations.
func (w *work) readODF(ctx context.Context, f format, data []byte) (content, error) {
	a, c, err := w.openDocument(ctx, data, "meta.xml")
	if err != nil {
		return content{}, err
	}
	d := odf{sheets: f == odsFile, slides: f == odpFile, limits: w.limits, c: &c}
	if err := a.xml(ctx, "content.xml", shown(odfSkipped, d.visit)); err != nil {
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

	open  []odfParagraph // paragraphs around the open one (notes, frames)
	para  odfParagraph
	lists int

	tables tables
	page   int
	start  int
	shape  string // presentation:class of the frame
}

type odfParagraph struct {
	text  []byte
	level int
	open  bool
}

func (d *odf) visit(t xml.Token) error {
	switch t := t.(type) {
	case xml.StartElement:
		return d.begin(t)
	case xml.EndElement:
		d.end(t.Name.Local)
	case xml.CharData:
		if d.para.open {
			d.para.text = append(d.para.text, collapse(string(t))...)
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
	case "s", "tab":
		d.para.text = append(d.para.text, ' ')
	case "line-break":
		d.para.text = append(d.para.text, '\n')
	case "list":
		d.lists++
	case "frame":
		d.shape = xmlAttr(e, "class")
	case "page":
		if strings.Contains(e.Name.Space, "drawing") {
			return d.beginPage()
		}
	case "table":
		if d.sheets {
			d.out.heading(2, xmlAttr(e, "name"))
		}
		d.tables.begin()
	case "table-row":
		if t := d.tables.top(); t != nil {
			t.rows = append(t.rows, nil)
		}
	case "table-cell", "covered-table-cell":
		if t := d.tables.top(); t != nil {
			t.repeat, _ = strconv.Atoi(xmlAttr(e, "number-columns-repeated"))
		}
	}
	return nil
}

func (d *odf) beginParagraph(e xml.StartElement) {
	if len(d.open) < maxOpenBlocks {
		d.open = append(d.open, d.para)
	}
	d.para = odfParagraph{open: true}
	if e.Name.Local == "h" {
		level, _ := strconv.Atoi(xmlAttr(e, "outline-level"))
		d.para.level = max(level, 1)
	}
}

func (d *odf) beginPage() error {
	d.page++
	d.start = d.out.b.Len()
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
		d.tables.end(&d.out)
	case "page":
		if d.slides {
			d.c.addPage(&d.out, d.page, d.start)
		}
	}
}

func (d *odf) endParagraph() {
	s, level := strings.TrimSpace(string(d.para.text)), d.para.level
	d.para = odfParagraph{}
	if n := len(d.open); n > 0 {
		d.para, d.open = d.open[n-1], d.open[:n-1]
	}
	switch t := d.tables.top(); {
	case s == "":
	case t != nil:
		t.cell = append(t.cell, s+"\n"...)
	case level > 0:
		d.out.heading(level, s)
	case d.slides && d.shape == "title":
		d.out.heading(2, s)
	case d.lists > 0:
		d.out.item(d.lists-1, s)
	default:
		d.out.paragraph(s)
	}
}

func (d *odf) endCell() {
	t := d.tables.top()
	if t == nil {
		return
	}
	last := len(t.rows) - 1
	if last < 0 {
		return
	}
	text := string(t.cell)
	t.cell = t.cell[:0]
	t.rows[last] = append(t.rows[last], text)
	if text != "" {
		return
	}
	for range min(t.repeat, maxCells) - 1 { // empty cells in the middle of a row
		t.rows[last] = append(t.rows[last], "")
	}
}
