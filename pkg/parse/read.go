package parse

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
)

// read makes content of one file, which may be a part of another. A panic of a
// library is an error.
func (w *work) read(ctx context.Context, in Input) (c content, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &event.Error{Class: event.ClassInvalid, Field: field, Err: fmt.Errorf("panic: %v\n%s", p, debug.Stack()),
				Message: fmt.Sprintf("document can't be read: its reader failed with %q", fmt.Sprint(p)),
				Hint:    "send it as another format and report the file"}
		}
	}()
	if err := ctx.Err(); err != nil {
		return content{}, err
	}
	f, err := formatOf(in)
	if err != nil {
		return content{}, err
	}
	c, err = w.readAs(ctx, f, in)
	if err != nil {
		return content{}, err
	}
	if c.mediaType == "" {
		c.mediaType = string(f)
	}
	return c, nil
}

// readAs reads one file of a known format.
func (w *work) readAs(ctx context.Context, f format, in Input) (content, error) {
	switch f {
	case pdfFile:
		return w.readPDF(ctx, in.Data)
	case docxFile:
		return w.readDocx(ctx, in.Data)
	case pptxFile:
		return w.readPptx(ctx, in.Data)
	case xlsxFile:
		return w.readXlsx(ctx, in.Data)
	case odtFile, odsFile, odpFile:
		return w.readODF(ctx, f, in.Data)
	case epubFile:
		return w.readEPUB(ctx, in.Data)
	case mailFile:
		return w.readMail(ctx, in.Data)
	case gzipFile:
		return w.readGzip(ctx, in)
	case htmlFile:
		return w.readHTML(ctx, in)
	}
	return w.readText(ctx, f, in)
}

// readText reads the formats that stay as they are, and tables of text.
func (w *work) readText(ctx context.Context, f format, in Input) (content, error) {
	text, replaced, err := decode(in.Data, declaredCharset(f, in))
	if err != nil {
		return content{}, err
	}
	c := content{text: text, replaced: replaced}
	switch f {
	case markdown:
		c.title, c.text = cutFrontMatter(text)
	case csvFile, tsvFile:
		err = c.readCSV(ctx, f, w.limits.MaxText)
	case jsonFile:
		c.text, c.style = breakJSON(text), styleTree
	case xmlFile:
		c.text, c.style = breakXML(text), styleTree
	case ndjsonFile, yamlFile, tomlFile:
		c.style = styleKeys
	case orgFile:
		c.text = orgMarkdown(text)
	case rstFile:
		c.text = rstMarkdown(text)
	case plain:
		c.style = stylePlain
	default: // text/x-<language>
		c.style = styleCode
	}
	return c, err
}

// readGzip reads a single packed text file.
func (w *work) readGzip(ctx context.Context, in Input) (content, error) {
	if err := w.deeper(); err != nil {
		return content{}, err
	}
	defer w.up()
	zr, err := gzip.NewReader(bytes.NewReader(in.Data))
	if err != nil {
		return content{}, broken(err, "gzip file")
	}
	data, err := io.ReadAll(w.unpack(ctx, zr))
	if err != nil {
		return content{}, broken(err, "gzip file")
	}
	name := in.Name
	if len(name) > 3 && strings.EqualFold(name[len(name)-3:], ".gz") {
		name = name[:len(name)-3]
	}
	return w.read(ctx, Input{Name: name, Data: data})
}
