package parse

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"mime"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gogs/chardet"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode/utf32"

	"github.com/weir-dev/weir/pkg/event"
)

const (
	// maxReplaced is the most invalid bytes that are replaced rather than taken
	// for another encoding: a slip.
	maxReplaced = 8
	// detectBytes is how much of a text the detection of its encoding reads.
	detectBytes = 64 << 10
	// minDetect is the least number of bytes that are no UTF-8 from which an
	// encoding is guessed; fewer are windows-1252.
	minDetect = 16
	// minConfidence is the least confidence, in percent, at which a detected
	// encoding is preferred to windows-1252. Measured: short Western text is
	// told apart from others at 30 and less, a paragraph of any other at more.
	minConfidence = 40
)

// declaredCharset returns the charset the media type or, in HTML and XML, the
// document itself names; "" if none does.
func declaredCharset(f format, in Input) string {
	if _, params, err := mime.ParseMediaType(in.MediaType); err == nil && params["charset"] != "" {
		return params["charset"]
	}
	switch f {
	case htmlFile:
		_, name, _ := charset.DetermineEncoding(in.Data, "text/html")
		head := bytes.ToLower(in.Data[:min(len(in.Data), 1024)])
		if name != "windows-1252" || bytes.Contains(head, []byte("charset")) { // else its last resort
			return name
		}
	case xmlFile:
		return xmlCharset(in.Data)
	}
	return ""
}

// xmlCharset returns the encoding of an XML declaration.
func xmlCharset(data []byte) string {
	head := string(data[:min(len(data), 200)])
	decl, _, ok := strings.Cut(head, "?>")
	if !ok || !strings.HasPrefix(decl, "<?xml") {
		return ""
	}
	_, rest, ok := strings.Cut(decl, "encoding=")
	if !ok || rest == "" {
		return ""
	}
	name, _, _ := strings.Cut(rest[1:], rest[:1])
	return name
}

// decode returns data as UTF-8 text with LF line ends, and the number of
// invalid bytes or code units it replaced. A byte order mark decides, then the
// declared charset, then UTF-8 if the bytes are that, then what they look like.
func decode(data []byte, declared string) (text string, replaced int, err error) {
	switch name := utf16Like(data); {
	case name != "":
		text, replaced = decodeWide(data, name)
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		data = data[3:]
		text, replaced = string(data), countInvalid(data)
	default:
		text, replaced = decodeBytes(data, declared)
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return "", 0, event.Invalid(field, hint, "content is binary: NUL character at byte %d", i)
	}
	if replaced > maxReplaced || replaced > 1 && replaced > len(data)/100 {
		return "", 0, event.Invalid(field, "convert the document to UTF-8; "+hint,
			"content is not valid text: %d invalid bytes or code units of %d bytes", replaced, len(data))
	}
	if n := countControls(text); n > maxReplaced && n > len(text)/200 {
		return "", 0, event.Invalid(field, hint, "content is binary: %d control characters in %d bytes", n, len(data))
	}
	if replaced > 0 { // Map writes U+FFFD for each invalid byte
		text = strings.Map(func(r rune) rune { return r }, text)
	}
	return normaliseLines(text), replaced, nil
}

// decodeBytes decodes an encoding whose units are bytes.
func decodeBytes(data []byte, declared string) (string, int) {
	if text, ok := decodeAs(data, declared); ok {
		return text, 0
	}
	bad := countInvalid(data)
	if bad <= maxReplaced && (bad <= 1 || bad <= len(data)/100) || bytes.IndexByte(data, 0) >= 0 {
		return string(data), bad
	}
	if bad >= minDetect {
		if text, ok := decodeAs(data, detect(data)); ok {
			return text, 0
		}
	}
	if text, ok := decodeAs(data, "windows-1252"); ok {
		return text, 0
	}
	return string(data), bad
}

// decodeAs decodes data in the named charset; ok is false if the name is
// unknown or the bytes are not that.
func decodeAs(data []byte, name string) (text string, ok bool) {
	enc, err := htmlindex.Get(name)
	if err != nil {
		return "", false
	}
	if canonical, _ := htmlindex.Name(enc); canonical == "utf-8" || canonical == "replacement" {
		return string(data), canonical == "utf-8" && utf8.Valid(data)
	}
	out, err := enc.NewDecoder().Bytes(data)
	if err != nil || bytes.Contains(out, []byte("\uFFFD")) {
		return "", false
	}
	return string(out), true
}

// detect guesses a charset from the frequencies of its bytes; "" if nothing is
// likely. Latin charsets differ in too few bytes to be told apart: "".
func detect(data []byte) string {
	all, err := chardet.NewTextDetector().DetectAll(data[:min(len(data), detectBytes)])
	if err != nil || len(all) == 0 {
		return ""
	}
	best := slices.MaxFunc(all, func(a, b chardet.Result) int { // equals come in any order
		return cmp.Or(cmp.Compare(a.Confidence, b.Confidence), cmp.Compare(b.Charset, a.Charset))
	})
	if best.Confidence < minConfidence {
		return ""
	}
	switch best.Charset {
	case "ISO-8859-1", "ISO-8859-2", "ISO-8859-9", "windows-1252", "windows-1250", "windows-1254":
		return ""
	}
	return best.Charset
}

// utf16Like returns "utf-16le", "utf-16be", "utf-32le" or "utf-32be" for text
// with a byte order mark and for text without one of which every second byte,
// or three of four, are zero; else "".
func utf16Like(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe\x00\x00")):
		return "utf-32le"
	case bytes.HasPrefix(data, []byte("\x00\x00\xfe\xff")):
		return "utf-32be"
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		return "utf-16le"
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		return "utf-16be"
	}
	head := data[:min(len(data), 512)/4*4]
	if len(head) < 8 {
		return ""
	}
	var zeros [4]int
	for i, b := range head {
		if b == 0 {
			zeros[i%4]++
		}
	}
	n := len(head) / 4
	full := func(i int) bool { return zeros[i] > n*9/10 }
	none := func(i int) bool { return zeros[i] == 0 }
	switch {
	case none(0) && full(1) && full(2) && full(3):
		return "utf-32le"
	case full(0) && full(1) && full(2) && none(3):
		return "utf-32be"
	case none(0) && full(1) && none(2) && full(3):
		return "utf-16le"
	case full(0) && none(1) && full(2) && none(3):
		return "utf-16be"
	}
	return ""
}

// decodeWide decodes UTF-16 and UTF-32 as utf16Like names them.
func decodeWide(data []byte, name string) (string, int) {
	switch name {
	case "utf-16le":
		return decodeUTF16(bytes.TrimPrefix(data, []byte("\xff\xfe")), binary.LittleEndian)
	case "utf-16be":
		return decodeUTF16(bytes.TrimPrefix(data, []byte("\xfe\xff")), binary.BigEndian)
	}
	endian := utf32.LittleEndian
	if name == "utf-32be" {
		endian = utf32.BigEndian
	}
	out, err := utf32.UTF32(endian, utf32.UseBOM).NewDecoder().Bytes(data)
	if err != nil {
		return "", len(data)
	}
	return string(out), bytes.Count(out, []byte("\uFFFD"))
}

// decodeUTF16 decodes UTF-16 without its byte order mark and counts the lone
// surrogates and the odd last byte it replaced.
func decodeUTF16(data []byte, order binary.ByteOrder) (string, int) {
	units := make([]uint16, 0, len(data)/2)
	for ; len(data) > 1; data = data[2:] {
		units = append(units, order.Uint16(data))
	}
	bad := len(data)
	var b strings.Builder
	b.Grow(len(units))
	for i := 0; i < len(units); i++ {
		r := rune(units[i])
		if utf16.IsSurrogate(r) {
			var next rune
			if i+1 < len(units) {
				next = rune(units[i+1])
			}
			if r = utf16.DecodeRune(r, next); r == utf8.RuneError {
				bad++
			} else {
				i++
			}
		}
		b.WriteRune(r)
	}
	return b.String(), bad
}

// countInvalid returns the number of bytes of data that are not UTF-8.
func countInvalid(data []byte) int {
	n := 0
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			n++
		}
		data = data[size:]
	}
	return n
}

// countControls returns the number of control characters that text doesn't use.
func countControls(s string) int {
	n := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != '\v' && c != '\b' && c != 0x1b {
			n++
		}
	}
	return n
}

// normaliseLines makes CRLF and lone CR into LF.
func normaliseLines(s string) string {
	if !strings.Contains(s, "\r") {
		return s
	}
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
}
