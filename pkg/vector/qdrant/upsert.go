package qdrant

import (
	"context"
	"fmt"
	"maps"
	"slices"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/vector"
)

// A request holds at most this many points and bytes.
const (
	maxBatchPoints = 256
	maxBatchBytes  = 8 << 20
)

// Upsert implements vector.Store. Points go in batches; when one fails, those
// before it are stored, which a repeated call rewrites unchanged.
func (s *Store) Upsert(ctx context.Context, idx vector.Index, scope vector.Scope, points []vector.Point) error {
	if _, err := scopeFilter(scope); err != nil {
		return err
	}
	for i, p := range points {
		if err := checkPoint(i, p, idx); err != nil {
			return err
		}
	}
	for _, batch := range batches(scope, newest(points)) {
		if err := s.upsertBatch(ctx, idx, scope, batch); err != nil {
			return err
		}
	}
	return nil
}

// newest keeps, of points with one id, that of the highest version, the last of
// them: it is the one that sending them one by one would leave.
func newest(points []vector.Point) []vector.Point {
	at := make(map[string]int, len(points))
	out := make([]vector.Point, 0, len(points))
	for _, p := range points {
		i, twice := at[p.ID]
		switch {
		case !twice:
			at[p.ID] = len(out)
			out = append(out, p)
		case p.Chunk.Version >= out[i].Chunk.Version:
			out[i] = p
		}
	}
	return out
}

// batch is the points of one request.
type batch struct {
	points []*pb.PointStruct
	ids    map[int64][]*pb.PointId // by version
}

// batches cuts points into requests within the limits, in order.
func batches(scope vector.Scope, points []vector.Point) []batch {
	var out []batch
	size := 0
	for _, p := range points {
		encoded := encodePoint(scope, p)
		n := sizeOf(p)
		if len(out) == 0 || len(out[len(out)-1].points) == maxBatchPoints || size+n > maxBatchBytes {
			out = append(out, batch{ids: map[int64][]*pb.PointId{}})
			size = 0
		}
		b := &out[len(out)-1]
		b.points = append(b.points, encoded)
		b.ids[p.Chunk.Version] = append(b.ids[p.Chunk.Version], encoded.GetId())
		size += n
	}
	return out
}

// sizeOf is about what a point takes on the wire, from above; proto.Size would
// walk over all its numbers.
func sizeOf(p vector.Point) int {
	c := p.Chunk
	n := 512 + 4*len(p.Dense) + 9*(len(p.BM25.Indices)+len(p.Grams.Indices))
	for _, texts := range [][]string{{c.Document, c.Hash, c.Prefix, c.Text, c.Source, c.Title}, c.Section, c.ACL} {
		for _, t := range texts {
			n += len(t) + 8
		}
	}
	for k, v := range c.Metadata {
		n += len(k) + len(v) + 16
	}
	return n
}

func encodePoint(scope vector.Scope, p vector.Point) *pb.PointStruct {
	vectors := map[string]*pb.Vector{string(vector.Dense): pb.NewVectorDense(p.Dense)}
	for list, v := range map[vector.List]sparse.Vector{vector.BM25: p.BM25, vector.Grams: p.Grams} {
		if len(v.Indices) > 0 {
			vectors[string(list)] = pb.NewVectorSparse(v.Indices, v.Values)
		}
	}
	return &pb.PointStruct{Id: pb.NewIDUUID(p.ID), Vectors: pb.NewVectorsMap(vectors), Payload: encodeChunk(scope, p.Chunk)}
}

// upsertBatch stores points where nothing newer is stored. An equal version is
// rewritten, so a message that is delivered twice is harmless.
func (s *Store) upsertBatch(ctx context.Context, idx vector.Index, scope vector.Scope, b batch) error {
	filter := partFilter(scope, b.notNewer()) // Upsert has checked the scope
	return s.call(ctx, fmt.Sprintf("upserting %d points into %s", len(b.points), idx.Name), func(ctx context.Context) error {
		_, err := s.client.Upsert(ctx, &pb.UpsertPoints{
			CollectionName: physicalName(idx), Wait: proto.Bool(true), Points: b.points, UpdateFilter: filter,
		})
		return err
	})
}

// notNewer holds for stored points whose version is not above that of the point
// which is to take their place.
func (b batch) notNewer() *pb.Condition {
	var each []*pb.Condition
	for _, version := range slices.Sorted(maps.Keys(b.ids)) {
		upTo := pb.NewRange(keyVersion, &pb.Range{Lte: proto.Float64(float64(version))})
		if len(b.ids) == 1 {
			return upTo
		}
		each = append(each, pb.NewFilterAsCondition(&pb.Filter{Must: []*pb.Condition{pb.NewHasID(b.ids[version]...), upTo}}))
	}
	return pb.NewFilterAsCondition(&pb.Filter{Should: each})
}
