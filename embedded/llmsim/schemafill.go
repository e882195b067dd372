package llmsim

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxDepth bounds the nesting of an answer; from easyDepth on, what may be
	// left out is.
	maxDepth  = 24
	easyDepth = 6
	// maxFreeItems is the most items of an array that may have any number.
	maxFreeItems = 3
	// itemTries bounds the draws for a unique item.
	itemTries = 32
	// maxValues bounds the values of an answer; from easyValues on, what may be
	// left out is.
	maxValues  = 20_000
	easyValues = 1000
)

// filler makes a value that a schema accepts: from the text where it names the
// field, else drawn.
type filler struct {
	root *schema
	from *facts
	rnd  *rand.Rand
	made int // values so far
}

// spare reports whether what may be left out is.
func (f *filler) spare(depth int) bool { return depth > easyDepth || f.made > easyValues }

// value returns a value of s for the field name.
func (f *filler) value(s *schema, name string, depth int) (json.RawMessage, error) {
	if f.made++; depth > maxDepth || f.made > maxValues {
		return nil, fmt.Errorf("'%s' is nested without end", name)
	}
	s, err := s.resolve(f.root)
	switch {
	case err != nil:
		return nil, err
	case s.Const != nil:
		return f.enum(&schema{Type: s.Type, Enum: []json.RawMessage{s.Const}}, name)
	case len(s.AnyOf) > 0:
		return f.option(s, name, depth)
	case len(s.Enum) > 0:
		return f.enum(s, name)
	}
	switch f.kind(s, name, depth) {
	case kindObject:
		return f.object(s, depth)
	case kindArray:
		return f.array(s, name, depth)
	case kindString:
		text, err := f.str(s, name)
		if err != nil {
			return nil, err
		}
		return json.Marshal(text)
	case kindInteger:
		return f.number(s, name, true)
	case kindNumber:
		return f.number(s, name, false)
	case kindBoolean:
		return json.Marshal(f.boolean(name))
	}
	return json.RawMessage("null"), nil
}

// kind chooses one of the types of s: null when the text does not name the
// field or the nesting is deep, else the first other one.
func (f *filler) kind(s *schema, name string, depth int) string {
	kinds := s.Type
	switch {
	case len(kinds) == 0 && s.isObject():
		return kindObject
	case len(kinds) == 0 && s.Items != nil:
		return kindArray
	case len(kinds) == 0 && s.hasNumberBounds():
		return kindNumber
	case len(kinds) == 0:
		return kindString
	}
	if len(kinds) > 1 && slices.Contains(kinds, kindNull) {
		if f.spare(depth) || !f.from.mentions(name) {
			return kindNull
		}
		kinds = slices.DeleteFunc(slices.Clone(kinds), func(k string) bool { return k == kindNull })
	}
	return kinds[0]
}

// option makes a value of one of anyOf: null under the rule of kind, else the
// first other option that can be filled.
func (f *filler) option(s *schema, name string, depth int) (json.RawMessage, error) {
	isNull := func(o *schema) bool { return len(o.Type) == 1 && o.Type[0] == kindNull }
	if slices.ContainsFunc(s.AnyOf, isNull) && (f.spare(depth) || !f.from.mentions(name)) {
		return json.RawMessage("null"), nil
	}
	var first error
	for _, o := range s.AnyOf {
		value, err := f.value(o, name, depth+1)
		if err == nil && !isNull(o) {
			return value, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		return json.RawMessage("null"), nil
	}
	return nil, first
}

// enum takes the value that is the answer or that the text holds, else draws
// one. Values of other types than s allows are left out.
func (f *filler) enum(s *schema, name string) (json.RawMessage, error) {
	allowed := slices.DeleteFunc(slices.Clone(s.Enum), func(v json.RawMessage) bool { return !s.allows(v) })
	if len(allowed) == 0 {
		return nil, fmt.Errorf("'enum' of '%s' has no value of its type", name)
	}
	if others := slices.DeleteFunc(slices.Clone(allowed), f.from.avoids); len(others) > 0 {
		allowed = others
	}
	for _, holds := range []func(string) bool{f.from.answers(name), f.from.names(name), f.from.holds} {
		for _, v := range allowed {
			var text string
			if json.Unmarshal(v, &text) == nil && text != "" && holds(text) {
				return v, nil
			}
		}
	}
	return allowed[f.rnd.IntN(len(allowed))], nil
}

// avoids reports whether v is what an erring model must not say.
func (f *facts) avoids(v json.RawMessage) bool {
	var text string
	return f.avoid != "" && json.Unmarshal(v, &text) == nil && strings.EqualFold(text, f.avoid)
}

// allows reports whether v has one of the types of s.
func (s *schema) allows(v json.RawMessage) bool {
	var value any
	if json.Unmarshal(v, &value) != nil {
		return false
	}
	kind := kindNull
	switch n := value.(type) {
	case bool:
		kind = kindBoolean
	case string:
		kind = kindString
	case []any:
		kind = kindArray
	case map[string]any:
		kind = kindObject
	case float64:
		kind = kindNumber
		if n == math.Trunc(n) && slices.Contains(s.Type, kindInteger) {
			return true
		}
	}
	return len(s.Type) == 0 || slices.Contains(s.Type, kind)
}

// object fills all properties, deep down only the required ones.
func (f *filler) object(s *schema, depth int) (json.RawMessage, error) {
	all := slices.Clone(s.Properties)
	for _, name := range s.Required {
		if all.find(name) == nil {
			if string(s.Additional) == "false" {
				return nil, fmt.Errorf("'%s' is required but not in 'properties', and 'additionalProperties' is false", name)
			}
			extra := &schema{}
			if len(s.Additional) > 0 {
				if err := json.Unmarshal(s.Additional, extra); err != nil {
					return nil, err
				}
			}
			all = append(all, property{name, extra})
		}
	}
	var b strings.Builder
	b.WriteByte('{')
	for _, p := range all {
		required := slices.Contains(s.Required, p.name)
		if !required && f.spare(depth) {
			continue
		}
		value, err := f.value(p.schema, p.name, depth+1)
		if err != nil && required {
			return nil, err
		}
		if err != nil {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(p.name)
		if err != nil {
			return nil, err
		}
		b.WriteString(string(name) + ":" + string(value))
	}
	b.WriteByte('}')
	return json.RawMessage(b.String()), nil
}

// array makes one to three items, or as many as the bounds want.
func (f *filler) array(s *schema, name string, depth int) (json.RawMessage, error) {
	n := max(s.MinItems, 1+f.rnd.IntN(maxFreeItems))
	listed := f.from.list(name)
	if len(listed) > n {
		n = len(listed)
	}
	if f.spare(depth) {
		n = s.MinItems
	}
	if s.MaxItems != nil {
		if n = min(n, *s.MaxItems); n < s.MinItems {
			return nil, fmt.Errorf("'minItems' of '%s' is above its 'maxItems'", name)
		}
	}
	items := s.Items
	if items == nil {
		items = &schema{}
	}
	out := []json.RawMessage{}
	for tries := 0; len(out) < n && tries < itemTries+n; tries++ {
		if len(out) < len(listed) && len(items.Type) == 1 && items.Type[0] == kindString && len(items.Enum) == 0 {
			f.from.next = listed[len(out)]
		}
		v, err := f.value(items, name, depth+1)
		f.from.next = ""
		if err != nil && len(out) >= s.MinItems {
			break
		}
		if err != nil {
			return nil, err
		}
		if !s.UniqueItems || !slices.ContainsFunc(out, func(o json.RawMessage) bool { return string(o) == string(v) }) {
			out = append(out, v)
		}
	}
	if len(out) < s.MinItems {
		return nil, fmt.Errorf("'%s' wants %d unique items, found %d", name, s.MinItems, len(out))
	}
	return json.Marshal(out)
}

// boolean takes the word beside the name, else draws.
func (f *filler) boolean(name string) bool {
	for _, text := range f.from.named(name) {
		switch word, _, _ := strings.Cut(strings.ToLower(text), " "); word {
		case "true", "yes", "on":
			return true
		case "false", "no", "off", "not":
			return false
		}
	}
	return f.rnd.IntN(2) == 0
}

// number takes a number beside the name, else draws a step between the bounds.
func (f *filler) number(s *schema, name string, whole bool) (json.RawMessage, error) {
	g := gridOf(s, whole)
	if g.last < g.first {
		return nil, fmt.Errorf("'%s' has no number between its bounds", name)
	}
	for _, text := range f.from.numbers(name) {
		if v, err := strconv.ParseFloat(text, 64); err == nil && g.fits(s, v, whole) {
			return json.RawMessage(g.text(v)), nil
		}
	}
	if v := f.from.confidence; v > 0 && strings.Contains(strings.ToLower(name), "confidence") {
		if !whole && !s.hasNumberBounds() {
			return json.RawMessage(g.text(v)), nil
		}
		return json.RawMessage(g.text(math.Round(g.first+v*(g.last-g.first)) * g.step)), nil
	}
	at := g.first + math.Floor(f.rnd.Float64()*(g.last-g.first+1))
	return json.RawMessage(g.text(at * g.step)), nil
}

// grid is the numbers first·step to last·step.
type grid struct{ first, last, step float64 }

const (
	// freeRange is how far numbers without a second bound reach.
	freeRange = 100
	// freeSteps is how many numbers are tried between near bounds.
	freeSteps = 1000
)

// gridOf returns the numbers that s allows and that are drawn from.
func gridOf(s *schema, whole bool) grid {
	low, high := math.Inf(-1), math.Inf(1)
	for _, v := range []*float64{s.Minimum, s.ExclusiveMinimum} {
		if v != nil {
			low = max(low, *v)
		}
	}
	for _, v := range []*float64{s.Maximum, s.ExclusiveMaximum} {
		if v != nil {
			high = min(high, *v)
		}
	}
	switch {
	case math.IsInf(low, -1) && math.IsInf(high, 1):
		low, high = 0, freeRange
	case math.IsInf(low, -1):
		low = min(0, high-freeRange)
	case math.IsInf(high, 1):
		high = max(low+freeRange, freeRange)
	}
	g := grid{step: stepOf(s, whole, low, high)}
	g.first, g.last = math.Ceil(low/g.step-1e-9), math.Floor(high/g.step+1e-9)
	if s.ExclusiveMinimum != nil && g.first*g.step <= *s.ExclusiveMinimum {
		g.first++
	}
	if s.ExclusiveMaximum != nil && g.last*g.step >= *s.ExclusiveMaximum {
		g.last--
	}
	return g
}

// stepOf returns the distance of the numbers drawn.
func stepOf(s *schema, whole bool, low, high float64) float64 {
	switch {
	case s.MultipleOf != nil:
		step := *s.MultipleOf
		for n := 1.0; whole && n <= freeSteps; n++ {
			if v := n * step; math.Abs(v-math.Round(v)) < 1e-9 {
				return math.Round(v)
			}
		}
		return step
	case whole:
		return 1
	case high == low && low != 0:
		return math.Abs(low)
	case high-low > 1:
		return 0.1
	}
	step := 0.01
	for step > 1e-12 && (high-low)/step < 2 {
		step /= 10
	}
	return step
}

// fits reports whether a number of the text is valid.
func (g grid) fits(s *schema, v float64, whole bool) bool {
	at := v / g.step
	switch {
	case (whole || s.MultipleOf != nil) && math.Abs(at-math.Round(at)) > 1e-9,
		s.Minimum != nil && v < *s.Minimum, s.Maximum != nil && v > *s.Maximum,
		s.ExclusiveMinimum != nil && v <= *s.ExclusiveMinimum, s.ExclusiveMaximum != nil && v >= *s.ExclusiveMaximum:
		return false
	}
	return true
}

// text writes v without the errors of binary fractions.
func (g grid) text(v float64) string {
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 12, 64), 64)
	if err != nil {
		short = v
	}
	return strconv.FormatFloat(short, 'f', -1, 64)
}
