package parse

import (
	"strings"
	"unicode"
)

// plainBlocks returns the paragraphs of plain text: runs of lines that are not
// blank.
func plainBlocks(text string) []Block {
	var out []Block
	start, end := -1, 0
	for pos := 0; pos < len(text); {
		line, _, _ := strings.Cut(text[pos:], "\n")
		switch blank := strings.TrimSpace(line) == ""; {
		case blank && start >= 0:
			out = append(out, Block{Kind: Paragraph, Start: start, End: end})
			start = -1
		case !blank:
			if start < 0 {
				start = pos
			}
			end = pos + trimmedLen(line)
		}
		pos += len(line) + 1
		if len(out) > maxBlocks {
			return out
		}
	}
	if start >= 0 {
		out = append(out, Block{Kind: Paragraph, Start: start, End: end})
	}
	return out
}

// trimmedLen returns the length of s without the white space at its end.
func trimmedLen(s string) int {
	return len(strings.TrimRightFunc(s, unicode.IsSpace))
}
