package parse

import (
	"strings"
	"unicode"
)

// lineBlocks cuts text into blocks of a kind: before every line that starts says
// begins something new. blank tells it that the line above is blank.
func lineBlocks(text string, kind Kind, starts func(line string, blank bool) bool) []Block {
	var out []Block
	start, end, blank := -1, 0, true
	flush := func() {
		if start >= 0 {
			out = append(out, Block{Kind: kind, Start: start, End: end})
		}
	}
	for pos := 0; pos < len(text); {
		line, _, _ := strings.Cut(text[pos:], "\n")
		if n := trimmedLen(line); n == 0 {
			blank = true
		} else {
			if start < 0 || starts(line[:n], blank) {
				flush()
				start = pos
			}
			end, blank = pos+n, false
		}
		pos += len(line) + 1
		if len(out) > maxBlocks {
			return out
		}
	}
	flush()
	return out
}

// trimmedLen returns the length of s without the white space at its end.
func trimmedLen(s string) int {
	return len(strings.TrimRightFunc(s, unicode.IsSpace))
}

// startsParagraph reports whether a line of plain text begins a paragraph.
func startsParagraph(_ string, blank bool) bool { return blank }

// startsDeclaration reports whether a line of source code begins a top-level
// declaration: it isn't indented, follows a blank line and closes nothing.
func startsDeclaration(line string, blank bool) bool {
	return blank && !strings.ContainsRune(" \t})]", rune(line[0])) && line != "end"
}

// minMember is the least size of a block of a data file, in bytes, so that a
// list of numbers doesn't become a block for each.
const minMember = 200

// memberStart returns what begins a top-level member of a data file: a line
// indented by indent that closes nothing.
func memberStart(indent int) func(line string, blank bool) bool {
	size := 0
	return func(line string, _ bool) bool {
		size += len(line)
		body := strings.TrimLeft(line, " \t")
		if size < minMember || len(line)-len(body) > indent || strings.ContainsRune("})]", rune(body[0])) || strings.HasPrefix(body, "</") {
			return false
		}
		size = 0
		return true
	}
}

// leastIndent returns the least indentation of a line of text that has one, 0
// if none has.
func leastIndent(text string) int {
	least := 0
	for line := range strings.Lines(text) {
		body := strings.TrimLeft(line, " \t")
		if n := len(line) - len(body); n > 0 && strings.TrimSpace(body) != "" && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}
