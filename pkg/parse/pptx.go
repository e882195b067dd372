package parse

import (
	"context"
	"encoding/xml"
	"strconv"
	"strings"
)

// readPptx reads a presentation: a page for each slide, with its notes.
func (w *work) readPptx(ctx context.Context, data []byte) (content, error) {
	a, c, err := w.openDocument(ctx, data, "docProps/core.xml")
	if err != nil {
		return content{}, err
	}
	slides, err := slideNames(ctx, a)
	if err != nil {
		return content{}, err
	}
	if len(slides) > w.limits.MaxPages {
		return content{}, tooLarge(nil, "document has %d slides, the limit is %d (MaxPages)", len(slides), w.limits.MaxPages)
	}
	var out writer
	for i, name := range slides {
		start := out.b.Len()
		if err := writeSlide(ctx, a, &out, name, i+1); err != nil {
			return content{}, err
		}
		c.addPage(&out, i+1, start)
	}
	c.text = out.b.String()
	return c, nil
}

// addPage adds the page whose text begins at start, unless it has none.
func (c *content) addPage(out *writer, number, start int) {
	text := out.b.String()
	start += leadingBlankLines(text[start:])
	if start < len(text) {
		c.pages = append(c.pages, Page{Number: number, Start: start, End: len(text)})
	}
}

// slideNames returns the slides in their order.
func slideNames(ctx context.Context, a *archive) ([]string, error) {
	const main = "ppt/presentation.xml"
	byID, _, err := a.relations(ctx, main)
	if err != nil {
		return nil, err
	}
	var names []string
	err = a.xml(ctx, main, func(t xml.Token) error {
		e, ok := t.(xml.StartElement)
		if !ok || e.Name.Local != "sldId" {
			return nil
		}
		for _, at := range e.Attr {
			if name := byID[at.Value]; at.Name.Local == "id" && at.Name.Space != "" && a.has(name) {
				names = append(names, name)
			}
		}
		return nil
	})
	return names, err
}

// writeSlide writes a slide: its title as a heading, then its text, then its
// notes.
func writeSlide(ctx context.Context, a *archive, out *writer, name string, number int) error {
	s := slide{}
	if err := a.xml(ctx, name, shown(oldDrawing, s.visit)); err != nil {
		return err
	}
	if s.hidden {
		return nil
	}
	title := oneLine(s.title.String())
	if title == "" {
		title = "Slide " + strconv.Itoa(number)
	}
	_, byKind, err := a.relations(ctx, name)
	if err != nil {
		return err
	}
	notes := slide{notes: true}
	if n := byKind["notesSlide"]; a.has(n) {
		if err := a.xml(ctx, n, shown(oldDrawing, notes.visit)); err != nil {
			return err
		}
	}
	if len(s.parts) == 0 && len(notes.parts) == 0 && s.title.Len() == 0 {
		return nil
	}
	out.heading(2, title)
	for _, p := range append(s.parts, notes.parts...) {
		p.write(out)
	}
	return nil
}

// slidePart is a paragraph or a table of a slide.
type slidePart struct {
	text  string
	depth int // of a list, -1 for a paragraph
	rows  [][]string
}

func (p *slidePart) write(out *writer) {
	switch {
	case p.rows != nil:
		out.table(p.rows)
	case p.depth >= 0:
		out.item(p.depth, p.text)
	default:
		out.paragraph(p.text)
	}
}

// slide collects the text of PresentationML.
type slide struct {
	notes  bool // a page of notes: only its body counts
	hidden bool
	title  strings.Builder
	parts  []slidePart

	text  strings.Builder
	run   bool
	kind  string // of the placeholder the shape fills
	depth int
	rows  [][]string // of the open table
	cell  strings.Builder
	table bool
}

// oldDrawing reports the copy of a drawing for old readers.
func oldDrawing(e xml.StartElement) bool { return e.Name.Local == "Fallback" }

func (s *slide) visit(t xml.Token) error {
	switch t := t.(type) {
	case xml.StartElement:
		s.start(t)
	case xml.EndElement:
		s.end(t.Name.Local)
	case xml.CharData:
		if s.run {
			s.text.Write(t)
		}
	}
	return nil
}

func (s *slide) start(e xml.StartElement) {
	switch e.Name.Local {
	case "sld":
		s.hidden = xmlAttr(e, "show") == "0"
	case "sp":
		s.kind = ""
	case "ph":
		if s.kind = xmlAttr(e, "type"); s.kind == "" {
			s.kind = "body"
		}
	case "p":
		s.depth = -1
		if s.kind == "body" && !s.notes {
			s.depth = 0
		}
	case "pPr":
		if l, err := strconv.Atoi(xmlAttr(e, "lvl")); err == nil && l > 0 {
			s.depth = l
		}
	case "buNone":
		s.depth = -1
	case "buChar", "buAutoNum":
		s.depth = max(s.depth, 0)
	case "t":
		s.run = true
	case "br":
		s.text.WriteByte('\n')
	case "tbl":
		s.table, s.rows = true, [][]string{}
	case "tr":
		s.rows = append(s.rows, nil)
	}
}

func (s *slide) end(local string) {
	switch local {
	case "t":
		s.run = false
	case "p":
		s.endParagraph()
	case "tc":
		if last := len(s.rows) - 1; last >= 0 {
			s.rows[last] = append(s.rows[last], s.cell.String())
		}
		s.cell.Reset()
	case "tbl":
		s.parts = append(s.parts, slidePart{rows: s.rows})
		s.table = false
	}
}

func (s *slide) endParagraph() {
	text := strings.TrimSpace(s.text.String())
	s.text.Reset()
	switch {
	case text == "" || s.notes && s.kind != "body":
	case s.table:
		s.cell.WriteString(text + "\n")
	case s.kind == "title" || s.kind == "ctrTitle":
		s.title.WriteString(text + " ")
	case s.kind == "sldNum" || s.kind == "ftr" || s.kind == "dt":
	default:
		s.parts = append(s.parts, slidePart{text: text, depth: s.depth})
	}
}
