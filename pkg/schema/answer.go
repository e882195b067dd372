package schema

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Check reads an answer as one JSON value of the schema. It returns the value as it
// is written in the answer, or what is wrong, in a stable order and bounded.
//
// Two things are taken off, neither of which changes a value: a code fence, if the
// answer is one or holds exactly one and has no JSON before it; and the null of a property
// that may be absent and may not be null, which is how a provider's strict mode
// writes absence. Anything else is a violation: text around JSON, a second
// value, JSON that is cut off, a name twice in an object, invalid UTF-8, numbers
// out of range, more than MaxDepth levels or MaxAnswer bytes.
func (s *Schema) Check(text string) (json.RawMessage, []Violation) {
	raw, value, v := unwrap(text)
	if v != nil {
		return nil, []Violation{*v}
	}
	if work := workOf(s.root, value); work > maxWork {
		return nil, []Violation{{Keyword: KeywordSize, Message: fmt.Sprintf("checking it against the schema takes more than %d steps", maxWork)}}
	}
	err := s.root.Validate(value)
	if err == nil {
		return json.RawMessage(raw), nil
	}
	if without, ok := s.withoutNulls(raw, err); ok {
		return without, nil
	}
	return nil, violations(err)
}

const (
	fence = "```"
	bom   = "\ufeff"
)

// unwrap finds the one JSON value in an answer.
func unwrap(text string) (raw string, value any, v *Violation) {
	if len(text) > MaxAnswer {
		return "", nil, &Violation{Keyword: KeywordSize, Message: fmt.Sprintf("has %d bytes, at most %d are read", len(text), MaxAnswer)}
	}
	text = strings.TrimSpace(strings.TrimPrefix(text, bom))
	if text == "" {
		return "", nil, &Violation{Keyword: KeywordJSON, Message: "the answer is empty"}
	}
	r, v := read(text)
	rest := strings.TrimSpace(text[r.end:])
	if v == nil && rest == "" {
		return text[:r.end], r.value, nil
	}
	if v == nil {
		v = &Violation{Keyword: KeywordJSON, Message: fmt.Sprintf("there is more after the value, from byte %d: %s", r.end, shown(rest))}
	}
	_, body, fenced := strings.Cut(text, fence)
	switch {
	case v.Keyword == KeywordUTF8 || strings.ContainsRune(`{["`, rune(text[0])): // it is meant to be JSON
		return "", nil, v
	case fenced:
		return unfence(body)
	case v.Keyword == KeywordJSON && r.end == 0:
		v.Message = "the answer is text, not JSON: " + shown(text)
	}
	return "", nil, v
}

// infoString is what may stand behind an opening fence.
const infoString = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-_. \t\r"

// unfence reads the value in a code block whose opening fence is gone.
func unfence(body string) (raw string, value any, v *Violation) {
	body = strings.TrimLeft(body, "`")
	if info, rest, lines := strings.Cut(body, "\n"); lines && strings.Trim(info, infoString) == "" {
		body = rest
	} else {
		body = strings.TrimPrefix(body, "json")
	}
	body = strings.TrimSpace(body)
	r, v := read(body)
	if v != nil {
		return "", nil, v
	}
	rest := strings.TrimSpace(body[r.end:])
	switch after, closed := strings.CutPrefix(rest, fence); {
	case rest == "":
		return "", nil, &Violation{Keyword: KeywordCut, Message: "the code block has no end"}
	case !closed:
		return "", nil, &Violation{Keyword: KeywordJSON, Message: "there is more after the value in the code block: " + shown(rest)}
	case strings.Contains(after, fence):
		return "", nil, &Violation{Keyword: KeywordJSON, Message: "there is more than one code block"}
	}
	return body[:r.end], r.value, nil
}
