package qdrantd

import (
	"context"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
)

// pointsService answers the Points service. Rpcs it lacks answer
// codes.Unimplemented.
type pointsService struct {
	pb.UnimplementedPointsServer
	cat *catalog
}

// write runs a change of a collection and makes the reply. Every change is
// durable before it; the status only echoes what the client asked for.
func (s *pointsService) write(name string, wait bool, fn func(c *collection) (txid uint64, err error)) (*pb.PointsOperationResponse, error) {
	start := time.Now()
	var txid uint64
	err := s.cat.with(name, func(col *collection) (err error) {
		txid, err = fn(col)
		return err
	})
	if err != nil {
		return nil, err
	}
	result := &pb.UpdateResult{OperationId: &txid, Status: pb.UpdateStatus_Acknowledged}
	if wait {
		result.Status = pb.UpdateStatus_Completed
	}
	return &pb.PointsOperationResponse{Result: result, Time: seconds(start)}, nil
}

// Upsert stores points, each as a whole.
func (s *pointsService) Upsert(_ context.Context, req *pb.UpsertPoints) (*pb.PointsOperationResponse, error) {
	return s.write(req.GetCollectionName(), req.GetWait(), func(c *collection) (uint64, error) { return c.upsert(req) })
}

// Delete removes points by id or filter.
func (s *pointsService) Delete(ctx context.Context, req *pb.DeletePoints) (*pb.PointsOperationResponse, error) {
	return s.write(req.GetCollectionName(), req.GetWait(), func(c *collection) (uint64, error) {
		return c.deleteSelected(ctx, req.GetPoints())
	})
}

// SetPayload sets top-level keys and keeps the others.
func (s *pointsService) SetPayload(ctx context.Context, req *pb.SetPayloadPoints) (*pb.PointsOperationResponse, error) {
	return s.write(req.GetCollectionName(), req.GetWait(), func(c *collection) (uint64, error) {
		return c.changeSelected(ctx, req.GetPointsSelector(), true, mergeInto(req.GetPayload()))
	})
}

// OverwritePayload replaces whole payloads.
func (s *pointsService) OverwritePayload(ctx context.Context, req *pb.SetPayloadPoints) (*pb.PointsOperationResponse, error) {
	return s.write(req.GetCollectionName(), req.GetWait(), func(c *collection) (uint64, error) {
		return c.changeSelected(ctx, req.GetPointsSelector(), true, func(map[string]*pb.Value) map[string]*pb.Value { return req.GetPayload() })
	})
}

// DeletePayload removes top-level keys.
func (s *pointsService) DeletePayload(ctx context.Context, req *pb.DeletePayloadPoints) (*pb.PointsOperationResponse, error) {
	for _, key := range req.GetKeys() {
		if err := checkTopLevel("DeletePayloadPoints.keys", key); err != nil {
			return nil, err
		}
	}
	return s.write(req.GetCollectionName(), req.GetWait(), func(c *collection) (uint64, error) {
		return c.changeSelected(ctx, req.GetPointsSelector(), true, without(req.GetKeys()))
	})
}

// ClearPayload removes whole payloads.
func (s *pointsService) ClearPayload(ctx context.Context, req *pb.ClearPayloadPoints) (*pb.PointsOperationResponse, error) {
	return s.write(req.GetCollectionName(), req.GetWait(), func(c *collection) (uint64, error) {
		return c.changeSelected(ctx, req.GetPoints(), false, func(map[string]*pb.Value) map[string]*pb.Value { return nil })
	})
}

// CreateFieldIndex adds a payload index, over the points there are too.
func (s *pointsService) CreateFieldIndex(_ context.Context, req *pb.CreateFieldIndexCollection) (*pb.PointsOperationResponse, error) {
	if req.FieldType == nil {
		return nil, badInput("field_type is needed")
	}
	kind, err := schemaType(req.GetFieldType())
	if err != nil {
		return nil, err
	}
	return s.write(req.GetCollectionName(), req.GetWait(), func(c *collection) (uint64, error) {
		return 0, c.createIndex(req.GetFieldName(), &pb.PayloadSchemaInfo{DataType: kind, Params: req.GetFieldIndexParams()})
	})
}

// DeleteFieldIndex removes a payload index.
func (s *pointsService) DeleteFieldIndex(_ context.Context, req *pb.DeleteFieldIndexCollection) (*pb.PointsOperationResponse, error) {
	return s.write(req.GetCollectionName(), req.GetWait(), func(c *collection) (uint64, error) {
		return c.update(func(w *writer) error { return dropIndex(w.tx, req.GetFieldName()) })
	})
}
