package web

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for body, want := range map[string]string{
		`{}`: "", `[]`: "", `null`: "", ` {"a":{"a":1},"b":[{"a":1},{"a":2}]} `: "", `"a"`: "",
		`{"a":"\\","b":"\""}`: "", `{"a":"{[\"","b":1}`: "", deep(maxDepth): "",
		`{"meta":{"Team":1,"team":2}}`: "",
		``:                             "no JSON", `{`: "no JSON", `{}{}`: "no JSON", `{} x`: "no JSON", `{'a':1}`: "no JSON", `{"a":1,}`: "no JSON", `nul`: "no JSON",
		"{\n\n\"a\":}":                           "line 3",
		"{\"a\":\"\xff\"}":                       "no UTF-8 at byte 6",
		deep(maxDepth + 1):                       "nested deeper",
		deep(1_000_000):                          "nested deeper",
		`{"a":1,"a":2}`:                          "a: is there twice",
		`{"a":1,"A":2}`:                          "A: is there twice",
		`{"k":1,"\u212a":2}`:                     "is there twice", // the Kelvin sign, which folds to k
		`{"a":1,"\u0061":2}`:                     "a: is there twice",
		`{"b":{"c":1,"c":2}}`:                    "c: is there twice",
		`[{"c":1,"c":2}]`:                        "c: is there twice",
		`{"b":{"c":{},"d":[1,{"e":"c"}],"c":2}}`: "c: is there twice",
	} {
		err := CheckJSON([]byte(body))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", clip(body), err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", clip(body), err, want)
		}
	}
}

// TestManyFields: keys that are compared each with each are bounded.
func TestManyFields(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range maxFields + 1 {
		b.WriteString(`,"` + strings.Repeat("k", i+1) + `":1`)
	}
	if err := CheckJSON([]byte("{" + b.String()[1:] + "}")); err == nil || !strings.Contains(err.Error(), "at most 1000 fields") {
		t.Errorf("got %v", err)
	}
}

// FuzzCheckJSON: what passes is one JSON value, whose outermost keys a decoder into a
// map sees all; what is refused says why.
func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"x\"y",{"b":null}]}`, `{"a":1,"a":2}`, `{"a":"\u0061\\"}`, "[[[", `{"a":{"b":[{}]}}`, "\"\xff\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := CheckJSON(data)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		if !utf8.Valid(data) || !json.Valid(data) {
			t.Fatalf("%q passed", data)
		}
		var fields map[string]json.RawMessage
		if json.Unmarshal(data, &fields) == nil {
			seen := map[string]bool{}
			for name := range fields {
				if seen[strings.ToLower(name)] {
					t.Errorf("%q passed", data)
				}
				seen[strings.ToLower(name)] = true
			}
		}
	})
}
