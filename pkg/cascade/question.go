package cascade

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/murmur3"
)

// QuestionFeatures are cues of how hard a question is that work in any domain:
// its lengths, numbers, signs, choices, question words and code. The names begin
// with "q_"; all of them are always there. A [Calibration] works them out itself
// from [Evidence].Question, so they need not be among Features.
func QuestionFeatures(text string) Features {
	cues := readQuestion(text)
	f := make(Features, numCues)
	for i, name := range cueNames() {
		f[name] = cues[i]
	}
	return f
}

// QuestionFeatureNames are the names of QuestionFeatures.
func QuestionFeatureNames() []string {
	names := cueNames()
	return names[:]
}

// maxQuestion bounds how many bytes of a question are looked at, so that a
// document pasted into one does not hold up the router.
const maxQuestion = 32 << 10

// The cues, in the order of cueNames: by name.
const (
	cueAllOrNone = iota
	cueBlank
	cueBrackets
	cueChars
	cueChoiceChars
	cueChoiceDigits
	cueChoiceSpread
	cueChoices
	cueCode
	cueColons
	cueCommas
	cueCompare
	cueDecimals
	cueDigits
	cueDistinct
	cueFormula
	cueHow
	cueHowMany
	cueImperative
	cueLargestNumber
	cueLines
	cueLongWords
	cueMoney
	cueProper
	cueNegation
	cueNonASCII
	cueNumbers
	cueOperators
	cuePercent
	cueMarks
	cueQuotes
	cueSentenceLength
	cueSentences
	cueStem
	cueUpper
	cueWhat
	cueWhen
	cueWhich
	cueWho
	cueWhy
	cueWordLength
	cueWords
	cueYears
	numCues
)

func cueNames() [numCues]string {
	return [numCues]string{
		"q_all_or_none", "q_blank", "q_brackets", "q_chars", "q_choice_chars", "q_choice_digits", "q_choice_spread", "q_choices",
		"q_code", "q_colons", "q_commas", "q_compare", "q_decimals", "q_digits", "q_distinct", "q_formula",
		"q_how", "q_how_many", "q_imperative", "q_largest_number", "q_lines", "q_long_words", "q_money", "q_names",
		"q_negation", "q_non_ascii", "q_numbers", "q_operators", "q_percent", "q_question_marks", "q_quotes", "q_sentence_length",
		"q_sentences", "q_stem_chars", "q_upper", "q_what", "q_when", "q_which", "q_who", "q_why",
		"q_word_length", "q_words", "q_years",
	}
}

// cues are the values, in that order.
type cues [numCues]float64

// readQuestion works out the cues. Lengths and counts are log(1+n), so that few
// more matter little in a long question; the rest are shares from 0 to 1.
func readQuestion(text string) cues {
	text = head(text, maxQuestion)
	var r reading
	r.readChars(text)
	r.readWords(text)
	r.readLines(text)
	return r.cues(text)
}

// head is the beginning of text, at most n bytes, not cut within a rune.
func head(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// reading holds what is counted on the way through a question.
type reading struct {
	count                                   cues
	chars, letters, words, sentences, lines int
	distinct                                map[uint32]struct{}
	wordChars, choiceMin, choiceMax         int
}

func (r *reading) readChars(text string) {
	r.sentences, r.lines = 1, 1
	for i, c := range text {
		r.chars++
		if c >= utf8.RuneSelf {
			r.count[cueNonASCII]++
			if unicode.IsLetter(c) {
				r.letters++
			}
			continue
		}
		r.readASCII(byte(c), text[i+1:])
	}
}

func (r *reading) readASCII(c byte, rest string) {
	switch {
	case c >= 'a' && c <= 'z':
		r.letters++
	case c >= 'A' && c <= 'Z':
		r.letters++
		r.count[cueUpper]++
	case c >= '0' && c <= '9':
		r.count[cueDigits]++
	default:
		r.readSign(c, rest)
	}
}

func (r *reading) readSign(c byte, rest string) {
	switch c {
	case '\n':
		r.lines++
	case '.', '!':
		if rest == "" || rest[0] == ' ' || rest[0] == '\n' {
			r.sentences++
		}
	case '?':
		r.sentences++
		r.count[cueMarks]++
	case ',':
		r.count[cueCommas]++
	case '"', '\'', '`':
		r.count[cueQuotes]++
	case '(', '[':
		r.count[cueBrackets]++
	case ':', ';', '|':
		r.count[cueColons]++
	case '$':
		r.count[cueMoney]++
	case '%':
		r.count[cuePercent]++
	case '+', '*', '/', '=', '<', '>':
		r.count[cueOperators]++
	case '^', '\\':
		r.count[cueFormula]++
	case '{', '}':
		r.count[cueCode]++
	case '_':
		r.count[cueBlank]++
	}
}

// readWords counts what whole words say.
func (r *reading) readWords(text string) {
	r.distinct = make(map[uint32]struct{}, 64)
	before := ""
	for word := range strings.FieldsSeq(text) {
		bare := strings.TrimFunc(word, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsNumber(c) })
		if bare == "" {
			before = ""
			continue
		}
		r.words++
		length := utf8.RuneCountInString(bare)
		r.wordChars += length
		if length >= 8 {
			r.count[cueLongWords]++
		}
		var buffer [24]byte
		low := lower(buffer[:0], bare)
		r.distinct[murmur3.Sum32(low)] = struct{}{}
		switch {
		case bare[0] >= '0' && bare[0] <= '9':
			r.readNumber(bare)
		case bare[0] >= 'A' && bare[0] <= 'Z' && before != "" && len(bare) > 1:
			r.count[cueProper]++ // not the first of a sentence
		}
		r.readWord(string(low), before)
		before = bare
		if end := word[len(word)-1]; end == '.' || end == '?' || end == '!' || end == ':' {
			before = ""
		}
	}
}

// readWord counts words that say what is asked for.
func (r *reading) readWord(word, before string) {
	cue := -1
	switch word {
	case "what", "what's":
		cue = cueWhat
	case "which":
		cue = cueWhich
	case "who", "whom", "whose":
		cue = cueWho
	case "when", "where", "year":
		cue = cueWhen
	case "why", "because", "reason", "explain":
		cue = cueWhy
	case "how":
		cue = cueHow
	case "many", "much", "total", "each", "per":
		cue = cueHowMany
	case "not", "no", "never", "except", "false", "incorrect", "least", "without", "cannot", "isn't", "don't", "doesn't":
		cue = cueNegation
	case "more", "less", "than", "most", "best", "twice", "half", "times":
		cue = cueCompare
	case "write", "find", "calculate", "compute", "describe", "give", "list", "draft", "solve", "determine", "evaluate":
		cue = cueImperative
	case "func", "def", "class", "return", "import", "select", "void", "int", "const", "python", "sql", "html":
		cue = cueCode
	case "above":
		cue = cueAllOrNone
	}
	if cue < 0 || cue == cueAllOrNone && before != "the" {
		return
	}
	r.count[cue]++
}

func (r *reading) readNumber(word string) {
	r.count[cueNumbers]++
	value, whole, point, scale := 0.0, true, false, 1.0
	for _, c := range []byte(word) {
		switch {
		case c >= '0' && c <= '9' && point:
			scale /= 10
			value += scale * float64(c-'0')
		case c >= '0' && c <= '9':
			value = min(10*value+float64(c-'0'), 1e15)
		case c == '.':
			point = true
		case c != ',':
			whole = false
		}
	}
	if point {
		r.count[cueDecimals]++
	}
	if !whole {
		return
	}
	r.count[cueLargestNumber] = max(r.count[cueLargestNumber], value)
	if !point && len(word) == 4 && value >= 1000 && value < 2100 {
		r.count[cueYears]++
	}
}

// readLines looks at the lines that offer a choice ("A. ...", "(b) ...").
func (r *reading) readLines(text string) {
	stem := 0
	for line := range strings.SplitSeq(text, "\n") {
		choice, ok := cutChoice(line)
		if !ok {
			if r.count[cueChoices] == 0 {
				stem += len(line)
			}
			continue
		}
		length := len(choice)
		if r.count[cueChoices] == 0 {
			r.choiceMin = length
		}
		r.choiceMin, r.choiceMax = min(r.choiceMin, length), max(r.choiceMax, length)
		r.count[cueChoices]++
		r.count[cueChoiceChars] += float64(length)
		if strings.ContainsAny(choice, "0123456789") {
			r.count[cueChoiceDigits]++
		}
	}
	r.count[cueStem] = float64(stem)
}

// cutChoice returns the text of a line that is one of several choices.
func cutChoice(line string) (string, bool) {
	line = strings.TrimLeft(line, " \t")
	open := strings.HasPrefix(line, "(")
	line = strings.TrimPrefix(line, "(")
	if len(line) < 2 || (line[1] != '.' || open) && line[1] != ')' {
		return "", false
	}
	c := line[0] | 0x20
	if c < 'a' || c > 'j' {
		return "", false
	}
	return strings.TrimSpace(line[2:]), true
}

// cues brings the counts to scale.
func (r *reading) cues(text string) cues {
	c := r.count
	chars, words := math.Max(float64(r.chars), 1), math.Max(float64(r.words), 1)
	choices := math.Max(c[cueChoices], 1)
	c[cueChoiceDigits] /= choices
	c[cueChoiceChars] /= choices
	c[cueChoiceSpread] = float64(r.choiceMax - r.choiceMin)
	c[cueChars], c[cueWords] = float64(r.chars), float64(r.words)
	c[cueLines], c[cueSentences] = float64(r.lines), float64(r.sentences)
	c[cueSentenceLength] = float64(r.words) / float64(r.sentences)
	c[cueWordLength] = float64(r.wordChars) / words
	c[cueCode] += float64(strings.Count(text, "```") + strings.Count(text, "();"))
	for i := range c {
		if logarithmic(i) {
			c[i] = math.Log1p(c[i])
		}
	}
	c[cueLongWords] /= words
	c[cueDistinct] = float64(len(r.distinct)) / words
	c[cueProper] /= words
	c[cueDigits] /= chars
	c[cueNonASCII] /= chars
	c[cueUpper] /= math.Max(float64(r.letters), 1)
	return c
}

// logarithmic reports whether a cue is a count or a length.
func logarithmic(cue int) bool {
	switch cue {
	case cueLongWords, cueDistinct, cueProper, cueDigits, cueNonASCII, cueUpper, cueChoiceDigits, cueWordLength:
		return false
	}
	return true
}

// lower appends the word in lower case.
func lower(to []byte, word string) []byte {
	for _, c := range word {
		if c < utf8.RuneSelf {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			to = append(to, byte(c))
			continue
		}
		to = utf8.AppendRune(to, unicode.ToLower(c))
	}
	return to
}
