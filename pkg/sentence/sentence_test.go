package sentence

import (
	"reflect"
	"testing"
)

func TestSentences(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		want []string // joined: the text
	}{
		{"empty", nil},
		{"simple", []string{"One.", " Two!", " Three?"}},
		{"closers", []string{`He said "no."`, " (Really!)", " Yes."}},
		{"wrapped prose", []string{"One line\nand more.\n", "Next."}},
		{"blank line", []string{"no stop\n \n", "more"}},
		{"abbreviations", []string{"See e.g. Dr. Smith and J. Doe.", " End."}},
		{"numbers", []string{"It is 3.14 or v1.2.", " Yes."}},
		{"small letter", []string{"wait... what?", " Ok."}},
		{"japanese", []string{"これは文です。", "次の文！", "終わり」"}},
		{"hindi and arabic", []string{"यह है।", " वह है।", " لماذا؟", " نعم."}},
		{"list", []string{"- one\n", "- two\n  more\n", "  1. three\n", "* four"}},
		{"numbered", []string{"intro\n", "1. a\n", "2) b\n", "> c"}},
		{"dots", []string{"a.....b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var text string
			for _, s := range tt.want {
				text += s
			}
			var got []string
			pos := 0
			for _, end := range Ends(text) {
				got = append(got, text[pos:end])
				pos = end
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("sentences\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}
