package parse

import (
	"cmp"
	"context"
	"encoding/xml"
	"strconv"
	"strings"
)

// readDocx reads a Word document: headings by style, lists, tables, footnotes.
func (w *work) readDocx(ctx context.Context, data []byte) (content, error) {
	a, c, err := w.openDocument(ctx, data, "docProps/core.xml")
	if err != nil {
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
		if err := a.xml(ctx, name, shown(skipped, d.visit)); err != nil {
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
			d.levels[id] = cmp.Or(d.levels[id], outlineLevel(e))
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

// outlineLevel returns a heading level from 1 to 6, 0 for text.
func outlineLevel(e xml.StartElement) int {
	if l, err := strconv.Atoi(xmlAttr(e, "val")); err == nil && l >= 0 && l < 6 {
		return l + 1
	}
	return 0
}

// headingName returns the level of a built-in heading style, whose name is
// English in every language of Word; 0 if name is none.
func headingName(name string) int {
	if name == "title" {
		return 1
	}
	number, ok := strings.CutPrefix(name, "heading ")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 {
		return 0
	}
	return min(n, 6)
}

// docx collects the blocks of WordprocessingML.
type docx struct {
	out    writer
	levels map[string]int // heading levels of styles
	lists  map[string]int // list depths of styles, from 1

	text   []byte   // of the open paragraph
	open   [][]byte // text of the paragraphs around it (text boxes)
	level  int      // heading level of the paragraph
	list   int      // its list depth, -1 for no list
	run    bool     // in the text of a run
	vanish bool     // the run is hidden
	tables tables
}

func (d *docx) visit(t xml.Token) error {
	switch t := t.(type) {
	case xml.StartElement:
		d.start(t)
	case xml.EndElement:
		d.end(t.Name.Local)
	case xml.CharData:
		if d.run && !d.vanish {
			d.text = append(d.text, t...)
		}
	}
	return nil
}

// skipped reports elements that are left out: the copy of a drawing for old
// readers, text moved away, and the separators among the footnotes.
func skipped(e xml.StartElement) bool {
	switch e.Name.Local {
	case "Fallback", "moveFrom", "del", "separator", "continuationSeparator":
		return true
	}
	return false
}

func (d *docx) start(e xml.StartElement) {
	switch e.Name.Local {
	case "p":
		if len(d.text) > 0 && len(d.open) < maxTables {
			d.open, d.text = append(d.open, d.text), nil
		}
		d.level, d.list = 0, -1
	case "pStyle":
		d.level = d.levels[xmlAttr(e, "val")]
		d.list = d.lists[xmlAttr(e, "val")] - 1
	case "outlineLvl":
		d.level = cmp.Or(d.level, outlineLevel(e))
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
		d.text = append(d.text, ' ')
	case "br", "cr":
		d.text = append(d.text, '\n')
	case "noBreakHyphen":
		d.text = append(d.text, '-')
	case "tbl":
		d.tables.begin()
	case "tr":
		if t := d.tables.top(); t != nil && d.tables.deep == 0 {
			t.rows = append(t.rows, nil)
		}
	}
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
		d.tables.end(&d.out)
	}
}

func (d *docx) endParagraph() {
	s := strings.TrimSpace(string(d.text))
	d.text = d.text[:0]
	if n := len(d.open); n > 0 {
		d.text, d.open = d.open[n-1], d.open[:n-1]
	}
	level, list := d.level, d.list
	d.level, d.list = 0, -1
	switch t := d.tables.top(); {
	case s == "":
	case t != nil:
		t.cell = append(t.cell, s+"\n"...)
	case level > 0:
		d.out.heading(level, s)
	case list >= 0:
		d.out.item(list, s)
	default:
		d.out.paragraph(s)
	}
}

func (d *docx) endCell() {
	t := d.tables.top()
	if t == nil || d.tables.deep > 0 {
		return
	}
	if last := len(t.rows) - 1; last >= 0 {
		t.rows[last] = append(t.rows[last], string(t.cell))
	}
	t.cell = t.cell[:0]
}
