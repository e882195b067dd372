package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/weir-dev/weir/pkg/event"
)

// Violation is one way in which an answer is not what was asked for: its Keyword is
// one of JSON Schema, one of this package, or the name of a check.
type Violation = event.Violation

// Bounds of a list of violations: they go into results and prompts.
const (
	maxViolations = 20
	maxPath       = 200 // bytes
	maxMessage    = 300 // bytes
	maxShown      = 60  // bytes of a value in a message
	maxListed     = 10  // values in a message
)

// violations turns an error of the validator into a list: sorted, without
// duplicates, bounded.
func violations(err error) []Violation {
	var whole *jsonschema.ValidationError
	if !errors.As(err, &whole) {
		return []Violation{{Keyword: field, Message: cut(err.Error(), maxMessage)}}
	}
	return bounded(leaves(whole, nil))
}

// bounded sorts and bounds a list.
func bounded(list []Violation) []Violation {
	slices.SortFunc(list, func(a, b Violation) int {
		return slices.Compare([]string{a.Path, a.Keyword, a.Message}, []string{b.Path, b.Keyword, b.Message})
	})
	list = slices.Compact(list)
	if more := len(list) - maxViolations; more > 0 {
		list = append(list[:maxViolations:maxViolations], Violation{Keyword: "more", Message: fmt.Sprintf("%d more", more)})
	}
	return list
}

// leaves adds what is wrong to list. Of alternatives none of which fits, it is
// the one that the value is closest to.
func leaves(e *jsonschema.ValidationError, list []Violation) []Violation {
	isLeaf := len(e.Causes) == 0
	switch k := e.ErrorKind.(type) {
	case nil:
		return list
	case *kind.Contains, *kind.MinContains, *kind.MaxContains, *kind.PropertyNames:
		isLeaf = true
	case *kind.AnyOf:
		return alternatives(e, list)
	case *kind.OneOf:
		if len(k.Subschemas) == 0 {
			return alternatives(e, list)
		}
	}
	if isLeaf {
		return append(list, newViolation(e))
	}
	for _, cause := range e.Causes {
		list = leaves(cause, list)
	}
	return list
}

// alternatives adds what is wrong with a value that fits none of several schemas.
func alternatives(e *jsonschema.ValidationError, list []Violation) []Violation {
	v := newViolation(e)
	v.Message = fmt.Sprintf("fits none of %d alternatives", len(e.Causes))
	list = append(list, v)
	var best []Violation
	least := -1
	for _, cause := range e.Causes {
		one := leaves(cause, nil)
		if far := distance(one, v.Path); least < 0 || far < least {
			best, least = one, far
		}
	}
	return append(list, best...)
}

// distance says how far a value at path is from a schema whose violations are
// given. A wrong type, or a wrong constant in one of its properties, which is how
// alternatives are told apart, says more than the number of violations.
func distance(list []Violation, path string) int {
	const otherKind = 1000
	far := len(list)
	for _, v := range list {
		depth := strings.Count(strings.TrimPrefix(v.Path, path), "/")
		if depth == 0 && v.Keyword == "type" || depth <= 1 && (v.Keyword == "const" || v.Keyword == "enum") {
			far += otherKind
		}
	}
	return far
}

// newViolation is that of one error.
func newViolation(e *jsonschema.ValidationError) Violation {
	v := Violation{Path: pointer(e.InstanceLocation), Keyword: "false", Message: cut(explain(e.ErrorKind), maxMessage)}
	if keywords := e.ErrorKind.KeywordPath(); len(keywords) > 0 {
		v.Keyword = keywords[0]
	}
	return v
}

// explain says what an error means. The library's own words group the digits of
// numbers ("1,999") and follow the order of a map.
func explain(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("is of type %s, want %s", k.Got, strings.Join(k.Want, " or "))
	case *kind.Required:
		return "lacks " + names(k.Missing)
	case *kind.AdditionalProperties:
		return "has " + names(slices.Sorted(slices.Values(k.Properties))) + ", which is not in the schema"
	case *kind.Enum:
		return fmt.Sprintf("is %s, want one of %s", shown(k.Got), values(k.Want))
	case *kind.Const:
		return fmt.Sprintf("is %s, want %s", shown(k.Got), shown(k.Want))
	case *kind.Format:
		if k.Want == "regex" { // of a schema: RE2 lacks some of what others have
			return fmt.Sprintf("%s is not a valid regex: %v", shown(k.Got), k.Err)
		}
		return fmt.Sprintf("%s is not a valid %s", shown(k.Got), k.Want)
	case *kind.Pattern:
		return fmt.Sprintf("%s does not match %s", shown(k.Got), shown(k.Want))
	case *kind.FalseSchema:
		return "nothing is allowed here"
	case *kind.Not:
		return "is what it must not be"
	case *kind.PropertyNames:
		return "has the name " + shown(k.Property) + ", which is not allowed"
	}
	if text := explainBound(k); text != "" {
		return text
	}
	return k.LocalizedString(message.NewPrinter(language.English))
}

// explainBound is explain for bounds of numbers and sizes, "" for others.
func explainBound(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Minimum:
		return atLeast(k.Got, "at least", k.Want)
	case *kind.Maximum:
		return atLeast(k.Got, "at most", k.Want)
	case *kind.ExclusiveMinimum:
		return atLeast(k.Got, "more than", k.Want)
	case *kind.ExclusiveMaximum:
		return atLeast(k.Got, "less than", k.Want)
	case *kind.MultipleOf:
		return atLeast(k.Got, "a multiple of", k.Want)
	case *kind.MinLength:
		return fmt.Sprintf("has %d characters, want at least %d", k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("has %d characters, want at most %d", k.Got, k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("has %d items, want at least %d", k.Got, k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has %d items, want at most %d", k.Got, k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf("has %d properties, want at least %d", k.Got, k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("has %d properties, want at most %d", k.Got, k.Want)
	}
	return ""
}

// atLeast says what a number is and what it should be.
func atLeast(got *big.Rat, how string, want *big.Rat) string {
	return fmt.Sprintf("is %s, want %s %s", number(got), how, number(want))
}

// number writes a number as in JSON.
func number(r *big.Rat) string {
	f, _ := r.Float64()
	out, err := json.Marshal(f)
	if err != nil {
		return r.RatString()
	}
	return string(out)
}

// names lists names of properties.
func names(list []string) string {
	out := make([]any, len(list))
	for i, name := range list {
		out[i] = name
	}
	return values(out)
}

// values lists values, the first maxListed of them.
func values(list []any) string {
	var out []string
	for _, v := range list[:min(len(list), maxListed)] {
		out = append(out, shown(v))
	}
	if len(list) > maxListed {
		out = append(out, fmt.Sprintf("%d more", len(list)-maxListed))
	}
	return strings.Join(out, ", ")
}

// shown is the beginning of a value, as JSON.
func shown(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return fmt.Sprintf("an object with %d properties", len(v))
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	case string:
		return fmt.Sprintf("%q", cut(v, maxShown))
	}
	out, _ := json.Marshal(v)
	return cut(string(out), maxShown)
}

// pointer is the JSON pointer (RFC 6901) of a path.
func pointer(path []string) string {
	var b strings.Builder
	for _, part := range path {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(cut(part, maxPath)))
		if b.Len() > maxPath {
			break
		}
	}
	return cut(b.String(), maxPath)
}

// cut bounds a text to n bytes, at the border of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// Repair is the message of a user that asks a model, once, to correct its answer.
// It follows the conversation with the answer that was wrong.
func (s *Schema) Repair(found []Violation) string {
	var b strings.Builder
	b.WriteString("Your answer is not the JSON that was asked for:\n")
	for _, v := range bounded(slices.Clone(found)) {
		b.WriteString("- " + v.String() + "\n")
		if v.Keyword == KeywordCut {
			b.WriteString("- keep it shorter, so that it comes to its end\n")
		}
	}
	b.WriteString("Correct this and nothing else. Send the whole answer again, as one JSON value that fits the schema, without explanation and without a code fence.")
	return b.String()
}
