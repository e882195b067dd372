package parse

import (
	"strconv"
	"strings"
)

// maxFrontMatter bounds the search for the end of the front matter, in bytes.
const maxFrontMatter = 64 << 10

// cutFrontMatter splits YAML front matter off text and returns its title ("" if
// it has none or not a simple one) and the rest. Text that only begins with a
// thematic break comes back whole.
func cutFrontMatter(text string) (title, rest string) {
	first, body, ok := strings.Cut(text, "\n")
	if !ok || strings.TrimRight(first, " \t") != "---" {
		return "", text
	}
	window := body[:min(len(body), maxFrontMatter)]
	for pos := 0; pos < len(window); {
		line, _, _ := strings.Cut(window[pos:], "\n")
		end := pos + len(line) + 1
		switch trimmed := strings.TrimRight(line, " \t"); {
		case trimmed == "---" || trimmed == "...":
			return title, body[min(end, len(body)):]
		case pos == 0 && !yamlStart(trimmed):
			return "", text
		case strings.HasPrefix(line, "title:"):
			title = yamlScalar(line[len("title:"):])
		}
		pos = end
	}
	return "", text // never closed: a thematic break after all
}

// yamlStart reports whether a line can be the first of YAML front matter: a
// comment or "key: ...".
func yamlStart(line string) bool {
	if strings.HasPrefix(line, "#") {
		return true
	}
	key, value, ok := strings.Cut(line, ":")
	return ok && key != "" && !strings.ContainsAny(key, " \t") && (value == "" || value[0] == ' ' || value[0] == '\t')
}

// yamlScalar returns a one-line YAML scalar without its quotes, "" for anything
// else (block scalars, lists, maps, anchors).
func yamlScalar(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || strings.ContainsRune("|>[{&*!%@`", rune(s[0])) {
		return ""
	}
	switch s[0] {
	case '"':
		u, err := strconv.Unquote(s)
		if err != nil {
			return ""
		}
		s = u
	case '\'':
		if len(s) < 2 || s[len(s)-1] != '\'' {
			return ""
		}
		s = strings.ReplaceAll(s[1:len(s)-1], "''", "'")
	default:
		s, _, _ = strings.Cut(s, " #") // a comment
	}
	return cutText(strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "\uFFFD"))
}
