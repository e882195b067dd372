// Package schema says whether an answer has the form that was asked for: JSON
// that a JSON Schema accepts, checks in CEL, and a few fixed verifiers. It is pure,
// does no I/O, and never mends an answer into what it guesses was meant. See
// docs/structured.md.
package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weir-dev/weir/pkg/event"
)

const (
	// MaxSchema is the most bytes of a schema.
	MaxSchema = 64 << 10
	// MaxAnswer is the most bytes of an answer that is read as JSON.
	MaxAnswer = 1 << 20
	// MaxDepth is the most levels of arrays and objects, in schemas and answers.
	MaxDepth = 64
	// maxObjects bounds the objects in a schema: the library's time to compile
	// grows with their square.
	maxObjects = 2000
	// maxPattern bounds the instructions of a regular expression: the time to match
	// is their number by the length of the text.
	maxPattern = 2000
	// maxPatterns bounds those of all patterns of a schema, each counted twice.
	maxPatterns = 100_000
)

// field is what errors of Compile name, with the place in the schema behind it.
const field = "schema"

// location is the schema's base URL. Nothing is ever read from it.
const location = "weir:///schema"

// Schema is a compiled JSON Schema. It is safe for concurrent use.
type Schema struct {
	root   *jsonschema.Schema
	strict json.RawMessage // nil if it can't be made strict
}

// Compile compiles a JSON Schema: of draft 2020-12 unless it names an earlier one
// by $schema, with formats asserted. Patterns are RE2.
//
// An error is an *event.Error of ClassInvalid for the field "schema", followed by
// the place in it. Refused are: what is not one JSON value, or more than MaxSchema
// bytes or MaxDepth levels of it; what the draft's own schema refuses; references
// to other documents and dynamic ones; and recursion without end, in the schema or
// in every value it would accept.
func Compile(raw json.RawMessage) (*Schema, error) {
	if len(raw) > MaxSchema {
		return nil, event.Invalid(field, "describe less, or share parts by $ref", "has %d bytes, at most %d are taken", len(raw), MaxSchema)
	}
	doc, err := readSchema(raw)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noLoader{})
	c.UseRegexpEngine((&patterns{}).compile)
	if err := c.AddResource(location, doc); err != nil {
		return nil, refused(err)
	}
	root, err := c.Compile(location)
	if err != nil {
		return nil, refused(err)
	}
	if err := checkGraph(root); err != nil {
		return nil, err
	}
	s := &Schema{root: root}
	if form, ok := strictForm(raw); ok {
		s.strict = form
	}
	return s, nil
}

// readSchema reads the JSON of a schema.
func readSchema(raw json.RawMessage) (any, error) {
	text := string(raw)
	r, v := read(text)
	if v == nil && strings.TrimSpace(text[r.end:]) != "" {
		v = &Violation{Keyword: KeywordJSON, Message: "there is text after the value"}
	}
	if v != nil {
		return nil, event.Invalid(field+v.Path, "send one JSON Schema", "%s", v.Message)
	}
	switch r.value.(type) {
	case map[string]any, bool:
	default:
		return nil, event.Invalid(field, "send a JSON Schema, such as {\"type\":\"object\"}", "is %s, a schema is an object or a boolean", shown(r.value))
	}
	if r.objects > maxObjects {
		return nil, event.Invalid(field, "describe less, or share parts by $ref", "has %d objects, at most %d are taken", r.objects, maxObjects)
	}
	return r.value, nil
}

// noLoader keeps the compiler from reading anything but the drafts it embeds.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(string) (any, error) { return nil, errors.New("nothing is loaded") }

// pattern is a regular expression that knows how much work it is.
type pattern struct {
	*regexp.Regexp
	size int // instructions
}

// patterns compiles the regular expressions of one schema.
type patterns struct{ size int } // instructions so far

// compile is a jsonschema.RegexpEngine. The compiler calls it twice for each.
func (p *patterns) compile(expr string) (jsonschema.Regexp, error) {
	if p.size > maxPatterns {
		return nil, fmt.Errorf("the patterns take more than %d steps in all", maxPatterns/2)
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	if p.size += len(prog.Inst); len(prog.Inst) > maxPattern {
		return nil, fmt.Errorf("the pattern takes %d steps, at most %d are taken", len(prog.Inst), maxPattern)
	}
	re, err := regexp.Compile(expr)
	return pattern{re, len(prog.Inst)}, err
}

// refused puts an error of the compiler into our words.
func refused(err error) error {
	var (
		load  *jsonschema.LoadURLError
		meta  *jsonschema.SchemaValidationError
		regex *jsonschema.InvalidRegexError
		gone  *jsonschema.JSONPointerNotFoundError
		name  *jsonschema.AnchorNotFoundError
	)
	switch {
	case errors.As(err, &load):
		return event.Invalid(field, "put what is referred to under $defs, and leave $schema out or name a draft of json-schema.org",
			"refers to %s, and nothing is loaded", cut(strings.TrimPrefix(load.URL, location), maxPath))
	case errors.As(err, &regex):
		return event.Invalid(place(regex.URL), "patterns are RE2: no look-around, no back references", "%q: %v", cut(regex.Regex, maxPath), regex.Err)
	case errors.As(err, &gone):
		return event.Invalid(field, "point $ref to a part of the schema, such as #/$defs/name", "$ref %q points to nothing", strings.TrimPrefix(gone.URL, location))
	case errors.As(err, &name):
		return event.Invalid(field, "name the part with $anchor", "$ref %q points to nothing", strings.TrimPrefix(name.Reference, location))
	case errors.As(err, &meta):
		found := violations(meta.Err)
		if i := slices.IndexFunc(found, func(v Violation) bool { return v.Keyword != "anyOf" }); i >= 0 {
			return event.Invalid(field+found[i].Path, "see json-schema.org for what the keyword takes", "%s", found[i].Message)
		}
	}
	return event.Invalid(field, "see json-schema.org", "%s", cut(err.Error(), maxMessage))
}

// place is the field that a location in the schema is.
func place(url string) string {
	_, pointer, _ := strings.Cut(url, "#")
	return field + cut(pointer, maxPath)
}
