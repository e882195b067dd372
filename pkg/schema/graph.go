package schema

import (
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weir-dev/weir/pkg/event"
)

// sameValue are the schemas that s applies to the value it is given.
func sameValue(s *jsonschema.Schema) []*jsonschema.Schema {
	out := slices.Concat(s.AllOf, s.AnyOf, s.OneOf)
	for _, one := range []*jsonschema.Schema{s.Ref, s.Not, s.If, s.Then, s.Else} {
		out = appendSchema(out, one)
	}
	for _, one := range s.Dependencies {
		out = appendSchema(out, one)
	}
	for _, one := range s.DependentSchemas {
		out = appendSchema(out, one)
	}
	return out
}

// parts are the schemas that s applies to parts of its value.
func parts(s *jsonschema.Schema) []*jsonschema.Schema {
	out := slices.Clone(s.PrefixItems)
	for _, one := range []any{s.PropertyNames, s.AdditionalProperties, s.UnevaluatedProperties, s.Contains,
		s.Items, s.AdditionalItems, s.Items2020, s.UnevaluatedItems} {
		out = appendSchema(out, one)
	}
	for _, one := range s.Properties {
		out = append(out, one)
	}
	for _, one := range s.PatternProperties {
		out = append(out, one)
	}
	return out
}

// appendSchema appends a schema or several, where the library allows other types.
func appendSchema(list []*jsonschema.Schema, one any) []*jsonschema.Schema {
	switch one := one.(type) {
	case *jsonschema.Schema:
		if one != nil {
			list = append(list, one)
		}
	case []*jsonschema.Schema:
		list = append(list, one...)
	}
	return list
}

// checkGraph refuses schemas that would be applied to one value without end, and
// those no finite value fits because each would hold another.
func checkGraph(root *jsonschema.Schema) error {
	all := reachable(root)
	done := map[*jsonschema.Schema]bool{}
	for _, s := range all {
		if s.DynamicRef != nil || s.RecursiveRef != nil {
			return event.Invalid(place(s.Location), "use $ref", "dynamic references are not supported")
		}
		if s = circle(s, map[*jsonschema.Schema]bool{}, done); s != nil {
			return event.Invalid(place(s.Location), "put the reference under properties or items, so that each turn goes one level deeper",
				"is recursive without end: it applies itself to the same value")
		}
	}
	known := map[*jsonschema.Schema]spread{}
	for _, s := range all {
		if n := spreadOf(s, known); n.count > maxSpread || n.depth > MaxDepth {
			return event.Invalid(place(s.Location), "combine fewer schemas", "applies more than %d schemas to one value, or more than %d that lead to one another", maxSpread, MaxDepth)
		}
	}
	ends := ending(all)
	if !ends[root] {
		return event.Invalid(field, "make the property that holds the next one optional, or let the list be empty",
			"is recursive without end: every value would have to hold another one")
	}
	return nil
}

// reachable lists a schema and all it leads to.
func reachable(root *jsonschema.Schema) []*jsonschema.Schema {
	all := []*jsonschema.Schema{root}
	seen := map[*jsonschema.Schema]bool{root: true}
	for i := 0; i < len(all); i++ {
		for _, next := range slices.Concat(sameValue(all[i]), parts(all[i])) {
			if !seen[next] {
				seen[next] = true
				all = append(all, next)
			}
		}
	}
	return all
}

// circle finds a schema that leads back to itself on the same value, nil if none.
func circle(s *jsonschema.Schema, open, done map[*jsonschema.Schema]bool) *jsonschema.Schema {
	switch {
	case open[s]:
		return s
	case done[s]:
		return nil
	}
	open[s] = true
	for _, next := range sameValue(s) {
		if found := circle(next, open, done); found != nil {
			return found
		}
	}
	delete(open, s)
	done[s] = true
	return nil
}

// maxSpread bounds the schemas that one applies to the same value, which references
// can double with each step; MaxDepth bounds how many lead to one another, since
// the validator looks back at all of them for a circle.
const maxSpread = 2000

// spread is how many schemas one applies to its value, and how many of them lead to
// one another at most, itself included.
type spread struct{ count, depth int }

// spreadOf needs schemas without a circle.
func spreadOf(s *jsonschema.Schema, known map[*jsonschema.Schema]spread) spread {
	if n, ok := known[s]; ok {
		return n
	}
	n := spread{count: 1}
	for _, next := range sameValue(s) {
		more := spreadOf(next, known)
		n.count, n.depth = min(n.count+more.count, maxSpread+1), max(n.depth, more.depth)
	}
	n.depth++
	known[s] = n
	return n
}

// ending finds the schemas that some finite value may fit: the least set that
// holds each schema all of whose necessary parts are in it.
func ending(all []*jsonschema.Schema) map[*jsonschema.Schema]bool {
	ends := map[*jsonschema.Schema]bool{}
	for grown := true; grown; {
		grown = false
		for _, s := range slices.Backward(all) { // what leads on is before what it leads to
			if !ends[s] && endsIf(s, ends) {
				ends[s], grown = true, true
			}
		}
	}
	return ends
}

// endsIf reports whether s has an end if those in ends have.
func endsIf(s *jsonschema.Schema, ends map[*jsonschema.Schema]bool) bool {
	has := func(s *jsonschema.Schema) bool { return ends[s] }
	missing := func(s *jsonschema.Schema) bool { return !ends[s] }
	switch {
	case s.Ref != nil && missing(s.Ref), slices.ContainsFunc(s.AllOf, missing),
		len(s.AnyOf) > 0 && !slices.ContainsFunc(s.AnyOf, has),
		len(s.OneOf) > 0 && !slices.ContainsFunc(s.OneOf, has):
		return false
	case s.Types == nil || s.Types.IsEmpty():
		return true // a number fits
	}
	switch types := s.Types.ToStrings(); {
	case slices.Equal(types, []string{"object"}):
		return !slices.ContainsFunc(s.Required, func(name string) bool {
			next := s.Properties[name]
			return next != nil && missing(next)
		})
	case slices.Equal(types, []string{"array"}) && s.MinItems != nil:
		first := s.PrefixItems[:min(len(s.PrefixItems), *s.MinItems)]
		rest := *s.MinItems > len(first) && s.Items2020 != nil && missing(s.Items2020)
		list, _ := s.Items.(*jsonschema.Schema)
		return !slices.ContainsFunc(first, missing) && !rest && (*s.MinItems == 0 || list == nil || has(list))
	}
	return true
}
