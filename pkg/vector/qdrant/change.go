package qdrant

import (
	"context"
	"slices"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/pkg/vector"
)

// maxIDs is the most ids in one request.
const maxIDs = 1000

// SetMeta implements vector.Store.
func (s *Store) SetMeta(ctx context.Context, idx vector.Index, doc vector.Document, meta vector.Meta) error {
	filter, err := documentFilter(doc)
	if err != nil {
		return err
	}
	if err := checkMeta("meta", meta); err != nil {
		return err
	}
	return s.call(ctx, "changing the meta of "+doc.ID, func(ctx context.Context) error {
		_, err := s.client.SetPayload(ctx, &pb.SetPayloadPoints{
			CollectionName: physicalName(idx), Wait: proto.Bool(true), Payload: encodeMeta(meta),
			PointsSelector: pb.NewPointsSelectorFilter(filter),
		})
		return err
	})
}

// Delete implements vector.Store.
func (s *Store) Delete(ctx context.Context, idx vector.Index, doc vector.Document, ids []string, before int64) error {
	pointIDs, err := newIDs(ids)
	if err != nil {
		return err
	}
	if _, err := documentFilter(doc); err != nil {
		return err
	}
	for part := range slices.Chunk(pointIDs, maxIDs) {
		if err := s.deleteBefore(ctx, idx, doc, before, pb.NewHasID(part...)); err != nil {
			return err
		}
	}
	return nil
}

// DeleteDocument implements vector.Store.
func (s *Store) DeleteDocument(ctx context.Context, idx vector.Index, doc vector.Document, before int64) error {
	return s.deleteBefore(ctx, idx, doc, before)
}

// deleteBefore removes those of a document's points that an older version has
// written and that meet more.
func (s *Store) deleteBefore(ctx context.Context, idx vector.Index, doc vector.Document, before int64, more ...*pb.Condition) error {
	older := pb.NewRange(keyVersion, &pb.Range{Lt: proto.Float64(float64(before))})
	filter, err := documentFilter(doc, append(more, older)...)
	if err != nil {
		return err
	}
	return s.call(ctx, "deleting chunks of "+doc.ID, func(ctx context.Context) error {
		_, err := s.client.Delete(ctx, &pb.DeletePoints{
			CollectionName: physicalName(idx), Wait: proto.Bool(true), Points: pb.NewPointsSelectorFilter(filter),
		})
		return err
	})
}

// newIDs encodes ids.
func newIDs(ids []string) ([]*pb.PointId, error) {
	out := make([]*pb.PointId, len(ids))
	for i, id := range ids {
		if err := checkID("ids", id); err != nil {
			return nil, err
		}
		out[i] = pb.NewIDUUID(id)
	}
	return out, nil
}
