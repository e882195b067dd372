package parse_test

import (
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"

	"github.com/weir-dev/weir/pkg/parse"
)

const (
	german   = "Die Größe der Bäume überraschte alle. Häuser, Straßen und Flüsse prägen die Landschaft. "
	russian  = "Все люди рождаются свободными и равными в своём достоинстве и правах. Они наделены разумом и совестью. "
	greek    = "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. "
	nippon   = "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は理性と良心とを授けられている。"
	simpl    = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"
	trad     = "人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心，並應以兄弟關係的精神相對待。"
	hangul   = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았다. "
	cent     = "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. "
	emojiLow = "plain ascii with an emoji 😀 and text "
)

// encoded returns a text in an encoding.
func encoded(t *testing.T, enc encoding.Encoding, s string) []byte {
	t.Helper()
	b, err := enc.NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(b)
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, charset string
		enc           encoding.Encoding
		text          string
		detected      bool // without being declared
	}{
		{"utf-8", "utf-8", unicode.UTF8, russian + nippon, true},
		{"utf-16le with mark", "utf-16", unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), emojiLow, true},
		{"utf-16be with mark", "utf-16", unicode.UTF16(unicode.BigEndian, unicode.UseBOM), nippon, true},
		{"utf-16le", "utf-16le", unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "plain ascii text", true},
		{"utf-16be", "utf-16be", unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "plain ascii text", true},
		{"utf-16le, declared", "utf-16le", unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), nippon, false},
		{"utf-32be with mark", "", utf32.UTF32(utf32.BigEndian, utf32.UseBOM), emojiLow + russian, true},
		{"utf-32le", "", utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM), "plain ascii text", true},
		{"windows-1252", "windows-1252", charmap.Windows1252, german + "“€”", true},
		{"latin-1", "iso-8859-1", charmap.ISO8859_1, german, true},
		{"latin-2, declared", "iso-8859-2", charmap.ISO8859_2, cent, false},
		{"windows-1251", "windows-1251", charmap.Windows1251, russian, true},
		{"koi8-r", "koi8-r", charmap.KOI8R, russian, true},
		{"greek", "iso-8859-7", charmap.ISO8859_7, greek, true},
		{"shift_jis", "shift_jis", japanese.ShiftJIS, nippon, true},
		{"euc-jp", "euc-jp", japanese.EUCJP, nippon, true},
		{"iso-2022-jp, declared", "iso-2022-jp", japanese.ISO2022JP, nippon, false},
		{"gb18030", "gb18030", simplifiedchinese.GB18030, simpl, true},
		{"gbk, declared", "gbk", simplifiedchinese.GBK, simpl, true},
		{"big5", "big5", traditionalchinese.Big5, trad, true},
		{"euc-kr", "euc-kr", korean.EUCKR, hangul, true},
		{"ibm866, declared", "ibm866", charmap.CodePage866, russian, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := strings.Repeat(tt.text, 4)
			data := encoded(t, tt.enc, want)
			if tt.charset != "" {
				doc := read(t, parse.Input{Name: "a.txt", MediaType: "text/plain; charset=" + tt.charset, Data: data})
				wantText(t, doc, want)
			}
			if tt.detected {
				wantText(t, read(t, parse.Input{Name: "a.txt", Data: data}), want)
			}
		})
	}
}

// TestDeclaredCharset checks what a declaration is worth.
func TestDeclaredCharset(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, mediaType, data, want string }{
		{"it wins over what the bytes look like", "text/plain; charset=windows-1252", "\xc3\xa9", "Ã©"},
		{"a byte order mark wins over it", "text/plain; charset=windows-1252", "\xef\xbb\xbf\xc3\xa9", "é"},
		{"not if the bytes can't be that", "text/plain; charset=utf-8", "caf\xe9 na\xefve \xe9\xe8\xea\xe0\xe2\xf4\xf9\xfb", "café naïve éèêàâôùû"},
		{"an unknown one is none", "text/plain; charset=x-what", "é", "é"},
		{"xml", "", "<?xml version='1.0' encoding='koi8-r'?><a>\xf0\xd2\xc9</a>", "<?xml version='1.0' encoding='koi8-r'?><a>При</a>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantText(t, read(t, parse.Input{MediaType: tt.mediaType, Data: []byte(tt.data)}), tt.want)
		})
	}
}
