package parse

import (
	"archive/zip"
	"bytes"
	"io"
	"mime"
	"net/url"
	"path"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"github.com/weir-dev/weir/pkg/event"
)

// format is the media type a document is read as. Source code is
// "text/x-<language>".
type format string

const (
	markdown   format = "text/markdown"
	plain      format = "text/plain"
	htmlFile   format = "text/html"
	csvFile    format = "text/csv"
	tsvFile    format = "text/tab-separated-values"
	jsonFile   format = "application/json"
	ndjsonFile format = "application/x-ndjson"
	yamlFile   format = "application/yaml"
	tomlFile   format = "application/toml"
	xmlFile    format = "application/xml"
	rstFile    format = "text/x-rst"
	orgFile    format = "text/x-org"
	mailFile   format = "message/rfc822"
	gzipFile   format = "application/gzip"
	pdfFile    format = "application/pdf"
	docxFile   format = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	pptxFile   format = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	xlsxFile   format = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	odtFile    format = "application/vnd.oasis.opendocument.text"
	odsFile    format = "application/vnd.oasis.opendocument.spreadsheet"
	odpFile    format = "application/vnd.oasis.opendocument.presentation"
	epubFile   format = "application/epub+zip"
)

// formatOf decides how to read the input. Bytes that give a binary format away
// win over whatever is claimed; then the declared type, the extension and a
// look at the text decide, in this order.
func formatOf(in Input) (format, error) {
	if f, err := binaryFormat(in.Data); f != "" || err != nil {
		return f, err
	}
	if f := formatOfType(in.MediaType); f != "" && f != plain && !f.binary() {
		return f, nil
	}
	if f := formatOfExt(extension(in.Name)); f != "" {
		return f, nil
	}
	return sniff(in.Data), nil
}

// binaryFormat recognises formats that are not text by their first bytes. It
// fails for one that has no text or no reader.
func binaryFormat(data []byte) (format, error) {
	switch head := data[:min(len(data), 1024)]; {
	case bytes.HasPrefix(data, []byte("PK\x03\x04")), bytes.HasPrefix(data, []byte("PK\x05\x06")):
		return zipFormat(data)
	case bytes.HasPrefix(data, []byte("\x1f\x8b\x08")):
		return gzipFile, nil
	case bytes.HasPrefix(data, []byte("%PDF-")), bytes.Contains(head, []byte("\n%PDF-1.")):
		return pdfFile, nil
	case bytes.HasPrefix(data, []byte("{\\rtf")):
		return "", event.Invalid(field, hint, "content is an RTF file, which is not supported")
	case bytes.HasPrefix(data, []byte("%!PS")):
		return "", event.Invalid(field, hint, "content is a PostScript file, which is not supported")
	}
	if utf16Like(data) != "" {
		return "", nil
	}
	if m := mimetype.Detect(data); !isText(m) && !m.Is("application/octet-stream") {
		return "", event.Invalid(field, hint, "content is %s (%s), not text", binaryName(m), m.String())
	}
	return "", nil
}

// isText reports whether a detected type is a kind of text.
func isText(m *mimetype.MIME) bool {
	for ; m != nil; m = m.Parent() {
		if m.Is("text/plain") {
			return true
		}
	}
	return false
}

// binaryName returns a readable name of a detected type.
func binaryName(m *mimetype.MIME) string {
	if m.Is("application/x-ole-storage") || m.Parent() != nil && m.Parent().Is("application/x-ole-storage") {
		return "an old Office file"
	}
	kind, _, _ := strings.Cut(m.String(), "/")
	ext := strings.ToUpper(strings.TrimPrefix(m.Extension(), "."))
	switch kind {
	case "image", "audio", "video", "font":
		return "a file of type " + ext + " " + kind
	}
	if ext == "" {
		return "binary"
	}
	return "a file of type " + ext
}

// zipFormat tells the formats that are ZIP archives apart.
func zipFormat(data []byte) (format, error) {
	zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return "", broken(err, "ZIP archive (docx, xlsx, pptx, odt and epub are such)")
	}
	for _, f := range zr.File {
		switch f.Name {
		case "mimetype":
			if m := formatOfType(firstBytes(f)); m != "" {
				return m, nil
			}
		case "word/document.xml":
			return docxFile, nil
		case "ppt/presentation.xml":
			return pptxFile, nil
		case "xl/workbook.xml":
			return xlsxFile, nil
		}
	}
	return "", event.Invalid(field, hint, "content is a ZIP archive that is no document")
}

// firstBytes returns what a small file in an archive begins with.
func firstBytes(f *zip.File) string {
	r, err := f.Open()
	if err != nil {
		return ""
	}
	defer func() { _ = r.Close() }()
	b, _ := io.ReadAll(io.LimitReader(r, 100)) // a damaged one shows later
	return strings.TrimSpace(string(b))
}

// formatOfType returns the format of a declared media type, "" if it says
// nothing that helps.
func formatOfType(declared string) format {
	mt, _, err := mime.ParseMediaType(declared)
	if err != nil {
		mt = strings.ToLower(strings.TrimSpace(declared))
	}
	switch f := format(mt); f {
	case markdown, plain, htmlFile, csvFile, tsvFile, jsonFile, ndjsonFile, yamlFile, tomlFile, xmlFile, rstFile, orgFile,
		mailFile, odtFile, odsFile, odpFile, epubFile, docxFile, pptxFile, xlsxFile, pdfFile:
		return f
	case "text/x-markdown":
		return markdown
	case "application/xhtml+xml":
		return htmlFile
	case "application/jsonl", "application/ndjson", "application/jsonlines":
		return ndjsonFile
	case "application/x-yaml", "text/yaml", "text/x-yaml":
		return yamlFile
	case "text/xml", "image/svg+xml":
		return xmlFile
	case "text/x-toml":
		return tomlFile
	case "text/prs.fallenstein.rst":
		return rstFile
	}
	switch {
	case strings.HasSuffix(mt, "+json"):
		return jsonFile
	case strings.HasSuffix(mt, "+xml"):
		return xmlFile
	case strings.HasPrefix(mt, "text/x-"):
		return format(cutText(mt))
	}
	return ""
}

// binary reports whether files of the format are not text: their first bytes
// show it, and a text that claims to be one is read as text.
func (f format) binary() bool {
	switch f {
	case odtFile, odsFile, odpFile, epubFile, docxFile, pptxFile, xlsxFile, pdfFile:
		return true
	}
	return false
}

// extension returns the extension of a path or URL in lower case without its dot.
func extension(name string) string {
	if strings.Contains(name, "://") {
		if u, err := url.Parse(name); err == nil {
			name = u.Path
		}
	}
	return strings.TrimPrefix(strings.ToLower(path.Ext(name)), ".")
}

// formatOfExt returns the format of an extension of text, "" if it names none.
// A name of a binary format is no help here: its bytes would have shown.
func formatOfExt(ext string) format {
	switch ext {
	case "md", "markdown", "mdown", "mkd", "mkdn", "mdx":
		return markdown
	case "html", "htm", "xhtml", "shtml":
		return htmlFile
	case "csv":
		return csvFile
	case "tsv", "tab":
		return tsvFile
	case "json", "geojson", "webmanifest", "ipynb":
		return jsonFile
	case "jsonl", "ndjson":
		return ndjsonFile
	case "yaml", "yml":
		return yamlFile
	case "toml":
		return tomlFile
	case "xml", "svg", "rss", "atom", "xsd", "xsl", "xslt", "wsdl":
		return xmlFile
	case "rst", "rest":
		return rstFile
	case "org":
		return orgFile
	case "eml":
		return mailFile
	case "txt", "text", "log":
		return plain
	}
	return codeOfExt(ext)
}

// codeOfExt returns the format of source code, "" if ext names none.
func codeOfExt(ext string) format {
	switch ext {
	case "go", "java", "c", "lua", "r", "scala", "swift", "dart", "zig", "sql", "proto", "css", "scss", "less", "graphql", "vue":
		return format("text/x-" + ext)
	case "py", "pyi":
		return "text/x-python"
	case "js", "mjs", "cjs", "jsx":
		return "text/x-javascript"
	case "ts", "mts", "cts", "tsx":
		return "text/x-typescript"
	case "h":
		return "text/x-c"
	case "cc", "cpp", "cxx", "hh", "hpp", "hxx":
		return "text/x-c++"
	case "cs":
		return "text/x-csharp"
	case "rs":
		return "text/x-rust"
	case "rb":
		return "text/x-ruby"
	case "php":
		return "text/x-php"
	case "pl", "pm":
		return "text/x-perl"
	case "kt", "kts":
		return "text/x-kotlin"
	case "hs":
		return "text/x-haskell"
	case "ex", "exs":
		return "text/x-elixir"
	case "erl", "hrl":
		return "text/x-erlang"
	case "clj", "cljs":
		return "text/x-clojure"
	case "sh", "bash", "zsh", "fish":
		return "text/x-shellscript"
	case "ps1":
		return "text/x-powershell"
	case "tf", "hcl":
		return "text/x-hcl"
	case "ini", "cfg", "conf", "properties", "env":
		return "text/x-ini"
	}
	return ""
}

// sniff decides by a look at text that nobody named.
func sniff(data []byte) format {
	head := data[:min(len(data), 4096)]
	switch {
	case looksLikeMail(head):
		return mailFile
	case looksLikeHTML(head):
		return htmlFile
	}
	m := mimetype.Detect(data)
	for _, f := range []format{htmlFile, xmlFile, ndjsonFile, jsonFile} {
		if m.Is(string(f)) {
			return f
		}
	}
	if m.Is("text/xml") {
		return xmlFile
	}
	return plain
}

func looksLikeHTML(data []byte) bool {
	head := bytes.ToLower(bytes.TrimSpace(data))
	return bytes.HasPrefix(head, []byte("<!doctype html")) || bytes.HasPrefix(head, []byte("<html"))
}

// looksLikeMail reports whether data begins with the header of an e-mail: only
// fields, of which at least two are those of every message.
func looksLikeMail(head []byte) bool {
	known := 0
	for line := range strings.Lines(string(head)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			continue
		}
		key, _, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(key, " \t") {
			return false
		}
		switch strings.ToLower(key) {
		case "from", "to", "subject", "date", "message-id", "received", "mime-version", "return-path":
			known++
		}
	}
	return known >= 2
}

// Reads reports whether the extension of a name is that of a format Parse reads.
func Reads(name string) bool {
	switch ext := extension(name); ext {
	case "pdf", "docx", "docm", "pptx", "pptm", "xlsx", "xlsm", "odt", "ods", "odp", "epub": // recognised by their bytes
		return true
	default:
		return formatOfExt(ext) != ""
	}
}

// KeepsText reports whether the text of a document of a media type is what came
// in, but for its encoding: what is not, was made Markdown.
func KeepsText(mediaType string) bool {
	switch f := format(mediaType); f {
	case markdown, plain, jsonFile, ndjsonFile, yamlFile, tomlFile, xmlFile:
		return true
	default:
		return strings.HasPrefix(mediaType, "text/x-")
	}
}
