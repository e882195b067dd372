package qdrant

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// A request holds at most this many points and bytes.
const (
	maxBatchPoints = 256
	maxBatchBytes  = 8 << 20
)

// maxVersion is the first version that a float64 cannot tell from the next.
const maxVersion = 1 << 53

// Upsert implements vector.Store. Points go in batches; when one fails, those
// before it are stored, which a repeated call rewrites unchanged.
func (s *Store) Upsert(ctx context.Context, idx vector.Index, scope vector.Scope, points []vector.Point) error {
	if _, err := scopeFilter(scope); err != nil {
		return err
	}
	byVersion := map[int64][]*pb.PointStruct{}
	for i, p := range points {
		if err := checkPoint(i, p, idx); err != nil {
			return err
		}
		byVersion[p.Chunk.Version] = append(byVersion[p.Chunk.Version], &pb.PointStruct{
			Id:      pb.NewIDUUID(p.ID),
			Vectors: pb.NewVectorsDense(p.Vector),
			Payload: encodeChunk(scope, p.Chunk),
		})
	}
	for _, version := range slices.Sorted(maps.Keys(byVersion)) {
		if err := s.upsertVersion(ctx, idx, scope, version, byVersion[version]); err != nil {
			return err
		}
	}
	return nil
}

// upsertVersion stores points of one version where nothing newer is stored. An
// equal version is rewritten, so a message that is delivered twice is harmless.
func (s *Store) upsertVersion(ctx context.Context, idx vector.Index, scope vector.Scope, version int64, points []*pb.PointStruct) error {
	filter, err := scopeFilter(scope, pb.NewRange(keyVersion, &pb.Range{Lte: proto.Float64(float64(version))}))
	if err != nil {
		return err
	}
	for _, batch := range batches(points) {
		err := s.call(ctx, fmt.Sprintf("upserting %d points into %s", len(batch), idx.Name), func(ctx context.Context) error {
			_, err := s.client.Upsert(ctx, &pb.UpsertPoints{
				CollectionName: idx.Name, Wait: proto.Bool(true), Points: batch, UpdateFilter: filter,
			})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// batches cuts points into requests within the limits, in order.
func batches(points []*pb.PointStruct) [][]*pb.PointStruct {
	var out [][]*pb.PointStruct
	from, size := 0, 0
	for i, p := range points {
		n := proto.Size(p)
		if i > from && (i-from == maxBatchPoints || size+n > maxBatchBytes) {
			out = append(out, points[from:i])
			from, size = i, 0
		}
		size += n
	}
	if from < len(points) {
		out = append(out, points[from:])
	}
	return out
}

// checkPoint refuses what cannot be stored, before anything is.
func checkPoint(i int, p vector.Point, idx vector.Index) error {
	field := fmt.Sprintf("points[%d]", i)
	switch {
	case len(p.Vector) != idx.Dimension:
		return dimensionError(field+".vector", len(p.Vector), idx.Dimension)
	case p.Chunk.Document == "":
		return event.Invalid(field+".chunk.document", "set the document id", "is empty")
	case p.Chunk.Version < 0 || p.Chunk.Version >= maxVersion:
		return event.Invalid(field+".chunk.version", "use a version from 0 to 2^53-1", "is %d", p.Chunk.Version)
	}
	texts := slices.Concat([]string{p.Chunk.Document, p.Chunk.Text, p.Chunk.Source, p.Chunk.Title}, p.Chunk.Section)
	for k, v := range p.Chunk.Metadata {
		texts = append(texts, k, v)
	}
	if slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) }) {
		return event.Invalid(field+".chunk", "convert the text to UTF-8, and cut it between characters", "holds text that is not UTF-8")
	}
	return nil
}

// DeleteStale implements vector.Store. With no collection there is nothing to do.
func (s *Store) DeleteStale(ctx context.Context, idx vector.Index, doc vector.Document, version int64) error {
	if doc.ID == "" {
		return event.Invalid("document.id", "set the document id", "is empty")
	}
	later, err := versionFilter(doc, &pb.Range{Gt: proto.Float64(float64(version))})
	if err != nil {
		return err
	}
	newer, err := s.count(ctx, idx, later)
	if err != nil {
		return err
	}
	stale := &pb.Range{Lt: proto.Float64(float64(version))}
	if newer > 0 {
		stale = &pb.Range{Lte: proto.Float64(float64(version))}
	}
	filter, err := versionFilter(doc, stale)
	if err != nil {
		return err
	}
	return s.call(ctx, "deleting stale chunks of "+doc.ID, func(ctx context.Context) error {
		_, err := s.client.Delete(ctx, &pb.DeletePoints{
			CollectionName: idx.Name, Wait: proto.Bool(true), Points: pb.NewPointsSelectorFilter(filter),
		})
		if isMissing(err) {
			return nil
		}
		return err
	})
}

// versionFilter selects the chunks of a document with a version in the range.
func versionFilter(doc vector.Document, versions *pb.Range) (*pb.Filter, error) {
	return scopeFilter(doc.Scope, pb.NewMatch(keyDocument, doc.ID), pb.NewRange(keyVersion, versions))
}
