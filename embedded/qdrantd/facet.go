package qdrantd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	pb "github.com/qdrant/go-client/qdrant"
)

// facet counts points per value of a field: the most frequent values first, of
// equally frequent ones the smaller first. Counts are always exact.
func (r *reader) facet(ctx context.Context, req *pb.FacetCounts) ([]*pb.FacetHit, error) {
	limit, err := checkLimit("limit", req.Limit)
	if err != nil {
		return nil, err
	}
	x, ok := r.indexes[req.GetKey()]
	if !ok || !x.exact() {
		return nil, badInput("No appropriate index for faceting: `%s`. Please create one to facet on this field", req.GetKey())
	}
	counts, err := r.facetCounts(ctx, x, req.GetFilter())
	if err != nil {
		return nil, err
	}
	hits := make([]*pb.FacetHit, 0, len(counts))
	for key, n := range counts {
		if v := r.facetValue(x, key); v != nil {
			hits = append(hits, &pb.FacetHit{Value: v, Count: n})
		}
	}
	slices.SortFunc(hits, func(a, b *pb.FacetHit) int {
		return cmp.Or(cmp.Compare(b.GetCount(), a.GetCount()), compareFacets(a.GetValue(), b.GetValue()))
	})
	return hits[:min(limit, len(hits))], nil
}

// facetCounts counts by value key: without a filter the index has the counts.
func (r *reader) facetCounts(ctx context.Context, x fieldIndex, f *pb.Filter) (map[string]uint64, error) {
	p, err := r.plan(f)
	if err != nil {
		return nil, err
	}
	counts := map[string]uint64{}
	if p.all && p.rest == nil {
		for key, n := range cursorPairs(x.counts.Cursor()) {
			counts[string(key)] = countOf(n)
		}
		return counts, nil
	}
	slots, err := r.matching(ctx, p)
	for n, slot := range slots {
		if err := checkEvery(ctx, n); err != nil {
			return nil, err
		}
		_, payload := splitRecord(r.record(slot))
		for key := range x.keys(payload) {
			counts[key]++
		}
	}
	return counts, err
}

// facetValue reads a value out of its key. A long string's key is only a hash:
// it is looked up in a point that has it.
func (r *reader) facetValue(x fieldIndex, key string) *pb.FacetValue {
	switch key[0] {
	case 's':
		return &pb.FacetValue{Variant: &pb.FacetValue_StringValue{StringValue: key[3:]}}
	case 'i':
		return &pb.FacetValue{Variant: &pb.FacetValue_IntegerValue{IntegerValue: int64(binary.BigEndian.Uint64([]byte(key[1:])))}}
	case 'b':
		return &pb.FacetValue{Variant: &pb.FacetValue_BoolValue{BoolValue: key == boolKey(true)}}
	}
	entry, _ := x.entries.Cursor().Seek([]byte(key))
	if !bytes.HasPrefix(entry, []byte(key)) {
		return nil
	}
	for _, v := range elements(recordView(r.record(slotOf(entry[len(key):]))).values(x.path)) {
		if k, ok := x.valueKey(v); ok && k == key {
			return &pb.FacetValue{Variant: &pb.FacetValue_StringValue{StringValue: v.GetStringValue()}}
		}
	}
	return nil
}

// compareFacets orders values of one kind.
func compareFacets(a, b *pb.FacetValue) int {
	return cmp.Or(
		cmp.Compare(a.GetStringValue(), b.GetStringValue()),
		cmp.Compare(a.GetIntegerValue(), b.GetIntegerValue()),
		cmp.Compare(boolKey(a.GetBoolValue()), boolKey(b.GetBoolValue())))
}
