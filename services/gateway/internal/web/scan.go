package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/event"
)

// maxDepth bounds how deeply objects and arrays are nested in a body.
const maxDepth = 100

// CheckJSON checks that data is one JSON value in UTF-8 and nothing besides, of a
// bounded depth and with a bounded number of values, in which no object has a key
// twice: parsers differ in which of them counts.
func CheckJSON(data []byte) error {
	if !utf8.Valid(data) {
		return event.Invalid("body", "send UTF-8", "no UTF-8 at byte %d", firstInvalid(data))
	}
	s := scanner{data: data}
	if err := event.CheckValues(data); err != nil {
		return err
	}
	if err := s.depths(); err != nil {
		return err
	}
	if !json.Valid(data) {
		return syntaxError(data)
	}
	return s.keys()
}

func firstInvalid(data []byte) int {
	at := 0
	for at < len(data) {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return at
}

// syntaxError says where data is no JSON.
func syntaxError(data []byte) error {
	var none any
	err := json.Unmarshal(data, &none)
	var at *json.SyntaxError
	if !errors.As(err, &at) {
		return event.Invalid("body", "send one JSON value", "no JSON")
	}
	line := 1 + bytes.Count(data[:min(int(at.Offset), len(data))], []byte("\n"))
	return event.Invalid("body", "send one JSON value", "no JSON (line %d, byte %d): %v", line, at.Offset, err)
}

// scanner walks over JSON without building anything of it.
type scanner struct {
	data []byte
	at   int
}

// next is the next byte of structure, 0 at the end: a string counts as its opening
// quote, and at is behind it.
func (s *scanner) next() byte {
	for s.at < len(s.data) {
		c := s.data[s.at]
		s.at++
		switch c {
		case '{', '}', '[', ']', ',', ':':
			return c
		case '"':
			s.skipString()
			return c
		}
	}
	return 0
}

// skipString moves behind the string whose quote was read.
func (s *scanner) skipString() {
	for s.at < len(s.data) {
		c := s.data[s.at]
		s.at++
		switch c {
		case '\\':
			s.at++
		case '"':
			return
		}
	}
}

// depths bounds the nesting, before anything recurses into it.
func (s *scanner) depths() error {
	depth := 0
	for c := s.next(); c != 0; c = s.next() {
		switch c {
		case '{', '[':
			if depth++; depth > maxDepth {
				return event.Invalid("body", fmt.Sprintf("nest at most %d deep", maxDepth), "nested deeper than %d at byte %d", maxDepth, s.at)
			}
		case '}', ']':
			depth--
		}
	}
	s.at = 0
	return nil
}

// object is one that the scanner is in; keys is nil for an array.
type object struct {
	keys  map[string]struct{}
	isKey bool // the next string is one
}

// keys looks for keys that come twice. Those of the outermost object must differ in
// more than case, which the decoders of jobs don't look at.
func (s *scanner) keys() error {
	var open []*object
	for start := s.at; ; start = s.at {
		c := s.next()
		var in *object
		if len(open) > 0 {
			in = open[len(open)-1]
		}
		switch c {
		case 0:
			return nil
		case '{':
			open = append(open, &object{keys: map[string]struct{}{}, isKey: true})
		case '[':
			open = append(open, &object{})
		case '}', ']':
			open = open[:len(open)-1]
		case ',':
			in.isKey = in.keys != nil
		case '"':
			if in == nil || !in.isKey {
				continue
			}
			in.isKey = false
			if err := in.add(s.data[start:s.at], len(open) == 1); err != nil {
				return err
			}
		}
	}
}

// add notes a key, which is in quotes, behind what is between it and the last one.
func (o *object) add(raw []byte, outermost bool) error {
	raw = raw[bytes.IndexByte(raw, '"'):]
	name := string(raw[1 : len(raw)-1])
	if strings.IndexByte(name, '\\') >= 0 {
		if err := json.Unmarshal(raw, &name); err != nil {
			return event.Invalid("body", "send one JSON value", "no JSON string: %v", err)
		}
	}
	if outermost {
		for other := range o.keys {
			if strings.EqualFold(other, name) {
				return twice(name)
			}
		}
	}
	if _, known := o.keys[name]; known {
		return twice(name)
	}
	if outermost && len(o.keys) >= maxFields {
		return event.Invalid("body", fmt.Sprintf("send at most %d fields", maxFields), "has more fields than that")
	}
	o.keys[name] = struct{}{}
	return nil
}

// maxFields bounds the outermost object, whose keys are compared each with each.
const maxFields = 1000

func twice(name string) error {
	return event.Invalid(clip(name), "send each field once", "is there twice")
}

// clip keeps what a caller sent short enough for an error.
func clip(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
