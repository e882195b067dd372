package schema

import (
	"encoding/json"
	"slices"
	"strings"
)

// Limits of strict mode, by OpenAI's guide to structured outputs.
const (
	strictProperties = 5000
	strictEnum       = 1000
	strictDepth      = 10
)

// Strict is the schema as strict modes take it, and whether there is one. It has
// the subset of JSON Schema that OpenAI documents: every object names all its
// properties, requires them and allows no others; what was optional may be null.
//
// Whatever fits the strict form and the bounds it leaves out (lengths of texts,
// numbers of properties, unique items) fits the schema once [Schema.Check] has
// taken those nulls away. A schema has no strict form when it uses keywords outside
// the subset, has objects open to other properties by intent, or parts of any type.
func (s *Schema) Strict() (json.RawMessage, bool) { return s.strict, s.strict != nil }

// strictForm makes the strict form of a schema that compiles.
func strictForm(raw json.RawMessage) (json.RawMessage, bool) {
	var t strict
	out, ok := t.schema(raw, 0)
	root := membersOf(out)
	isObject := string(get(root, "type")) == `"object"`
	return out, ok && isObject && t.properties <= strictProperties && t.enums <= strictEnum
}

// strict turns schemas into their strict forms, in the order they are written: a
// model writes properties in that order, and what comes first guides the rest.
type strict struct {
	properties, enums int
}

// Kinds of keywords for the strict form. What is in none of them says nothing
// about values, or a bound that Check sees to, and is left out.
const (
	strictKept = " type enum const title description pattern format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minItems maxItems "
	// strictElse have no strict form.
	strictElse = " not if then else dependencies dependentRequired dependentSchemas patternProperties propertyNames unevaluatedProperties" +
		" unevaluatedItems contains prefixItems additionalItems $dynamicRef $recursiveRef $anchor $dynamicAnchor $recursiveAnchor id "
	// strictTexts may stand beside $ref and alternatives.
	strictTexts   = " title description default examples deprecated readOnly writeOnly discriminator $schema $comment $id $defs definitions "
	strictFormats = " date-time time date duration email hostname ipv4 ipv6 uuid "
)

// isOne reports whether word is one of the words in list.
func isOne(word, list string) bool { return strings.Contains(list, " "+word+" ") }

// schema turns one schema; depth is how many objects and arrays it is inside of.
func (t *strict) schema(raw json.RawMessage, depth int) (json.RawMessage, bool) {
	in := membersOf(raw)
	alone := true
	for _, m := range in {
		if isOne(m.name, strictElse) || m.name == "$id" && depth > 0 {
			return nil, false
		}
		alone = alone && isOne(m.name, strictTexts+"$ref anyOf oneOf allOf ")
	}
	if depth > strictDepth || in == nil {
		return nil, false
	}
	var out []member
	var ok bool
	ref, options, all := get(in, "$ref"), slices.Concat(itemsOf(get(in, "anyOf")), itemsOf(get(in, "oneOf"))), itemsOf(get(in, "allOf"))
	switch {
	case ref == nil && options == nil && all == nil:
		out, ok = t.typed(in, depth)
	case !alone || count(ref != nil, get(in, "anyOf") != nil, get(in, "oneOf") != nil, all != nil) > 1:
		return nil, false
	case len(all) > 1:
		return nil, false
	case ref != nil:
		out, ok = describe([]member{{"$ref", ref}}, in), isLocal(ref)
	case all != nil:
		var one json.RawMessage
		one, ok = t.schema(all[0], depth)
		out = describe(membersOf(one), in)
	default:
		// Of several alternatives that must not overlap, Check sees to that.
		var list []json.RawMessage
		list, ok = t.list(options, depth)
		out = describe([]member{{"anyOf", encoded(list)}}, in)
	}
	for _, name := range []string{"$defs", "definitions"} {
		if defs := get(in, name); defs != nil && ok {
			var list []member
			list, ok = t.named(membersOf(defs), depth)
			out = with(out, member{name, objectOf(list)})
		}
	}
	return objectOf(out), ok
}

// describe puts the title and description of from on a strict schema. A reference
// takes nothing beside it, so it becomes the only alternative.
func describe(out, from []member) []member {
	for _, m := range from {
		if m.name != "title" && m.name != "description" {
			continue
		}
		if get(out, "$ref") != nil {
			out = []member{{"anyOf", encoded([]json.RawMessage{objectOf(out)})}}
		}
		out = with(out, m)
	}
	return out
}

// with is a schema with a member more, or another value for one it has.
func with(in []member, m member) []member {
	out := slices.DeleteFunc(slices.Clone(in), func(old member) bool { return old.name == m.name })
	return append(out, m)
}

// typed turns a schema with a type of its own.
func (t *strict) typed(in []member, depth int) (out []member, ok bool) {
	kinds := typesOf(in)
	fixed := get(in, "enum") != nil || get(in, "const") != nil
	isList, isObject := slices.Contains(kinds, "array"), slices.Contains(kinds, "object")
	if len(kinds) == 0 || fixed && (isList || isObject) {
		return nil, false
	}
	if get(in, "type") == nil {
		out = append(out, member{"type", encoded(kinds[0])})
	}
	t.enums += len(itemsOf(get(in, "enum")))
	for _, m := range in {
		isText := m.name == "title" || m.name == "description"
		isFormat := m.name == "format" && !isOne(strings.Trim(string(m.value), `"`), strictFormats)
		if isOne(m.name, strictKept) && !isFormat && (!fixed || isText || m.name == "type" || m.name == "enum" || m.name == "const") {
			out = append(out, m)
		}
	}
	if isList {
		items, ok := t.schema(get(in, "items"), depth+1)
		if !ok {
			return nil, false
		}
		out = append(out, member{"items", items})
	}
	if !isObject {
		return out, true
	}
	object, ok := t.object(in, depth)
	return append(out, object...), ok
}

// object turns the part of a schema that speaks of objects.
func (t *strict) object(in []member, depth int) ([]member, bool) {
	properties := membersOf(get(in, "properties"))
	additional := string(get(in, "additionalProperties"))
	if additional != "false" && (additional != "" || len(properties) == 0) {
		return nil, false
	}
	var required []string
	_ = json.Unmarshal(get(in, "required"), &required)
	list, ok := t.named(properties, depth+1)
	if !ok {
		return nil, false
	}
	t.properties += len(list)
	all := []string{}
	for i, m := range list {
		all = append(all, m.name)
		if !slices.Contains(required, m.name) {
			list[i].value = nullable(m.value)
		}
	}
	unknown := func(name string) bool { return !slices.Contains(all, name) }
	return []member{
		{"properties", objectOf(list)}, {"required", encoded(all)}, {"additionalProperties", json.RawMessage("false")},
	}, !slices.ContainsFunc(required, unknown)
}

// named turns the schemas of properties or definitions.
func (t *strict) named(in []member, depth int) ([]member, bool) {
	out := make([]member, len(in))
	for i, m := range in {
		value, ok := t.schema(m.value, depth)
		if !ok {
			return nil, false
		}
		out[i] = member{m.name, value}
	}
	return out, true
}

// list turns alternatives.
func (t *strict) list(in []json.RawMessage, depth int) ([]json.RawMessage, bool) {
	out := make([]json.RawMessage, len(in))
	for i, one := range in {
		value, ok := t.schema(one, depth)
		if !ok {
			return nil, false
		}
		out[i] = value
	}
	return out, true
}

// nullable is a strict schema that also takes null.
func nullable(raw json.RawMessage) json.RawMessage {
	in := membersOf(raw)
	kinds := typesOf(in)
	null := json.RawMessage(`{"type":"null"}`)
	isNull := func(raw json.RawMessage) bool { return string(raw) == "null" || string(raw) == string(null) }
	constants, options := constantsOf(in), itemsOf(get(in, "anyOf"))
	switch {
	case slices.ContainsFunc(options, isNull), slices.ContainsFunc(constants, isNull),
		slices.Contains(kinds, "null") && constants == nil:
		return raw
	case options != nil:
		return objectOf(replaced(in, "anyOf", encoded(append(slices.Clone(options), null))))
	case len(kinds) == 0 || constants != nil:
		return objectOf([]member{{"anyOf", encoded([]json.RawMessage{raw, null})}})
	}
	return objectOf(replaced(in, "type", encoded(append(kinds, "null"))))
}

// replaced is a schema with another value for one of its members.
func replaced(in []member, name string, value json.RawMessage) []member {
	out := slices.Clone(in)
	for i := range out {
		if out[i].name == name {
			out[i].value = value
		}
	}
	return out
}

// constantsOf are the values that a schema allows by enum or const, nil where it
// names none.
func constantsOf(in []member) []json.RawMessage {
	constants := itemsOf(get(in, "enum"))
	if value := get(in, "const"); value != nil {
		constants = append(constants, value)
	}
	return constants
}

// typesOf are the types a schema allows: those it names, or that of its constants
// if they have one.
func typesOf(in []member) []string {
	if raw := get(in, "type"); raw != nil {
		var one string
		var list []string
		if json.Unmarshal(raw, &one) == nil {
			return []string{one}
		}
		_ = json.Unmarshal(raw, &list)
		return list
	}
	kind := ""
	for _, value := range constantsOf(in) {
		next := typeOf(value)
		if next == "" || kind != "" && next != kind {
			return nil
		}
		kind = next
	}
	if kind == "" {
		return nil
	}
	return []string{kind}
}

// typeOf is the type of a JSON value, "" for objects and arrays.
func typeOf(raw json.RawMessage) string {
	var value any
	_ = json.Unmarshal(raw, &value)
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	}
	return ""
}

// isLocal reports whether a reference is one that strict modes follow.
func isLocal(raw json.RawMessage) bool {
	var ref string
	_ = json.Unmarshal(raw, &ref)
	for _, prefix := range []string{"#/$defs/", "#/definitions/"} {
		if name, ok := strings.CutPrefix(ref, prefix); ok {
			return name != "" && !strings.ContainsAny(name, "/~%")
		}
	}
	return ref == "#"
}

// count is how many are true.
func count(list ...bool) (n int) {
	for _, one := range list {
		if one {
			n++
		}
	}
	return n
}
