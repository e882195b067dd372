package qdrantd

import (
	"context"
	"slices"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"
)

// defaultLimit is Qdrant's default for limits of queries and prefetches.
const defaultLimit = 10

// maxLimit caps limits and offsets so that sums of them stay in range; no
// collection holds that many points.
const maxLimit = 1 << 29

// queryNode is a query or a prefetch: both are evaluated alike.
type queryNode struct {
	prefetch  []*pb.PrefetchQuery
	query     *pb.Query
	using     string
	filter    *pb.Filter
	threshold *float32
	limit     int
}

// child makes a node of a prefetch. Filters hold for everything below them.
func (n queryNode) child(p *pb.PrefetchQuery) (queryNode, error) {
	limit, err := checkLimit("prefetch.limit", p.Limit)
	return queryNode{
		prefetch: p.GetPrefetch(), query: p.GetQuery(), using: p.GetUsing(),
		filter: bothFilters(n.filter, p.GetFilter()), threshold: p.ScoreThreshold, limit: limit,
	}, err
}

// checkLimit applies the default to a limit and refuses 0.
func checkLimit[T uint32 | uint64](field string, limit *T) (int, error) {
	switch {
	case limit == nil:
		return defaultLimit, nil
	case *limit == 0:
		return 0, badInput("%s: value 0 invalid, must be 1 or larger", field)
	}
	return int(min(uint64(*limit), maxLimit)), nil
}

// bothFilters is the filter that needs both; either may be nil.
func bothFilters(a, b *pb.Filter) *pb.Filter {
	switch {
	case a == nil:
		return b
	case b == nil || proto.Equal(a, b):
		return a
	}
	return &pb.Filter{Must: []*pb.Condition{pb.NewFilterAsCondition(a), pb.NewFilterAsCondition(b)}}
}

// evaluate answers a node, best hit first.
func (r *reader) evaluate(ctx context.Context, n queryNode, depth int) ([]hit, error) {
	if depth > maxDepth {
		return nil, badInput("prefetch is nested deeper than %d", maxDepth)
	}
	if len(n.prefetch) == 0 {
		return r.memoLeaf(ctx, n)
	}
	lists := make([][]hit, len(n.prefetch))
	for i, p := range n.prefetch {
		child, err := n.child(p)
		if err != nil {
			return nil, err
		}
		if lists[i], err = r.evaluate(ctx, child, depth+1); err != nil {
			return nil, err
		}
	}
	return r.merge(ctx, n, lists)
}

// leaf answers a node that works on the collection itself.
func (r *reader) leaf(ctx context.Context, n queryNode) ([]hit, error) {
	switch n.query.GetVariant().(type) {
	case nil:
		p, err := r.plan(n.filter)
		if err != nil {
			return nil, err
		}
		return r.page(ctx, p, nil, n.limit)
	case *pb.Query_Nearest, *pb.Query_NearestWithMmr:
		p, err := r.memoPlan(n.filter, r.col.vectors[n.using].dense != nil)
		if err != nil {
			return nil, err
		}
		return r.rank(ctx, n, p)
	case *pb.Query_Fusion, *pb.Query_Rrf:
		return nil, badInput("Bad request: cannot make fusion without prefetches")
	}
	p, err := r.plan(n.filter)
	if err != nil {
		return nil, err
	}
	return r.rank(ctx, n, p)
}

// rank ranks the points of a plan.
func (r *reader) rank(ctx context.Context, n queryNode, p plan) ([]hit, error) {
	switch q := n.query.GetVariant().(type) {
	case *pb.Query_Nearest:
		s, err := r.nearest(ctx, n, q.Nearest, p)
		if err != nil {
			return nil, err
		}
		return r.run(ctx, s)
	case *pb.Query_NearestWithMmr:
		return r.searchMMR(ctx, n, q.NearestWithMmr, p)
	case *pb.Query_OrderBy:
		return r.ordered(ctx, q.OrderBy, p, n.limit)
	}
	return nil, unsupported("field Query.variant")
}

// merge makes one list of the prefetched lists: it fuses them, or ranks their
// points anew.
func (r *reader) merge(ctx context.Context, n queryNode, lists [][]hit) ([]hit, error) {
	var fused []hit
	var err error
	switch q := n.query.GetVariant().(type) {
	case nil:
		return nil, badInput("Bad request: A query is needed to merge the prefetches. Can't have prefetches without defining a query.")
	case *pb.Query_Fusion:
		fused, err = fuse(q.Fusion, lists)
	case *pb.Query_Rrf:
		fused, err = fuseRRF(q.Rrf, lists)
	default:
		return r.rank(ctx, n, plan{slots: union(lists)})
	}
	if err != nil {
		return nil, err
	}
	if n.threshold != nil {
		fused = slices.DeleteFunc(fused, func(h hit) bool { return h.score < *n.threshold })
	}
	return fused[:min(n.limit, len(fused))], nil
}

// union lists the slots in any of the lists, in order.
func union(lists [][]hit) []uint64 {
	var out []uint64
	for _, l := range lists {
		for _, h := range l {
			out = append(out, h.slot)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
