package qdrantd

import (
	"bytes"
	"slices"

	pb "github.com/qdrant/go-client/qdrant"
)

// maxDepth bounds the nesting of filters and prefetches.
const maxDepth = 64

// predicate decides whether a point matches.
type predicate func(v view) bool

// compileFilter checks a filter once and turns it into a predicate; nil stands
// for a filter that matches everything.
func compileFilter(f *pb.Filter, depth int) (predicate, error) {
	if depth > maxDepth {
		return nil, badInput("filter is nested deeper than %d", maxDepth)
	}
	var parts []predicate
	must, err := compileAll(f.GetMust(), depth)
	if err != nil {
		return nil, err
	}
	parts = append(parts, must...)
	mustNot, err := compileAll(f.GetMustNot(), depth)
	if err != nil {
		return nil, err
	}
	for _, p := range mustNot {
		parts = append(parts, func(v view) bool { return !p(v) })
	}
	should, err := compileAll(f.GetShould(), depth)
	if err != nil {
		return nil, err
	}
	if len(should) > 0 {
		parts = append(parts, atLeast(1, should))
	}
	if m := f.GetMinShould(); m != nil {
		conds, err := compileAll(m.GetConditions(), depth)
		if err != nil {
			return nil, err
		}
		parts = append(parts, atLeast(m.GetMinCount(), conds))
	}
	return allOf(parts), nil
}

// compileAll compiles each condition.
func compileAll(conds []*pb.Condition, depth int) ([]predicate, error) {
	out := make([]predicate, 0, len(conds))
	for _, c := range conds {
		p, err := compileCondition(c, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// allOf matches when every part does; nil when there are none.
func allOf(parts []predicate) predicate {
	switch len(parts) {
	case 0:
		return nil
	case 1:
		return parts[0]
	}
	return func(v view) bool {
		for _, p := range parts {
			if !p(v) {
				return false
			}
		}
		return true
	}
}

// atLeast matches when n of the parts do.
func atLeast(n uint64, parts []predicate) predicate {
	return func(v view) bool {
		var met uint64
		for _, p := range parts {
			if met >= n {
				break
			}
			if p(v) {
				met++
			}
		}
		return met >= n
	}
}

// compileCondition compiles one condition of any kind.
func compileCondition(c *pb.Condition, depth int) (predicate, error) {
	switch t := c.GetConditionOneOf().(type) {
	case *pb.Condition_Field:
		return compileField(t.Field)
	case *pb.Condition_IsEmpty:
		return onPath(t.IsEmpty.GetKey(), isEmpty)
	case *pb.Condition_IsNull:
		return onPath(t.IsNull.GetKey(), isNull)
	case *pb.Condition_HasId:
		return compileHasID(t.HasId.GetHasId())
	case *pb.Condition_Filter:
		p, err := compileFilter(t.Filter, depth+1)
		if p == nil && err == nil {
			p = func(view) bool { return true }
		}
		return p, err
	case *pb.Condition_Nested:
		return compileNested(t.Nested, depth)
	}
	return nil, badInput("Malformed condition: no kind is set")
}

// onPath makes a predicate over the values at a path.
func onPath(key string, test func(values []*pb.Value) bool) (predicate, error) {
	path, err := parsePath(key)
	if err != nil {
		return nil, err
	}
	return func(v view) bool { return test(v.values(path)) }, nil
}

// isEmpty holds for a field that is missing, null or an empty array.
func isEmpty(values []*pb.Value) bool {
	return !slices.ContainsFunc(values, func(v *pb.Value) bool {
		list := v.GetListValue()
		return !isNullValue(v) && (list == nil || len(list.GetValues()) > 0)
	})
}

// isNull holds for a null, or an array with one. A missing field is not null.
func isNull(values []*pb.Value) bool {
	return slices.ContainsFunc(values, func(v *pb.Value) bool {
		return isNullValue(v) || slices.ContainsFunc(v.GetListValue().GetValues(), isNullValue)
	})
}

// isNullValue holds for null itself. A value with no kind counts as null.
func isNullValue(v *pb.Value) bool {
	switch v.GetKind().(type) {
	case *pb.Value_NullValue, nil:
		return true
	}
	return false
}

// compileHasID matches points by id.
func compileHasID(ids []*pb.PointId) (predicate, error) {
	keys, err := idKeys(ids)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(keys, bytes.Compare)
	return func(v view) bool {
		_, ok := slices.BinarySearchFunc(keys, v.id, bytes.Compare)
		return ok
	}, nil
}

// compileNested matches when one element of an array meets the whole filter.
func compileNested(n *pb.NestedCondition, depth int) (predicate, error) {
	path, err := parsePath(n.GetKey())
	if err != nil {
		return nil, err
	}
	if path[len(path)-1].kind == segKey {
		path = append(path, segment{kind: segAll})
	}
	if hasIDInside(n.GetFilter()) {
		return nil, badInput("has_id is not usable inside a nested condition")
	}
	p, err := compileFilter(n.GetFilter(), depth+1)
	if err != nil {
		return nil, err
	}
	return func(v view) bool {
		return slices.ContainsFunc(v.values(path), func(e *pb.Value) bool { return p == nil || p(structView(v.id, e)) })
	}, nil
}

// hasIDInside reports whether a filter holds a has_id condition. Its depth is
// bounded by gRPC's decoder.
func hasIDInside(f *pb.Filter) bool {
	for _, list := range [][]*pb.Condition{f.GetMust(), f.GetMustNot(), f.GetShould(), f.GetMinShould().GetConditions()} {
		for _, c := range list {
			if c.GetHasId() != nil || hasIDInside(c.GetFilter()) || hasIDInside(c.GetNested().GetFilter()) {
				return true
			}
		}
	}
	return false
}
