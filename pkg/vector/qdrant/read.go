package qdrant

import (
	"context"
	"math"
	"strconv"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// Search implements vector.Store. Without a collection there are no hits: the
// first question may come before the first document.
func (s *Store) Search(ctx context.Context, idx vector.Index, q vector.Query) ([]vector.Hit, error) {
	filter, err := scopeFilter(q.Scope)
	switch {
	case err != nil:
		return nil, err
	case len(q.Vector) != idx.Dimension:
		return nil, dimensionError("query.vector", len(q.Vector), idx.Dimension)
	case q.TopK < 1:
		return nil, event.Invalid("query.top_k", "ask for at least one hit", "is %d", q.TopK)
	}
	req := &pb.QueryPoints{
		CollectionName: idx.Name, Filter: filter, Query: pb.NewQueryDense(q.Vector), Limit: proto.Uint64(uint64(q.TopK)),
		ScoreThreshold: threshold(q.MinScore), WithPayload: pb.NewWithPayload(true), WithVectors: pb.NewWithVectors(false),
	}
	var points []*pb.ScoredPoint
	err = s.call(ctx, "searching "+idx.Name, func(ctx context.Context) (err error) {
		points, err = s.client.Query(ctx, req)
		if isMissing(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return hits(points), nil
}

// threshold makes Qdrant's limit, which a score must exceed, of ours, which it
// must reach.
func threshold(minScore float32) *float32 {
	if minScore == 0 {
		return nil
	}
	return proto.Float32(math.Nextafter32(minScore, float32(math.Inf(-1))))
}

// hits decodes found points.
func hits(points []*pb.ScoredPoint) []vector.Hit {
	out := make([]vector.Hit, 0, len(points))
	for _, p := range points {
		out = append(out, vector.Hit{ID: idText(p.GetId()), Score: p.GetScore(), Chunk: decodeChunk(p.GetPayload())})
	}
	return out
}

// idText is a point's id as text; ours are UUIDs.
func idText(id *pb.PointId) string {
	if u := id.GetUuid(); u != "" {
		return u
	}
	return strconv.FormatUint(id.GetNum(), 10)
}

// Count implements vector.Store. Without a collection it is 0.
func (s *Store) Count(ctx context.Context, idx vector.Index, scope vector.Scope) (int, error) {
	filter, err := scopeFilter(scope)
	if err != nil {
		return 0, err
	}
	return s.count(ctx, idx, filter)
}

func (s *Store) count(ctx context.Context, idx vector.Index, filter *pb.Filter) (int, error) {
	var n uint64
	err := s.call(ctx, "counting chunks in "+idx.Name, func(ctx context.Context) (err error) {
		n, err = s.client.Count(ctx, &pb.CountPoints{CollectionName: idx.Name, Filter: filter, Exact: proto.Bool(true)})
		if isMissing(err) {
			return nil
		}
		return err
	})
	return int(n), err
}
