package llmsim

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// valid checks a value against a schema, both as plain JSON; it shares no code
// with what makes the values.
func valid(root, s map[string]any, v any) error {
	if ref, ok := s["$ref"].(string); ok {
		if ref == "#" {
			return valid(root, root, v)
		}
		for _, place := range []string{"$defs", "definitions"} {
			defs, _ := root[place].(map[string]any)
			if target, ok := defs[strings.TrimPrefix(ref, "#/"+place+"/")].(map[string]any); ok {
				return valid(root, target, v)
			}
		}
		return nil
	}
	if options, ok := s["anyOf"].([]any); ok {
		for _, o := range options {
			option, ok := o.(map[string]any)
			if !ok || valid(root, option, v) == nil {
				return nil // the option is true, or it fits
			}
		}
		return fmt.Errorf("%v fits none of anyOf", v)
	}
	if c, ok := s["const"]; ok && fmt.Sprint(c) != fmt.Sprint(v) {
		return fmt.Errorf("%v is not %v", v, c)
	}
	if e, ok := s["enum"].([]any); ok && !slices.ContainsFunc(e, func(o any) bool { return reflect.DeepEqual(o, v) }) {
		return fmt.Errorf("%v is not in %v", v, e)
	}
	if err := validType(s["type"], v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		return validString(s, v)
	case float64:
		return validNumber(s, v)
	case []any:
		return validArray(root, s, v)
	case map[string]any:
		return validObject(root, s, v)
	}
	return nil
}

func validType(want, v any) error {
	kinds := map[string]bool{}
	switch w := want.(type) {
	case nil:
		return nil
	case string:
		kinds[w] = true
	case []any:
		for _, k := range w {
			kinds[k.(string)] = true
		}
	}
	ok := false
	switch v := v.(type) {
	case nil:
		ok = kinds["null"]
	case bool:
		ok = kinds["boolean"]
	case string:
		ok = kinds["string"]
	case []any:
		ok = kinds["array"]
	case map[string]any:
		ok = kinds["object"]
	case float64:
		ok = kinds["number"] || kinds["integer"] && v == math.Trunc(v)
	}
	if !ok {
		return fmt.Errorf("%v has not the type %v", v, want)
	}
	return nil
}

func validString(s map[string]any, v string) error {
	n := float64(utf8.RuneCountInString(v))
	if least, ok := s["minLength"].(float64); ok && n < least {
		return fmt.Errorf("%q is too short", v)
	}
	if most, ok := s["maxLength"].(float64); ok && n > most {
		return fmt.Errorf("%q is too long", v)
	}
	if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
		return fmt.Errorf("%q does not match %s", v, p)
	}
	formats := map[string]string{"date": `^\d{4}-\d\d-\d\d$`, "date-time": `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$`, "time": `^\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$`,
		"email": `^[^@\s]+@[^@\s]+$`, "uuid": `^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`, "ipv4": `^(\d{1,3}\.){3}\d{1,3}$`, "ipv6": `^[0-9a-f:]+$`,
		"uri": `^[a-z]+:\S+$`, "hostname": `^[a-zA-Z0-9.-]+$`, "duration": `^P.+$`}
	if f, ok := s["format"].(string); ok && !regexp.MustCompile(formats[f]).MatchString(v) {
		return fmt.Errorf("%q is no %s", v, f)
	}
	return nil
}

func validNumber(s map[string]any, v float64) error {
	for key, wrong := range map[string]func(limit float64) bool{
		"minimum": func(l float64) bool { return v < l }, "maximum": func(l float64) bool { return v > l },
		"exclusiveMinimum": func(l float64) bool { return v <= l }, "exclusiveMaximum": func(l float64) bool { return v >= l },
		"multipleOf": func(l float64) bool { return math.Abs(v/l-math.Round(v/l)) > 1e-9 },
	} {
		if limit, ok := s[key].(float64); ok && wrong(limit) {
			return fmt.Errorf("%v breaks %s %v", v, key, limit)
		}
	}
	return nil
}

func validArray(root, s map[string]any, v []any) error {
	if least, ok := s["minItems"].(float64); ok && float64(len(v)) < least {
		return fmt.Errorf("%v is too short", v)
	}
	if most, ok := s["maxItems"].(float64); ok && float64(len(v)) > most {
		return fmt.Errorf("%v is too long", v)
	}
	seen := map[string]bool{}
	for _, item := range v {
		key := fmt.Sprint(item)
		if s["uniqueItems"] == true && seen[key] {
			return fmt.Errorf("%v is twice in %v", item, v)
		}
		seen[key] = true
		if items, ok := s["items"].(map[string]any); ok {
			if err := valid(root, items, item); err != nil {
				return err
			}
		}
	}
	return nil
}

func validObject(root, s map[string]any, v map[string]any) error {
	props, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Errorf("%v is missing in %v", name, v)
		}
	}
	for name, value := range v {
		p, ok := props[name].(map[string]any)
		if !ok && s["additionalProperties"] == false {
			return fmt.Errorf("%s is not a property", name)
		}
		if ok {
			if err := valid(root, p, value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// wireReply is what a client reads of a chat completion.
type wireReply struct {
	Choices []struct {
		Index   int
		Message struct {
			Content   *string
			Refusal   *string
			ToolCalls []toolCall `json:"tool_calls"`
		}
		Logprobs *struct {
			Content []struct {
				Token       string
				Logprob     float64
				Bytes       []int
				TopLogprobs []struct {
					Token   string
					Logprob float64
				} `json:"top_logprobs"`
			}
		}
		FinishReason string `json:"finish_reason"`
	}
	Usage struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	}
	Error struct{ Message, Code string }
}

func chatAs(t *testing.T, s *Server, body string) wireReply {
	t.Helper()
	return decodeReply(t, post(t, s, "/v1/chat/completions", body))
}

func decodeReply(t *testing.T, w *httptest.ResponseRecorder) wireReply {
	t.Helper()
	var out wireReply
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	return out
}

// withSchema is a chat request for a schema.
func withSchema(schema, text string, strict bool) string {
	body, err := json.Marshal(map[string]any{"model": "sim-small", "messages": []any{map[string]string{"role": "user", "content": text}},
		"response_format": map[string]any{"type": "json_schema", "json_schema": map[string]any{"name": "out", "strict": strict, "schema": json.RawMessage(schema)}}})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func object(props string) string { return `{"type":"object","properties":{` + props + `}}` }

func TestStructuredAnswersAreValid(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	for name, schema := range map[string]string{
		"kinds":       object(`"a":{"type":"string"},"b":{"type":"integer"},"c":{"type":"number"},"d":{"type":"boolean"},"e":{"type":"null"},"f":{"type":"array","items":{"type":"string"}},"g":{}`),
		"integers":    object(`"a":{"type":"integer","minimum":3,"maximum":4},"b":{"type":"integer","exclusiveMinimum":3,"exclusiveMaximum":5},"c":{"type":"integer","multipleOf":7,"minimum":50},"d":{"type":"integer","maximum":-5},"e":{"type":"integer","multipleOf":2.5}`),
		"numbers":     object(`"a":{"type":"number","minimum":0.001,"maximum":0.002},"b":{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1},"c":{"type":"number","multipleOf":0.01},"d":{"type":"number","minimum":5,"maximum":5},"e":{"maximum":-1e6}`),
		"texts":       object(`"a":{"type":"string","minLength":30},"b":{"type":"string","maxLength":2},"c":{"type":"string","pattern":"^[A-Z]{2,3}-\\d{4}(a|b)?$"},"d":{"type":"string","pattern":"x+","minLength":3,"maxLength":4}`),
		"formats":     object(`"a":{"type":"string","format":"date"},"b":{"type":"string","format":"date-time"},"c":{"type":"string","format":"email"},"d":{"type":"string","format":"uuid"},"e":{"type":"string","format":"ipv4"},"f":{"type":"string","format":"ipv6"},"g":{"type":"string","format":"uri"},"h":{"type":"string","format":"hostname"},"i":{"type":"string","format":"duration"},"j":{"type":"string","format":"time"}`),
		"arrays":      object(`"a":{"type":"array","minItems":5,"items":{"type":"integer"}},"b":{"type":"array","maxItems":0,"items":{"type":"integer"}},"c":{"type":"array","minItems":3,"uniqueItems":true,"items":{"enum":["x","y","z"]}}`),
		"choices":     object(`"a":{"enum":["x",2,null]},"b":{"const":{"k":[1]}},"c":{"type":["string","null"]},"d":{"anyOf":[{"type":"null"},{"type":"integer"}]},"e":{"type":"integer","enum":["no",4]}`),
		"definitions": `{"type":"object","$defs":{"node":{"type":"object","properties":{"name":{"type":"string"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["name","next"],"additionalProperties":false}},"properties":{"next":{"$ref":"#/$defs/node"}},"required":["next"],"additionalProperties":false}`,
		"root":        `{"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{"kids":{"type":"array","items":{"$ref":"#/$defs/tree"}}},"required":["kids"],"additionalProperties":false}}}`,
		"undeclared":  `{"type":"object","required":["k"],"additionalProperties":{"type":"integer"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 60 {
				text := fmt.Sprintf("Case %d: b is %d, next comes %d.", i, i, -i)
				got := chatAs(t, s, withSchema(schema, text, false))
				if len(got.Choices) != 1 || got.Choices[0].Message.Content == nil {
					t.Fatalf("got %+v", got)
				}
				var root map[string]any
				var value any
				if err := json.Unmarshal([]byte(schema), &root); err != nil {
					t.Fatal(err)
				}
				if err := json.Unmarshal([]byte(*got.Choices[0].Message.Content), &value); err != nil {
					t.Fatalf("%s: %v", *got.Choices[0].Message.Content, err)
				}
				if err := valid(root, root, value); err != nil {
					t.Fatalf("%s: %v", *got.Choices[0].Message.Content, err)
				}
			}
		})
	}
}

func TestStructuredAnswersTakeWhatTheTextSays(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	const schema = `{"type":"object","properties":{
		"title":{"type":"string"},"max_retries":{"type":"integer"},"ratio":{"type":"number","maximum":1},"enabled":{"type":"boolean"},
		"status":{"enum":["open","closed"]},"mail":{"type":"string","format":"email"},"due":{"type":"string","format":"date"},
		"missing":{"type":["string","null"]}},
		"required":["title","max_retries","ratio","enabled","status","mail","due","missing"],"additionalProperties":false}`
	got := chatAs(t, s, withSchema(schema, "The title is Blue Harvest. max retries: 7, ratio = 0.25; Enabled: no. It was closed by ann@example.org on 2025-03-09.", true))
	const want = `{"title":"Blue Harvest","max_retries":7,"ratio":0.25,"enabled":false,"status":"closed","mail":"ann@example.org","due":"2025-03-09","missing":null}`
	if len(got.Choices) != 1 || *got.Choices[0].Message.Content != want {
		t.Errorf("got %+v, want %s", got, want)
	}
}

func TestStructuredAnswerIsThatOfTheContext(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	schema := `{"type":"object","properties":{"answer":{"type":"string"},"confidence":{"type":"number","minimum":0,"maximum":1}},"required":["answer","confidence"],"additionalProperties":false}`
	got := chatAs(t, s, withSchema(schema, `<source id="4" source="a.md">The demo listens on port 8080.</source>Question: Which port does the demo listen on?`, true))
	var out struct {
		Answer     string
		Confidence float64
	}
	if err := json.Unmarshal([]byte(*got.Choices[0].Message.Content), &out); err != nil {
		t.Fatal(err)
	}
	if out.Answer != "The demo listens on port 8080. [4]" || out.Confidence <= 0 || out.Confidence >= 1 {
		t.Errorf("got %+v", out)
	}
}

func TestWrongSchemasAreRefused(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	for schema, want := range map[string]string{
		`{"type":"string"}`:                   "type: \"object\"",
		object(`"a":{"not":{}}`):              "'not' is not permitted",
		object(`"a":{"oneOf":[]}`):            "'oneOf' is not permitted",
		object(`"a":{"type":"text"}`):         "'text' is not a valid type",
		object(`"a":{"pattern":"(?=x)"}`):     "'pattern' is not supported",
		object(`"a":{"multipleOf":0}`):        "'multipleOf' is 0",
		object(`"a":{"$ref":"#/$defs/none"}`): "'additionalProperties'",
		`{"type":"object","properties":{"a":{"$ref":"#/$defs/n"}},"required":["a"],"additionalProperties":false}`:                                                 "defined nowhere",
		`{"type":"object","properties":{"a":{"type":"integer"}},"required":[],"additionalProperties":false}`:                                                      "Missing 'a'",
		`{"type":"object","properties":{"a":{"type":"integer","minimum":3,"maximum":2}},"required":["a"],"additionalProperties":false}`:                           "no number between",
		`{"type":"object","properties":{"a":{"type":"array","minItems":3,"uniqueItems":true,"items":{"const":1}}},"required":["a"],"additionalProperties":false}`: "unique items",
		`{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"],"additionalProperties":false}`:                                                         "without end",
	} {
		got := chatAs(t, s, withSchema(schema, "x", true))
		if got.Error.Code != "invalid_json_schema" || !strings.Contains(got.Error.Message, want) {
			t.Errorf("%s: got %+v, want %q", schema, got.Error, want)
		}
	}
}

func TestJSONMode(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	got := chatAs(t, s, `{"model":"sim-small","response_format":{"type":"json_object"},"messages":[{"role":"user","content":"Say \"a<b\" as JSON"}]}`)
	var out map[string]string
	if err := json.Unmarshal([]byte(*got.Choices[0].Message.Content), &out); err != nil || out["answer"] != `You said: Say "a<b" as JSON` {
		t.Errorf("got %+v, %v", got, err)
	}
	if got = chatAs(t, s, `{"model":"sim-small","response_format":{"type":"json_object"},"messages":[{"role":"user","content":"hi"}]}`); !strings.Contains(got.Error.Message, "'json'") {
		t.Errorf("got %+v", got)
	}
	cut := chatAs(t, s, strings.Replace(withSchema(object(`"answer":{"type":"string"}`), "one two three four", false), `{"`, `{"max_tokens":3,"`, 1))
	if c := cut.Choices[0]; c.FinishReason != "length" || json.Valid([]byte(*c.Message.Content)) {
		t.Errorf("got %+v, want cut JSON", c)
	}
}

func TestListsOfTheText(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	got := chatAs(t, s, withSchema(object(`"cities":{"type":"array","items":{"type":"string"}}`), "The cities are Rome, New York, Oslo and Lima. Thanks.", false))
	if text := *got.Choices[0].Message.Content; text != `{"cities":["Rome","New York","Oslo","Lima"]}` {
		t.Errorf("got %s", text)
	}
}

func FuzzStructured(f *testing.F) {
	f.Add(object(`"a":{"type":"integer","minimum":3},"b":{"enum":["x",null]}`), "a is 4")
	f.Add(object(`"a":{"type":["string","null"],"pattern":"^a+$","maxLength":3},"c":{"const":1}`), "a: aaa, c: 2")
	f.Add(`{"$ref":"#/$defs/t","$defs":{"t":{"type":"object","properties":{"k":{"type":"array","items":{"$ref":"#/$defs/t"},"minItems":1},"n":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["n"]}}}`, "n and k")
	f.Add(`{"type":"object","required":["x"],"additionalProperties":{"type":"array","uniqueItems":true,"items":{"type":"boolean"}}}`, "x: true")
	f.Fuzz(func(t *testing.T, source, text string) {
		s, err := parseSchema([]byte(source), false)
		if err != nil {
			return
		}
		fill := filler{root: s, from: newFacts(text), rnd: newKnowledge(Answers{}).random(source)}
		out, err := fill.value(s, "", 0)
		if err != nil {
			return
		}
		var root map[string]any
		var value any
		if json.Unmarshal([]byte(source), &root) != nil || json.Unmarshal(out, &value) != nil {
			t.Fatalf("%s for %s is no JSON", out, source)
		}
		if err := valid(root, root, value); err != nil {
			t.Fatalf("%s for %s: %v", out, source, err)
		}
	})
}
