package parse

import (
	"strings"
	"unicode/utf8"
)

// orgMarkdown makes the headings and source blocks of Org mode into those of
// Markdown. The rest of the text stays as it is.
func orgMarkdown(text string) string {
	var b strings.Builder
	inCode := false
	for line := range strings.Lines(text) {
		body := strings.TrimSpace(line)
		switch lower := strings.ToLower(body); {
		case inCode && strings.HasPrefix(lower, "#+end_"):
			b.WriteString("```\n")
			inCode = false
		case inCode:
			b.WriteString(line)
		case strings.HasPrefix(lower, "#+begin_src"), strings.HasPrefix(lower, "#+begin_example"):
			_, lang, _ := strings.Cut(body, " ")
			b.WriteString("```" + lang + "\n")
			inCode = true
		case strings.HasPrefix(lower, "#+title:"):
			b.WriteString("# " + strings.TrimSpace(body[len("#+title:"):]) + "\n")
		default:
			b.WriteString(orgHeading(line))
		}
	}
	return b.String()
}

// orgHeading makes "** x" into "## x"; other lines come back as they are.
func orgHeading(line string) string {
	rest := strings.TrimLeft(line, "*")
	n := len(line) - len(rest)
	if n == 0 || !strings.HasPrefix(rest, " ") {
		return line
	}
	return strings.Repeat("#", min(n, 6)) + rest
}

// rstMarkdown makes the headings of reStructuredText, text underlined with
// punctuation, into those of Markdown: the first style seen is level 1 and so
// on. The rest of the text stays as it is.
func rstMarkdown(text string) string {
	var b strings.Builder
	lines := strings.Split(text, "\n")
	levels := map[string]int{}
	for i := 0; i < len(lines); i++ {
		style := lines[i]
		if rstRule(style) > 0 && i+2 < len(lines) && rstUnderlines(lines[i+1], lines[i+2]) && lines[i+2] == style {
			writeRstHeading(&b, levels, lines[i+1], "over"+style[:1]) // a line above and below
			i += 2
			continue
		}
		if i+1 < len(lines) && rstUnderlines(style, lines[i+1]) {
			writeRstHeading(&b, levels, style, lines[i+1][:1])
			i++
			continue
		}
		b.WriteString(style)
		if i+1 < len(lines) {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func writeRstHeading(b *strings.Builder, levels map[string]int, title, style string) {
	level := levels[style]
	if level == 0 {
		level = min(len(levels)+1, 6)
		levels[style] = level
	}
	b.WriteString(strings.Repeat("#", level) + " " + strings.TrimSpace(title) + "\n")
}

// rstUnderlines reports whether rule underlines the title above it.
func rstUnderlines(title, rule string) bool {
	n := rstRule(rule)
	title = strings.TrimSpace(title)
	return n > 2 && title != "" && n >= utf8.RuneCountInString(title) && rstRule(title) == 0
}

// rstRule returns the length of a line of one repeated punctuation character,
// 0 if line is none.
func rstRule(line string) int {
	line = strings.TrimRight(line, " \t")
	if line == "" || !strings.ContainsRune("=-`:'\"~^_*+#<>.", rune(line[0])) || strings.Trim(line, line[:1]) != "" {
		return 0
	}
	return len(line)
}
