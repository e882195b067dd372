package cascade

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestCueNamesAreSorted(t *testing.T) {
	t.Parallel()
	names := QuestionFeatureNames()
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != numCues {
		t.Errorf("want %d distinct names in order, have %v", numCues, names)
	}
}

func TestQuestionFeatures(t *testing.T) {
	t.Parallel()
	choices := "Which of these is not a prime?\nA. 2\nB. 3\nC. nine\nD. All of the above"
	for _, c := range []struct {
		text, name string
		want       float64
	}{
		{"", "q_chars", 0},
		{"abc", "q_chars", math.Log(4)},
		{"é", "q_chars", math.Log(2)},
		{"é", "q_non_ascii", 1},
		{"one two three", "q_words", math.Log(4)},
		{"to be or not to be", "q_distinct", 4.0 / 6},
		{"It was 1,234.5 and 7% in 1999.", "q_numbers", math.Log(4)},
		{"It was 1,234.5 and 7% in 1999.", "q_largest_number", math.Log(2000)},
		{"It was 1,234.5 and 7% in 1999.", "q_years", math.Log(2)},
		{"It was 1,234.5 and 7% in 1999.", "q_decimals", math.Log(2)},
		{"It was 1,234.5 and 7% in 1999.", "q_percent", math.Log(2)},
		{"See Alice and Bob. Carol left.", "q_names", 2.0 / 6},
		{"x^2 + y = 3", "q_operators", math.Log(3)},
		{"x^2 + y = 3", "q_formula", math.Log(2)},
		{"```go\nfunc f() {}\n```", "q_code", math.Log(1 + 2 + 1 + 2)},
		{choices, "q_choices", math.Log(5)},
		{choices, "q_choice_digits", 0.5},
		{choices, "q_choice_spread", math.Log1p(float64(len("All of the above") - 1))},
		{choices, "q_all_or_none", math.Log(2)},
		{choices, "q_negation", math.Log(2)},
		{choices, "q_which", math.Log(2)},
		{choices, "q_stem_chars", math.Log1p(float64(len("Which of these is not a prime?")))},
		{"How many apples? How much per day?", "q_how_many", math.Log(4)},
	} {
		if got, ok := QuestionFeatures(c.text)[c.name]; !ok || math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s of %q: have %v, want %v", c.name, c.text, got, c.want)
		}
	}
}

func TestHashText(t *testing.T) {
	t.Parallel()
	a := HashText("The Cat sat.")
	if !slices.IsSorted(a) || len(slices.Compact(slices.Clone(a))) != len(a) || len(a) == 0 {
		t.Errorf("hashes are not sorted and distinct: %v", a)
	}
	if !slices.Equal(a, HashText("the cat SAT.")) {
		t.Error("case counts")
	}
	if slices.Equal(a, HashText("the sat cat.")) {
		t.Error("the order of words does not count")
	}
	if !slices.Equal(HashText("in 1984"), HashText("in 2013")) || slices.Equal(HashText("in 1984"), HashText("in 20130")) {
		t.Error("a number counts by its digits alone")
	}
	if len(HashText("")) != 0 {
		t.Error("an empty text has features")
	}
}

func FuzzQuestionFeatures(f *testing.F) {
	f.Add("Which?\nA. 1,000\nB. (2) ```")
	f.Add(strings.Repeat("9", 400) + "\xff.\n(a) ")
	f.Fuzz(func(t *testing.T, text string) {
		for name, value := range QuestionFeatures(text) {
			if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
				t.Errorf("%s is %v", name, value)
			}
		}
		if hashes := HashText(text); !slices.IsSorted(hashes) {
			t.Error("hashes are not sorted")
		}
	})
}
