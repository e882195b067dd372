package cascade

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/dataset"
)

func TestArithmeticErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want []string
	}{
		{"2 + 3 = 5", nil},
		{"2 + 3 = 6", []string{"2 + 3 = 6"}},
		{"2 + 3 * 4 = 20", []string{"2 + 3 * 4 = 20"}},
		{"so (2 + 3) * 4 = 20.", nil},
		{"3(4) = 12 and 3(4) = 13", []string{"3(4) = 13"}},
		{"8 x $5 x 60% = $<<8*5*60/100=24>>24.", nil},
		{"<<8*5=41>>41", []string{"8*5=41"}},
		{"15 cups + 25 cups = 40 cups", nil},
		{"15 cups + 25 cups = 41 cups", []string{"15 cups + 25 cups = 41"}},
		{"1,200 * 3 = 3,600", nil},
		{"1,200 * 3 = 3,601", []string{"1,200 * 3 = 3,601"}},
		{"10 / 3 = 3.33", nil},
		{"10 / 3 = 3", nil},
		{"10 / 3 = 3.4", []string{"10 / 3 = 3.4"}},
		{"10 / 0 = 3", []string{"10 / 0 = 3"}},
		{"20% of 50 = 10", nil},
		{"20% of 50 = 11", []string{"20% of 50 = 11"}},
		{"33% of 10 = 3", nil},
		{"100% - 60% = 40%", nil},
		{"3*(2+2) = 3*4 = 12", nil},
		{"3*(2+2) = 3*4 = 13", []string{"3*4 = 13"}},
		{"3 + 4 = 7 apples and 7 * 2 = 15 pears", []string{"7 * 2 = 15"}},
		{"2^3 = 8, 2 ^ 3 = 9", []string{"2 ^ 3 = 9"}},
		{"- 3 + 4 = 7", nil},
		{"-3 + 4 = 1", nil},
		{"5 + 3 = 8 - so he has 8", nil},
		{"2x + 3 = 7", nil},
		{"x = 3 + 4 = 8", []string{"3 + 4 = 8"}},
		{"Tom + 3 = 5", nil},
		{"a <= 3 + 4 >= 5", nil},
		{"**2 + 2** = **4**", nil},
		{"**2 + 2** = **5**", []string{"2 + 2** = **5"}},
		{`2 \times 3 = 7`, []string{`2 \times 3 = 7`}},
		{"6 ÷ 2 = 3; 6 − 2 = 5", []string{"6 − 2 = 5"}},
		{"y = 5", nil},
		{"", nil},
	} {
		if got := ArithmeticErrors(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q: have %q, want %q", c.text, got, c.want)
		}
	}
}

// TestArithmeticIsBounded: the errors are those that the features count, however
// long the text is.
func TestArithmeticIsBounded(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"an error in the head":      "2 + 3 = 6\n" + strings.Repeat("a", maxAnswer),
		"an error behind the head":  strings.Repeat("a", maxAnswer) + "\n2 + 3 = 6",
		"an error across the bound": strings.Repeat(" ", maxAnswer-9) + "2 + 3 = 5.5",
	} {
		listed, counted := len(ArithmeticErrors(text)), math.Round(math.Expm1(AnswerFeatures(text)["arith_wrong"]))
		if float64(listed) != counted {
			t.Errorf("%s: %d are listed, %v are counted", name, listed, counted)
		}
	}
}

func TestFinalAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, want string
		ok         bool
	}{
		{"3 + 4 = 7\n#### 7\n\n", "7", true},
		{"The answer is 12. Check: 3 * 4.", "12", true},
		{"The ANSWER IS: **Paris**.", "Paris", true},
		{`so \boxed{42} it is 7`, "42", true},
		{"The answer is 3. No, the answer is 4.", "4", true},
		{"Answer:\nB", "B", true},
		{"He has 1,200 left and -5 more.", "-5", true},
		{"He pays $1,200.50.", "1,200.50", true},
		{"The answer is", "", false},
		{"none", "", false},
		{"", "", false},
	} {
		if got, ok := FinalAnswer(c.text); got != c.want || ok != c.ok {
			t.Errorf("%q: have %q, %v, want %q", c.text, got, ok, c.want)
		}
	}
}

func TestAnswerFeatures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, name string
		want       float64
	}{
		{"", "empty", 1},
		{" \n", "empty", 1},
		{"I'm sorry, I cannot say.", "refusal", math.Log(3)},
		{"Perhaps 5, maybe 6.", "hedge", math.Log(3)},
		{"None of the choices. However, B.", "none_of", math.Log(2)},
		{"None of the choices. However, B.", "however", math.Log(2)},
		{"#### 7", "final", 1},
		{"It is 7.", "final", 0},
		{"2 + 2 = 5", "arith_wrong", math.Log(2)},
		{"2 + 2 = 5, 1 + 1 = 2", "arith_checked", math.Log(3)},
		{"10 / 3 = 3.3", "arith_rounded", math.Log(2)},
		{"Wendi gives 15 cups, which is a total of <<15+2", "unfinished", 1},
		{"and so the total number of cups that she", "unfinished", 1},
		{"It is 7.", "unfinished", 0},
		{"3 + 4 = 7\n#### 7", "final_echo", 1},
		{"3 + 4 = 7\n#### 8", "final_echo", 0},
		{"#### 7.5", "final_whole", 0},
		{"#### 7", "final_whole", 1},
	} {
		if got, ok := AnswerFeatures(c.text)[c.name]; !ok || math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s of %q: have %v, want %v", c.name, c.text, got, c.want)
		}
	}
}

func TestNumberFeatures(t *testing.T) {
	t.Parallel()
	question := "Tom has 3 boxes of twelve eggs and eats 5."
	for _, c := range []struct {
		answer, name string
		want         float64
	}{
		{"3 * 12 = 36, 36 - 5 = 31", "num_unused", 0},
		{"3 * 12 = 36, 36 - 5 = 31", "num_unknown", 0},
		{"3 * 12 = 36", "num_unused", 1.0 / 3},
		{"3 * 13 = 39", "num_unknown", 0.5},
		{"", "num_unused", 1},
	} {
		if got := NumberFeatures(question, c.answer)[c.name]; math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s of %q: have %v, want %v", c.name, c.answer, got, c.want)
		}
	}
}

// Real answers: the final answer is what the graders read, and wrong equations say
// that the answer is wrong.
func TestAnswersOfGSM8K(t *testing.T) {
	t.Parallel()
	type line struct {
		Gold         string
		Weak         float64
		WeakResponse string `json:"weak_response"`
	}
	lines, err := dataset.Rows[line](dataset.Path(t, "cascade", "routellm_gsm8k.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	graded, flagged, wrong := 0, 0, 0
	for _, l := range lines {
		if SameAnswer(l.WeakResponse, l.Gold) == (l.Weak == 1) {
			graded++
		}
		if len(ArithmeticErrors(l.WeakResponse)) > 0 {
			flagged++
			if l.Weak == 0 {
				wrong++
			}
		}
	}
	t.Logf("%d answers: %d graded alike, %d with wrong equations, %d of them wrong", len(lines), graded, flagged, wrong)
	// The rest are solutions whose answer is unmarked and not their only number.
	if graded < len(lines)*97/100 {
		t.Errorf("only %d of %d answers are graded as by their source", graded, len(lines))
	}
	if flagged < len(lines)/20 || wrong*4 < flagged*3 {
		t.Errorf("%d have wrong equations, %d of them are wrong: want more than 5 %%, of which 75 %%", flagged, wrong)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, text := range []string{"2*(3+4)=14", "<<1,000/3=333.33>>", "1+1=((((", "#### $1,2.", `{"a":1}`, "٣ = 3 + ", "5%of 3=", "3x4=12", "**3** = 4^4^4^4"} {
		f.Add(text, "the answer is 7")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for name, value := range AnswerFeatures(a) {
			if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
				t.Errorf("%s is %v", name, value)
			}
		}
		for name, value := range NumberFeatures(b, a) {
			if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
				t.Errorf("%s is %v", name, value)
			}
		}
		ArithmeticErrors(a)
		FinalAnswer(a)
		if SameAnswer(a, b) != SameAnswer(b, a) {
			t.Errorf("not symmetric: %q, %q", a, b)
		}
	})
}

func BenchmarkSameAnswer(b *testing.B) {
	long := "Kylar is buying 16 glasses. 8 x $5 = $<<8*5=40>>40 and 8 x $5 x 60% = $24. In all $64.\n#### 64"
	for b.Loop() {
		SameAnswer(long, "64")
		SameAnswer("The Eiffel Tower in Paris", "eiffel tower, Paris")
	}
}

func BenchmarkAnswerFeatures(b *testing.B) {
	long := "Kylar is buying 16 glasses. 8 x $5 = $<<8*5=40>>40 and 8 x $5 x 60% = $24. In all $64.\n#### 64"
	for b.Loop() {
		AnswerFeatures(long)
	}
}
