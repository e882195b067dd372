package rerank

import (
	"strings"
	"unicode"

	"github.com/weir-dev/weir/pkg/sparse"
)

// maxTerms bounds the distinct terms of a question that are looked for.
const maxTerms = 64

// terms is a set of a question's terms, by their places.
type terms uint64

// kind is what an answer must have.
type kind uint8

const (
	kindAny    kind = iota
	kindName        // who, where: a name
	kindTime        // when: a year or a month
	kindNumber      // how many: a number
)

// question is what is asked.
type question struct {
	terms   []sparse.Term // distinct by ID
	place   map[uint32]int
	numbers terms // those with digits
	pieces  int   // terms that are pieces of a script without blanks
	lower   string
	asks    bool // has the shape of a question
	words   int  // length
	kind    kind
}

func readQuestion(e *sparse.Encoder, text string) question {
	q := question{place: map[uint32]int{}, lower: strings.ToLower(text)}
	for _, t := range e.Terms(nil, text) {
		if _, known := q.place[t.ID]; known || len(q.terms) == maxTerms {
			continue
		}
		if t.Number {
			q.numbers |= 1 << len(q.terms)
		}
		if t.Length < 1 {
			q.pieces++
		}
		q.place[t.ID] = len(q.terms)
		q.terms = append(q.terms, t)
	}
	words := strings.FieldsFunc(q.lower, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) })
	q.words = length(words)
	q.asks = strings.ContainsAny(text, "?？؟") || strings.HasSuffix(strings.TrimSpace(text), ";") && isGreek(text) ||
		len(words) > 1 && asking(words[0])
	q.kind = kindOf(words)
	return q
}

// length counts words; where there are no blanks, two letters are a word.
func length(words []string) int {
	n := 0
	for _, w := range words {
		wide := 0
		for _, r := range w {
			if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) {
				wide++
			}
		}
		n += max(1, (wide+1)/2)
	}
	return n
}

func isGreek(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Greek, r) })
}

// asking reports whether an English question may begin with the word.
func asking(word string) bool {
	switch word {
	case "who", "whom", "whose", "what", "which", "when", "where", "why", "how", "is", "are", "was", "were",
		"do", "does", "did", "can", "could", "will", "would", "should", "has", "have", "had", "may":
		return true
	}
	return false
}

// kindOf tells from English question words what the answer must have.
func kindOf(words []string) kind {
	for i, w := range words {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch w {
		case "who", "whom", "whose", "where":
			return kindName
		case "when":
			return kindTime
		case "how":
			switch next {
			case "many", "much", "long", "old", "far", "large", "tall", "high", "big", "often", "fast":
				return kindNumber
			}
		case "what", "which":
			switch next {
			case "year", "date", "century", "decade", "month", "day", "time":
				return kindTime
			case "percentage", "percent", "number", "age", "amount", "population":
				return kindNumber
			case "person", "city", "country", "state", "company", "team", "player", "actor", "king", "name":
				return kindName
			}
		}
	}
	return kindAny
}
