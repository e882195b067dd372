package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Keywords of violations that are no keyword of JSON Schema.
const (
	KeywordJSON      = "json"      // not one JSON value and nothing else
	KeywordCut       = "cut"       // JSON that ends too early
	KeywordDuplicate = "duplicate" // an object with the same name twice
	KeywordUTF8      = "utf8"      // bytes or escapes that are no Unicode
	KeywordNumber    = "number"    // a number outside of 64-bit floating point
	KeywordSize      = "size"      // too large, too deep, or too much work to check
)

// maxNumber bounds the characters of a number, maxExponent its exponent: exact
// arithmetic on more would take long. No 64-bit number needs either.
const (
	maxNumber   = 400
	maxExponent = 400
)

// reader reads one JSON value strictly.
type reader struct {
	d    *json.Decoder
	path []string

	value   any // numbers are json.Number
	end     int // where the value ends in the text
	objects int
}

// read reads the value at the beginning of text; what follows it is not looked at.
func read(text string) (*reader, *Violation) {
	r := &reader{d: json.NewDecoder(strings.NewReader(text))}
	r.d.UseNumber()
	if at := badUTF8(text); at >= 0 {
		return r, &Violation{Keyword: KeywordUTF8, Message: fmt.Sprintf("invalid UTF-8 at byte %d", at)}
	}
	value, v := r.next()
	if v != nil {
		v.Path = pointer(r.path)
		return r, v
	}
	r.value, r.end = value, int(r.d.InputOffset())
	if at := loneSurrogate(text[:r.end]); at >= 0 {
		return r, &Violation{Keyword: KeywordUTF8, Message: fmt.Sprintf("half a surrogate pair at byte %d", at)}
	}
	return r, nil
}

// next reads a value.
func (r *reader) next() (any, *Violation) {
	token, err := r.d.Token()
	if err != nil {
		return nil, r.fault(err)
	}
	switch token := token.(type) {
	case json.Delim:
		if len(r.path) >= MaxDepth {
			return nil, &Violation{Keyword: KeywordSize, Message: fmt.Sprintf("more than %d levels deep", MaxDepth)}
		}
		r.path = append(r.path, "")
		var value any
		var v *Violation
		if token == '{' {
			value, v = r.object()
		} else {
			value, v = r.array()
		}
		if v == nil {
			r.path = r.path[:len(r.path)-1]
		}
		return value, v
	case json.Number:
		return token, checkNumber(token.String())
	}
	return token, nil
}

// object reads the members of an object and its end.
func (r *reader) object() (any, *Violation) {
	r.objects++
	out := map[string]any{}
	for r.d.More() {
		token, err := r.d.Token()
		if err != nil {
			return nil, r.within(r.fault(err))
		}
		name, _ := token.(string)
		r.path[len(r.path)-1] = name
		if _, twice := out[name]; twice {
			return nil, &Violation{Keyword: KeywordDuplicate, Message: "the name is there twice"}
		}
		value, v := r.next()
		if v != nil {
			return nil, v
		}
		out[name] = value
	}
	return out, r.close()
}

// array reads the items of an array and its end.
func (r *reader) array() (any, *Violation) {
	out := []any{}
	for r.d.More() {
		r.path[len(r.path)-1] = strconv.Itoa(len(out))
		value, v := r.next()
		if v != nil {
			return nil, v
		}
		out = append(out, value)
	}
	return out, r.close()
}

// close reads the end of an object or array.
func (r *reader) close() *Violation {
	if _, err := r.d.Token(); err != nil {
		return r.within(r.fault(err))
	}
	return nil
}

// within places a violation in the object or array itself.
func (r *reader) within(v *Violation) *Violation {
	r.path = r.path[:len(r.path)-1]
	return v
}

// fault says what an error of the decoder means.
func (r *reader) fault(err error) *Violation {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Violation{Keyword: KeywordCut, Message: "the JSON ends before it is complete"}
	}
	return &Violation{Keyword: KeywordJSON, Message: fmt.Sprintf("not JSON: %v after byte %d", err, r.d.InputOffset())}
}

// checkNumber refuses numbers that no 64-bit floating point number is near to.
func checkNumber(n string) *Violation {
	_, err := strconv.ParseFloat(n, 64)
	if at := strings.IndexAny(n, "eE"); at >= 0 && err == nil {
		exponent, wrong := strconv.Atoi(n[at+1:])
		if wrong != nil || exponent > maxExponent || exponent < -maxExponent {
			err = strconv.ErrRange
		}
	}
	if err != nil || len(n) > maxNumber {
		return &Violation{Keyword: KeywordNumber, Message: fmt.Sprintf("%s is out of the range of 64-bit numbers", cut(n, maxShown))}
	}
	return nil
}

// badUTF8 is where text is not UTF-8, -1 if it is.
func badUTF8(text string) int {
	if utf8.ValidString(text) {
		return -1
	}
	for i, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return i
			}
		}
	}
	return -1
}

// loneSurrogate is where JSON escapes half a character ("\ud83d"), which decoders
// replace in silence; -1 if nowhere.
func loneSurrogate(text string) int {
	if !strings.Contains(text, `\u`) {
		return -1
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		switch unit := escaped(text[i:]); {
		case unit >= 0xd800 && unit < 0xdc00:
			if low := escaped(text[i+len(`\ud800`):]); low < 0xdc00 || low > 0xdfff {
				return i
			}
			i += 2*len(`\ud800`) - 1
		case unit >= 0xdc00 && unit <= 0xdfff:
			return i
		default:
			i++ // also what is escaped is over, such as the second of \\
		}
	}
	return -1
}

// escaped is the code unit of the \uXXXX that text begins with, -1 if it doesn't.
func escaped(text string) int {
	if len(text) < len(`\u0000`) || text[:2] != `\u` {
		return -1
	}
	unit, err := strconv.ParseUint(text[2:len(`\u0000`)], 16, 16)
	if err != nil {
		return -1
	}
	return int(unit)
}
