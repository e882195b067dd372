package parse

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/net/html/charset"
)

const (
	// maxXMLDepth bounds the nesting of elements, each of which costs memory;
	// documents have some tens.
	maxXMLDepth = 10_000
	// maxTag bounds the size of a tag with its attributes, in bytes.
	maxTag = 1 << 20
)

// archive is a ZIP archive whose files are unpacked within the limits.
type archive struct {
	w     *work
	files map[string]*zip.File
}

// openArchive opens the ZIP archive of a document.
func (w *work) openArchive(data []byte) (*archive, error) {
	zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, broken(err, "ZIP archive")
	}
	a := &archive{w: w, files: make(map[string]*zip.File, len(zr.File))}
	for _, f := range zr.File {
		if err := w.part(); err != nil {
			return nil, err
		}
		a.files[f.Name] = f
	}
	return a, nil
}

// openDocument opens the archive of a document and reads its properties.
func (w *work) openDocument(ctx context.Context, data []byte, properties string) (*archive, content, error) {
	var c content
	a, err := w.openArchive(data)
	if err == nil {
		err = a.properties(ctx, &c, properties)
	}
	return a, c, err
}

// has reports whether a file is there.
func (a *archive) has(name string) bool { return a.files[name] != nil }

// open returns what a file unpacks to. The caller closes it.
func (a *archive) open(ctx context.Context, name string) (io.ReadCloser, error) {
	f := a.files[name]
	if f == nil {
		return nil, broken(fmt.Errorf("it has no file %q", cutText(name)), "archive")
	}
	rc, err := f.Open()
	if err != nil {
		return nil, brokenFile(err, name)
	}
	return struct {
		io.Reader
		io.Closer
	}{a.w.unpack(ctx, rc), rc}, nil
}

// read returns all of a file.
func (a *archive) read(ctx context.Context, name string) ([]byte, error) {
	var b bytes.Buffer
	err := a.copy(ctx, name, &b)
	return b.Bytes(), err
}

// copy writes all of a file to dst.
func (a *archive) copy(ctx context.Context, name string, dst io.Writer) error {
	rc, err := a.open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = rc.Close() }()
	if _, err := io.Copy(dst, rc); err != nil {
		return brokenFile(err, name)
	}
	return nil
}

// brokenFile is the error of a file of an archive.
func brokenFile(cause error, name string) error {
	return broken(cause, "file "+cutText(name)+" of the archive")
}

// xml calls visit with every start tag, end tag and text of an XML file.
func (a *archive) xml(ctx context.Context, name string, visit func(xml.Token) error) error {
	rc, err := a.open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = rc.Close() }()
	d := xml.NewDecoder(limitTags(rc))
	d.CharsetReader = charset.NewReaderLabel
	for depth := 0; ; {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return brokenFile(err, name)
		}
		switch t.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
		if depth > maxXMLDepth {
			return brokenFile(fmt.Errorf("its elements are nested deeper than %d", maxXMLDepth), name)
		}
		if err := visit(t); err != nil {
			return err
		}
	}
}

// limitTags returns r, failing within a tag longer than maxTag: every attribute
// costs a decoder more memory than the file.
func limitTags(r io.Reader) io.Reader {
	inTag, size := false, 0
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		for rest := p[:n]; len(rest) > 0; {
			mark := byte('<')
			if inTag {
				mark = '>'
			}
			i := bytes.IndexByte(rest, mark)
			if inTag {
				size += len(rest)
			}
			if i < 0 {
				break
			}
			rest = rest[i+1:]
			inTag, size = !inTag, 0
		}
		if size > maxTag {
			return 0, fmt.Errorf("it has a tag longer than %d bytes", maxTag)
		}
		return n, err
	})
}

// shown calls visit with what is outside of the elements that left reports.
func shown(left func(xml.StartElement) bool, visit func(xml.Token) error) func(xml.Token) error {
	open := 0 // elements within one that is left out, itself included
	return func(t xml.Token) error {
		switch t := t.(type) {
		case xml.StartElement:
			if open > 0 || left(t) {
				open++
			}
		case xml.EndElement:
			if open > 0 {
				open--
				return nil
			}
		}
		if open > 0 {
			return nil
		}
		return visit(t)
	}
}

// relations returns the targets of the relations of a part of an Office file
// by id, as names in the archive, and of those of kinds by the last part of
// their type.
func (a *archive) relations(ctx context.Context, part string) (byID, byKind map[string]string, err error) {
	byID, byKind = map[string]string{}, map[string]string{}
	dir, base := path.Split(part)
	name := dir + "_rels/" + base + ".rels"
	if !a.has(name) {
		return byID, byKind, nil
	}
	err = a.xml(ctx, name, func(t xml.Token) error {
		if e, ok := t.(xml.StartElement); ok && e.Name.Local == "Relationship" && xmlAttr(e, "TargetMode") != "External" {
			target := partName(dir, xmlAttr(e, "Target"))
			byID[xmlAttr(e, "Id")] = target
			byKind[path.Base(xmlAttr(e, "Type"))] = target
		}
		return nil
	})
	return byID, byKind, err
}

// partName resolves a target against the folder of the part that names it.
func partName(dir, target string) string {
	if strings.HasPrefix(target, "/") {
		return strings.TrimPrefix(path.Clean(target), "/")
	}
	return path.Join(dir, target)
}

// xmlAttr returns an attribute by its local name, "" if it is absent.
func xmlAttr(e xml.StartElement, local string) string {
	for _, a := range e.Attr {
		if a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}

// properties adds title, author and date of a file of Dublin Core properties
// (docProps/core.xml, meta.xml); a damaged one is as good as none.
func (a *archive) properties(ctx context.Context, c *content, name string) error {
	if !a.has(name) {
		return nil
	}
	var text strings.Builder
	err := a.xml(ctx, name, func(t xml.Token) error {
		switch t := t.(type) {
		case xml.StartElement:
			text.Reset()
		case xml.CharData:
			if text.Len() < maxTitle {
				text.Write(t)
			}
		case xml.EndElement:
			c.property(t.Name.Local, text.String())
		}
		return nil
	})
	if errors.Is(err, errText) || ctx.Err() != nil {
		return err
	}
	return nil
}

// property takes one property by the local name of its element.
func (c *content) property(name, value string) {
	switch name {
	case "title":
		if c.title == "" {
			c.title = value
		}
	case "creator", "initial-creator":
		c.addMeta("author", value)
	case "date", "created", "creation-date", "modified":
		if c.meta["date"] == "" || name == "modified" || name == "date" {
			c.addMeta("date", value)
		}
	}
}
