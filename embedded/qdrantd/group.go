package qdrantd

import (
	"context"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"
)

// defaultGroupSize is Qdrant's number of hits per group when none is given.
const defaultGroupSize = 3

// grouping collects hits by the values of a payload field.
type grouping struct {
	path   jsonPath
	groups int // groups wanted
	size   int // hits wanted per group
	order  []string
	hits   map[string][]hit
	ids    map[string]*pb.GroupId
}

// newGrouping checks the request's group fields.
func newGrouping(req *pb.QueryPointGroups) (*grouping, error) {
	path, err := parsePath(req.GetGroupBy())
	if err != nil {
		return nil, err
	}
	g := &grouping{path: path, size: defaultGroupSize}
	if g.groups, err = checkLimit("limit", req.Limit); err != nil {
		return nil, err
	}
	if req.GroupSize != nil {
		g.size, err = checkLimit("group_size", req.GroupSize)
	}
	return g, err
}

// queryGroups answers a grouped query. It asks for ever more hits until the
// groups are full or there are no more.
func (r *reader) queryGroups(ctx context.Context, req *pb.QueryPointGroups) (*grouping, error) {
	g, err := newGrouping(req)
	if err != nil {
		return nil, err
	}
	node := queryNode{
		prefetch: scalePrefetch(req.GetPrefetch(), uint64(g.size)), query: req.GetQuery(), using: req.GetUsing(), threshold: req.ScoreThreshold,
		filter: bothFilters(req.GetFilter(), &pb.Filter{MustNot: []*pb.Condition{pb.NewIsEmpty(req.GetGroupBy())}}),
	}
	most := int(min(r.total, maxLimit)) + 1 // one more than there can be hits
	for limit := 2 * min(g.groups, most) * min(g.size, most); ; limit *= 4 {
		limit = min(limit, most)
		node.limit = limit
		hits, err := r.evaluate(ctx, node, 0)
		if err != nil {
			return nil, err
		}
		g.fill(r, hits)
		if g.full() || len(hits) < limit {
			return g, nil
		}
	}
}

// scalePrefetch asks each prefetch for enough hits to fill groups.
func scalePrefetch(in []*pb.PrefetchQuery, factor uint64) []*pb.PrefetchQuery {
	out := make([]*pb.PrefetchQuery, len(in))
	for i, p := range in {
		c := proto.CloneOf(p)
		if c.Limit == nil {
			c.Limit = proto.Uint64(defaultLimit)
		}
		*c.Limit = min(*c.Limit, maxLimit) * min(factor, maxLimit)
		c.Prefetch = scalePrefetch(c.Prefetch, factor)
		out[i] = c
	}
	return out
}

// fill sorts hits, best first, into groups anew.
func (g *grouping) fill(r *reader, hits []hit) {
	g.order, g.hits, g.ids = nil, map[string][]hit{}, map[string]*pb.GroupId{}
	for _, h := range hits {
		seen := map[string]bool{}
		for _, e := range elements(recordView(r.record(h.slot)).values(g.path)) {
			if key, id := groupID(e); id != nil && !seen[key] {
				seen[key] = true
				g.add(key, id, h)
			}
		}
	}
}

// add puts a hit into a group, unless the group is full or one too many.
func (g *grouping) add(key string, id *pb.GroupId, h hit) {
	if g.ids[key] == nil {
		if len(g.order) == g.groups {
			return
		}
		g.order = append(g.order, key)
		g.ids[key] = id
	}
	if len(g.hits[key]) < g.size {
		g.hits[key] = append(g.hits[key], h)
	}
}

// full reports whether more hits could change nothing.
func (g *grouping) full() bool {
	if len(g.order) < g.groups {
		return false
	}
	for _, hits := range g.hits {
		if len(hits) < g.size {
			return false
		}
	}
	return true
}

// groupID makes a group's id of a string or integer; other values make none.
func groupID(v *pb.Value) (key string, id *pb.GroupId) {
	switch k := v.GetKind().(type) {
	case *pb.Value_StringValue:
		return stringKey(k.StringValue), &pb.GroupId{Kind: &pb.GroupId_StringValue{StringValue: k.StringValue}}
	case *pb.Value_IntegerValue:
		if k.IntegerValue >= 0 {
			return integerKey(k.IntegerValue), &pb.GroupId{Kind: &pb.GroupId_UnsignedValue{UnsignedValue: uint64(k.IntegerValue)}}
		}
		return integerKey(k.IntegerValue), &pb.GroupId{Kind: &pb.GroupId_IntegerValue{IntegerValue: k.IntegerValue}}
	}
	return "", nil
}
