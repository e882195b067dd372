package parse

import (
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

// readCSV makes a table of c.text. Text that is no CSV stays as it is.
func (c *content) readCSV(f format) {
	r := csv.NewReader(strings.NewReader(c.text))
	r.Comma = delimiter(f, c.text)
	r.FieldsPerRecord = -1
	r.LazyQuotes = true
	var rows [][]string
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			c.style = stylePlain
			return
		}
		rows = append(rows, row)
	}
	var m writer
	m.table(rows)
	c.text = m.b.String()
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
