package ground

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// quotation is text in quotation marks, long enough to be one of a source.
var quotation = regexp.MustCompile(`"([^"]{12,})"|“([^”]{12,})”|„([^“”]{12,})[“”]|«([^»]{12,})»|「([^」]{6,})」|『([^』]{6,})』`)

// quotations finds what a statement quotes word by word: text that equals it but
// for case, white space, kinds of apostrophes, and the stop at its end, which is
// the writer's. A phrase too large for an expression is left out.
func quotations(statement string) []*regexp.Regexp {
	var out []*regexp.Regexp
	for _, m := range quotation.FindAllStringSubmatch(statement, -1) {
		words := strings.Fields(strings.TrimRight(strings.Join(m[1:], ""), " \n.,;:!?…"))
		if len(words) == 0 {
			continue
		}
		phrase := regexp.QuoteMeta(strings.Join(words, " "))
		phrase = strings.NewReplacer("'", "['’]", "’", "['’]", " ", `\s+`).Replace(phrase)
		if re, err := regexp.Compile(`(?i)` + phrase); err == nil {
			out = append(out, re)
		}
	}
	return out
}

// number is a number with the signs that may stand between its digits.
var number = regexp.MustCompile(`\p{Nd}+(?:[.,'’\x{a0}\x{202f}]\p{Nd}+)*`)

// holdNumbers reports whether the sources have the numbers of a statement: in their
// text, or in what the model was told of them. Those of one digit are not looked
// for: they may be words there.
func holdNumbers(sources []*reading, statement string) bool {
	for _, n := range digits(statement) {
		if !slices.ContainsFunc(sources, func(r *reading) bool { return r.has(n) }) {
			return false
		}
	}
	return true
}

// has reports whether the source has a number. The first call collects them.
func (r *reading) has(n string) bool {
	if r.numbers == nil {
		r.numbers = map[string]bool{}
		for _, text := range append([]string{r.text, r.citation.Title, r.citation.Source}, r.citation.Section...) {
			for _, n := range digits(text) {
				r.numbers[n] = true
			}
		}
	}
	return r.numbers[n]
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
