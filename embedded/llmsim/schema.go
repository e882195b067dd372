package llmsim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// schema is the part of JSON Schema that a structured answer may ask for: the
// keywords of OpenAI's strict mode and the annotations. A schema with any
// other keyword is refused, because an answer might break it.
type schema struct {
	Type             typeList          `json:"type"`
	Enum             []json.RawMessage `json:"enum"`
	Const            json.RawMessage   `json:"const"`
	Properties       properties        `json:"properties"`
	Required         []string          `json:"required"`
	Additional       json.RawMessage   `json:"additionalProperties"`
	Items            *schema           `json:"items"`
	MinItems         int               `json:"minItems"`
	MaxItems         *int              `json:"maxItems"`
	UniqueItems      bool              `json:"uniqueItems"`
	Minimum          *float64          `json:"minimum"`
	Maximum          *float64          `json:"maximum"`
	ExclusiveMinimum *float64          `json:"exclusiveMinimum"`
	ExclusiveMaximum *float64          `json:"exclusiveMaximum"`
	MultipleOf       *float64          `json:"multipleOf"`
	MinLength        int               `json:"minLength"`
	MaxLength        *int              `json:"maxLength"`
	Pattern          string            `json:"pattern"`
	Format           string            `json:"format"`
	AnyOf            []*schema         `json:"anyOf"`
	Ref              string            `json:"$ref"`
	Defs             properties        `json:"$defs"`
	Definitions      properties        `json:"definitions"`
}

// Kinds of values.
const (
	kindNull    = "null"
	kindBoolean = "boolean"
	kindInteger = "integer"
	kindNumber  = "number"
	kindString  = "string"
	kindArray   = "array"
	kindObject  = "object"
)

// annotations are the keywords that say nothing about validity.
const annotations = " title description default examples $schema $id $comment deprecated readOnly writeOnly strict "

// typeList is a type or a list of types.
type typeList []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *typeList) UnmarshalJSON(data []byte) error {
	var list stringOrList
	if err := list.UnmarshalJSON(data); err != nil {
		return fmt.Errorf("'type' is %s, want a type or an array of types", data)
	}
	for _, kind := range list.list {
		if !slices.Contains([]string{kindNull, kindBoolean, kindInteger, kindNumber, kindString, kindArray, kindObject}, kind) {
			return fmt.Errorf("'%s' is not a valid type", kind)
		}
	}
	*l = list.list
	return nil
}

// property is a named schema.
type property struct {
	name   string
	schema *schema
}

// properties keeps the order in which they are written.
type properties []property

// UnmarshalJSON implements json.Unmarshaler.
func (p *properties) UnmarshalJSON(data []byte) error {
	return eachMember(data, func(name string, value json.RawMessage) error {
		s := &schema{}
		if err := json.Unmarshal(value, s); err != nil {
			return err
		}
		*p = append(*p, property{name, s})
		return nil
	})
}

// find returns the schema of a property, or nil.
func (p properties) find(name string) *schema {
	for _, member := range p {
		if member.name == name {
			return member.schema
		}
	}
	return nil
}

// eachMember calls fn with the members of a JSON object in their order.
func eachMember(data []byte, fn func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return fmt.Errorf("%s is not an object", shortened(string(data)))
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := fn(fmt.Sprint(name), value); err != nil {
			return err
		}
	}
	return nil
}

// shortened is the beginning of a text for an error message.
func shortened(text string) string {
	const most = 40
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *schema) UnmarshalJSON(data []byte) error {
	if string(data) == "true" {
		return nil
	}
	err := eachMember(data, func(name string, _ json.RawMessage) error {
		if !strings.Contains(keywords, " "+name+" ") && !strings.Contains(annotations, " "+name+" ") {
			return fmt.Errorf("'%s' is not permitted", name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	type plain schema
	if err := json.Unmarshal(data, (*plain)(s)); err != nil {
		return err
	}
	return s.checkKeywords()
}

// keywords are those of the fields of schema.
const keywords = " type enum const properties required additionalProperties items minItems maxItems uniqueItems minimum maximum " +
	"exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength pattern format anyOf $ref $defs definitions "

// maxWanted bounds minItems and minLength.
const maxWanted = 10_000

// checkKeywords refuses combinations no value is made for.
func (s *schema) checkKeywords() error {
	isBounded := s.hasNumberBounds() || s.MinLength > 0 || s.MaxLength != nil || s.Pattern != "" || s.MinItems > 0 || s.MaxItems != nil || s.Items != nil || len(s.Properties) > 0
	alone := len(s.Enum) == 0 && s.Const == nil && len(s.Required) == 0 && !isBounded
	switch {
	case (s.AnyOf != nil || s.Ref != "") && (!alone || len(s.Type) > 0 || s.AnyOf != nil && s.Ref != ""):
		return fmt.Errorf("'anyOf' and '$ref' can't be combined with 'type', 'enum', 'const', 'properties', 'required', bounds or each other")
	case (len(s.Enum) > 0 || s.Const != nil) && isBounded || len(s.Enum) > 0 && s.Const != nil:
		return fmt.Errorf("'enum' and 'const' can't be combined with bounds of their values or each other")
	case s.Enum != nil && len(s.Enum) == 0:
		return fmt.Errorf("'enum' is empty")
	case s.MinItems > maxWanted || s.MinLength > maxWanted:
		return fmt.Errorf("'minItems' or 'minLength' is above %d", maxWanted)
	case s.AnyOf != nil && len(s.AnyOf) == 0:
		return fmt.Errorf("'anyOf' is empty")
	case s.MultipleOf != nil && *s.MultipleOf <= 0:
		return fmt.Errorf("'multipleOf' is %v, want more than 0", *s.MultipleOf)
	case s.Pattern != "":
		if _, err := regexp.Compile(s.Pattern); err != nil {
			return fmt.Errorf("'pattern' is not supported: %w", err)
		}
	}
	return nil
}

// strict reports what strict mode refuses besides: an object with optional or
// additional properties.
func (s *schema) strict(place string) error {
	if s == nil {
		return nil
	}
	if s.isObject() {
		if string(s.Additional) != "false" {
			return fmt.Errorf("In context=(%s), 'additionalProperties' is required to be supplied and to be false", place) //nolint:staticcheck // the API's own words
		}
		for _, p := range s.Properties {
			if !slices.Contains(s.Required, p.name) {
				return fmt.Errorf("In context=(%s), 'required' is required to be supplied and to be an array including every key in properties. Missing '%s'", place, p.name) //nolint:staticcheck // the API's own words
			}
		}
	}
	for _, list := range []properties{s.Properties, s.Defs, s.Definitions} {
		for _, p := range list {
			if err := p.schema.strict(strings.TrimPrefix(place+", '"+p.name+"'", ", ")); err != nil {
				return err
			}
		}
	}
	for _, option := range s.AnyOf {
		if err := option.strict(place); err != nil {
			return err
		}
	}
	return s.Items.strict(place)
}

// hasNumberBounds reports whether s limits numbers.
func (s *schema) hasNumberBounds() bool {
	return s.Minimum != nil || s.Maximum != nil || s.ExclusiveMinimum != nil || s.ExclusiveMaximum != nil || s.MultipleOf != nil
}

// isObject reports whether s describes objects, by type or by its properties.
func (s *schema) isObject() bool {
	return slices.Contains(s.Type, kindObject) || len(s.Type) == 0 && len(s.Properties) > 0
}

// resolve follows $ref; root holds the definitions.
func (s *schema) resolve(root *schema) (*schema, error) {
	for range maxDepth {
		if s.Ref == "" {
			return s, nil
		}
		next := root
		if s.Ref != "#" {
			name, ok := strings.CutPrefix(s.Ref, "#/$defs/")
			list := root.Defs
			if !ok {
				name, _ = strings.CutPrefix(s.Ref, "#/definitions/")
				list = root.Definitions
			}
			if next = list.find(name); next == nil {
				return nil, fmt.Errorf("'$ref' is '%s', which is defined nowhere", s.Ref)
			}
		}
		s = next
	}
	return nil, fmt.Errorf("'$ref' leads to itself")
}
