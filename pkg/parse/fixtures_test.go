package parse_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"sort"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"github.com/weir-dev/weir/pkg/parse"
)

// zipOf makes a ZIP archive, in the order of names.
func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	for _, name := range names {
		f, err := zw.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipOf(t testing.TB, data string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	if _, err := zw.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const coreProperties = `<cp:coreProperties xmlns:cp="c" xmlns:dc="d" xmlns:dcterms="t">
<dc:title>The Plan</dc:title><dc:creator>Ada</dc:creator><dcterms:created>2024-01-02</dcterms:created></cp:coreProperties>`

// docxOf makes a Word document of what its body holds.
func docxOf(t testing.TB, body string) []byte {
	return zipOf(t, map[string]string{
		"docProps/core.xml": coreProperties,
		"word/document.xml": `<w:document xmlns:w="w" xmlns:mc="mc"><w:body>` + body + `</w:body></w:document>`,
		"word/styles.xml": `<w:styles xmlns:w="w">
<w:style w:type="paragraph" w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>
<w:style w:type="paragraph" w:styleId="Own"><w:name w:val="My head"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="LB2"><w:name w:val="List Bullet 2"/></w:style></w:styles>`,
		"word/footnotes.xml": `<w:footnotes xmlns:w="w"><w:footnote><w:p><w:r><w:separator/></w:r></w:p></w:footnote><w:footnote><w:p><w:r><w:t>A note.</w:t></w:r></w:p></w:footnote></w:footnotes>`,
	})
}

// pptxOf makes a presentation of slides, given by the shapes they hold. The
// second in the archive is shown first.
func pptxOf(t testing.TB, slides ...string) []byte {
	files := map[string]string{"docProps/core.xml": coreProperties}
	var ids, rels strings.Builder
	for i, s := range slides {
		n := string(rune('1' + i))
		ids.WriteString(`<p:sldId id="25` + n + `" r:id="rId` + n + `"/>`)
		file := string(rune('9' - i)) // not in their order
		rels.WriteString(`<Relationship Id="rId` + n + `" Type="x/slide" Target="slides/slide` + file + `.xml"/>`)
		files["ppt/slides/slide"+file+".xml"] = `<p:sld xmlns:p="p" xmlns:a="a"><p:cSld><p:spTree>` + s + `</p:spTree></p:cSld></p:sld>`
		files["ppt/slides/_rels/slide"+file+".xml.rels"] = `<Relationships><Relationship Id="n" Type="x/notesSlide" Target="../notesSlides/n` + n + `.xml"/></Relationships>`
		files["ppt/notesSlides/n"+n+".xml"] = `<p:notes xmlns:p="p" xmlns:a="a"><p:sp><p:nvPr><p:ph type="body"/></p:nvPr><a:p><a:t>Say ` + n + `.</a:t></a:p></p:sp>` +
			`<p:sp><p:nvPr><p:ph type="sldNum"/></p:nvPr><a:p><a:t>99</a:t></a:p></p:sp></p:notes>`
	}
	files["ppt/presentation.xml"] = `<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst>` + ids.String() + `</p:sldIdLst></p:presentation>`
	files["ppt/_rels/presentation.xml.rels"] = `<Relationships>` + rels.String() + `</Relationships>`
	return zipOf(t, files)
}

// odfOf makes an OpenDocument file ("text", "spreadsheet", "presentation").
func odfOf(t testing.TB, kind, body string) []byte {
	return zipOf(t, map[string]string{
		"mimetype":    "application/vnd.oasis.opendocument." + kind,
		"meta.xml":    `<office:document-meta xmlns:office="o" xmlns:dc="d" xmlns:meta="m"><office:meta><dc:title>Open</dc:title><meta:initial-creator>Bob</meta:initial-creator></office:meta></office:document-meta>`,
		"content.xml": `<office:document-content xmlns:office="o" xmlns:text="t" xmlns:table="tb" xmlns:draw="urn:drawing" xmlns:presentation="pr"><office:body>` + body + `</office:body></office:document-content>`,
	})
}

// epubOf makes a book of two chapters, the second first in the spine.
func epubOf(t testing.TB, one, two string) []byte {
	return zipOf(t, map[string]string{
		"mimetype":               "application/epub+zip",
		"META-INF/container.xml": `<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>`,
		"OPS/book.opf": `<package xmlns:dc="d"><metadata><dc:title>Book</dc:title><dc:creator>Eve</dc:creator></metadata>
<manifest><item id="a" href="a%20b.xhtml" media-type="application/xhtml+xml"/><item id="b" href="../b.xhtml" media-type="application/xhtml+xml"/>
<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/><item id="c" href="c.css" media-type="text/css"/></manifest>
<spine><itemref idref="n"/><itemref idref="b"/><itemref idref="a"/><itemref idref="gone"/></spine></package>`,
		"OPS/a b.xhtml": one, "b.xhtml": two, "OPS/nav.xhtml": "<p>Contents</p>", "OPS/c.css": "p{}",
	})
}

// xlsxOf makes a workbook with a date, a number format and a hidden sheet.
func xlsxOf(t testing.TB) []byte {
	t.Helper()
	f := excelize.NewFile()
	defer func() { _ = f.Close() }()
	style, err := f.NewStyle(&excelize.Style{NumFmt: 10}) // 0.00%
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		f.SetSheetRow("Sheet1", "A1", &[]any{"Name", "Share", "Note"}),
		f.SetSheetRow("Sheet1", "A2", &[]any{"a|b", 0.125}),
		f.SetCellStyle("Sheet1", "B2", "B2", style),
		f.SetSheetRow("Sheet1", "A5", &[]any{"x", 2, "two\nlines"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.NewSheet("Hidden"); err != nil {
		t.Fatal(err)
	}
	if err := f.SetCellValue("Hidden", "A1", "secret"); err != nil {
		t.Fatal(err)
	}
	if err := f.SetSheetVisible("Hidden", false); err != nil {
		t.Fatal(err)
	}
	b, err := f.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fakePDF is a parse.PDF whose pages are given.
type fakePDF struct {
	pages []string
	err   error
}

var _ parse.PDF = fakePDF{}

func (f fakePDF) Pages(context.Context, []byte, int) ([]string, error) { return f.pages, f.err }

// unzipAll returns the files of an archive.
func unzipAll(t testing.TB, data []byte) map[string]string {
	t.Helper()
	zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range zr.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(b)
	}
	return files
}
