package qdrant

import (
	"context"
	"slices"
	"strconv"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// Pages of replies, so that one stays well below maxReply.
const (
	pagePoints  = 500 // with payload
	pageVectors = 128 // with the longest dense vectors 32 MiB
)

// idText is a point's id as text; ours are UUIDs.
func idText(id *pb.PointId) string {
	if u := id.GetUuid(); u != "" {
		return u
	}
	return strconv.FormatUint(id.GetNum(), 10)
}

// Count implements vector.Store.
func (s *Store) Count(ctx context.Context, idx vector.Index, scope vector.Scope) (int, error) {
	var n uint64
	err := s.read(ctx, "counting chunks in "+idx.Name, func(ctx context.Context) (err error) {
		n, err = s.client.Count(ctx, &pb.CountPoints{CollectionName: physicalName(idx), Filter: partFilter(scope), Exact: proto.Bool(true)})
		return err
	})
	return int(n), err
}

// Get implements vector.Store. It asks by filter: Qdrant's own get knows no
// scope.
func (s *Store) Get(ctx context.Context, idx vector.Index, scope vector.Scope, ids []string) ([]vector.Stored, error) {
	pointIDs, err := newIDs(slices.Compact(slices.Sorted(slices.Values(ids))))
	if err != nil {
		return nil, err
	}
	if _, err := scopeFilter(scope); err != nil {
		return nil, err
	}
	var out []vector.Stored
	for part := range slices.Chunk(pointIDs, pagePoints) {
		page, _, err := s.scroll(ctx, &pb.ScrollPoints{
			CollectionName: physicalName(idx), Filter: partFilter(scope, pb.NewHasID(part...)), Limit: proto.Uint32(uint32(len(part))),
			WithPayload: pb.NewWithPayload(true), WithVectors: pb.NewWithVectors(false),
		})
		if err != nil {
			return nil, err
		}
		for _, p := range page {
			out = append(out, decodePoint(p))
		}
	}
	return out, nil
}

// Scan implements vector.Store.
func (s *Store) Scan(ctx context.Context, idx vector.Index, scan vector.Scan) ([]vector.Stored, error) {
	if scan.Limit < 1 {
		return nil, event.Invalid("scan.limit", "ask for at least one point", "is %d", scan.Limit)
	}
	if scan.After != "" {
		if err := checkID("scan.after", scan.After); err != nil {
			return nil, err
		}
	}
	var out []vector.Stored
	for after := scan.After; len(out) < scan.Limit; after = out[len(out)-1].ID {
		page, err := s.scanPage(ctx, idx, scan, after, min(pagePoints, scan.Limit-len(out)))
		if err != nil {
			return nil, err
		}
		if out = append(out, page...); len(page) == 0 {
			break
		}
	}
	return out, nil
}

// scanPage returns the points behind an id. Qdrant's offset is the first of the
// page, so one more is asked for and the one that is known already left out.
func (s *Store) scanPage(ctx context.Context, idx vector.Index, scan vector.Scan, after string, limit int) ([]vector.Stored, error) {
	var more []*pb.Condition
	if scan.Document != "" {
		more = append(more, pb.NewMatch(keyDocument, scan.Document))
	}
	req := &pb.ScrollPoints{
		CollectionName: physicalName(idx), Filter: partFilter(scan.Scope, more...), Limit: proto.Uint32(uint32(limit)),
		WithPayload: pb.NewWithPayload(true), WithVectors: pb.NewWithVectors(false),
	}
	if after != "" {
		req.Offset, req.Limit = pb.NewIDUUID(after), proto.Uint32(uint32(limit+1))
	}
	points, _, err := s.scroll(ctx, req)
	if err != nil {
		return nil, err
	}
	out := make([]vector.Stored, 0, len(points))
	for _, p := range points {
		if stored := decodePoint(p); stored.ID != after && len(out) < limit {
			out = append(out, stored)
		}
	}
	return out, nil
}

// scroll asks for one page of points; whole says that it is the last. A
// collection that is missing has none.
func (s *Store) scroll(ctx context.Context, req *pb.ScrollPoints) (points []*pb.RetrievedPoint, whole bool, err error) {
	var next *pb.PointId
	err = s.read(ctx, "reading points of "+req.GetCollectionName(), func(ctx context.Context) (err error) {
		points, next, err = s.client.ScrollAndOffset(ctx, req)
		return err
	})
	return points, next == nil, err
}
