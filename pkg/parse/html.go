package parse

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	readability "codeberg.org/readeck/go-readability/v2"
	"github.com/JohannesKaufmann/html-to-markdown/v2/converter"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/base"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/commonmark"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/table"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

const (
	// maxTags is the most tags of which a tree is built, of some 500 bytes a
	// tag; beyond it the text is read without one.
	maxTags = 300_000
	// maxElements and maxNested are how deep elements, and among them lists,
	// their items and quotes, are followed. Pages have some 30 and 6.
	maxElements = 64
	maxNested   = 16
	// minArticle is the least share, in percent, of the text outside of links
	// that the main part must hold to be taken for the page.
	minArticle = 50
	// maxArticle is the share of all text from which on there is so little
	// beside the main part that the page is taken whole, with all its markup.
	maxArticle = 95
)

// readHTML reads a page: its main part if one stands out, else all of its body,
// else, for pages no tree can be built of, its text without structure.
func (w *work) readHTML(ctx context.Context, in Input) (content, error) {
	text, replaced, err := decode(in.Data, declaredCharset(htmlFile, in))
	if err != nil {
		return content{}, err
	}
	c := content{replaced: replaced}
	root := htmlTree(text)
	if root == nil {
		c.text, c.title = looseText(text)
		c.style = stylePlain
		return c, ctx.Err()
	}
	c.title = pageTitle(root)
	c.addMeta("author", metaContent(root, "author"))
	c.addMeta("date", metaContent(root, "date"))
	tidy(root, 0, 0)
	if c.text, err = pageMarkdown(ctx, root); err != nil {
		return content{}, broken(err, "HTML page")
	}
	if strings.TrimSpace(c.text) == "" {
		c.text, _ = looseText(text)
		c.style = stylePlain
	}
	return c, nil
}

// htmlTree returns the tree of a page, nil if it has too many or too large tags
// or is too deeply nested for one (html.Parse refuses more than 512 open
// elements).
func htmlTree(text string) *html.Node {
	if strings.Count(text, "<") > maxTags || longTag(text) {
		return nil
	}
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		return nil
	}
	return root
}

// longTag reports whether text has a tag longer than maxTag.
func longTag(text string) bool {
	for {
		i := strings.IndexByte(text, '<')
		if i < 0 {
			return false
		}
		text = text[i+1:]
		end := strings.IndexByte(text, '>')
		if end > maxTag || end < 0 && len(text) > maxTag {
			return true
		}
		text = text[max(end, 0):]
	}
}

// wholePage returns all of a page as Markdown.
func wholePage(ctx context.Context, text string) (string, error) {
	root := htmlTree(text)
	if root == nil {
		text, _ = looseText(text)
		var m writer
		m.paragraph(text)
		return m.b.String(), nil
	}
	tidy(root, 0, 0)
	return nodeMarkdown(ctx, root)
}

// pageMarkdown returns the main part of a tidy page as Markdown, or all of its
// body if none stands out. It changes the tree.
func pageMarkdown(ctx context.Context, root *html.Node) (string, error) {
	parser := readability.NewParser()
	parser.KeepClasses = true // they name the language of code
	article, err := parser.ParseDocument(root, nil)
	dropFrame(root)
	if err == nil && article.Node != nil && isMainPart(article.Node, root) {
		return nodeMarkdown(ctx, article.Node)
	}
	return nodeMarkdown(ctx, root)
}

// isMainPart reports whether an article holds most of what a page says, and the
// page much beside it.
func isMainPart(article, page *html.Node) bool {
	if textSize(article, true)*100 >= textSize(page, true)*maxArticle {
		return false
	}
	return textSize(article, false)*100 >= textSize(page, false)*minArticle
}

// nodeMarkdown converts a tree to Markdown, links to their text. It changes the
// tree.
func nodeMarkdown(ctx context.Context, n *html.Node) (string, error) {
	simplify(n, false, strings.NewReplacer("<", string(lessMark), ">", string(greaterMark), string(lessMark), "", string(greaterMark), ""))
	conv := converter.NewConverter(converter.WithPlugins(
		base.NewBasePlugin(),
		commonmark.NewCommonmarkPlugin(),
		table.NewTablePlugin(table.WithCellPaddingBehavior(table.CellPaddingBehaviorMinimal), table.WithHeaderPromotion(true)),
	))
	out, err := conv.ConvertNode(n, converter.WithContext(ctx))
	if err != nil {
		return "", err
	}
	return restoreAngles(cleanText(string(bytes.TrimSpace(out)))), nil
}

// The angle brackets of text while the converter has it, which would write
// entities: characters that no text may have.
const (
	lessMark    = '\uFDD0'
	greaterMark = '\uFDD1'
)

// simplify makes links their text and, by hide, hides the angle brackets of text
// that isn't code.
func simplify(n *html.Node, code bool, hide *strings.Replacer) {
	switch {
	case n.Type == html.TextNode && !code && strings.ContainsAny(n.Data, "<>\uFDD0\uFDD1"):
		n.Data = hide.Replace(n.Data)
	case n.DataAtom == atom.A:
		n.DataAtom, n.Data, n.Attr = atom.Span, "span", nil
	case n.DataAtom == atom.Pre, n.DataAtom == atom.Code, n.DataAtom == atom.Kbd, n.DataAtom == atom.Samp, n.DataAtom == atom.Tt:
		code = true
	}
	for c := range n.ChildNodes() {
		simplify(c, code, hide)
	}
}

// restoreAngles puts the angle brackets back, with a backslash at the start of
// a line that would be taken for HTML or a quote.
func restoreAngles(md string) string {
	if !strings.ContainsRune(md, lessMark) && !strings.ContainsRune(md, greaterMark) {
		return md
	}
	back := strings.NewReplacer(string(lessMark), "<", string(greaterMark), ">")
	var b strings.Builder
	for line := range strings.Lines(md) {
		if r := firstRune(strings.TrimLeft(line, " ")); r == lessMark || r == greaterMark {
			line = escapeLine(back.Replace(strings.TrimLeft(line, " ")))
		}
		b.WriteString(back.Replace(line))
	}
	return b.String()
}

// tidy removes what a page doesn't show and makes images their text. Elements
// nested deeper than maxElements, and lists and quotes deeper than maxNested,
// are replaced by what they hold: readability and the converter take time for
// every level of every text.
func tidy(n *html.Node, elements, nested int) {
	for c := n.FirstChild; c != nil; {
		next := c.NextSibling
		inner := nested
		if isNesting(c.DataAtom) {
			inner++
		}
		switch {
		case c.Type == html.CommentNode, c.Type == html.ElementNode && hidden(c.Data, c.Attr):
			n.RemoveChild(c)
		case c.Type == html.ElementNode && c.DataAtom == atom.Img:
			n.InsertBefore(&html.Node{Type: html.TextNode, Data: attr(c, "alt")}, c)
			n.RemoveChild(c)
		case c.FirstChild != nil && (elements >= maxElements || inner > maxNested):
			next = unwrap(c)
		default:
			plainAttributes(c)
			tidy(c, elements+1, inner)
		}
		c = next
	}
	joinTexts(n)
}

// joinTexts makes neighbouring texts one, as a parser leaves them: the
// converter's time grows with the square of their number.
func joinTexts(n *html.Node) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type != html.TextNode || c.NextSibling == nil || c.NextSibling.Type != html.TextNode {
			continue
		}
		var b strings.Builder
		b.WriteString(c.Data)
		for s := c.NextSibling; s != nil && s.Type == html.TextNode; s = c.NextSibling {
			b.WriteString(s.Data)
			n.RemoveChild(s)
		}
		c.Data = b.String()
	}
}

// isNesting reports elements whose text the converter indents.
func isNesting(a atom.Atom) bool {
	switch a {
	case atom.Ul, atom.Ol, atom.Li, atom.Blockquote, atom.Dl, atom.Dd:
		return true
	}
	return false
}

// unwrap replaces an element by what it holds, between blanks if it is a block,
// and returns the first of that.
func unwrap(n *html.Node) *html.Node {
	first := n.FirstChild
	for c := n.FirstChild; c != nil; c = n.FirstChild {
		n.RemoveChild(c)
		n.Parent.InsertBefore(c, n)
	}
	if isBlock(n.DataAtom) {
		n.Parent.InsertBefore(&html.Node{Type: html.TextNode, Data: " "}, first)
		n.Parent.InsertBefore(&html.Node{Type: html.TextNode, Data: " "}, n)
	}
	n.Parent.RemoveChild(n)
	return first
}

// plainAttributes takes from an element what would be written as an address or
// multiply its text.
func plainAttributes(n *html.Node) {
	keep := n.Attr[:0]
	for _, a := range n.Attr {
		switch a.Key {
		case "colspan", "rowspan":
			if len(a.Val) > 1 { // more than 9
				a.Val = "1"
			}
		case "href":
			if n.DataAtom == atom.A {
				a.Val = "#" // readability counts the text of links
			}
		case "title", "src", "srcset":
			continue
		}
		keep = append(keep, a)
	}
	n.Attr = keep
}

// hidden reports whether an element is never shown.
func hidden(tag string, attrs []html.Attribute) bool {
	switch tag {
	case "script", "style", "template", "noscript", "iframe", "object", "embed", "svg", "canvas", "datalist":
		return true
	}
	for _, a := range attrs {
		switch a.Key {
		case "hidden":
			return true
		case "type":
			if tag == "input" && a.Val == "hidden" {
				return true
			}
		case "style":
			if hiddenStyle(a.Val) {
				return true
			}
		}
	}
	return false
}

// hiddenStyle reports whether an inline style makes its element invisible.
func hiddenStyle(style string) bool {
	for decl := range strings.SplitSeq(strings.ToLower(style), ";") {
		name, value, _ := strings.Cut(decl, ":")
		value, _, _ = strings.Cut(strings.TrimSpace(value), "!")
		switch strings.TrimSpace(name) + ":" + strings.TrimSpace(value) {
		case "display:none", "visibility:hidden", "visibility:collapse",
			"opacity:0", "opacity:0.0", "opacity:0%", "font-size:0", "font-size:0px", "font-size:0em", "font-size:0pt", "font-size:0%":
			return true
		}
	}
	return false
}

// dropFrame removes the parts that are the same on every page of a site.
func dropFrame(n *html.Node) {
	for c := n.FirstChild; c != nil; {
		next := c.NextSibling
		switch {
		case c.DataAtom == atom.Nav, c.DataAtom == atom.Footer && n.DataAtom == atom.Body, attr(c, "role") == "navigation":
			n.RemoveChild(c)
		default:
			dropFrame(c)
		}
		c = next
	}
}

// textSize returns the bytes of text, that of links only if links is set.
func textSize(n *html.Node, links bool) int {
	switch {
	case n.Type == html.TextNode:
		return len(strings.TrimSpace(n.Data))
	case n.DataAtom == atom.A && !links, n.DataAtom == atom.Title:
		return 0
	}
	size := 0
	for c := range n.ChildNodes() {
		size += textSize(c, links)
	}
	return size
}

// find returns the first element of a kind under n, nil if there is none.
func find(n *html.Node, kind atom.Atom) *html.Node {
	for c := range n.Descendants() {
		if c.Type == html.ElementNode && c.DataAtom == kind {
			return c
		}
	}
	return nil
}

// elementText returns the text of a small element such as the title.
func elementText(n *html.Node) string {
	if n == nil || n.FirstChild == nil {
		return ""
	}
	return n.FirstChild.Data
}

// pageTitle returns the title of a page: of its head, of the front matter some
// generators keep in a comment (<!--{"Title": "x"}-->), or its first heading.
func pageTitle(root *html.Node) string {
	if t := oneLine(elementText(find(root, atom.Title))); t != "" {
		return t
	}
	if c := root.FirstChild; c != nil && c.Type == html.CommentNode {
		var front struct{ Title string }
		if json.Unmarshal([]byte(c.Data), &front) == nil && front.Title != "" {
			return front.Title
		}
	}
	return elementText(find(root, atom.H1))
}

// metaContent returns the content of <meta name=...>.
func metaContent(root *html.Node, name string) string {
	for n := range root.Descendants() {
		if n.DataAtom == atom.Meta && strings.EqualFold(attr(n, "name"), name) {
			return attr(n, "content")
		}
	}
	return ""
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}
