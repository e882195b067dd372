package llmsim

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxFactBytes bounds the text that values are looked up in.
	maxFactBytes = 64 << 10
	// maxFieldWords bounds the words of a field name that are looked up.
	maxFieldWords = 6
	// maxListed bounds the items taken from a list in the text.
	maxListed = 16
)

var (
	quotedPattern = regexp.MustCompile(`"([^"\n]{1,200})"|“([^”\n]{1,200})”|'([^'\n]{2,200})'`)
	tokenPattern  = regexp.MustCompile(`[^\s"'“”(),;<>]+`)
	listPattern   = regexp.MustCompile(`\s*,\s*(?:and\s+)?|\s+and\s+`)
	numberPattern = regexp.MustCompile(`-?\d+(?:\.\d+)?`)
)

// facts is the text that field values are taken from.
type facts struct {
	text       string
	answer     string  // what a field called answer says; "" without one
	confidence float64 // what a field called confidence says; 0 without one
	avoid      string  // what an erring model must not say; "" for nothing
	loose      bool    // also take values that the text does not name
	next       string  // the item of a list that is being filled; "" without one
	used       []string
}

// newFacts returns the facts of text, cut at maxFactBytes.
func newFacts(text string) *facts {
	if len(text) > maxFactBytes {
		text = strings.ToValidUTF8(text[:maxFactBytes], "")
	}
	return &facts{text: text}
}

// fieldWords splits a name in camel, snake or kebab case into words.
func fieldWords(name string) []string {
	var b strings.Builder
	var prev rune
	for _, r := range name {
		if unicode.IsUpper(r) && unicode.IsLower(prev) {
			b.WriteByte(' ')
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			r = ' '
		}
		b.WriteRune(unicode.ToLower(r))
		prev = r
	}
	words := strings.Fields(b.String())
	return words[:min(len(words), maxFieldWords)]
}

// namePattern matches a field's name as a text writes it.
func namePattern(name string) string {
	words := fieldWords(name)
	for i, w := range words {
		words[i] = regexp.QuoteMeta(w)
	}
	return `(?i)(?:^|[^\pL\pN])` + strings.Join(words, `[\s_-]*`)
}

// mentions reports whether the text holds the name of a field.
func (f *facts) mentions(name string) bool {
	if len(fieldWords(name)) == 0 {
		return false
	}
	if isAnswerField(name) && f.answer != "" {
		return true
	}
	return regexp.MustCompile(namePattern(name) + `(?:$|[^\pL\pN])`).MatchString(f.text)
}

// named returns what the text says after the name of a field and "is", ":" or
// "=", up to the end of the phrase.
func (f *facts) named(name string) []string {
	if len(fieldWords(name)) == 0 {
		return nil
	}
	const is = `["']?\s*(?:[:=]|\s(?:is|are|was|were)\s)\s*["']?((?:[^\n,;"?!.]|\.\S)+)`
	var out []string
	for _, m := range regexp.MustCompile(namePattern(name)+is).FindAllStringSubmatch(f.text, -1) {
		if text := strings.Trim(m[1], " \t'`*"); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// list returns the items of "name: a, b and c", if the text has such a list.
func (f *facts) list(name string) []string {
	if len(fieldWords(name)) == 0 {
		return nil
	}
	m := regexp.MustCompile(namePattern(name) + `\s*(?:[:=]|\s(?:are|were)\s)\s*([^\n;?!.]+)`).FindStringSubmatch(f.text)
	if m == nil {
		return nil
	}
	var out []string
	for _, item := range listPattern.Split(m[1], maxListed+1) {
		if item = strings.Trim(item, " \t'\"`*[]"); item != "" {
			out = append(out, item)
		}
	}
	return out[:min(len(out), maxListed)]
}

// numbers returns the numbers near the name of a field, and with loose all.
func (f *facts) numbers(name string) []string {
	var out []string
	if len(fieldWords(name)) > 0 {
		field := namePattern(name)
		for _, m := range regexp.MustCompile(field+`[^\d\n-]{0,20}(-?\d+(?:\.\d+)?)`).FindAllStringSubmatch(f.text, -1) {
			out = append(out, m[1])
		}
		for _, m := range regexp.MustCompile(`(-?\d+(?:\.\d+)?)`+field).FindAllStringSubmatch(f.text, -1) {
			out = append(out, m[1])
		}
	}
	if f.loose {
		out = append(out, numberPattern.FindAllString(f.text, -1)...)
	}
	return out
}

// texts returns candidates for a text field, best first: the answer, what is
// said about the field, and with loose what is quoted, names, and all of it.
func (f *facts) texts(name string) []string {
	var out []string
	if f.next != "" {
		out = append(out, f.next)
	}
	if isAnswerField(name) && f.answer != "" {
		out = append(out, f.answer)
	}
	out = append(out, f.named(name)...)
	if f.loose {
		out = append(append(out, f.unused(quoted(f.text))...), f.unused(names(f.text))...)
		out = append(out, f.text)
	}
	return out
}

// words returns the words of the text without the punctuation around them.
func (f *facts) words() []string {
	words := tokenPattern.FindAllString(f.text, -1)
	for i := range words {
		words[i] = strings.TrimRight(words[i], ".:!?")
	}
	return f.unused(words)
}

// use marks a text as taken, so that the next field takes another.
func (f *facts) use(text string) { f.used = append(f.used, text) }

func (f *facts) unused(texts []string) []string {
	return slices.DeleteFunc(texts, func(t string) bool { return slices.Contains(f.used, t) })
}

// answers returns a test whether a value of field name is the answer.
func (f *facts) answers(name string) func(string) bool {
	return func(value string) bool {
		return isAnswerField(name) && f.answer != "" && strings.EqualFold(value, f.answer)
	}
}

// names returns a test whether the text says a value about field name.
func (f *facts) names(name string) func(string) bool {
	said := f.named(name)
	return func(value string) bool {
		return slices.ContainsFunc(said, func(s string) bool {
			return strings.HasPrefix(strings.ToLower(s), strings.ToLower(value))
		})
	}
}

// holds reports whether the text has value as whole words.
func (f *facts) holds(value string) bool {
	return strings.Contains(" "+normalQuestion(f.text)+" ", " "+strings.Join(fieldWords(value), " ")+" ")
}

// isAnswerField reports whether a field's name asks for the answer itself.
func isAnswerField(name string) bool {
	return slices.Contains(fieldWords(name), "answer")
}

// quoted returns what stands in quotation marks.
func quoted(text string) []string {
	var out []string
	for _, m := range quotedPattern.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1]+m[2]+m[3])
	}
	return out
}

// names returns runs of words with a capital letter; single words that begin a
// sentence come last, because most are no names.
func names(text string) []string {
	var out, initial []string
	for _, s := range splitSentences(text) {
		var run []string
		begun := false
		flush := func() {
			switch {
			case len(run) == 1 && begun:
				initial = append(initial, run...)
			case len(run) > 0:
				out = append(out, strings.Join(run, " "))
			}
			run, begun = nil, false
		}
		for i, field := range strings.Fields(s) {
			word := strings.TrimFunc(field, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
			first, _ := utf8.DecodeRuneInString(word)
			if !unicode.IsUpper(first) || i == 0 && wordWeight([]byte(strings.ToLower(word))) < weightRare {
				flush()
				continue
			}
			begun = begun || i == 0
			if run = append(run, word); !strings.HasSuffix(field, word) {
				flush()
			}
		}
		flush()
	}
	return append(out, initial...)
}
