package parse

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/event"
)

// maxReplaced is the most invalid bytes that are replaced rather than refused:
// a slip, not another encoding.
const maxReplaced = 8

// decode returns data as UTF-8 text with LF line ends, and the number of
// invalid bytes it replaced.
func decode(data []byte) (text string, replaced int, err error) {
	if name := binaryFormat(data); name != "" {
		return "", 0, event.Invalid(field, hint, "content is %s, not text", name)
	}
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(data, []byte("\x00\x00\xfe\xff")):
		return "", 0, event.Invalid(field, hint, "content is UTF-32 text")
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		text, replaced = decodeUTF16(data[2:], binary.LittleEndian)
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		text, replaced = decodeUTF16(data[2:], binary.BigEndian)
	default:
		text = string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
		replaced = countInvalid(text)
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return "", 0, event.Invalid(field, hint, "content is binary: NUL character at byte %d", i)
	}
	if replaced > maxReplaced || replaced > 1 && replaced > len(data)/100 {
		return "", 0, event.Invalid(field, "convert the document to UTF-8; "+hint,
			"content is not valid text: %d invalid bytes or code units of %d bytes (Latin-1 or binary?)", replaced, len(data))
	}
	if !utf8.ValidString(text) {
		text = replaceInvalid(text)
	}
	return normaliseLines(text), replaced, nil
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

// countInvalid returns the number of bytes of s that are not UTF-8.
func countInvalid(s string) int {
	n := 0
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			n++
		}
		s = s[size:]
	}
	return n
}

// replaceInvalid replaces every invalid byte of s by U+FFFD.
func replaceInvalid(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 3*maxReplaced)
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

// normaliseLines makes CRLF and lone CR into LF.
func normaliseLines(s string) string {
	if !strings.Contains(s, "\r") {
		return s
	}
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
}
