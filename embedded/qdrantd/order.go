package qdrantd

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
)

// ordering sorts points by the values of a payload field. A point comes once per
// value.
type ordering struct {
	path jsonPath
	kind pb.PayloadSchemaType
	desc bool
	from *orderKey // nil: from the first
}

// orderKey is a value to sort by: an integer, or a float in f.
type orderKey struct {
	n     int64
	f     float64
	float bool
}

// compare orders keys; two integers exactly.
func (k orderKey) compare(o orderKey) int {
	if !k.float && !o.float {
		return cmp.Compare(k.n, o.n)
	}
	return cmp.Compare(k.number(), o.number())
}

func (k orderKey) number() float64 {
	if k.float {
		return k.f
	}
	return float64(k.n)
}

// value is the key as replies give it.
func (k orderKey) value() *pb.OrderValue {
	if k.float {
		return pb.NewOrderValueFloat(k.f)
	}
	return pb.NewOrderValueInt(k.n)
}

// newOrdering checks an order_by. As in real Qdrant the field needs an index
// with an order.
func (r *reader) newOrdering(in *pb.OrderBy) (ordering, error) {
	x, ok := r.indexes[in.GetKey()]
	o := ordering{path: x.path, kind: x.kind, desc: in.GetDirection() == pb.Direction_Desc}
	if !ok || x.kind != pb.PayloadSchemaType_Integer && x.kind != pb.PayloadSchemaType_Float && x.kind != pb.PayloadSchemaType_Datetime {
		return o, badInput("No range index for `order_by` key: `%s`. Please create one to use `order_by`", in.GetKey())
	}
	switch f := in.GetStartFrom().GetValue().(type) {
	case *pb.StartFrom_Float:
		o.from = &orderKey{f: f.Float, float: true}
	case *pb.StartFrom_Integer:
		o.from = &orderKey{n: f.Integer}
	case *pb.StartFrom_Timestamp:
		o.from = timeKey(f.Timestamp.AsTime())
	case *pb.StartFrom_Datetime:
		t, ok := parseTime(f.Datetime)
		if !ok {
			return o, badInput("order_by.start_from: %q is no time", f.Datetime)
		}
		o.from = timeKey(t)
	}
	return o, nil
}

// timeKey sorts times, by microseconds as Qdrant keeps them.
func timeKey(t time.Time) *orderKey { return &orderKey{n: t.UnixMicro()} }

// keys are the values of a point that the index of the field's kind holds.
func (o ordering) keys(v view) []orderKey {
	var out []orderKey
	for _, e := range elements(v.values(o.path)) {
		switch k := e.GetKind().(type) {
		case *pb.Value_IntegerValue:
			switch o.kind {
			case pb.PayloadSchemaType_Integer:
				out = append(out, orderKey{n: k.IntegerValue})
			case pb.PayloadSchemaType_Float:
				out = append(out, orderKey{f: float64(k.IntegerValue), float: true})
			}
		case *pb.Value_DoubleValue:
			if o.kind == pb.PayloadSchemaType_Float {
				out = append(out, orderKey{f: k.DoubleValue, float: true})
			}
		case *pb.Value_StringValue:
			if t, ok := parseTime(k.StringValue); ok && o.kind == pb.PayloadSchemaType_Datetime {
				out = append(out, *timeKey(t))
			}
		}
	}
	return out
}

// elements is the values with arrays taken apart.
func elements(values []*pb.Value) []*pb.Value {
	var out []*pb.Value
	for _, v := range values {
		if list := v.GetListValue(); list != nil {
			out = append(out, list.GetValues()...)
		} else {
			out = append(out, v)
		}
	}
	return out
}

// starts reports whether a key is at the start or behind it.
func (o ordering) starts(k orderKey) bool {
	if o.from == nil {
		return true
	}
	c := k.compare(*o.from)
	return c == 0 || (c < 0) == o.desc
}

// ordered returns the first points of a plan in the order of a field.
func (r *reader) ordered(ctx context.Context, in *pb.OrderBy, p plan, limit int) ([]hit, error) {
	o, err := r.newOrdering(in)
	if err != nil {
		return nil, err
	}
	slots, err := r.matching(ctx, p)
	if err != nil {
		return nil, err
	}
	var hits []hit
	var keys []orderKey
	for n, slot := range slots {
		if err := checkEvery(ctx, n); err != nil {
			return nil, err
		}
		v := recordView(r.record(slot))
		for _, k := range o.keys(v) {
			if o.starts(k) {
				hits = append(hits, hit{slot: slot, id: v.id, score: 1, order: len(keys)})
				keys = append(keys, k)
			}
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		c := cmp.Or(keys[a.order].compare(keys[b.order]), bytes.Compare(a.id, b.id))
		if o.desc {
			return -c
		}
		return c
	})
	hits = hits[:min(limit, len(hits))]
	for i := range hits {
		hits[i].value = keys[hits[i].order].value()
	}
	return hits, nil
}
