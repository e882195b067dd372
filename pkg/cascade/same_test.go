package cascade

import (
	"strings"
	"testing"
	"time"
)

func TestSameAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"Paris", " paris. ", true},
		{"The Eiffel Tower", "eiffel tower", true},
		{"**Paris**", "Paris", true},
		{"Paris", "London", false},
		{"1,200", "1200.00", true},
		{"$64", "64 dollars", true},
		{"64", "65", false},
		{"-64", "64", false},
		{"50%", "50", true},
		{"0.5", ".50", true},
		{"1e3", "1000", false},
		{"3 + 4 = 7\n#### 7", "7", true},
		{"3 + 4 = 7\n#### 7", "so 3 + 4, the answer is 7.", true},
		{"He needs to pay $64.", "64", true},
		{"He needs to pay $64.", "16", false},
		{"05/01/2021", "2021", false},
		{"05/01/2021", "05/01/2021.", true},
		{"05/01/2021", "05/02/2021", false},
		{"B", "(b)", true},
		{"B", "B. 4", true},
		{"B. 4", "C. 4", false},
		{"a cat", "the cat", true},
		{`{"a":1,"b":[2]}`, "```json\n{\"b\": [2.0], \"a\": 1}\n```", true},
		{`{"a":1}`, `{"a":2}`, false},
		{`{"a":9007199254740993}`, `{"a":9007199254740992}`, false},
		{`{"a":[1,{"b":null}]}`, `{"a":[1,{"b":0}]}`, false},
		{"x < 3", "x > 3", false},
		{"", "", false},
		{"...", "...!", false},
		{"東京", "東京。", true},
	} {
		if SameAnswer(c.a, c.b) != c.want || SameAnswer(c.b, c.a) != c.want {
			t.Errorf("%q and %q: want %v, both ways", c.a, c.b, c.want)
		}
	}
}

// TestDifferentAnswers: what looks much the same and is not. Each pair that were
// taken for the same would teach that a wrong answer is right.
func TestDifferentAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{`\boxed{\frac{1}{2}}`, `\boxed{\frac{1}{3}}`},
		{`\boxed{x^{2}}`, `\boxed{x^{2}+1}`},
		{"-x", "x"},
		{`-\frac{1}{2}`, `\frac{1}{2}`},
		{"-√2", "√2"},
		{"It was −5", "It was 5"},
		{"It was −5", "5"},
		{"p & q", "p | q"},
		{"A ∪ B", "A ∩ B"},
		{"n!", "n"},
		{"5!", "5"},
		{"!x", "x"},
		{"x - y", "x, y"},
		{"x-y", "x y"},
		{"x*y", "x y"},
		{"x_1", "x 1"},
		{"(x+1)^2", "x+1^2"},
		{"[1, 2]", "(1, 2)"},
		{"C#", "C"},
		{"f'(x)", "f(x)"},
		{"3:2", "3, 2"},
		{"10:30 am", "10:30 pm"},
		{"€5 fee", "£5 fee"},
		{"vitamin A", "vitamin"},
		{"version 1.20.3", "version 1.2.3"},
		{"5 million", "5 billion"},
		{"5 million", "5"},
		{"It is 5 million.", "5"},
		{"It is 5 hundred thousand.", "500"},
		{"10 am", "10 pm"},
		{"10 a.m.", "We meet at 10 pm."},
		{"100 BC", "100 AD"},
		{"2 hours", "2 minutes"},
		{"2 hours", "It takes 2 minutes."},
		{"$5", "5 cents"},
		{"$5", "It costs €5."},
		{"5", "It is not 5"},
		{"5", "It isn't 5."},
		{"5", "The answer is not 5."},
		{"5", "less than 5"},
		{"5", "5 or six"},
		{"5", "minus 5"},
		{"3", "1, 2 and 3"},
		{"10", "between 5 and 10"},
		{"10", "The answer is between 5 and 10."},
		{"5", "You have 30 days. See section 5."},
		{"5", "The answer is x <= 5."},
		{"7", "The answer is x = 5, y = 7."},
		{"7", "The answer is x = 5 or x = 7."},
		{"2x", "2"},
		{"2π", "2"},
		{"2 pi", "2"},
		{"5 - x", "5"},
		{"5 dozen", "5"},
		{"10^n", "10"},
		{"2", "H2O"},
		{"19", "COVID-19"},
		{"5", "on 5th Avenue"},
		{"2/3", "2"},
		{"1 1/2", "1"},
		{"E. coli", "E. faecalis"},
		{"A. Lincoln", "A. Johnson"},
		{"a) Paris", "a) London"},
		{"12345678", "12345679"},
		{"12345678901234567890", "12345678901234567891"},
		{"No. 12345678901234567890", "No. 12345678901234567891"},
	} {
		if SameAnswer(c[0], c[1]) || SameAnswer(c[1], c[0]) {
			t.Errorf("%q and %q are taken for the same", c[0], c[1])
		}
	}
}

// TestAnswersWrittenDifferently are the same.
func TestAnswersWrittenDifferently(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"1/2", "0.5"},
		{"½", "0.5"},
		{"1½", "1.5"},
		{`\boxed{\frac{1}{2}}`, "0.5"},
		{`$\dfrac{3}{4}$`, "3/4"},
		{"−5", "-5"},
		{"-$5", "$-5"},
		{"5 million", "5,000,000"},
		{"2.3 million dollars", "$2300000"},
		{"10 a.m.", "10 AM"},
		{"$64", "He pays **$64** in total."},
		{"64 dollars", "He pays 64."},
		{"2 hours", "It takes 2 whole hours."},
		{"5 apples", "5"},
		{"The answer is 8*5 = 40.", "40"},
		{"The answer is x = 5.", "5"},
		{"well-known", "well known"},
		{"- Paris\n- London", "* paris\n* london"},
		{"# Paris!", "Paris"},
		{"“Paris”", "'Paris'"},
		{"C++", "c++"},
		{"a) Paris", "A. paris"},
		{"E", "E. coli"},
		{"n!", "N!"},
	} {
		if !SameAnswer(c[0], c[1]) || !SameAnswer(c[1], c[0]) {
			t.Errorf("%q and %q are taken for different ones", c[0], c[1])
		}
	}
}

// TestSameAnswerIsLinear: twice as long answers take about twice as long.
func TestSameAnswerIsLinear(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"1 ", "1 −", "−", "$", "1,000", "a-", "{", `\frac{`} {
		text := strings.Repeat(part, maxCompared/len(part)-2)
		start := time.Now()
		SameAnswer(text+"−", "x"+text)
		SameAnswer(text+"−", "5")
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("%q repeated took %v", part, took)
		}
	}
}
