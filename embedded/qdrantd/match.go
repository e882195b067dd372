package qdrantd

import (
	"slices"
	"strings"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
)

// valueTest decides about one scalar value.
type valueTest func(v *pb.Value) bool

// compileField compiles a field condition, which must have exactly one test.
func compileField(f *pb.FieldCondition) (predicate, error) {
	tests := 0
	for _, set := range []bool{f.Match != nil, f.Range != nil, f.DatetimeRange != nil, f.ValuesCount != nil, f.IsEmpty != nil, f.IsNull != nil} {
		if set {
			tests++
		}
	}
	switch {
	case tests == 0:
		return nil, badInput("Malformed field condition on %q: no test is set", f.GetKey())
	case tests > 1:
		return nil, unsupported("a field condition with several tests at once (key " + f.GetKey() + ")")
	case f.Match != nil:
		test, err := compileMatch(f.GetMatch())
		if err != nil {
			return nil, err
		}
		return onPath(f.GetKey(), anyElement(test))
	case f.Range != nil:
		return onPath(f.GetKey(), anyElement(numberTest(f.GetRange())))
	case f.DatetimeRange != nil:
		return onPath(f.GetKey(), anyElement(timeTest(f.GetDatetimeRange())))
	case f.ValuesCount != nil:
		return onPath(f.GetKey(), countTest(f.GetValuesCount()))
	case f.IsEmpty != nil:
		return onPath(f.GetKey(), func(vs []*pb.Value) bool { return isEmpty(vs) == f.GetIsEmpty() })
	}
	return onPath(f.GetKey(), func(vs []*pb.Value) bool { return isNull(vs) == f.GetIsNull() })
}

// anyElement applies a test to each value; an array meets it with any element.
func anyElement(test valueTest) func([]*pb.Value) bool {
	return func(values []*pb.Value) bool {
		return slices.ContainsFunc(values, func(v *pb.Value) bool {
			if list := v.GetListValue(); list != nil {
				return slices.ContainsFunc(list.GetValues(), test)
			}
			return test(v)
		})
	}
}

// compileMatch compiles an exact, in-list, not-in-list or substring match.
func compileMatch(m *pb.Match) (valueTest, error) {
	switch t := m.GetMatchValue().(type) {
	case *pb.Match_Keyword:
		return isString(func(s string) bool { return s == t.Keyword }), nil
	case *pb.Match_Integer:
		return isInteger(func(n int64) bool { return n == t.Integer }), nil
	case *pb.Match_Boolean:
		return func(v *pb.Value) bool {
			b, ok := v.GetKind().(*pb.Value_BoolValue)
			return ok && b.BoolValue == t.Boolean
		}, nil
	case *pb.Match_Text:
		return isString(func(s string) bool { return strings.Contains(s, t.Text) }), nil
	case *pb.Match_Keywords:
		return isString(func(s string) bool { return slices.Contains(t.Keywords.GetStrings(), s) }), nil
	case *pb.Match_Integers:
		return isInteger(func(n int64) bool { return slices.Contains(t.Integers.GetIntegers(), n) }), nil
	case *pb.Match_ExceptKeywords:
		return except(isString(func(s string) bool { return slices.Contains(t.ExceptKeywords.GetStrings(), s) })), nil
	case *pb.Match_ExceptIntegers:
		return except(isInteger(func(n int64) bool { return slices.Contains(t.ExceptIntegers.GetIntegers(), n) })), nil
	}
	return nil, badInput("Malformed match condition: no value is set")
}

func isString(test func(string) bool) valueTest {
	return func(v *pb.Value) bool {
		s, ok := v.GetKind().(*pb.Value_StringValue)
		return ok && test(s.StringValue)
	}
}

func isInteger(test func(int64) bool) valueTest {
	return func(v *pb.Value) bool {
		n, ok := v.GetKind().(*pb.Value_IntegerValue)
		return ok && test(n.IntegerValue)
	}
}

// except holds for a value that exists, is not null and does not meet test.
func except(test valueTest) valueTest {
	return func(v *pb.Value) bool { return !isNullValue(v) && !test(v) }
}

// numberTest holds for integers and floats within the bounds.
func numberTest(r *pb.Range) valueTest {
	return func(v *pb.Value) bool {
		var x float64
		switch n := v.GetKind().(type) {
		case *pb.Value_IntegerValue:
			x = float64(n.IntegerValue)
		case *pb.Value_DoubleValue:
			x = n.DoubleValue
		default:
			return false
		}
		return (r.Lt == nil || x < *r.Lt) && (r.Gt == nil || x > *r.Gt) &&
			(r.Lte == nil || x <= *r.Lte) && (r.Gte == nil || x >= *r.Gte)
	}
}

// timeTest holds for strings that are times within the bounds.
func timeTest(r *pb.DatetimeRange) valueTest {
	return isString(func(s string) bool {
		t, ok := parseTime(s)
		return ok &&
			(r.Lt == nil || t.Before(r.Lt.AsTime())) && (r.Gt == nil || t.After(r.Gt.AsTime())) &&
			(r.Lte == nil || !t.After(r.Lte.AsTime())) && (r.Gte == nil || !t.Before(r.Gte.AsTime()))
	})
}

// parseTime reads RFC 3339 and its shorter forms; a time without zone is UTC.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// countTest compares the number of values: an array's length, 1 for a scalar, 0
// for null and for a missing field.
func countTest(c *pb.ValuesCount) func([]*pb.Value) bool {
	within := func(n uint64) bool {
		return (c.Lt == nil || n < *c.Lt) && (c.Gt == nil || n > *c.Gt) && (c.Lte == nil || n <= *c.Lte) && (c.Gte == nil || n >= *c.Gte)
	}
	return func(values []*pb.Value) bool {
		if len(values) == 0 {
			return within(0)
		}
		return slices.ContainsFunc(values, func(v *pb.Value) bool { return within(valueCount(v)) })
	}
}

func valueCount(v *pb.Value) uint64 {
	switch k := v.GetKind().(type) {
	case *pb.Value_ListValue:
		return uint64(len(k.ListValue.GetValues()))
	case *pb.Value_NullValue, nil:
		return 0
	}
	return 1
}
