package schema

import (
	"reflect"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxWork bounds the check of one answer, in applications of a schema to a value
// of about a microsecond each. Alternatives that hold themselves multiply with
// each level: four of them, ten levels deep, are a million.
const maxWork = 500_000

const (
	stepsPerWork = 256 // steps of a regular expression that take as long as one application
	namesPerWork = 8   // names looked up
)

// visit is a schema that is applied to an object or array.
type visit struct {
	schema *jsonschema.Schema
	at     uintptr
}

// meter counts the applications of schemas to values that the validator will make,
// without making those that are the same again.
type meter struct{ known map[visit]int }

// workOf bounds the work of validating a value from above, maxWork+1 at most.
func workOf(s *jsonschema.Schema, value any) int {
	m := &meter{known: map[visit]int{}}
	return m.work(s, value)
}

// work counts s on a value.
func (m *meter) work(s *jsonschema.Schema, value any) int {
	key := visit{schema: s}
	switch value.(type) {
	case map[string]any, []any:
		key.at = reflect.ValueOf(value).Pointer()
		if n, ok := m.known[key]; ok {
			return n
		}
	}
	n := 1
	add := func(s *jsonschema.Schema, value any) {
		if s != nil && n <= maxWork {
			n = min(n+m.work(s, value), maxWork+1)
		}
	}
	if s.Enum != nil {
		n += len(s.Enum.Values)
	}
	for _, next := range sameValue(s) {
		add(next, value)
	}
	switch value := value.(type) {
	case map[string]any:
		n += len(s.Required) / namesPerWork
		eachMember(s, value, add)
	case []any:
		n += len(value) / namesPerWork
		eachItem(s, value, add)
	case string:
		n += len(value) * patternSize(s.Pattern) / stepsPerWork
		if s.Format != nil {
			n += len(value) / namesPerWork
		}
	}
	n = min(n, maxWork+1)
	if key.at != 0 {
		m.known[key] = n
	}
	return n
}

// eachMember calls add for what s may apply to the members of an object.
func eachMember(s *jsonschema.Schema, object map[string]any, add func(*jsonschema.Schema, any)) {
	additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
	for name, member := range object {
		one, ok := s.Properties[name]
		add(one, member)
		if !ok {
			add(additional, member)
			add(s.UnevaluatedProperties, member)
		}
		for re, next := range s.PatternProperties {
			add(matching(re), name)
			add(next, member)
		}
		add(s.PropertyNames, name)
	}
}

// matching is a schema that is as much work as matching re.
func matching(re jsonschema.Regexp) *jsonschema.Schema { return &jsonschema.Schema{Pattern: re} }

// eachItem calls add for what s may apply to the items of an array.
func eachItem(s *jsonschema.Schema, list []any, add func(*jsonschema.Schema, any)) {
	items := appendSchema(nil, s.Items)
	additional, _ := s.AdditionalItems.(*jsonschema.Schema)
	_, tuple := s.Items.([]*jsonschema.Schema)
	for i, item := range list {
		switch {
		case i < len(s.PrefixItems):
			add(s.PrefixItems[i], item)
		case tuple && i < len(items):
			add(items[i], item)
		case tuple:
			add(additional, item)
		case len(items) == 1:
			add(items[0], item)
		default:
			add(s.Items2020, item)
		}
		add(s.Contains, item)
		add(s.Contains, item) // twice: what does not fit is kept for the error, item by item
		add(s.UnevaluatedItems, item)
	}
}

// patternSize is the size of a pattern of ours, 0 for none.
func patternSize(re jsonschema.Regexp) int {
	p, _ := re.(pattern)
	return p.size
}
