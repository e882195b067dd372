package parse

import (
	"context"
	"encoding/xml"
	"net/url"
	"path"
	"strings"
)

// readEPUB reads a book: the chapters in the order of its spine.
func (w *work) readEPUB(ctx context.Context, data []byte) (content, error) {
	a, err := w.openArchive(data)
	if err != nil {
		return content{}, err
	}
	root := ""
	err = a.xml(ctx, "META-INF/container.xml", func(t xml.Token) error {
		if e, ok := t.(xml.StartElement); ok && e.Name.Local == "rootfile" && root == "" {
			root = xmlAttr(e, "full-path")
		}
		return nil
	})
	if err != nil {
		return content{}, err
	}
	var c content
	if err := a.properties(ctx, &c, root); err != nil {
		return content{}, err
	}
	chapters, err := spine(ctx, a, root)
	if err != nil {
		return content{}, err
	}
	var out writer
	for _, name := range chapters {
		if err := w.part(); err != nil { // one file may be named often
			return content{}, err
		}
		data, err := a.read(ctx, name)
		if err != nil {
			return content{}, err
		}
		text, _, err := decode(data, declaredCharset(htmlFile, Input{Data: data}))
		if err != nil {
			return content{}, broken(err, "chapter "+cutText(name))
		}
		md, err := wholePage(ctx, text)
		if err != nil {
			return content{}, broken(err, "chapter "+cutText(name))
		}
		out.markdown(md)
	}
	c.text = out.b.String()
	return c, nil
}

// spine returns the chapters of a package document as names in the archive.
func spine(ctx context.Context, a *archive, root string) ([]string, error) {
	files := map[string]string{}
	var names []string
	err := a.xml(ctx, root, func(t xml.Token) error {
		e, ok := t.(xml.StartElement)
		if !ok {
			return nil
		}
		switch e.Name.Local {
		case "item":
			if strings.Contains(xmlAttr(e, "media-type"), "html") && !strings.Contains(xmlAttr(e, "properties"), "nav") {
				files[xmlAttr(e, "id")] = chapterName(root, xmlAttr(e, "href"))
			}
		case "itemref":
			if name := files[xmlAttr(e, "idref")]; a.has(name) {
				names = append(names, name)
			}
		}
		return nil
	})
	return names, err
}

// chapterName resolves an address in a package document.
func chapterName(root, href string) string {
	if p, err := url.PathUnescape(href); err == nil {
		href = p
	}
	return path.Join(path.Dir(root), href)
}
