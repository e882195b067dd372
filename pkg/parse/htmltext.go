package parse

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// minLoose is the least paragraph of loose text, in bytes: shorter blocks are
// joined, so that a page of a million one-word paragraphs stays small.
const minLoose = 200

// looseText returns the visible text of a page and its title by its tokens
// alone, in linear time and memory whatever the nesting.
func looseText(page string) (text, title string) {
	l := loose{z: html.NewTokenizer(strings.NewReader(page))}
	for l.next() {
	}
	return l.b.String(), l.title
}

// loose collects the text of tokens.
type loose struct {
	z     *html.Tokenizer
	b     strings.Builder
	start int // where the current paragraph begins in b
	title string
	space bool // white space was read and not written

	inTitle bool
	hidden  string // the hidden element the tokens are in, "" if none
	depth   int    // open elements of its name within it
}

// next takes one token; false means the end.
func (l *loose) next() bool {
	switch l.z.Next() {
	case html.ErrorToken:
		return false
	case html.TextToken:
		l.text(string(l.z.Text()))
	case html.StartTagToken:
		t := l.z.Token()
		l.open(t)
	case html.EndTagToken:
		l.close(l.z.Token())
	}
	return true
}

func (l *loose) text(raw string) {
	s := oneLine(raw)
	switch {
	case l.hidden != "":
	case l.inTitle:
		l.title = s
	case s == "":
		l.space = true
	default:
		if l.b.Len() > l.start && (l.space || isSpace(raw[0])) {
			l.b.WriteByte(' ')
		}
		l.b.WriteString(s)
		l.space = isSpace(raw[len(raw)-1])
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\f' }

func (l *loose) open(t html.Token) {
	if l.hidden == t.Data {
		l.depth++
	}
	if l.hidden == "p" && isBlock(t.DataAtom) { // an open p ends before a block
		l.hidden = ""
	}
	if l.hidden != "" {
		return
	}
	if hidden(t.Data, t.Attr) && !isVoid(t.DataAtom) {
		l.hidden, l.depth = t.Data, 1
		return
	}
	l.inTitle = t.DataAtom == atom.Title
	if isBlock(t.DataAtom) {
		l.breakLine()
	}
}

func (l *loose) close(t html.Token) {
	if l.hidden == t.Data {
		if l.depth--; l.depth == 0 {
			l.hidden = ""
		}
		return
	}
	if l.hidden != "" {
		return
	}
	l.inTitle = false
	if isBlock(t.DataAtom) {
		l.breakLine()
	}
}

// breakLine ends a line, and the paragraph if it is long enough.
func (l *loose) breakLine() {
	l.space = false
	n := l.b.Len()
	switch {
	case n <= l.start:
	case n-l.start >= minLoose:
		l.b.WriteString("\n\n")
		l.start = n + 2
	case !strings.HasSuffix(l.b.String(), "\n"):
		l.b.WriteByte('\n')
	}
}

func isBlock(a atom.Atom) bool {
	switch a {
	case atom.P, atom.Div, atom.Br, atom.Hr, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6,
		atom.Ul, atom.Ol, atom.Li, atom.Dl, atom.Dt, atom.Dd, atom.Table, atom.Tr, atom.Td, atom.Th, atom.Thead, atom.Tbody,
		atom.Pre, atom.Blockquote, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Main, atom.Nav, atom.Aside,
		atom.Form, atom.Fieldset, atom.Figure, atom.Figcaption, atom.Details, atom.Summary, atom.Body, atom.Title:
		return true
	}
	return false
}

func isVoid(a atom.Atom) bool {
	switch a {
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link, atom.Meta, atom.Source, atom.Track, atom.Wbr:
		return true
	}
	return false
}
