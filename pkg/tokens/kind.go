package tokens

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/event"
)

// Kind is a rough sort of content. Tokenizers differ by it more than by
// anything else, so ratios between them are kept per kind.
type Kind string

// The kinds.
const (
	KindProse Kind = "prose" // running text in Latin letters
	KindCode  Kind = "code"
	KindJSON  Kind = "json"
	KindCJK   Kind = "cjk"   // Chinese, Japanese, Korean
	KindOther Kind = "other" // other scripts, numbers, nothing at all
)

// kindSample is how many bytes are looked at: half from the start, half from
// the middle. It bounds the time to some microseconds.
const kindSample = 4 << 10

// KindOf returns the kind of a text by the characters of a sample.
func KindOf(text string) Kind {
	var t tally
	if len(text) <= kindSample {
		t.add(text)
	} else {
		t.add(text[:kindSample/2])
		t.add(text[len(text)/2:][:kindSample/2])
	}
	return t.kind(strings.TrimLeftFunc(text[:min(len(text), kindSample)], unicode.IsSpace))
}

// ChatKind returns the kind of the longest message.
func ChatKind(messages []event.Message) Kind {
	longest := ""
	for _, m := range messages {
		if len(m.Content) > len(longest) {
			longest = m.Content
		}
	}
	return KindOf(longest)
}

// tally counts characters by what they tell.
type tally struct {
	all            int // without white space
	latin, letters int
	cjk            int
	operators      int // frequent in code, rare in prose
	structure      int // frequent in JSON
}

func (t *tally) add(text string) {
	for _, r := range text {
		if unicode.IsSpace(r) || r == utf8.RuneError {
			continue
		}
		t.all++
		switch {
		case r < utf8.RuneSelf:
			t.addASCII(r)
		case unicode.IsLetter(r):
			t.letters++
			if unicode.Is(unicode.Latin, r) {
				t.latin++
			} else if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) {
				t.cjk++
			}
		}
	}
}

func (t *tally) addASCII(r rune) {
	switch {
	case 'a' <= r|0x20 && r|0x20 <= 'z':
		t.letters++
		t.latin++
	case strings.ContainsRune(`{}[]":,`, r):
		t.structure++
	}
	if strings.ContainsRune("{}()[];=<>_/*&|+#$\\", r) {
		t.operators++
	}
}

// kind decides. start is the beginning of the text. A CJK letter stands for
// about four Latin ones, so a quarter of them outweighs the rest.
func (t *tally) kind(start string) Kind {
	opens := strings.HasPrefix(start, "{") || strings.HasPrefix(start, "[")
	switch {
	case t.cjk > 0 && 4*t.cjk >= t.letters:
		return KindCJK
	case opens && 8*t.structure >= t.all:
		return KindJSON
	case t.all > 0 && 12*t.operators >= t.all:
		return KindCode
	case t.latin > 0 && 2*t.latin >= t.all:
		return KindProse
	}
	return KindOther
}
