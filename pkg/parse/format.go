package parse

import (
	"bytes"
	"mime"
	"path"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
)

// format is a media type this package reads.
type format string

const (
	markdown format = "text/markdown"
	plain    format = "text/plain"
)

// formatOf decides how to read the input, by declared type, then by extension,
// then by a look at the content.
func formatOf(in Input) (format, error) {
	mt, _, err := mime.ParseMediaType(in.MediaType)
	if err != nil {
		mt = strings.ToLower(strings.TrimSpace(in.MediaType))
	}
	ext := strings.TrimPrefix(strings.ToLower(path.Ext(in.Name)), ".")
	switch mt {
	case "", "application/octet-stream", "binary/octet-stream":
		return formatOfExt(ext, in.Data)
	case "text/markdown", "text/x-markdown":
		return markdown, nil
	case "text/plain":
		if isMarkdownExt(ext) { // servers rarely know Markdown
			return markdown, nil
		}
		return plain, nil
	}
	if isTextType(mt) {
		return plain, nil
	}
	return "", event.Invalid(field, hint, "media type %q is not supported", cutText(mt))
}

// formatOfExt decides by extension (lower case, no dot) and content.
func formatOfExt(ext string, data []byte) (format, error) {
	switch {
	case isMarkdownExt(ext):
		return markdown, nil
	case ext == "txt" || ext == "text" || ext == "log":
		return plain, nil
	case isOtherExt(ext):
		return "", event.Invalid(field, hint, "format %q is not supported", ext)
	case looksLikeHTML(data):
		return "", event.Invalid(field, hint, "content is HTML, which is not supported")
	}
	return plain, nil
}

func isMarkdownExt(ext string) bool {
	switch ext {
	case "md", "markdown", "mdown", "mkd", "mkdn", "mdx":
		return true
	}
	return false
}

// isTextType reports whether a media type is text that reads well as it is.
func isTextType(mt string) bool {
	switch mt {
	case "text/html", "text/rtf", "text/richtext", "text/xml", "text/calendar":
		return false
	case "application/json", "application/x-ndjson", "application/yaml", "application/x-yaml", "application/toml":
		return true
	}
	return strings.HasPrefix(mt, "text/")
}

// isOtherExt reports whether an extension names a format that needs a reader
// this package doesn't have.
func isOtherExt(ext string) bool {
	switch ext {
	case "html", "htm", "xhtml", "xml", "svg", "mht", "mhtml",
		"pdf", "ps", "rtf", "doc", "docx", "xls", "xlsx", "ppt", "pptx",
		"odt", "ods", "odp", "epub", "pages", "numbers", "key",
		"eml", "msg", "mbox",
		"zip", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar", "tar",
		"png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff",
		"mp3", "wav", "ogg", "mp4", "mov", "avi", "exe", "dll", "so", "wasm":
		return true
	}
	return false
}

func looksLikeHTML(data []byte) bool {
	head := bytes.ToLower(bytes.TrimSpace(data[:min(len(data), 1024)]))
	return bytes.HasPrefix(head, []byte("<!doctype html")) || bytes.HasPrefix(head, []byte("<html"))
}

// binaryFormat names the format that data's first bytes give away, "" if none.
func binaryFormat(data []byte) string {
	for _, m := range [...]struct{ magic, name string }{
		{"%PDF-", "a PDF file"},
		{"PK\x03\x04", "a ZIP archive (docx, xlsx, pptx, odt and epub are such)"},
		{"PK\x05\x06", "an empty ZIP archive"},
		{"\x1f\x8b", "gzip data"},
		{"BZh", "bzip2 data"},
		{"\xfd7zXZ\x00", "xz data"},
		{"\x28\xb5\x2f\xfd", "zstd data"},
		{"7z\xbc\xaf\x27\x1c", "a 7z archive"},
		{"Rar!\x1a\x07", "a RAR archive"},
		{"\x89PNG", "a PNG image"},
		{"GIF8", "a GIF image"},
		{"\xff\xd8\xff", "a JPEG image"},
		{"\xd0\xcf\x11\xe0", "an old Office file"},
		{"{\\rtf", "an RTF file"},
		{"\x7fELF", "an ELF program"},
	} {
		if bytes.HasPrefix(data, []byte(m.magic)) {
			return m.name
		}
	}
	return ""
}
