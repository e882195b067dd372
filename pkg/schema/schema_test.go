package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/schema"
)

// compile compiles a schema that is right.
func compile(t testing.TB, text string) *schema.Schema {
	t.Helper()
	s, err := schema.Compile(json.RawMessage(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"items":`, 70) + "true" + strings.Repeat("}", 70)
	for name, tc := range map[string]struct{ schema, field, part string }{
		"no JSON":           {`{"type":`, "schema", "ends before"},
		"empty":             {``, "schema", "ends before"},
		"two values":        {`{} {}`, "schema", "text after"},
		"a list":            {`[1]`, "schema", "a list of 1"},
		"a text":            {`"object"`, "schema", `"object"`},
		"name twice":        {`{"type":"object","properties":{"a":{},"a":{}}}`, "schema/properties/a", "twice"},
		"invalid UTF-8":     {"{\"title\":\"\xff\"}", "schema", "UTF-8"},
		"unknown type":      {`{"properties":{"a":{"type":"strin"}}}`, "schema/properties/a/type", "strin"},
		"minimum is text":   {`{"minimum":"1"}`, "schema/minimum", "string"},
		"required is true":  {`{"required":true}`, "schema/required", "boolean"},
		"negative length":   {`{"minLength":-1}`, "schema/minLength", "at least 0"},
		"huge exponent":     {`{"minimum":1e-999999999}`, "schema/minimum", "out of the range"},
		"bad pattern":       {`{"properties":{"a":{"pattern":"(?=x)"}}}`, "schema/properties/a/pattern", "(?="},
		"huge pattern":      {`{"pattern":"((a{1,100}){1,10}){1,1000}"}`, "schema/pattern", ""},
		"remote":            {`{"$ref":"https://example.com/a.json"}`, "schema", "https://example.com/a.json"},
		"file":              {`{"$ref":"file:///etc/passwd"}`, "schema", "file:///etc/passwd"},
		"relative file":     {`{"$ref":"other.json"}`, "schema", "other.json"},
		"remote $schema":    {`{"$schema":"https://example.com/draft"}`, "schema", "https://example.com/draft"},
		"points to nothing": {`{"$ref":"#/$defs/a"}`, "schema", "#/$defs/a"},
		"no such anchor":    {`{"$ref":"#a"}`, "schema", "points to nothing"},
		"dynamic":           {`{"$dynamicAnchor":"a","properties":{"b":{"$dynamicRef":"#a"}}}`, "schema/properties/b", "dynamic"},
		"itself":            {`{"$ref":"#"}`, "schema", "without end"},
		"allOf itself":      {`{"allOf":[{"$ref":"#"}]}`, "schema", "without end"},
		"a pair":            {`{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}}}`, "schema", "without end"},
		"within":            {`{"properties":{"x":{"if":{"$ref":"#/properties/x"}}}}`, "schema", "without end"},
		"must hold itself":  {`{"type":"object","properties":{"next":{"$ref":"#"}},"required":["next"]}`, "schema", "hold another"},
		"never empty list":  {`{"type":"array","items":{"$ref":"#"},"minItems":1}`, "schema", "hold another"},
		"deep":              {deep, "schema", "levels deep"},
		"large":             {`{"title":"` + strings.Repeat("x", schema.MaxSchema) + `"}`, "schema", "bytes"},
		"many objects":      {`{"anyOf":[` + strings.Repeat("{},", 3000) + `{}]}`, "schema", "objects"},
		"long chain":        {chain(100), "schema", "lead to one another"},
		"heavy patterns":    {`{"anyOf":[` + strings.Repeat(`{"pattern":"[a-z]{1,990}"},`, 1900) + `{}]}`, "schema/anyOf", "in all"},
		"doubling":          {doubling(12), "schema", "schemas to one value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := schema.Compile(json.RawMessage(tc.schema))
			var e *event.Error
			if !errors.As(err, &e) || e.Class != event.ClassInvalid || !strings.HasPrefix(e.Field, tc.field) || !strings.Contains(e.Message, tc.part) || e.Hint == "" {
				t.Errorf("got %v, want an invalid field %s, %q and a hint", err, tc.field, tc.part)
			}
		})
	}
}

// doubling is a schema that applies two to the power of n schemas to one value.
func doubling(n int) string {
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/a0","$defs":{`)
	for i := range n {
		next := `"a` + string(rune('0'+i+1)) + `"`
		ref := `{"$ref":"#/$defs/` + strings.Trim(next, `"`) + `"}`
		b.WriteString(`"a` + string(rune('0'+i)) + `":{"allOf":[` + ref + `,` + ref + `]},`)
	}
	b.WriteString(`"a` + string(rune('0'+n)) + `":{"type":"integer"}}}`)
	return b.String()
}

// chain is a schema that leads to another on the same value, n times.
func chain(n int) string {
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/a0","$defs":{`)
	for i := range n {
		fmt.Fprintf(&b, `"a%d":{"$ref":"#/$defs/a%d"},`, i, i+1)
	}
	fmt.Fprintf(&b, `"a%d":{}}}`, n)
	return b.String()
}

// TestCompileEnds: the largest schemas that are taken don't take long.
func TestCompileEnds(t *testing.T) {
	t.Parallel()
	many := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	for name, text := range map[string]string{
		"properties":  `{"properties":{` + many(`"k%d":{},`, 1990) + `}}`,
		"ids":         `{"$defs":{` + many(`"k%[1]d":{"$id":"k%[1]d"},`, 1990) + `}}`,
		"anchors":     `{"$defs":{` + many(`"k%[1]d":{"$anchor":"k%[1]d","items":{"$ref":"#k%[1]d"}},`, 900) + `}}`,
		"required":    `{"$defs":{` + many(`"k%[1]d":{"type":"object","required":["x"],"properties":{"x":{"$ref":"#/$defs/k0"}}},`, 600) + `}}`,
		"all wrong":   `{"properties":{` + many(`"k%d":{"type":"x","minimum":"a","anyOf":1},`, 900) + `}}`,
		"large enum":  `{"enum":[` + many(`%d,`, 10_000) + `]}`,
		"alternation": `{"anyOf":[` + many(`{"minimum":%d},`, 1900) + `]}`,
	} {
		begin := time.Now()
		s, err := schema.Compile(json.RawMessage(text))
		if err == nil {
			s.Check(`{"x":{"x":{}}}`)
		}
		if took := time.Since(begin); took > 30*time.Second || len(text) > schema.MaxSchema {
			t.Errorf("%s, %d bytes: took %s", name, len(text), took)
		}
	}
}

func TestCompileTakes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ schema, fits, breaks string }{
		"true":             {`true`, `{"a":[1]}`, ``},
		"empty":            {`{}`, `1`, ``},
		"tree":             {`{"type":"object","properties":{"children":{"type":"array","items":{"$ref":"#"}}},"additionalProperties":false}`, `{"children":[{"children":[]},{}]}`, `{"children":[{"child":1}]}`},
		"list":             {`{"$defs":{"n":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}},"required":["next"]}},"$ref":"#/$defs/n"}`, `{"next":{"next":null}}`, `{"next":{"next":1}}`},
		"draft 7":          {`{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"type":"integer"}},"properties":{"x":{"$ref":"#/definitions/a"}}}`, `{"x":1}`, `{"x":"1"}`},
		"draft 4":          {`{"$schema":"http://json-schema.org/draft-04/schema#","maximum":3,"exclusiveMaximum":true}`, `2`, `3`},
		"own id":           {`{"$id":"https://example.com/a","$defs":{"b":{"$id":"b","type":"string"}},"properties":{"x":{"$ref":"b"}}}`, `{"x":"1"}`, `{"x":1}`},
		"anchor":           {`{"$defs":{"b":{"$anchor":"b","type":"string"}},"properties":{"x":{"$ref":"#b"}}}`, `{"x":"1"}`, `{"x":1}`},
		"formats assert":   {`{"format":"date"}`, `"2026-11-25"`, `"25.11.2026"`},
		"unknown format":   {`{"format":"iban"}`, `"x"`, ``},
		"exact numbers":    {`{"multipleOf":0.01}`, `19.99`, `19.999`},
		"dependent":        {`{"dependentRequired":{"a":["b"]}}`, `{"a":1,"b":2}`, `{"a":1}`},
		"unevaluated":      {`{"allOf":[{"properties":{"a":true}}],"unevaluatedProperties":false}`, `{"a":1}`, `{"b":1}`},
		"an optional self": {`{"type":"object","properties":{"next":{"$ref":"#"}}}`, `{"next":{}}`, `{"next":1}`},
		"long but fair":    {`{"pattern":"^[A-Z]{2,500}$"}`, `"AB"`, `"A"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := compile(t, tc.schema)
			if value, found := s.Check(tc.fits); found != nil || string(value) != tc.fits {
				t.Errorf("%s gives %s, %v", tc.fits, value, found)
			}
			if _, found := s.Check(tc.breaks); tc.breaks != "" && len(found) == 0 {
				t.Errorf("%s passes", tc.breaks)
			}
		})
	}
}
