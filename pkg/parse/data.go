package parse

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"strings"
)

const (
	// longLine is the mean length of line, in bytes, from which JSON and XML
	// are taken to be minified and are broken into lines.
	longLine = 1000
	// maxBreak is the depth of brackets to which minified JSON is broken into
	// lines.
	maxBreak = 6
)

// minified reports whether text has few lines for its size.
func minified(text string) bool {
	return len(text) > longLine && len(text)/(1+strings.Count(text, "\n")) > longLine
}

// breakJSON gives minified JSON a line for each member, as deep as it takes to
// make them short; nothing else is changed.
func breakJSON(text string) string {
	if !minified(text) {
		return text
	}
	depth := 1
	for depth < maxBreak && longestMember(text, depth) > longLine {
		depth++
	}
	var b strings.Builder
	b.Grow(len(text) + len(text)/16)
	start := 0
	jsonBreaks(text, depth, func(at int) {
		b.WriteString(text[start:at])
		b.WriteByte('\n')
		start = at
	})
	b.WriteString(text[start:])
	return b.String()
}

// longestMember returns the bytes between two breaks at a depth.
func longestMember(text string, depth int) int {
	longest, start := 0, 0
	jsonBreaks(text, depth, func(at int) {
		longest = max(longest, at-start)
		start = at
	})
	return max(longest, len(text)-start)
}

// jsonBreaks calls at with the offsets after the brackets and commas that are
// at most depth brackets deep.
func jsonBreaks(text string, depth int, at func(int)) {
	level, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if level++; level <= depth {
				at(i + 1)
			}
		case c == '}' || c == ']':
			level--
		case c == ',' && level <= depth:
			at(i + 1)
		}
	}
}

// breakXML gives minified XML a line per element.
func breakXML(text string) string {
	if !minified(text) {
		return text
	}
	return strings.ReplaceAll(text, "><", ">\n<")
}

// readCSV makes a table of c.text, in two passes to keep one row at a time.
// Text that is no CSV stays as it is.
func (c *content) readCSV(ctx context.Context, f format, limit int) error {
	comma, columns := delimiter(f, c.text), 0
	err := eachRow(ctx, c.text, comma, func(row []string) error {
		columns = max(columns, rowLen(row))
		return nil
	})
	if err != nil {
		c.style = stylePlain
		return ctx.Err()
	}
	var m writer
	t := tableWriter{m: &m, columns: columns}
	err = eachRow(ctx, c.text, comma, func(row []string) error {
		t.row(row)
		if m.b.Len() > limit {
			return tooLarge(errText, "document has more than %d bytes of text as a table (MaxText)", limit)
		}
		return nil
	})
	c.text = m.b.String()
	return err
}

// eachRow calls row with every row of CSV; the slice is used again.
func eachRow(ctx context.Context, text string, comma rune, row func([]string) error) error {
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = comma, -1, true, true
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = row(fields)
		}
		if err != nil {
			return err
		}
	}
}

// delimiter returns what separates the fields of CSV: the candidate that is
// most frequent in the first line.
func delimiter(f format, text string) rune {
	if f == tsvFile {
		return '\t'
	}
	first, _, _ := strings.Cut(text, "\n")
	best := ','
	for _, r := range ";\t|" {
		if strings.Count(first, string(r)) > strings.Count(first, string(best)) {
			best = r
		}
	}
	return best
}
