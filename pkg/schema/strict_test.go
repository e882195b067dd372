package schema_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/schema"
)

func TestStrict(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ schema, strict string }{
		"required": {
			`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"b":{"type":"string","minLength":1,"default":"x"},"a":{"type":"integer","minimum":0}},"required":["a","b"]}`,
			`{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"integer","minimum":0}},"required":["b","a"],"additionalProperties":false}`,
		},
		"optional": {
			`{"type":"object","properties":{"a":{"type":"string"},"b":{"enum":["x","y"]},"c":{"$ref":"#/$defs/c"},"d":{"type":["integer","null"]},"e":{"const":1},"f":{"anyOf":[{"type":"string"},{"type":"null"}]},"g":{"anyOf":[{"type":"string"},{"type":"number"}]}},"$defs":{"c":{"type":"boolean"}}}`,
			`{"type":"object","properties":{"a":{"type":["string","null"]},"b":{"anyOf":[{"type":"string","enum":["x","y"]},{"type":"null"}]},"c":{"anyOf":[{"$ref":"#/$defs/c"},{"type":"null"}]},"d":{"type":["integer","null"]},"e":{"anyOf":[{"type":"number","const":1},{"type":"null"}]},"f":{"anyOf":[{"type":"string"},{"type":"null"}]},"g":{"anyOf":[{"type":"string"},{"type":"number"},{"type":"null"}]}},"required":["a","b","c","d","e","f","g"],"additionalProperties":false,"$defs":{"c":{"type":"boolean"}}}`,
		},
		"tree": {
			`{"type":"object","properties":{"name":{"type":"string","description":"A <name>"},"children":{"type":"array","items":{"$ref":"#"},"maxItems":3,"uniqueItems":true}},"required":["name","children"],"additionalProperties":false}`,
			`{"type":"object","properties":{"name":{"type":"string","description":"A <name>"},"children":{"type":"array","maxItems":3,"items":{"$ref":"#"}}},"required":["name","children"],"additionalProperties":false}`,
		},
		"one of": {
			`{"type":"object","properties":{"a":{"oneOf":[{"type":"string"},{"type":"null"}],"discriminator":{}},"b":{"allOf":[{"type":"integer"}],"description":"x"}},"required":["a","b"]}`,
			`{"type":"object","properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]},"b":{"type":"integer","description":"x"}},"required":["a","b"],"additionalProperties":false}`,
		},
		"described": {
			`{"type":"object","properties":{"a":{"$ref":"#/$defs/c","description":"the a","title":"A"},"b":{"$ref":"#/$defs/c","description":"the b"},"c":{"allOf":[{"$ref":"#/$defs/c"}],"description":"the c"},"d":{"anyOf":[{"type":"string"},{"type":"number"}],"description":"the d"},"e":{"allOf":[{"type":"string","description":"any e"}],"description":"the e"}},"required":["a","d"],"$defs":{"c":{"type":"boolean"}}}`,
			`{"type":"object","properties":{"a":{"anyOf":[{"$ref":"#/$defs/c"}],"description":"the a","title":"A"},"b":{"anyOf":[{"$ref":"#/$defs/c"},{"type":"null"}],"description":"the b"},"c":{"anyOf":[{"$ref":"#/$defs/c"},{"type":"null"}],"description":"the c"},"d":{"anyOf":[{"type":"string"},{"type":"number"}],"description":"the d"},"e":{"type":["string","null"],"description":"the e"}},"required":["a","b","c","d","e"],"additionalProperties":false,"$defs":{"c":{"type":"boolean"}}}`,
		},
		"null without a null constant": {
			`{"type":"object","properties":{"a":{"type":["string","null"],"enum":["x"]},"b":{"type":["string","null"],"const":"x"},"c":{"type":["string","null"],"enum":["x",null]},"d":{"const":null}}}`,
			`{"type":"object","properties":{"a":{"anyOf":[{"type":["string","null"],"enum":["x"]},{"type":"null"}]},"b":{"anyOf":[{"type":["string","null"],"const":"x"},{"type":"null"}]},"c":{"type":["string","null"],"enum":["x",null]},"d":{"type":"null","const":null}},"required":["a","b","c","d"],"additionalProperties":false}`,
		},
		"all of, with definitions": {
			`{"allOf":[{"type":"object","properties":{"a":{"$ref":"#/$defs/c"}},"required":["a"]}],"$defs":{"c":{"type":"boolean"}}}`,
			`{"type":"object","properties":{"a":{"$ref":"#/$defs/c"}},"required":["a"],"additionalProperties":false,"$defs":{"c":{"type":"boolean"}}}`,
		},
		"formats": {
			`{"type":"object","properties":{"a":{"type":"string","format":"date"},"b":{"type":"string","format":"uri"}},"required":["a","b"]}`,
			`{"type":"object","properties":{"a":{"type":"string","format":"date"},"b":{"type":"string"}},"required":["a","b"],"additionalProperties":false}`,
		},
		"closed and empty": {`{"type":"object","additionalProperties":false}`, `{"type":"object","properties":{},"required":[],"additionalProperties":false}`},

		"a list":                 {`{"type":"array","items":{"type":"string"}}`, ""},
		"any":                    {`true`, ""},
		"root alternatives":      {`{"anyOf":[{"type":"object","properties":{"a":{"type":"string"}}}]}`, ""},
		"root reference":         {`{"$ref":"#/$defs/a","$defs":{"a":{"type":"object","properties":{"a":{"type":"string"}}}}}`, ""},
		"object or null":         {`{"type":["object","null"],"properties":{"a":{"type":"string"}}}`, ""},
		"open by intent":         {`{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":true}`, ""},
		"a map":                  {`{"type":"object","additionalProperties":{"type":"string"}}`, ""},
		"any object":             {`{"type":"object"}`, ""},
		"property of any type":   {`{"type":"object","properties":{"a":{}}}`, ""},
		"list of any type":       {`{"type":"object","properties":{"a":{"type":"array"}}}`, ""},
		"tuple":                  {`{"type":"object","properties":{"a":{"type":"array","prefixItems":[{"type":"string"}]}}}`, ""},
		"not":                    {`{"type":"object","properties":{"a":{"type":"string","not":{"const":"x"}}}}`, ""},
		"all of":                 {`{"type":"object","properties":{"a":{"allOf":[{"type":"string"},{"minLength":1}]}}}`, ""},
		"reference with a bound": {`{"type":"object","properties":{"a":{"$ref":"#/$defs/a","minLength":2}},"$defs":{"a":{"type":"string"}}}`, ""},
		"reference elsewhere":    {`{"type":"object","properties":{"a":{"type":"string"},"b":{"$ref":"#/properties/a"}}}`, ""},
		"required but unknown":   {`{"type":"object","properties":{"a":{"type":"string"}},"required":["b"]}`, ""},
		"mixed enum":             {`{"type":"object","properties":{"a":{"enum":[1,"x"]}}}`, ""},
		"conditional":            {`{"type":"object","properties":{"a":{"type":"string"}},"if":{"required":["a"]}}`, ""},
		"deep":                   {strings.Repeat(`{"type":"object","properties":{"a":`, 12) + `{"type":"string"}` + strings.Repeat(`}}`, 12), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := compile(t, tc.schema).Strict()
			if string(got) != tc.strict || ok != (tc.strict != "") {
				t.Errorf("got %s, %v\nwant %s", got, ok, tc.strict)
			}
			if ok {
				compile(t, string(got))
			}
		})
	}
}

// TestStrictAnswersFit: what a strict mode may write fits the schema it was made of.
func TestStrictAnswersFit(t *testing.T) {
	t.Parallel()
	s := compile(t, invoice)
	form, ok := s.Strict()
	if !ok {
		t.Fatal("no strict form")
	}
	strict := compile(t, string(form))
	const full = `{"number":"AB-17","date":"2026-11-25","currency":"EUR","total":5,"paid":null,"vendor":null,"email":null,"note":null,"tags":null,"lines":[{"item":"nails","amount":5}]}`
	if _, found := strict.Check(full); found != nil {
		t.Fatalf("%s breaks the strict form: %v", full, found)
	}
	got, found := s.Check(full)
	if found != nil || string(got) != `{"number":"AB-17","date":"2026-11-25","currency":"EUR","total":5,"note":null,"lines":[{"item":"nails","amount":5}]}` {
		t.Errorf("got %s, %v", got, found)
	}
	// Every field the original requires, the strict form requires, and some more.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(full), &fields); err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		delete(fields, name)
		text, _ := json.Marshal(fields)
		if _, found := strict.Check(string(text)); !slices.ContainsFunc(found, func(v schema.Violation) bool { return v.Keyword == "required" }) {
			t.Errorf("without %s: %v", name, found)
		}
		fields[name] = value
	}
}

// TestStrictOptionalConstants: where a null of the type fits no constant, the strict
// form has a null of its own, which Check takes away.
func TestStrictOptionalConstants(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"type":"object","properties":{"a":{"type":["string","null"],"enum":["x"]},"b":{"type":"integer"}}}`)
	form, ok := s.Strict()
	if !ok {
		t.Fatal("no strict form")
	}
	const answer = `{"a":null,"b":1}`
	if _, found := compile(t, string(form)).Check(answer); found != nil {
		t.Errorf("%s breaks %s: %v", answer, form, found)
	}
	if got, found := s.Check(answer); string(got) != `{"b":1}` || found != nil {
		t.Errorf("got %s, %v", got, found)
	}
}
