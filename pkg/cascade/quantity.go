package cascade

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quantity is a number as an answer gives it.
type quantity struct {
	value  float64
	digits string // without separators, to tell whole numbers apart that floats can't
	unit   string // words in lower case, "" if there is none
}

// exactFloat is up to where a float tells whole numbers apart.
const exactFloat = 1 << 53

// same compares whole numbers exactly and others up to how they are rounded. Units
// are the same if one has none.
func (q quantity) same(o quantity) bool {
	if q.unit != "" && o.unit != "" && q.unit != o.unit {
		return false
	}
	if q.value == o.value {
		return math.Abs(q.value) < exactFloat || q.digits == o.digits
	}
	return q.value != math.Trunc(q.value) && o.value != math.Trunc(o.value) && equalNumbers(q.value, o.value)
}

func equalNumbers(a, b float64) bool {
	return a == b || math.Abs(a-b) <= 1e-6*math.Max(math.Abs(a), math.Abs(b))
}

// numberIn is the number of an answer: what it begins with, if that is all, else
// its last one.
func numberIn(text string) (float64, bool) {
	if q, ok := plainQuantity(text); ok {
		return q.value, true
	}
	last, ok := lastNumber(text)
	if !ok || inDate(text, last) {
		return 0, false
	}
	q, _, ok := leadingQuantity(last)
	return q.value, ok
}

// inDate reports whether the last number of a text is but the end of one, as in
// 05/01/2021 or 12:30.
func inDate(text, last string) bool {
	before := text[:strings.LastIndex(text, last)]
	n := len(before)
	return n > 1 && strings.IndexByte("/:-", before[n-1]) >= 0 && isDigit(before[n-2])
}

// plainQuantity reads a text that is one number with at most a currency mark, a
// percent sign and two words of unit.
func plainQuantity(text string) (quantity, bool) {
	q, rest, ok := leadingQuantity(text)
	if !ok {
		return quantity{}, false
	}
	words := 0
	for field := range strings.FieldsSeq(rest) {
		word := strings.Trim(field, ".,;:*_`$\\)'\"”。")
		if word == "" || filler(word) {
			continue
		}
		if words++; words > maxUnits || !isUnit(word) {
			return quantity{}, false
		}
		q.addUnit(word)
	}
	return q, true
}

// leadingQuantity reads the number that a text begins with, its currency mark, and
// the word behind it if that multiplies it.
func leadingQuantity(text string) (q quantity, rest string, ok bool) {
	text, minus := q.mark(text)
	if q.value, q.digits, text, ok = amount(text); !ok || algebra(text) || ordinal(text) {
		return q, "", false
	}
	if q, text, ok = q.multiplied(text); minus {
		q.value, q.digits = -q.value, "-"+q.digits
	}
	return q, text, ok
}

// mark takes what may stand before a number: a sign, a currency mark, Markdown.
func (q *quantity) mark(text string) (rest string, minus bool) {
	for text != "" {
		c, size := utf8.DecodeRuneInString(text)
		switch {
		case c == '$' && strings.HasPrefix(text[size:], `\`): // a formula
		case currency(c) != "":
			q.unit = currency(c)
		case c == '-' || c == '−':
			if minus {
				return text, minus
			}
			minus = true
		case c == '\\' && fraction(text) != "", !strings.ContainsRune(" \t*_`\\(~", c):
			return text, minus
		}
		text = text[size:]
	}
	return text, minus
}

// fraction is LaTeX's command of one that a text begins with.
func fraction(text string) string {
	for _, command := range []string{`\frac{`, `\dfrac{`, `\tfrac{`} {
		if strings.HasPrefix(text, command) {
			return command
		}
	}
	return ""
}

// ordinal reports whether a number goes on as one, as in 5th.
func ordinal(rest string) bool {
	return slices.Contains([]string{"st", "nd", "rd", "th"}, strings.ToLower(rest[:wordLength(rest)]))
}

// amount is the number without a sign that a text begins with: digits, a fraction
// in digits, in LaTeX or in one character.
func amount(text string) (value float64, digits, rest string, ok bool) {
	if value, size := vulgar(text); size > 0 {
		return value, "", text[size:], true
	}
	if command := fraction(text); command != "" {
		return latexFraction(text[len(command):])
	}
	digits, rest = decimal(text)
	if value, ok = parse(digits); !ok {
		return 0, "", "", false
	}
	if part, size := vulgar(rest); size > 0 { // 1½
		return value + part, "", rest[size:], true
	}
	if after, slash := strings.CutPrefix(rest, "/"); slash && whole(digits) {
		below, end := decimal(after)
		if d, valid := parse(below); valid && whole(below) && d != 0 && !strings.HasPrefix(end, "/") {
			return value / d, "", end, true
		}
	}
	return value, digits, rest, true
}

// latexFraction reads what follows \frac{.
func latexFraction(text string) (value float64, digits, rest string, ok bool) {
	above, text := decimal(text)
	text, open := strings.CutPrefix(text, "}{")
	below, text := decimal(text)
	text, closed := strings.CutPrefix(text, "}")
	a, okA := parse(above)
	b, okB := parse(below)
	if !open || !closed || !okA || !okB || b == 0 {
		return 0, "", "", false
	}
	return a / b, "", text, true
}

// maxDigits is the longest number that is read as one.
const maxDigits = 40

// decimal is the digits that a text begins with, without separators and without
// what is 0 at their ends; "" if there are none, or too many.
func decimal(text string) (digits, rest string) {
	var buffer [maxDigits + 1]byte
	kept, at, point := buffer[:0], 0, false
	for ; at < len(text); at++ {
		c := text[at]
		if c == ',' && !point && thousands(text, 0, at) {
			continue
		}
		if !isDigit(c) && (c != '.' || point || at+1 >= len(text) || !isDigit(text[at+1])) {
			break
		}
		point = point || c == '.'
		if kept = append(kept, c); len(kept) > maxDigits {
			return "", text
		}
	}
	if point && at+1 < len(text) && text[at] == '.' && isDigit(text[at+1]) { // 1.2.3
		return "", text
	}
	digits = string(kept)
	if point {
		digits = strings.TrimRight(strings.TrimRight(digits, "0"), ".")
	}
	if less := strings.TrimLeft(digits, "0"); at > 0 {
		digits = less
		if digits == "" || digits[0] == '.' {
			digits = "0" + digits
		}
	}
	return digits, text[at:]
}

func whole(digits string) bool { return !strings.Contains(digits, ".") }

func parse(digits string) (float64, bool) {
	value, err := strconv.ParseFloat(digits, 64)
	return value, err == nil
}

// vulgar is the fraction in one character that a text begins with, and its bytes.
func vulgar(text string) (value float64, size int) {
	c, size := utf8.DecodeRuneInString(text)
	switch c {
	case '½':
		return 0.5, size
	case '¼':
		return 0.25, size
	case '¾':
		return 0.75, size
	case '⅓':
		return 1.0 / 3, size
	case '⅔':
		return 2.0 / 3, size
	}
	return 0, 0
}

// multiplied takes the word that multiplies a number, as in 5 million. The digits
// are parsed anew with its power of ten, so that the result is exact.
func (q quantity) multiplied(text string) (quantity, string, bool) {
	word := strings.TrimLeft(text, " -")
	n := wordLength(word)
	power := powerOf(word[:n])
	if power == "" {
		return q, text, true
	}
	if q.digits == "" {
		scale, _ := parse("1" + power)
		q.value *= scale
		return q, word[n:], true
	}
	q.digits += power
	value, ok := parse(q.digits)
	q.value = value
	return q, word[n:], ok
}

func powerOf(word string) string {
	switch strings.ToLower(word) {
	case "hundred":
		return "e2"
	case "thousand", "k":
		return "e3"
	case "lakh":
		return "e5"
	case "million", "millions", "mn", "mio":
		return "e6"
	case "crore":
		return "e7"
	case "billion", "billions", "bn":
		return "e9"
	case "trillion", "trillions", "tn":
		return "e12"
	}
	return ""
}

func currency(c rune) string {
	switch c {
	case '$':
		return "dollar"
	case '€':
		return "euro"
	case '£':
		return "pound"
	case '¥':
		return "yen"
	}
	return ""
}

// filler are words of no meaning behind a number.
func filler(word string) bool {
	return slices.Contains([]string{"in", "total", "altogether", "only", "the", "a", "of"}, word)
}

// isUnit reports whether a word may be a unit: no number, no variable, no sign, and
// nothing that joins, reckons or denies.
func isUnit(word string) bool {
	if word == "%" {
		return true
	}
	for i, c := range word {
		if !unicode.IsLetter(c) && c != '°' && (i == 0 || !unicode.IsMark(c) && !strings.ContainsRune("/.-²³'’", c)) {
			return false
		}
	}
	return !reckons(word) && !denies(word) && !slices.Contains([]string{"x", "y", "z", "n", "i", "and", "to"}, strings.ToLower(word))
}

// reckons reports whether a word makes another number of the one before it.
func reckons(word string) bool {
	low := strings.ToLower(word)
	_, number := numberWord(strings.TrimSuffix(low, "s"))
	return number || powerOf(low) != "" || slices.Contains([]string{"times", "plus", "pi", "squared", "cubed", "factorial"}, low)
}

// addUnit adds a word to the unit; "$5" and "5 dollars" have the same.
func (q *quantity) addUnit(word string) {
	if word = unitOf(word); word == q.unit {
		return
	}
	if q.unit != "" {
		word = q.unit + " " + word
	}
	q.unit = word
}

// unitOf is the one way to write a unit of several.
func unitOf(word string) string {
	word = strings.ReplaceAll(strings.ToLower(word), ".", "")
	if len(word) > 3 {
		word = strings.TrimSuffix(word, "s")
	}
	switch word {
	case "%", "percent":
		return "%"
	case "usd":
		return "dollar"
	case "eur":
		return "euro"
	case "gbp":
		return "pound"
	}
	return word
}
