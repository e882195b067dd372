package parse

import (
	"context"
	"encoding/xml"
	"strconv"
	"strings"
)

// maxTables is how deep tables in tables are followed; deeper ones are text.
const maxTables = 4

// readDocx reads a Word document: headings by style, lists, tables, footnotes.
func (w *work) readDocx(ctx context.Context, data []byte) (content, error) {
	a, err := w.openArchive(data)
	if err != nil {
		return content{}, err
	}
	var c content
	if err := a.properties(ctx, &c, "docProps/core.xml"); err != nil {
		return content{}, err
	}
	d := docx{levels: map[string]int{}, lists: map[string]int{}}
	if err := d.readStyles(ctx, a); err != nil {
		return content{}, err
	}
	for _, name := range []string{"word/document.xml", "word/footnotes.xml", "word/endnotes.xml"} {
		if name != "word/document.xml" && !a.has(name) {
			continue
		}
		if err := a.xml(ctx, name, d.visit); err != nil {
			return content{}, err
		}
	}
	c.text = d.out.b.String()
	return c, nil
}

// readStyles finds the paragraph styles of headings and lists.
func (d *docx) readStyles(ctx context.Context, a *archive) error {
	if !a.has("word/styles.xml") {
		for i := 1; i <= 6; i++ {
			d.levels["Heading"+strconv.Itoa(i)] = i
		}
		return nil
	}
	id := ""
	return a.xml(ctx, "word/styles.xml", func(t xml.Token) error {
		e, ok := t.(xml.StartElement)
		if !ok {
			return nil
		}
		switch e.Name.Local {
		case "style":
			id = xmlAttr(e, "styleId")
		case "name":
			d.namedStyle(id, strings.ToLower(xmlAttr(e, "val")))
		case "outlineLvl":
			if l, err := strconv.Atoi(xmlAttr(e, "val")); err == nil && l >= 0 && l < 6 && d.levels[id] == 0 {
				d.levels[id] = l + 1
			}
		}
		return nil
	})
}

// namedStyle knows a style by its name, which is English for the built-in
// styles in every language of Word: "heading 2", "List Bullet 3".
func (d *docx) namedStyle(id, name string) {
	if l := headingName(name); l > 0 {
		d.levels[id] = l
		return
	}
	for _, prefix := range []string{"list bullet", "list number"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(rest)) // none is the first
			d.lists[id] = max(n, 1)
		}
	}
}

// headingName returns the level of a built-in heading style, whose name is
// English in every language of Word; 0 if name is none.
func headingName(name string) int {
	if name == "title" {
		return 1
	}
	n, err := strconv.Atoi(strings.TrimPrefix(name, "heading "))
	if err != nil || n < 1 || !strings.HasPrefix(name, "heading ") {
		return 0
	}
	return min(n, 6)
}

// docx collects the blocks of WordprocessingML.
type docx struct {
	out    writer
	levels map[string]int // heading levels of styles
	lists  map[string]int // list depths of styles, from 1

	text   strings.Builder // of the open paragraph
	open   []string        // text of the paragraphs around it (text boxes)
	level  int             // heading level of the paragraph
	list   int             // its list depth, -1 for no list
	run    bool            // in the text of a run
	vanish bool            // the run is hidden
	skip   int             // open elements within one that is left out
	tables []docxTable     // open tables, innermost last
	deep   int             // tables open beyond maxTables
}

// docxTable is a table being read.
type docxTable struct {
	rows [][]string
	cell strings.Builder
}

func (d *docx) visit(t xml.Token) error {
	switch t := t.(type) {
	case xml.StartElement:
		if d.skip > 0 || skipped(t.Name.Local) {
			d.skip++
			return nil
		}
		d.start(t)
	case xml.EndElement:
		if d.skip > 0 {
			d.skip--
			return nil
		}
		d.end(t.Name.Local)
	case xml.CharData:
		if d.run && !d.vanish && d.skip == 0 {
			d.text.Write(t)
		}
	}
	return nil
}

// skipped reports elements that are left out: the copy of a drawing for old
// readers, text moved away, and the separators among the footnotes.
func skipped(local string) bool {
	switch local {
	case "Fallback", "moveFrom", "del", "separator", "continuationSeparator":
		return true
	}
	return false
}

func (d *docx) start(e xml.StartElement) {
	switch e.Name.Local {
	case "p":
		if d.text.Len() > 0 && len(d.open) < maxTables {
			d.open = append(d.open, d.text.String())
			d.text.Reset()
		}
		d.level, d.list = 0, -1
	case "pStyle":
		d.level = d.levels[xmlAttr(e, "val")]
		d.list = d.lists[xmlAttr(e, "val")] - 1
	case "outlineLvl":
		if l, err := strconv.Atoi(xmlAttr(e, "val")); err == nil && l >= 0 && l < 6 && d.level == 0 {
			d.level = l + 1
		}
	case "numPr":
		d.list = max(d.list, 0)
	case "ilvl":
		d.list, _ = strconv.Atoi(xmlAttr(e, "val")) // 0 if it is no number
	case "r":
		d.vanish = false
	case "vanish":
		d.vanish = xmlAttr(e, "val") != "0" && xmlAttr(e, "val") != "false"
	case "t":
		d.run = true
	case "tab":
		d.text.WriteByte(' ')
	case "br", "cr":
		d.text.WriteByte('\n')
	case "noBreakHyphen":
		d.text.WriteByte('-')
	case "tbl":
		d.openTable()
	case "tr":
		if n := len(d.tables); n > 0 && d.deep == 0 {
			d.tables[n-1].rows = append(d.tables[n-1].rows, nil)
		}
	}
}

func (d *docx) openTable() {
	if len(d.tables) == maxTables {
		d.deep++
		return
	}
	d.tables = append(d.tables, docxTable{})
}

func (d *docx) end(local string) {
	switch local {
	case "t":
		d.run = false
	case "p":
		d.endParagraph()
	case "tc":
		d.endCell()
	case "tbl":
		d.endTable()
	}
}

func (d *docx) endParagraph() {
	s := strings.TrimSpace(d.text.String())
	d.text.Reset()
	if n := len(d.open); n > 0 {
		d.text.WriteString(d.open[n-1])
		d.open = d.open[:n-1]
	}
	level, list := d.level, d.list
	d.level, d.list = 0, -1
	switch n := len(d.tables); {
	case s == "":
	case n > 0:
		d.tables[n-1].cell.WriteString(s + "\n")
	case level > 0:
		d.out.heading(level, s)
	case list >= 0:
		d.out.item(list, 0, s)
	default:
		d.out.paragraph(s)
	}
}

func (d *docx) endCell() {
	n := len(d.tables)
	if n == 0 || d.deep > 0 {
		return
	}
	t := &d.tables[n-1]
	if last := len(t.rows) - 1; last >= 0 {
		t.rows[last] = append(t.rows[last], t.cell.String())
	}
	t.cell.Reset()
}

func (d *docx) endTable() {
	n := len(d.tables)
	if d.deep > 0 || n == 0 {
		d.deep = max(d.deep-1, 0)
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
