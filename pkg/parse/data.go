package parse

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

const (
	// longLine is the mean length of line, in bytes, from which JSON and XML
	// are taken to be minified and are broken into lines.
	longLine = 1000
	// maxIndent is the deepest JSON that is indented: the blanks grow with the
	// square of the depth.
	maxIndent = 32
)

// minified reports whether text has few lines for its size.
func minified(text string) bool {
	return len(text) > longLine && len(text)/(1+strings.Count(text, "\n")) > longLine
}

// breakJSON gives minified JSON lines; anything else stays as it is.
func breakJSON(text string) string {
	if !minified(text) || jsonDepth(text) > maxIndent {
		return text
	}
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", "  "); err != nil {
		return text
	}
	return b.String()
}

// jsonDepth returns the depth of brackets outside of strings.
func jsonDepth(text string) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
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
