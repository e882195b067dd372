package ground

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/weir-dev/weir/pkg/event"
)

// quotation is text in quotation marks, long enough to be one of a source.
var quotation = regexp.MustCompile(`"([^"]{12,})"|“([^”]{12,})”|„([^“”]{12,})[“”]|«([^»]{12,})»|「([^」]{6,})」|『([^』]{6,})』`)

// quoted returns the span of a source that a statement quotes word by word, ""
// without one.
func quoted(statement, source string) string {
	for _, m := range quotation.FindAllStringSubmatch(statement, -1) {
		if span := find(source, strings.Join(m[1:], "")); span != "" {
			return span
		}
	}
	return ""
}

// find returns the span of a text that equals phrase but for case, white space,
// kinds of apostrophes, and the stop at its end, which is the writer's.
func find(text, phrase string) string {
	words := strings.Fields(strings.TrimRight(phrase, " \n.,;:!?…"))
	if len(words) == 0 {
		return ""
	}
	for i, w := range words {
		words[i] = strings.NewReplacer("'", "['’]", "’", "['’]").Replace(regexp.QuoteMeta(w))
	}
	re, err := regexp.Compile(`(?i)` + strings.Join(words, `\s+`))
	if err != nil {
		return "" // a phrase too large for an expression
	}
	return re.FindString(text)
}

// number is a number with the signs that may stand between its digits.
var number = regexp.MustCompile(`\p{Nd}+(?:[.,'’\x{a0}\x{202f}]\p{Nd}+)*`)

// holdNumbers reports whether the sources have the numbers of a statement: in their
// text, or in what the model was told of them. Those of one digit are not looked
// for: they may be words there.
func holdNumbers(sources []event.Source, statement string) bool {
	want := digits(statement)
	if len(want) == 0 {
		return true
	}
	have := map[string]bool{}
	for _, s := range sources {
		for _, text := range append([]string{s.Text, s.Title, s.Source}, s.Section...) {
			for _, n := range digits(text) {
				have[n] = true
			}
		}
	}
	for _, n := range want {
		if !have[n] {
			return false
		}
	}
	return true
}

// digits returns the numbers of a text as digits alone, whatever separates them:
// 1,000 and 1.000 and 1000 are one. Numbers of one digit are left out.
func digits(text string) []string {
	var out []string
	for _, n := range number.FindAllString(text, -1) {
		n = strings.TrimLeft(strings.Map(digit, n), "0")
		if len([]rune(n)) > 1 {
			out = append(out, n)
		}
	}
	return out
}

// digit drops separators and folds full-width digits.
func digit(r rune) rune {
	switch {
	case r >= '０' && r <= '９':
		return r - '０' + '0'
	case unicode.IsDigit(r):
		return r
	}
	return -1
}
