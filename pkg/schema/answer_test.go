package schema_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/schema"
)

// invoice is a typical schema of ten fields.
const invoice = `{
  "type": "object",
  "properties": {
    "number": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$"},
    "date": {"type": "string", "format": "date"},
    "currency": {"enum": ["EUR", "USD"]},
    "total": {"type": "number", "minimum": 0},
    "paid": {"type": "boolean"},
    "vendor": {"type": "string", "minLength": 1, "maxLength": 80},
    "email": {"type": "string", "format": "email"},
    "note": {"type": ["string", "null"]},
    "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": true},
    "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "minItems": 1}
  },
  "required": ["number", "date", "currency", "total", "lines"],
  "additionalProperties": false,
  "$defs": {"line": {"type": "object", "properties": {"item": {"type": "string"}, "amount": {"type": "number"}}, "required": ["item", "amount"], "additionalProperties": false}}
}`

const invoiceAnswer = `{"number":"AB-17","date":"2026-11-25","currency":"EUR","total":1999.50,"paid":false,"vendor":"Müller & Co","email":"a@example.com","note":null,"tags":["a","b"],"lines":[{"item":"nails","amount":1999.50}]}`

func TestAnswers(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"],"additionalProperties":false}`)
	const value = `{"a": 1}`
	for name, tc := range map[string]struct{ text, value, keyword string }{
		"plain":                {value, value, ""},
		"space around":         {" \r\n" + value + "\n\t", value, ""},
		"byte order mark":      {"\ufeff" + value, value, ""},
		"fence":                {"```json\n" + value + "\n```", value, ""},
		"fence without a name": {"```\n" + value + "\n```\n", value, ""},
		"fence in one line":    {"```json" + value + "```", value, ""},
		"fence closed at once": {"```JSON\r\n" + value + "```", value, ""},
		"long fence":           {"````json\n" + value + "\n````", value, ""},
		"fence in prose":       {"Here it is:\n\n```json\n" + value + "\n```\nI hope this helps.", value, ""},
		"numbered prose":       {"1 object found:\n```\n" + value + "\n```", value, ""},
		"fence within a text":  {"```json\n{\"a\":1,\"b\":\"use ```sh\"}\n```", "{\"a\":1,\"b\":\"use ```sh\"}", ""},
		"surrogate pair":       {`{"a":1,"b":"\ud83d\ude00 \\ud83d"}`, `{"a":1,"b":"\ud83d\ude00 \\ud83d"}`, ""},
		"exponent":             {`{"a":1e2}`, `{"a":1e2}`, ""},

		"empty":                 {"", "", schema.KeywordJSON},
		"blank":                 {" \n ", "", schema.KeywordJSON},
		"prose":                 {"The answer is 1.", "", schema.KeywordJSON},
		"prose before":          {"Here: " + value, "", schema.KeywordJSON},
		"prose after":           {value + " is the answer.", "", schema.KeywordJSON},
		"two values":            {value + value, "", schema.KeywordJSON},
		"two fences":            {"```json\n" + value + "\n```\nor\n```json\n" + value + "\n```", "", schema.KeywordJSON},
		"fence after a value":   {value + "\n```json\n" + value + "\n```", "", schema.KeywordJSON},
		"two values in a fence": {"```json\n" + value + "\n" + value + "\n```", "", schema.KeywordJSON},
		"cut":                   {`{"a": 1`, "", schema.KeywordCut},
		"cut in a text":         {`{"a": 1, "b": "x`, "", schema.KeywordCut},
		"cut after a comma":     {`{"a": 1,`, "", schema.KeywordCut},
		"cut in a word":         {`tru`, "", schema.KeywordCut},
		"cut in a fence":        {"```json\n{\"a\":", "", schema.KeywordCut},
		"fence without an end":  {"```json\n" + value, "", schema.KeywordCut},
		"not a number":          {`{"a": NaN}`, "", schema.KeywordJSON},
		"infinite":              {`{"a": -Infinity}`, "", schema.KeywordJSON},
		"single quotes":         {`{'a': 1}`, "", schema.KeywordJSON},
		"comma at the end":      {`{"a": 1,}`, "", schema.KeywordJSON},
		"comment":               {"{\"a\": 1 // one\n}", "", schema.KeywordJSON},
		"name twice":            {`{"a": 1, "\u0061": 2}`, "", schema.KeywordDuplicate},
		"invalid UTF-8":         {"{\"a\": 1, \"b\": \"\xff\"}", "", schema.KeywordUTF8},
		"half a pair":           {`{"a": 1, "b": "\ud83d"}`, "", schema.KeywordUTF8},
		"no pair":               {`{"a": 1, "b": "\ud83d\uffff"}`, "", schema.KeywordUTF8},
		"second half":           {`{"a": 1, "b": "\ude00"}`, "", schema.KeywordUTF8},
		"too large a number":    {`{"a": 1e400}`, "", schema.KeywordNumber},
		"huge exponent":         {`{"a": 1e-999999999}`, "", schema.KeywordNumber},
		"long number":           {`{"a": ` + strings.Repeat("1", 300) + `.` + strings.Repeat("1", 300) + `}`, "", schema.KeywordNumber},
		"depth bomb":            {strings.Repeat(`[`, 1000), "", schema.KeywordSize},
		"large":                 {`{"a": 1, "b": "` + strings.Repeat("x", schema.MaxAnswer) + `"}`, "", schema.KeywordSize},
		"wrong type":            {`{"a": "1"}`, "", "type"},
		"missing":               {`{}`, "", "required"},
		"one too many":          {`{"a": 1, "c": 1}`, "", "additionalProperties"},
		"null that must be":     {`{"a": null}`, "", "type"},
		"quoted JSON":           {`"{\"a\":1}"`, "", "type"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, found := s.Check(tc.text)
			if tc.keyword == "" {
				if string(got) != tc.value || found != nil {
					t.Errorf("got %s, %v; want %s", got, found, tc.value)
				}
				return
			}
			if got != nil || len(found) == 0 || !slices.ContainsFunc(found, func(v schema.Violation) bool { return v.Keyword == tc.keyword }) {
				t.Errorf("got %s, %v; want a violation of %s", got, found, tc.keyword)
			}
		})
	}
}

// TestNulls: null stands for absence where a property may be absent and not null.
func TestNulls(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":["string","null"]},
		"c":{"type":"array","items":{"type":"object","properties":{"d":{"$ref":"#/$defs/d"},"e":{"const":1}},"additionalProperties":false}},
		"u":{"anyOf":[{"type":"object","properties":{"k":{"const":"x"},"v":{"type":"integer"}},"required":["k"]},{"type":"string"}]}},
		"required":["b"],"additionalProperties":false,"$defs":{"d":{"enum":["x","y"]}}}`)
	for _, tc := range []struct{ text, want string }{
		{`{"a":null,"b":null}`, `{"b":null}`},
		{`{"b":"x","c":[{"d":null,"e":1},{"e":null,"d":"y"}]}`, `{"b":"x","c":[{"e":1},{"d":"y"}]}`},
		{`{"b":"x","u":{"k":"x","v":null}}`, `{"b":"x","u":{"k":"x"}}`},
		{`{"b":"x","u":null}`, `{"b":"x"}`},
		{`{"a":12345678901234567890,"b":null,"c":null}`, `{"a":12345678901234567890,"b":null}`},
		{`{"a":null}`, ``},
		{`{"a":null,"b":1}`, ``},
		{`{"b":"x","c":[null]}`, ``},
		{`{"b":"x","z":null}`, ``},
		{`null`, ``},
	} {
		got, found := s.Check(tc.text)
		if string(got) != tc.want || (tc.want == "") == (found == nil) {
			t.Errorf("%s: got %s, %v; want %s", tc.text, got, found, tc.want)
		}
	}
}

func TestViolations(t *testing.T) {
	t.Parallel()
	s := compile(t, invoice)
	got, found := s.Check(`{"number":"x","date":"25.11.","currency":"CHF","total":-1500,"vendor":"","z":1,"y":2,"tags":["a","a"],"lines":[{"item":1},{"item":"b","amount":"2"}]}`)
	want := []string{
		`has "y", "z", which is not in the schema (additionalProperties)`,
		`/currency: is "CHF", want one of "EUR", "USD" (enum)`,
		`/date: "25.11." is not a valid date (format)`,
		`/lines/0: lacks "amount" (required)`,
		`/lines/0/item: is of type number, want string (type)`,
		`/lines/1/amount: is of type string, want number (type)`,
		`/number: "x" does not match "^[A-Z]{2}-[0-9]+$" (pattern)`,
		`/tags: items at 0 and 1 are equal (uniqueItems)`,
		`/total: is -1500, want at least 0 (minimum)`,
		`/vendor: has 0 characters, want at least 1 (minLength)`,
	}
	if lines := texts(found); got != nil || !slices.Equal(lines, want) {
		t.Errorf("got %s\n%s\nwant\n%s", got, strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	message := s.Repair(found)
	for _, line := range want {
		if !strings.Contains(message, "- "+line+"\n") {
			t.Errorf("no %q in %q", line, message)
		}
	}
	if !strings.Contains(message, "JSON") {
		t.Errorf("no JSON in %q", message)
	}
}

func texts(list []schema.Violation) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.String())
	}
	return out
}

// TestAlternatives: of several that don't fit it is the closest that is explained.
func TestAlternatives(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"anyOf":[
		{"type":"object","properties":{"kind":{"const":"circle"},"r":{"type":"number"}},"required":["kind","r"]},
		{"type":"object","properties":{"kind":{"const":"box"},"w":{"type":"number"},"h":{"type":"number"}},"required":["kind","w","h"]},
		{"type":"null"}]}`)
	_, found := s.Check(`{"kind":"box","w":"1"}`)
	want := []string{`fits none of 3 alternatives (anyOf)`, `lacks "h" (required)`, `/w: is of type string, want number (type)`}
	if got := texts(found); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	one := compile(t, `{"oneOf":[{"type":"integer"},{"minimum":3}]}`)
	if _, found := one.Check("5"); len(found) != 1 || found[0].Keyword != "oneOf" {
		t.Errorf("two that fit: %v", found)
	}
}

// TestViolationsAreBounded: however much is wrong, and always in the same order.
func TestViolationsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä/~", 200)
	var b strings.Builder
	for i := range 500 {
		fmt.Fprintf(&b, `"%s%d":{"%s":"%s"},`, long[:40], i, long, long)
	}
	s := compile(t, `{"additionalProperties":{"additionalProperties":{"type":"integer"}}}`)
	text := "{" + strings.TrimSuffix(b.String(), ",") + "}"
	_, first := s.Check(text)
	size := 0
	for _, v := range first {
		size += len(v.Path) + len(v.Message)
		if !utf8.ValidString(v.String()) {
			t.Errorf("%q is no UTF-8", v)
		}
	}
	if len(first) != 21 || size > 21*600 || first[20].Message != "480 more" {
		t.Errorf("%d violations of %d bytes, the last %v", len(first), size, first[len(first)-1])
	}
	for range 5 {
		if _, again := s.Check(text); !slices.Equal(again, first) {
			t.Fatal("another order")
		}
	}
}

// TestMuchWork: what would take the validator minutes is refused at once.
func TestMuchWork(t *testing.T) {
	t.Parallel()
	operator := func(name string) string {
		return `{"properties":{"op":{"const":"` + name + `"},"args":{"type":"array","items":{"$ref":"#"}}},"required":["op","args"]}`
	}
	expression := `{"anyOf":[{"type":"number"},` + operator("add") + `,` + operator("mul") + `,` + operator("neg") + `,` + operator("abs") + `]}`
	nested := func(n int) string {
		return strings.Repeat(`{"op":"abs","args":[`, n) + "1" + strings.Repeat(`]}`, n)
	}
	twice := `{"allOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}`
	for name, tc := range map[string]struct {
		schema, text string
		refused      bool
	}{
		"an expression":     {expression, nested(6), false},
		"deep expression":   {expression, nested(30), true},
		"doubled":           {twice, strings.Repeat(`{"a":`, 60) + "1" + strings.Repeat("}", 60), true},
		"long list":         {`{"items":{"type":"integer"}}`, "[" + strings.Repeat("1,", 100_000) + "1]", false},
		"contains on some":  {`{"contains":{"type":"integer"}}`, "[" + strings.Repeat("1,", 200_000) + "1]", false},
		"contains on a lot": {`{"contains":{"type":"integer"}}`, "[" + strings.Repeat("1,", 260_000) + "1]", true},
		"pattern on a lot":  {`{"items":{"pattern":"(x+x+)+y[a-z]{1,900}"}}`, `["` + strings.Repeat("x", 1_000_000) + `"]`, true},
		"enum on a lot":     {`{"items":{"enum":[` + strings.Repeat("0,", 5000) + `1]}}`, "[" + strings.Repeat("1,", 100_000) + "1]", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := compile(t, tc.schema)
			begin := time.Now()
			_, found := s.Check(tc.text)
			if took := time.Since(begin); took > 30*time.Second {
				t.Errorf("took %s", took)
			}
			refused := len(found) == 1 && found[0].Keyword == schema.KeywordSize
			if refused != tc.refused || !tc.refused && found != nil {
				t.Errorf("got %v, want refused %v", found, tc.refused)
			}
		})
	}
}

// TestManyNulls: nulls in place of optional properties are taken away up to a bound.
func TestManyNulls(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"items":{"type":"object","properties":{"a":{"type":"string"}}}}`)
	for n, fits := range map[int]bool{10_000: true, 10_001: false} {
		list := func(one string) string { return "[" + strings.Repeat(one+",", n-1) + one + "]" }
		got, found := s.Check(list(`{"a":null}`))
		if fits && (string(got) != list(`{}`) || found != nil) || !fits && len(found) == 0 {
			t.Errorf("%d nulls: %d bytes, %d violations", n, len(got), len(found))
		}
	}
}

func FuzzCheck(f *testing.F) {
	s := compile(f, invoice)
	f.Add(invoiceAnswer)
	f.Add("```json\n" + invoiceAnswer + "\n```")
	f.Add(`{"number":null,"lines":[{"item":"\ud83d"}]}`)
	f.Add("Sure: ```\n{\"a\":NaN}```")
	f.Add(`{"total":1e-99999999,"a":{"a":{}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		value, found := s.Check(text)
		if (value == nil) == (found == nil) {
			t.Fatalf("%q gives %s and %v", text, value, found)
		}
		if value == nil {
			return
		}
		again, found := s.Check(string(value))
		if string(again) != string(value) || found != nil || !json.Valid(value) {
			t.Errorf("%q gives %s, which gives %s, %v", text, value, again, found)
		}
		if len(schema.JSON(text)) > 0 {
			t.Errorf("%q is no JSON", text)
		}
	})
}

func FuzzCompile(f *testing.F) {
	f.Add(invoice, invoiceAnswer)
	f.Add(`{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"type":"null"},{"items":{"$ref":"#"}}]}}}`, `[[null]]`)
	f.Add(`{"$id":"a","patternProperties":{"^x":{"not":true}},"unevaluatedProperties":{"$ref":"a#"}}`, `{"x":1}`)
	f.Add(`{"$schema":"http://json-schema.org/draft-04/schema#","dependencies":{"a":["b"]},"items":[{},{"enum":[1]}]}`, `[1,2]`)
	f.Add(`{"type":"object","properties":{"a":{"type":"array","items":{"const":1}},"b":{"$ref":"#"}}}`, `{"a":[null]}`)
	f.Fuzz(func(t *testing.T, text, answer string) {
		s, err := schema.Compile(json.RawMessage(text))
		if err != nil {
			return
		}
		value, found := s.Check(answer)
		if (value == nil) == (found == nil) {
			t.Fatalf("%s: %q gives %s and %v", text, answer, value, found)
		}
		strict, ok := s.Strict()
		if !ok {
			return
		}
		if _, err := schema.Compile(strict); err != nil {
			t.Errorf("%s has the strict form %s: %v", text, strict, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	s := compile(b, invoice)
	wrong := strings.Replace(invoiceAnswer, "1999.50,", `"much",`, 1)
	for _, tc := range []struct{ name, text string }{{"fits", invoiceAnswer}, {"breaks", wrong}} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Check(tc.text)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := schema.Compile(json.RawMessage(invoice)); err != nil {
			b.Fatal(err)
		}
	}
}
