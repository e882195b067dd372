package qdrantd

import (
	"context"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"
)

// memo keeps what has been worked out on one snapshot. A fused query asks for
// the same filter in every list, for a list as often as it counts, and a batch
// may ask for a fused query's lists again.
type memo struct {
	plans  map[string]plan
	leaves map[string][]hit
}

func newMemo() memo { return memo{plans: map[string]plan{}, leaves: map[string][]hit{}} }

// memoKey is equal for equal messages.
func memoKey(m proto.Message) (string, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return "", badInput("encoding the query: %v", err)
	}
	return string(raw), nil
}

// memoPlan is searchPlan, once per filter and kind of vector. To list the slots
// of half of the points nearly halves a dense search, which compares whole
// vectors; an inverted index has scored all rows before the slots are listed.
func (r *reader) memoPlan(f *pb.Filter, dense bool) (plan, error) {
	key, err := memoKey(f)
	if err != nil {
		return plan{}, err
	}
	most := r.total / 4
	if dense {
		most, key = r.total*3/4, "d"+key
	}
	p, ok := r.memo.plans[key]
	if !ok {
		if p, err = r.searchPlan(f, most); err == nil {
			r.memo.plans[key] = p
		}
	}
	return p, err
}

// memoLeaf is leaf, once per query.
func (r *reader) memoLeaf(ctx context.Context, n queryNode) ([]hit, error) {
	limit := uint64(n.limit)
	key, err := memoKey(&pb.PrefetchQuery{Query: n.query, Using: &n.using, Filter: n.filter, ScoreThreshold: n.threshold, Limit: &limit})
	if err != nil {
		return nil, err
	}
	hits, ok := r.memo.leaves[key]
	if !ok {
		if hits, err = r.leaf(ctx, n); err == nil {
			r.memo.leaves[key] = hits
		}
	}
	return hits, err
}
