package llmsim

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSentenceRunes bounds a sentence that is shown; a longer one is cut.
const maxSentenceRunes = 420

// sentence is one candidate of an answer.
type sentence struct {
	text    string // cleaned for display
	block   int    // index of its block
	heading string // the nearest heading above it inside the block
}

var (
	bulletPattern  = regexp.MustCompile(`^\s*(?:[-*+•]|\d{1,3}[.)])\s+`)
	headingPattern = regexp.MustCompile(`^\s{0,3}#{1,6}\s+`)
	tableRule      = regexp.MustCompile(`^\s*\|?[\s:|-]*-[\s:|-]*$`)
	imagePattern   = regexp.MustCompile(`!\[[^\]]*\]\([^)]*\)`)
	linkPattern    = regexp.MustCompile(`\[([^\]]+)\]\([^)]*\)`)
	notePattern    = regexp.MustCompile(`\[\^?\d+\]`)
	// tagPattern is an HTML tag, or a code span, which may hold what looks like one.
	tagPattern      = regexp.MustCompile("`[^`]*`|</?[a-zA-Z][^<>]*>")
	emphasisPattern = regexp.MustCompile(`\*\*|__|~~`)
	spacePattern    = regexp.MustCompile(`\s+`)
)

// sentencesOf splits the text of block number n, which may be Markdown, into
// sentences. List items and table rows stand alone; code blocks and headings
// are no sentences, but a heading is kept with those below it.
func sentencesOf(text string, n int) []sentence {
	p := paragraphs{block: n}
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "```") || strings.HasPrefix(trimmed, "~~~") {
			p.flush()
			fenced = !fenced
			continue
		}
		if !fenced {
			p.addLine(line)
		}
	}
	p.flush()
	return p.out
}

// paragraphs joins lines to paragraphs and splits those into sentences.
type paragraphs struct {
	block   int
	heading string
	pending []string
	out     []sentence
}

func (p *paragraphs) addLine(line string) {
	trimmed := strings.TrimLeft(line, "> \t")
	switch {
	case trimmed == "" || tableRule.MatchString(line):
		p.flush()
	case headingPattern.MatchString(line):
		p.flush()
		p.heading = clean(strings.Trim(line, "# \t"))
	case strings.HasPrefix(trimmed, "|"):
		p.flush()
		p.pending = append(p.pending, tableRow(trimmed))
		p.flush()
	case bulletPattern.MatchString(trimmed):
		p.flush()
		p.pending = append(p.pending, bulletPattern.ReplaceAllString(trimmed, ""))
	default:
		p.pending = append(p.pending, trimmed)
	}
}

func (p *paragraphs) flush() {
	if len(p.pending) == 0 {
		return
	}
	text := clean(strings.Join(p.pending, " "))
	p.pending = p.pending[:0]
	for _, s := range splitSentences(text) {
		p.out = append(p.out, sentence{text: shorten(s), block: p.block, heading: p.heading})
	}
}

// tableRow turns "| a | b |" into "a, b".
func tableRow(line string) string {
	cells := strings.Split(strings.Trim(line, "| \t"), "|")
	kept := cells[:0]
	for _, c := range cells {
		if c = strings.TrimSpace(c); c != "" {
			kept = append(kept, c)
		}
	}
	return strings.Join(kept, ", ")
}

// clean removes the markup that would disturb a reader: emphasis, links,
// images, tags and footnote marks, which could be mistaken for citations.
func clean(s string) string {
	s = imagePattern.ReplaceAllString(s, "")
	s = linkPattern.ReplaceAllString(s, "$1")
	s = notePattern.ReplaceAllString(s, "")
	s = tagPattern.ReplaceAllStringFunc(s, func(m string) string {
		if m[0] == '`' {
			return m
		}
		return ""
	})
	s = emphasisPattern.ReplaceAllString(s, "")
	return strings.TrimSpace(spacePattern.ReplaceAllString(s, " "))
}

// shorten cuts s at a word after maxSentenceRunes.
func shorten(s string) string {
	if utf8.RuneCountInString(s) <= maxSentenceRunes {
		return s
	}
	runes := []rune(s)[:maxSentenceRunes]
	cut := string(runes)
	if i := strings.LastIndexByte(cut, ' '); i > maxSentenceRunes/2 {
		cut = cut[:i]
	}
	return cut + "…"
}

// abbreviations are words whose full stop does not end a sentence.
var abbreviations = map[string]bool{ //nolint:gochecknoglobals // a table, never written
	"mr": true, "mrs": true, "ms": true, "dr": true, "prof": true, "st": true, "sr": true, "jr": true,
	"e.g": true, "i.e": true, "vs": true, "no": true, "fig": true, "approx": true, "ca": true, "cf": true,
	"gen": true, "col": true, "lt": true, "sgt": true, "rev": true, "gov": true, "sen": true, "etc": true,
}

// splitSentences splits a paragraph at full stops, question and exclamation
// marks that are followed by the beginning of another sentence.
func splitSentences(text string) []string {
	var out []string
	start := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		end := i + size
		switch {
		case r == '。' || r == '！' || r == '？' || r == '।':
		case (r == '.' || r == '!' || r == '?') && endsSentence(text[start:i], r, text[end:]):
			end += closers(text[end:])
		default:
			i = end
			continue
		}
		out = appendTrimmed(out, text[start:end])
		start, i = end, end
	}
	return appendTrimmed(out, text[start:])
}

func appendTrimmed(out []string, s string) []string {
	if s = strings.TrimSpace(s); s != "" {
		out = append(out, s)
	}
	return out
}

// closers counts the bytes of quotes and brackets that close at the start of s.
func closers(s string) int {
	return len(s) - len(strings.TrimLeft(s, `"')]”’»`))
}

// endsSentence decides whether mark r between before and after ends a sentence.
func endsSentence(before string, r rune, after string) bool {
	after = after[closers(after):]
	if after == "" {
		return true
	}
	if after[0] != ' ' {
		return false
	}
	next, _ := utf8.DecodeRuneInString(strings.TrimLeft(after, ` "'([“‘«`+"`"))
	if unicode.IsLower(next) {
		return false
	}
	if r != '.' {
		return true
	}
	word := before[strings.LastIndexByte(before, ' ')+1:]
	word = strings.ToLower(strings.TrimLeft(word, `("'[`))
	if len(word) == 1 && word[0] >= 'a' && word[0] <= 'z' {
		return false
	}
	return !abbreviations[word]
}
