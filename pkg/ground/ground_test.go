package ground

import (
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

func source(n int, text string) event.Source {
	return event.Source{Number: n, Document: "d", Text: text}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	weir := source(1, "A weir is a low dam. It raises the level of the river upstream. Fish pass it by a ladder.")
	moon := source(2, "The moon circles the earth in 27 days. Its light is that of the sun.")
	for _, tc := range []struct {
		name, answer string
		cited        []int
		quotes       []string
		unsupported  int
	}{
		{"marker before the stop", "A weir raises the level of the river [1].", []int{1}, []string{"It raises the level of the river upstream."}, 0},
		{"marker behind the stop", "A weir raises the level of the river. [1]", []int{1}, []string{"It raises the level of the river upstream."}, 0},
		{"marker before the next sentence", "A weir is a low dam. [1] The moon circles the earth in 27 days. [2]", []int{1, 2},
			[]string{"A weir is a low dam.", "The moon circles the earth in 27 days."}, 0},
		{"two of one sentence", "The moon circles the earth [1, 2].", []int{1, 2}, nil, 0},
		{"wrong source", "The moon circles the earth in 27 days [1].", []int{1}, nil, 1},
		{"no such source", "A weir is a low dam [7].", nil, nil, 0},
		{"quoted", `They say that "fish pass it by a ladder" [1].`, []int{1}, []string{"Fish pass it by a ladder"}, 0},
		{"quoted from another source", `They say that "fish pass it by a ladder" [2].`, []int{2}, nil, 1},
		{"nothing cited", "A weir is a low dam.", nil, nil, 0},
		{"nothing but a marker", "[1]", nil, nil, 0},
		{"empty", "", nil, nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, unsupported := New().Check(tc.answer, []event.Source{weir, moon})
			var numbers []int
			for i, s := range got {
				numbers = append(numbers, s.Number)
				if tc.quotes != nil && s.Quote != tc.quotes[i] {
					t.Errorf("[%d] quotes %q, want %q", s.Number, s.Quote, tc.quotes[i])
				}
				if s.Text != "" {
					t.Errorf("[%d] has its whole text", s.Number)
				}
			}
			if !slices.Equal(numbers, tc.cited) || len(unsupported) != tc.unsupported {
				t.Errorf("cites %v, unsupported %q; want %v and %d", numbers, unsupported, tc.cited, tc.unsupported)
			}
		})
	}
}

// TestOtherScripts: support is found where words are not between blanks.
func TestOtherScripts(t *testing.T) {
	t.Parallel()
	got, unsupported := New().Check("梅雨は5月から7月にかけて来る。[1]", []event.Source{source(1, "梅雨は雨季の一種である。5月から7月にかけて来る曇りや雨の多い期間のこと。")})
	if len(got) != 1 || got[0].Support < MinSupport || len(unsupported) != 0 {
		t.Errorf("%+v, unsupported %q; want it supported", got, unsupported)
	}
}

// FuzzCheck: any answer and source; quotes are parts of their source.
func FuzzCheck(f *testing.F) {
	f.Add("A weir is low [1]. [1,2] x", "A weir is a low dam.\n\nTwo.")
	f.Add(`"aaaaaaaaaaaaaaaa" [1]`, "aaaaaaaaaaaaaaaa\xff")
	f.Fuzz(func(t *testing.T, answer, text string) {
		got, _ := New().Check(answer, []event.Source{source(1, text)})
		for _, s := range got {
			if !strings.Contains(text, strings.TrimSuffix(s.Quote, "…")) && strings.ToValidUTF8(text, "") == text {
				t.Errorf("quote %q is not in %q", s.Quote, text)
			}
			if s.Support < 0 || s.Support > 1 {
				t.Errorf("support %f", s.Support)
			}
		}
	})
}
