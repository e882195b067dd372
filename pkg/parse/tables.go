package parse

import "strings"

// tableStart returns the offset of the header line of the first table (GFM) in
// a paragraph, -1 if it has none. goldmark's own table extension isn't used: it
// makes a cell for every header column in every row, so that a small document
// can ask for gigabytes.
func tableStart(s string) int {
	prev, cols := 0, 0 // start and columns of the line before
	for pos, first := 0, true; pos < len(s); first = false {
		line, _, _ := strings.Cut(s[pos:], "\n")
		if n := delimiterColumns(line); !first && n > 0 && n == cols {
			return prev
		}
		prev, cols = pos, columns(line)
		pos += len(line) + 1
	}
	return -1
}

// delimiterColumns returns the number of columns of a delimiter row such as
// "|---|:-:|", 0 if line is none. At least one bar must be there.
func delimiterColumns(line string) int {
	if !strings.Contains(line, "|") || strings.Trim(line, "|-: \t") != "" {
		return 0
	}
	n := 0
	for cell := range strings.SplitSeq(trimBars(line), "|") {
		cell = strings.TrimSpace(cell)
		cell = strings.TrimSuffix(strings.TrimPrefix(cell, ":"), ":")
		if cell == "" || strings.Trim(cell, "-") != "" {
			return 0
		}
		n++
	}
	return n
}

// columns returns the number of cells of a table row.
func columns(line string) int {
	if strings.TrimSpace(line) == "" {
		return 0
	}
	s := trimBars(line)
	return 1 + strings.Count(s, "|") - strings.Count(s, `\|`)
}

// trimBars returns a row without its outer bars.
func trimBars(line string) string {
	s := strings.TrimPrefix(strings.TrimSpace(line), "|")
	if !strings.HasSuffix(s, `\|`) {
		s = strings.TrimSuffix(s, "|")
	}
	return s
}
