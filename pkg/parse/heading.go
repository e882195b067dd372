package parse

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxHeading is the longest heading in bytes; a longer one (a paragraph
	// with a rule right below it, say) is read as a paragraph.
	maxHeading = 300
	// maxTitle bounds titles, in bytes.
	maxTitle = 300
)

// cutText shortens a title to maxTitle bytes at a rune border.
func cutText(s string) string {
	if len(s) <= maxTitle {
		return s
	}
	i := maxTitle
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return strings.TrimSpace(s[:i])
}

// plainHeading returns the content of a heading without its inline markup:
// emphasis, code quotes, links, tags, a trailing {#id}.
func plainHeading(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasSuffix(s, "}") {
		if i := strings.LastIndex(s, "{#"); i >= 0 {
			s = s[:i]
		}
	}
	var b strings.Builder
	stripInline(&b, s)
	return strings.Join(strings.Fields(b.String()), " ")
}

// stripInline writes s without markup. It is quadratic at worst, for s of at
// most maxHeading bytes.
func stripInline(b *strings.Builder, s string) {
	for len(s) > 0 {
		n := 1
		switch s[0] {
		case '\\':
			n = escape(b, s)
		case '`':
			n = codeSpan(b, s)
		case '!', '[':
			n = link(b, s)
		case '<':
			n = tag(b, s)
		case '&':
			n = entity(b, s)
		case '*':
			n = stars(b, s)
		case '_':
			if !strings.HasPrefix(s, "__") {
				b.WriteByte('_')
			} else {
				n = 2
			}
		default:
			b.WriteByte(s[0])
		}
		s = s[n:]
	}
}

// escape handles a backslash and returns the bytes it took, as all below do.
func escape(b *strings.Builder, s string) int {
	if len(s) > 1 && s[1] < utf8.RuneSelf && (unicode.IsPunct(rune(s[1])) || unicode.IsSymbol(rune(s[1]))) {
		b.WriteByte(s[1])
		return 2
	}
	b.WriteByte('\\')
	return 1
}

func codeSpan(b *strings.Builder, s string) int {
	n := len(s) - len(strings.TrimLeft(s, "`"))
	end := strings.Index(s[n:], s[:n])
	if end < 0 {
		return n
	}
	b.WriteString(s[n : n+end])
	return n + end + n
}

func link(b *strings.Builder, s string) int {
	open := strings.IndexByte(s[:min(2, len(s))], '[')
	if open < 0 {
		b.WriteByte(s[0])
		return 1
	}
	mid := strings.Index(s, "](")
	if mid < 0 {
		b.WriteString(s[:open+1])
		return open + 1
	}
	end := strings.IndexByte(s[mid:], ')')
	if end < 0 {
		b.WriteString(s[:open+1])
		return open + 1
	}
	stripInline(b, s[open+1:mid])
	return mid + end + 1
}

func tag(b *strings.Builder, s string) int {
	end := strings.IndexByte(s, '>')
	if end < 2 || s[1] != '/' && (s[1]|0x20 < 'a' || s[1]|0x20 > 'z') {
		b.WriteByte('<')
		return 1
	}
	if strings.Contains(s[:end], "://") { // an autolink
		b.WriteString(s[1:end])
	}
	return end + 1
}

func entity(b *strings.Builder, s string) int {
	end := strings.IndexByte(s[:min(len(s), 12)], ';')
	if end < 0 {
		b.WriteByte('&')
		return 1
	}
	b.WriteString(html.UnescapeString(s[:end+1]))
	return end + 1
}

// stars drops emphasis stars but keeps one that stands alone between blanks.
func stars(b *strings.Builder, s string) int {
	n := len(s) - len(strings.TrimLeft(s, "*"))
	before := b.String()
	if n < len(s) && s[n] == ' ' && (before == "" || before[len(before)-1] == ' ') {
		b.WriteString(s[:n])
	}
	return n
}
