package cascade

import (
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxAnswer bounds how many bytes of an answer are looked at, from its end where
// the end matters.
const maxAnswer = 256 << 10

// AnswerFeatures are cues of an answer's text: its length and shape, words of
// doubt and of refusal, whether it comes to an end, and its arithmetic. Counts are
// log(1+n). No cue has a sign of its own: hedged answers are right more often for
// some tasks and less often for others, so what a cue is worth is learned by task.
func AnswerFeatures(text string) Features {
	text = head(text, maxAnswer)
	trimmed := strings.TrimSpace(text)
	low := string(lower(make([]byte, 0, len(trimmed)), trimmed))
	var checked, wrong, rounded int
	last := math.NaN()
	for e := range equations(trimmed) {
		checked++
		last = e.result
		switch e.match {
		case matchNone:
			wrong++
		case matchRounded:
			rounded++
		}
	}
	final, isNumber := finalNumber(trimmed)
	_, marked := markedAnswer(trimmed)
	return Features{
		"chars":         math.Log1p(float64(utf8.RuneCountInString(trimmed))),
		"lines":         math.Log1p(float64(strings.Count(trimmed, "\n") + 1)),
		"digits":        share(trimmed, unicode.IsDigit),
		"hedge":         count(low, hedges()),
		"refusal":       count(low, refusals()),
		"however":       count(low, []string{"however", "on the other hand", "wait,"}),
		"none_of":       count(low, []string{"none of", "all of the above", "closest", "not possible", "cannot be determined"}),
		"final":         flag(marked),
		"empty":         flag(trimmed == ""),
		"unfinished":    flag(unfinished(trimmed)),
		"arith_checked": math.Log1p(float64(checked)),
		"arith_wrong":   math.Log1p(float64(wrong)),
		"arith_rounded": math.Log1p(float64(rounded)),
		"final_whole":   flag(isNumber && final == math.Trunc(final)),
		"final_size":    math.Log1p(math.Abs(final)),
		"final_echo":    flag(isNumber && equalNumbers(final, last)),
	}
}

// finalNumber is the number of the final answer, 0 if it has none.
func finalNumber(text string) (float64, bool) {
	answer, ok := FinalAnswer(text)
	if !ok {
		return 0, false
	}
	return numberIn(answer)
}

// NumberFeatures compare the numbers of an answer with those of its question:
// which share of the question's numbers the answer does not mention, and which
// share of what it reckons with is neither in the question nor a result of its
// own.
func NumberFeatures(question, answer string) Features {
	given, mentioned := numbers(head(question, maxQuestion)), numbers(head(answer, maxAnswer))
	unused := 0
	for _, x := range given {
		if !slices.Contains(mentioned, x) {
			unused++
		}
	}
	known := append(given, 1, 2, 100) //nolint:gocritic // given is not used again
	operands, unknown := 0, 0
	for e := range equations(head(answer, maxAnswer)) {
		for _, t := range e.left {
			if t.kind != mathNumber {
				continue
			}
			operands++
			if !slices.Contains(known, t.value) {
				unknown++
			}
		}
		known = append(known, e.result)
	}
	return Features{
		"num_unused":  float64(unused) / math.Max(float64(len(given)), 1),
		"num_unknown": float64(unknown) / math.Max(float64(operands), 1),
		"num_missing": math.Log1p(float64(unused)),
		"num_strange": math.Log1p(float64(unknown)),
	}
}

// numbers are the distinct numbers of a text, in digits or English words.
func numbers(text string) []float64 {
	var found []float64
	for line := range strings.SplitSeq(text, "\n") {
		for _, t := range scanMath(line) {
			value, ok := t.value, t.kind == mathNumber
			if t.kind == mathWord {
				value, ok = numberWord(line[t.from:t.to])
			}
			if ok && len(found) < maxEquations && !slices.Contains(found, value) {
				found = append(found, value)
			}
		}
	}
	return found
}

func numberWord(word string) (float64, bool) {
	words := []string{"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "half", "twice", "third", "quarter", "dozen"}
	values := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 2, 2, 3, 4, 12}
	for i, w := range words {
		if strings.EqualFold(word, w) {
			return values[i], true
		}
	}
	return 0, false
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func share(text string, of func(rune) bool) float64 {
	n, all := 0, 0
	for _, c := range text {
		all++
		if of(c) {
			n++
		}
	}
	return float64(n) / math.Max(float64(all), 1)
}

// count is log(1+n) of the occurrences of phrases.
func count(low string, phrases []string) float64 {
	n := 0
	for _, p := range phrases {
		n += strings.Count(low, p)
	}
	return math.Log1p(float64(n))
}

func hedges() []string {
	return []string{"perhaps", "maybe", "might", "probably", "possibly", "likely", "i think", "i believe", "not sure", "unclear", "seems", "appears to", "approximately", "assume", "assuming", "difficult to say", "it depends"}
}

func refusals() []string {
	return []string{"i cannot", "i can't", "i can not", "unable to", "i'm sorry", "i am sorry", "i apologize", "as an ai", "i don't have", "i do not have", "i'm not able", "i am not able", "no information", "not mentioned", "not provided", "don't know", "do not know"}
}

// unfinished reports whether a text stops within a sentence, a bracket or a fence.
func unfinished(text string) bool {
	if text == "" {
		return false
	}
	if strings.Count(text, "<<") != strings.Count(text, ">>") || strings.Count(text, "```")%2 == 1 {
		return true
	}
	last := text[strings.LastIndexByte(text, '\n')+1:]
	if _, marked := markedAnswer(last); marked {
		return false
	}
	end, _ := utf8.DecodeLastRuneInString(last)
	if strings.ContainsRune(",;:=+-*/(<[{&", end) {
		return true
	}
	words := len(strings.Fields(last))
	return words > 6 && (unicode.IsLetter(end) || unicode.IsDigit(end)) && !unicode.Is(unicode.Han, end)
}

// FinalAnswer returns the answer that a worked solution ends with: what follows
// the last "####" or "answer is", what is in the last \boxed{}, else the last
// number. It is false if there is none of these.
func FinalAnswer(text string) (string, bool) {
	if len(text) > maxAnswer {
		text = strings.ToValidUTF8(text[len(text)-maxAnswer:], "")
	}
	if answer, ok := markedAnswer(text); ok {
		return answer, true
	}
	return lastNumber(text)
}

// markedAnswer is the answer behind the last mark of one.
func markedAnswer(text string) (string, bool) {
	best, at := "", -1
	for _, mark := range []string{"####", `\boxed{`, "answer is", "answer:", "答えは", "答案是"} {
		i := lastIndexFold(text, mark)
		if i <= at {
			continue
		}
		rest := text[i+len(mark):]
		if mark == `\boxed{` {
			rest = braced(rest)
		}
		if answer := firstAnswer(rest); answer != "" {
			best, at = answer, i
		}
	}
	return best, at >= 0
}

// braced is the text up to the brace that closes the one before it, all of it if
// there is none.
func braced(text string) string {
	open := 1
	for i := range len(text) {
		switch text[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return text[:i]
			}
		}
	}
	return text
}

// lastIndexFold is strings.LastIndex for a mark in lower case, for any case of
// ASCII letters.
func lastIndexFold(text, mark string) int {
	for i := len(text) - len(mark); i >= 0; i-- {
		if text[i]|0x20 == mark[0]|0x20 && strings.EqualFold(text[i:i+len(mark)], mark) {
			return i
		}
	}
	return -1
}

// firstAnswer is the first line of text that says something, without its marks
// and the end of its sentence.
func firstAnswer(text string) string {
	text = strings.TrimLeft(text, " \t\r\n:*#")
	line, _, _ := strings.Cut(text, "\n")
	if i := strings.Index(line, ". "); i > 0 && !isLetterChoice(line[:i]) {
		line = line[:i]
	}
	return strings.TrimRight(line, " \t\r.*_")
}

func isLetterChoice(s string) bool {
	return len(s) == 1 && unicode.IsLetter(rune(s[0]))
}

// lastNumber is the last number of a text, as written.
func lastNumber(text string) (string, bool) {
	end := strings.LastIndexAny(text, "0123456789")
	if end < 0 {
		return "", false
	}
	from := end
	for from > 0 && (isDigit(text[from-1]) || (text[from-1] == '.' || text[from-1] == ',') && from > 1 && isDigit(text[from-2])) {
		from--
	}
	for _, minus := range []string{"-", "−"} {
		if before, cut := strings.CutSuffix(text[:from], minus); cut && (before == "" || !isDigit(before[len(before)-1])) {
			from = len(before)
		}
	}
	return text[from : end+1], true
}
