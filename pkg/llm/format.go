package llm

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
)

// FormatMode is how a provider is asked for JSON.
type FormatMode string

// The modes, the most binding first.
const (
	// FormatStrict is response_format json_schema with strict: the provider lets
	// the model write nothing but what fits Format.Strict.
	FormatStrict FormatMode = "strict"
	// FormatSchema is response_format json_schema without strict.
	FormatSchema FormatMode = "schema"
	// FormatTool forces a call of one function with the schema as its parameters;
	// the arguments are the text of the answer.
	FormatTool FormatMode = "tool"
	// FormatNone sends nothing: the prompt asks for JSON.
	FormatNone FormatMode = "none"
)

// Format asks for an answer in JSON.
type Format struct {
	// Name of the schema for the provider: 1 to 64 of [A-Za-z0-9_-].
	Name string
	// Schema is the JSON Schema of the answer.
	Schema json.RawMessage
	// Strict is the schema as strict modes take it, nil if it has no such form.
	Strict json.RawMessage
	// Mode is how to ask; "" counts as FormatNone.
	Mode FormatMode
}

var formatName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Check refuses a format that no provider takes.
func (f *Format) Check() error {
	switch {
	case !formatName.MatchString(f.Name):
		return event.Invalid("format.name", "use 1 to 64 of letters, digits, _ and -", "is %q", f.Name)
	case !slices.Contains([]FormatMode{"", FormatStrict, FormatSchema, FormatTool, FormatNone}, f.Mode):
		return event.Invalid("format.mode", "use strict, schema, tool or none", "is %q", f.Mode)
	case !json.Valid(f.Schema):
		return event.Invalid("format.schema", "send a JSON Schema", "is not JSON")
	case f.Mode == FormatStrict && !json.Valid(f.Strict):
		return event.Invalid("format.strict", "use mode schema for a schema without a strict form", "is not JSON")
	}
	return nil
}

// BestMode is the most binding mode that a model with these capabilities has for
// the schema. Providers take schemas of objects only; others are left to the prompt.
func (f *Format) BestMode(can catalog.Supports) FormatMode {
	switch {
	case !f.isObject():
		return FormatNone
	case can.JSONSchema == "strict" && f.Strict != nil:
		return FormatStrict
	case can.JSONSchema != "":
		return FormatSchema
	case can.Tools:
		return FormatTool
	}
	return FormatNone
}

// isObject reports whether the schema says of itself that it is an object's.
func (f *Format) isObject() bool {
	var root struct {
		Type any `json:"type"`
	}
	return json.Unmarshal(f.Schema, &root) == nil && root.Type == "object"
}

// Instruction is what a prompt says of the format. All of them say "JSON", which
// some providers insist on; only that of FormatNone holds the schema, the other
// modes send it beside the prompt.
func (f *Format) Instruction() string {
	switch f.Mode {
	case FormatStrict, FormatSchema:
		return "Answer in JSON that fits the schema given, and write nothing else."
	case FormatTool:
		return "Answer with one call of the function " + f.Name + "; its arguments are the answer in JSON."
	}
	return "Answer with one JSON value and nothing else: no explanation, no code fence. It must be valid for this JSON Schema:\n" + string(f.Schema)
}

// Instruct returns the messages with the format's instruction: at the end of the
// system message they begin with, or as one of its own before them, since many
// models take a system message only there. The given slice is not changed.
func Instruct(messages []Message, f *Format) []Message {
	text := f.Instruction()
	if len(messages) == 0 || messages[0].Role != "system" && messages[0].Role != "developer" {
		return slices.Concat([]Message{{Role: "system", Content: text}}, messages)
	}
	out := slices.Clone(messages)
	out[0].Content = strings.TrimSpace(out[0].Content + "\n\n" + text)
	return out
}
