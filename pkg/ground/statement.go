package ground

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/weir-dev/weir/pkg/sentence"
)

// marker is a citation in an answer, with the white space before it: [1], [1, 2] or
// [1-3].
var marker = regexp.MustCompile(`\s*\[\s*(\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\s*\]`)

// code is what is not prose in an answer: in it [1] is an index. A block may lack
// its end where an answer was cut.
var code = regexp.MustCompile("(?s)```.*?(?:```|$)|`[^`\n]+`")

// item is what stands before the text of a list's item or a heading.
var item = regexp.MustCompile(`^\s*(?:[-*+•>]|#{1,6}|\d{1,3}[.)])\s+`)

// statement is a sentence of an answer and what it cites.
type statement struct {
	text  string
	cites []int
}

// statements cuts an answer into sentences. Markers behind the full stop belong to
// the sentence before.
func statements(answer string) []statement {
	spans := code.FindAllStringIndex(answer, -1)
	var out []statement
	start := 0
	for _, end := range borders(answer) {
		lead, cites, rest := cut(answer, start, end, spans)
		start = end
		if n := len(out); n > 0 {
			out[n-1].cites = append(out[n-1].cites, lead...)
		} else {
			cites = append(lead, cites...)
		}
		if strings.IndexFunc(rest, wordRune) < 0 { // nothing is said
			if n := len(out); n > 0 {
				out[n-1].cites = append(out[n-1].cites, cites...)
			}
			continue
		}
		out = append(out, statement{text: rest, cites: cites})
	}
	return out
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// cut takes the markers out of a part of an answer: those it begins with, and the
// others.
func cut(answer string, start, end int, code [][]int) (lead, cites []int, rest string) {
	part := answer[start:end]
	leads := true
	var b strings.Builder
	at := 0
	for _, m := range marker.FindAllStringSubmatchIndex(part, -1) {
		if slices.ContainsFunc(code, func(span []int) bool { return start+m[2] > span[0] && start+m[3] < span[1] }) {
			continue
		}
		b.WriteString(part[at:m[0]])
		leads = leads && strings.Trim(b.String(), " \t\n.,;") == ""
		if leads {
			lead = append(lead, numbers(part[m[2]:m[3]])...)
		} else {
			cites = append(cites, numbers(part[m[2]:m[3]])...)
		}
		at = m[1]
	}
	b.WriteString(part[at:])
	return lead, cites, strings.Join(strings.Fields(item.ReplaceAllString(b.String(), "")), " ")
}

// numbers reads the inside of a marker.
func numbers(list string) []int {
	var out []int
	for part := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ';' }) {
		ends := strings.FieldsFunc(part, func(r rune) bool { return r == '-' || r == '–' })
		first, err := strconv.Atoi(strings.TrimSpace(ends[0]))
		last, err2 := strconv.Atoi(strings.TrimSpace(ends[len(ends)-1]))
		if err != nil || err2 != nil {
			continue
		}
		for n := first; n <= last; n++ { // at most 999 by the marker's digits
			out = append(out, n)
		}
	}
	return out
}

// borders returns the ends of what is read as one sentence: sentences, and single
// lines of tables, headings and of what is too long for a quote.
func borders(text string) []int {
	var out []int
	start := 0
	for _, end := range sentence.Ends(text) {
		long := end-start > maxQuote
		for from := start; ; {
			i := strings.IndexByte(text[from:end], '\n')
			if i < 0 {
				break
			}
			line := text[from : from+i]
			if from += i + 1; from < end && (long || ownLine(line) || ownLine(text[from:end])) {
				out = append(out, from)
			}
		}
		out = append(out, end)
		start = end
	}
	return out
}

// ownLine reports whether a line is a table's row or a heading.
func ownLine(line string) bool {
	line = strings.TrimLeft(line, " \t")
	return strings.HasPrefix(line, "|") || strings.HasPrefix(line, "#")
}
