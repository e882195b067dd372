package cascade

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
)

// maxCompared bounds how long answers may be that are compared by more than their
// bytes.
const maxCompared = 64 << 10

// SameAnswer reports whether two answers say the same after normalisation: case,
// space, the punctuation of sentences, quotes, articles, Markdown and the way
// numbers are written do not count, all other signs do; JSON is compared by value,
// worked solutions by their final answers. Units count where both have them, and
// the number of a sentence where it is the only one and nothing is denied. It does
// not know what words mean, and where in doubt says no: what it takes for the same
// labels learning and audits. It is symmetric, and an empty answer is the same as
// none.
func SameAnswer(a, b string) bool {
	if strings.TrimSpace(a) == "" || strings.TrimSpace(b) == "" {
		return false
	}
	if a == b {
		return true
	}
	if len(a) > maxCompared || len(b) > maxCompared {
		return false
	}
	if x, y, ok := bothJSON(a, b); ok {
		return sameJSON(x, y)
	}
	a, b = short(a), short(b)
	x, isX := plainQuantity(a)
	y, isY := plainQuantity(b)
	switch {
	case isX && isY:
		return x.same(y)
	case isX:
		return x.saidIn(b)
	case isY:
		return y.saidIn(a)
	}
	return sameText(a, b)
}

// sameText compares what is no number: choices by their letter if that is all that
// one of them has, else all words.
func sameText(a, b string) bool {
	x, restX, isX := choiceOf(a)
	y, restY, isY := choiceOf(b)
	if isX && isY && x != y {
		return false
	}
	if isX && isY && (restX == "" || restY == "") {
		return true
	}
	if isX && isY {
		a, b = restX, restY
	}
	words := normal(a)
	return len(words) > 0 && bytes.Equal(words, normal(b))
}

// short is the marked final answer of a worked solution, what it comes to if that
// is an equation, or the text itself.
func short(text string) string {
	text = strings.TrimSpace(text)
	answer, ok := markedAnswer(text)
	if !ok {
		return text
	}
	at := strings.LastIndexByte(answer, '=')
	if at < 1 || strings.IndexByte("<>!=~:", answer[at-1]) >= 0 || denied(answer) {
		return answer
	}
	several := strings.Contains(answer[:at], ", ") || strings.Contains(answer[:at], ";") || strings.Contains(answer[:at], " and ")
	if _, ok := plainQuantity(answer[at+1:]); ok && !several {
		return answer[at+1:]
	}
	return answer
}

func bothJSON(a, b string) (x, y any, ok bool) {
	if !looksJSON(a) || !looksJSON(b) {
		return nil, nil, false
	}
	x, okX := decodeJSON(a)
	y, okY := decodeJSON(b)
	return x, y, okX && okY
}

// decodeJSON keeps numbers as written: a float is not exact beyond 2^53.
func decodeJSON(text string) (value any, ok bool) {
	d := json.NewDecoder(strings.NewReader(unfence(text)))
	d.UseNumber()
	if d.Decode(&value) != nil {
		return nil, false
	}
	_, err := d.Token()
	return value, err == io.EOF
}

func sameJSON(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for key, value := range x {
			if other, there := y[key]; !there || !sameJSON(value, other) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !sameJSON(x[i], y[i]) {
				return false
			}
		}
		return true
	case json.Number:
		y, ok := b.(json.Number)
		return ok && sameNumber(string(x), string(y))
	}
	return a == b
}

// sameNumber compares JSON's numbers, whole ones digit by digit.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	if !strings.ContainsAny(a, ".eE") && !strings.ContainsAny(b, ".eE") {
		return false
	}
	x, errX := json.Number(a).Float64()
	y, errY := json.Number(b).Float64()
	return errX == nil && errY == nil && x == y
}

func looksJSON(text string) bool {
	text = unfence(text)
	return text != "" && (text[0] == '{' || text[0] == '[')
}

// unfence takes the Markdown fence off.
func unfence(text string) string {
	text = strings.TrimSpace(text)
	rest, fenced := strings.CutPrefix(text, "```")
	if !fenced {
		return text
	}
	rest = strings.TrimPrefix(rest, "json")
	return strings.TrimSpace(strings.TrimSuffix(rest, "```"))
}

// choiceOf is the letter of an answer like "B", "(b)" or "B. because ...", and what
// follows it.
func choiceOf(text string) (letter byte, rest string, ok bool) {
	text = strings.TrimLeft(text, " *_`")
	open := strings.HasPrefix(text, "(")
	text = strings.TrimPrefix(text, "(")
	if text == "" {
		return 0, "", false
	}
	c := text[0] | 0x20
	if c < 'a' || c > 'j' {
		return 0, "", false
	}
	rest = strings.TrimRight(text[1:], " *_`")
	switch {
	case rest == "", rest == ".":
		return c, "", true
	case rest[0] == ')' && (open || len(rest) < 2 || rest[1] == ' '),
		(rest[0] == '.' || rest[0] == ':') && len(rest) > 1 && rest[1] == ' ' && !open:
		return c, strings.Trim(rest[1:], " .*_`"), true
	}
	return 0, "", false
}
