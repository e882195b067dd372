package ground

import (
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

const weirText = "A weir is a low dam. It raises the level of the river upstream. Fish pass it by a ladder."

// answered checks which sources an answer cites and what is unsupported in it.
func answered(t *testing.T, answer string, sources []event.Source, cites []int, unsupported ...string) []event.Source {
	t.Helper()
	got, bad := New().Check(answer, sources)
	var numbers []int
	for _, s := range got {
		numbers = append(numbers, s.Number)
	}
	if !slices.Equal(numbers, cites) || !slices.Equal(bad, unsupported) {
		t.Errorf("%q cites %v, unsupported %q; want %v and %q", answer, numbers, bad, cites, unsupported)
	}
	return got
}

// TestMarkers: in all forms that models write.
func TestMarkers(t *testing.T) {
	t.Parallel()
	const moonText = "The moon circles the earth in 27 days."
	sources := []event.Source{source(1, weirText), source(2, moonText), source(3, moonText), source(12, moonText)}
	for _, tc := range []struct {
		answer string
		cites  []int
		bad    []string
	}{
		{"The moon circles the earth[2].", []int{2}, nil},
		{"The moon circles the earth [2][3].", []int{2, 3}, nil},
		{"The moon circles the earth [2] [12].", []int{2, 12}, nil},
		{"The moon circles the earth [2, 3,12].", []int{2, 3, 12}, nil},
		{"The moon circles the earth [2; 3].", []int{2, 3}, nil},
		{"The moon circles the earth [2-12].", []int{2, 3, 12}, nil},
		{"The moon circles the earth [2–3].", []int{2, 3}, nil},
		{"The moon circles the earth [ 2 ].", []int{2}, nil},
		{"The moon circles the earth [3-2].", nil, nil},
		{"The moon circles the earth [0].", nil, nil},
		{"The moon circles the earth [1234].", nil, nil},
		{"The moon circles the earth.[2] A weir is a low dam.[1]", []int{1, 2}, nil},
		{"The moon circles the earth. [2][3] A weir is a low dam. [1]", []int{1, 2, 3}, nil},
		{"The moon circles the earth. [2], [3]. A weir is a low dam. [1]", []int{1, 2, 3}, nil},
		{"[2] The moon circles the earth. A weir is a low dam [1].", []int{1, 2}, nil},
		{"[2]. The moon circles the earth.", nil, nil},
		{"A weir is a low dam [2].", []int{2}, []string{"A weir is a low dam."}},
		{"A weir is a low dam [1][2].", []int{1, 2}, nil}, // one of them holds it
		{"A weir [1] circles the moon [1], says Kepler [1][1].", []int{1}, []string{"A weir circles the moon, says Kepler."}},
	} {
		t.Run(tc.answer, func(t *testing.T) {
			t.Parallel()
			answered(t, tc.answer, sources, tc.cites, tc.bad...)
		})
	}
}

// TestCodeCitesNothing: there [1] is an index.
func TestCodeCitesNothing(t *testing.T) {
	t.Parallel()
	sources := []event.Source{source(1, weirText), source(2, "Slices are indexed from zero.")}
	for answer, cites := range map[string][]int{
		"Slices are indexed from zero [2]:\n\n```go\nfirst := dams[1]\nfmt.Println(first)\n```\n": {2},
		"Slices are indexed from zero [2], as in `dams[1]`.":                                      {2},
		"```go\nx := dams[1]\n":                 nil, // cut off
		"`dams[1]`":                             nil,
		"Use ` alone. A weir is a low dam [1].": {1},
	} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			answered(t, answer, sources, cites)
		})
	}
}

// TestNumbers: a sentence says more than its words.
func TestNumbers(t *testing.T) {
	t.Parallel()
	moon := source(1, "The moon circles the earth in 27 days. It is 384,400 km away and 4.5 billion years old; its mass is a 81st of the earth's. Two probes landed in 2019.")
	moon.Title, moon.Section = "Report of 2031", []string{"Chapter 14"}
	for answer, supported := range map[string]bool{
		"The moon circles the earth in 27 days [1].":                        true,
		"The moon circles the earth in 29 days [1].":                        false,
		"The moon is 384,400 km away [1].":                                  true,
		"The moon is 384.400 km away [1].":                                  true,
		"The moon is 384’400 km away [1].":                                  true,
		"The moon is 384400 km away [1].":                                   true,
		"The moon is 384,401 km away [1].":                                  false,
		"The moon is 4,5 billion years old [1].":                            true,
		"The moon is ４.５ billion years old [1].":                            true,
		"The moon is 45 million years old, billions they say [1].":          true, // separators are not told apart
		"2 probes landed in 2019 [1].":                                      true,
		"12 probes landed in 2019 [1].":                                     false,
		"In 2031 the report says that probes landed in 2019 [1].":           true,
		"Chapter 14 says that the moon circles the earth in 027 days [1].":  true,
		"10. The moon circles the earth in 27 days [1].":                    true, // the tenth of a list
		"The moon circles the earth in 27 days, or 648 hours [1].":          false,
		"The moon circles the earth in twenty-seven days, every month [1].": true,
	} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			got, bad := New().Check(answer, []event.Source{moon})
			if len(got) != 1 || (len(bad) == 0) != supported {
				t.Errorf("cites %+v, unsupported %q; want supported %t", got, bad, supported)
			}
		})
	}
	two := []event.Source{moon, source(2, "The moon has 29 craters of that kind in the north.")}
	answered(t, "The moon circles the earth in 27 days and has 29 craters [1][2].", two, []int{1, 2})
	answered(t, "The moon circles the earth in 27 days and has 30 craters [1][2].", two, []int{1, 2},
		"The moon circles the earth in 27 days and has 30 craters.")
}

// TestQuotations are found word by word, over lines, and are no licence for the
// rest of the sentence.
func TestQuotations(t *testing.T) {
	t.Parallel()
	text := "A weir is a low dam.\nIt raises the level\n  of the river's upper part. Don't\nclimb it. 「梅雨は雨季の一種である。」"
	for _, tc := range []struct{ answer, quote string }{
		{`The text: "raises the level of the river's upper part" [1].`, "raises the level\n  of the river's upper part"},
		{`The text: “Raises the level of the river’s upper part.” [1]`, "raises the level\n  of the river's upper part"},
		{`The text: „raises the level of the river“ [1].`, "raises the level\n  of the river"},
		{`The text: «raises the level of the river» [1].`, "raises the level\n  of the river"},
		{`It says "don't climb it" and "raises the level" [1].`, "Don't\nclimb it"},
		{`It says "invented by a committee" and "raises the level" [1].`, "raises the level"},
		{`「梅雨は雨季の一種」とある。[1]`, "梅雨は雨季の一種"},
	} {
		t.Run(tc.answer, func(t *testing.T) {
			t.Parallel()
			got, _ := New().Check(tc.answer, []event.Source{source(1, text)})
			if len(got) != 1 || got[0].Quote != tc.quote {
				t.Errorf("citations %+v, want the quote %q", got, tc.quote)
			}
		})
	}
	const bold = `Einstein invented what "raises the level" of Parisian committees, universities, governments and symphonies [1].`
	if _, bad := New().Check(bold, []event.Source{source(1, text)}); len(bad) != 1 {
		t.Errorf("unsupported %q, want the sentence round a true quotation", bad)
	}
}

// TestListsAndTables: each item and row is a statement, in answers and in sources.
func TestListsAndTables(t *testing.T) {
	t.Parallel()
	sources := []event.Source{
		source(1, weirText),
		source(2, "| Body | Period |\n|---|---|\n| Moon | 27 days |\n| Phobos | 8 hours |\n| Titan | 16 days |\n"),
	}
	got := answered(t, "# Dams and moons\nTwo things are known:\n\n- A weir is a low dam [1]\n- Phobos: 8 hours period [2]\n* Cheese is made of light [2]\n1. Titan: 16 days [2]\n",
		sources, []int{1, 2}, "Cheese is made of light")
	if len(got) == 2 && (got[0].Quote != "A weir is a low dam." || got[1].Quote != "| Titan | 16 days |") {
		t.Errorf("quotes %q and %q, want the sentence and the best row", got[0].Quote, got[1].Quote)
	}
	answered(t, "| What | Fact |\n|---|---|\n| Weir | a low dam [1] |\n| Moon | 27 days [2] |\n| Cheese | from milk [2] |\n", sources, []int{1, 2},
		"| Cheese | from milk |")
}

// TestLongLinesAreQuotedWhole: of text without sentences, the line that counts.
func TestLongLinesAreQuotedWhole(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("setting = value of nothing\n", 100) + "level = raised by the weir\n" + strings.Repeat("setting = value of nothing\n", 100)
	got, bad := New().Check("The level is raised by the weir [1].", []event.Source{source(1, text)})
	if len(got) != 1 || got[0].Quote != "level = raised by the weir" || len(bad) != 0 {
		t.Errorf("citations %+v, unsupported %q; want the line", got, bad)
	}
}

// TestTwoSentences hold what one does not.
func TestTwoSentences(t *testing.T) {
	t.Parallel()
	text := "Nothing here. Ada Lovelace wrote programs. Charles Babbage designed engines. Nothing there."
	got := answered(t, "Lovelace wrote programs while Babbage designed engines, Ada and Charles [1].", []event.Source{source(1, text)}, []int{1})
	if len(got) != 1 || got[0].Support < 0.5 || !strings.Contains(got[0].Quote, "Lovelace") && !strings.Contains(got[0].Quote, "Babbage") {
		t.Errorf("citations %+v", got)
	}
	got = answered(t, "Ada designed engines, Charles wrote [1].", []event.Source{source(1, "Ada and more. Charles designed engines and wrote a lot of other unrelated books.")}, []int{1})
	if len(got) != 1 || got[0].Support < 0.75 {
		t.Errorf("citations %+v", got)
	}
}

// TestOtherLanguages of the same script as their source.
func TestOtherLanguages(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ answer, bad, text string }{
		{"梅雨は5月から7月にかけて来る。[1]", "相撲は日本の国技とされる格闘技。[1]", "梅雨は雨季の一種である。5月から7月にかけて来る曇りや雨の多い期間のこと。"},
		{"堰是横跨河流的低坝[1]。", "月球每二十七天绕地球一周[1]。", "堰是一种横跨河流的低坝。它抬高上游的水位。"},
		{"Ein Wehr hebt den Wasserstand des Flusses [1].", "Der Mond umkreist die Erde [1].", "Ein Wehr ist ein niedriger Damm. Es hebt den Wasserstand des Flusses oberhalb."},
		{"السد يرفع منسوب النهر [1].", "القمر يدور حول الأرض [1].", "السد يرفع منسوب مياه النهر. تمر الأسماك عبر سلم."},
		{"Плотина поднимает уровень реки [1].", "Луна вращается вокруг Земли [1].", "Плотина поднимает уровень реки. Рыбы проходят по лестнице."},
	} {
		t.Run(tc.answer, func(t *testing.T) {
			t.Parallel()
			sources := []event.Source{source(1, tc.text)}
			if _, bad := New().Check(tc.answer, sources); len(bad) != 0 {
				t.Errorf("unsupported %q, want none", bad)
			}
			if _, bad := New().Check(tc.bad, sources); len(bad) != 1 {
				t.Errorf("unsupported %q, want %q", bad, tc.bad)
			}
		})
	}
}

// BenchmarkCheck is a long answer that cites all of its many sources.
func BenchmarkCheck(b *testing.B) {
	var sources []event.Source
	for n := range 20 {
		sources = append(sources, source(n+1, strings.Repeat(weirText+" ", 20)))
	}
	answer := strings.Repeat("A weir raises the level of the river [1-20]. ", 200)
	c := New()
	for b.Loop() {
		c.Check(answer, sources)
	}
}
