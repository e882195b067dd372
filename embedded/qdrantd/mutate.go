package qdrantd

import (
	"context"
	"fmt"
	"maps"

	pb "github.com/qdrant/go-client/qdrant"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
)

// selected finds the points a selector names. With strict, an id that does not
// exist is an error.
func (w *writer) selected(ctx context.Context, s *pb.PointsSelector, strict bool) ([]uint64, error) {
	switch t := s.GetPointsSelectorOneOf().(type) {
	case *pb.PointsSelector_Filter:
		p, err := w.plan(t.Filter)
		if err != nil {
			return nil, err
		}
		return w.matching(ctx, p)
	case *pb.PointsSelector_Points:
		var slots []uint64
		for _, id := range t.Points.GetIds() {
			key, err := idKey(id)
			if err != nil {
				return nil, err
			}
			slot, ok := w.slot(key)
			if ok {
				slots = append(slots, slot)
			} else if strict {
				return nil, notFound("No point with id %s found", idText(id))
			}
		}
		return slots, nil
	}
	return nil, badInput("a points selector is needed: ids or a filter")
}

// deleteSelected removes points; ids that do not exist are fine.
func (c *collection) deleteSelected(ctx context.Context, s *pb.PointsSelector) (uint64, error) {
	return c.update(func(w *writer) error {
		slots, err := w.selected(ctx, s, false)
		if err != nil {
			return err
		}
		for _, slot := range slots {
			if w.record(slot) == nil { // named twice
				continue
			}
			if err := w.deletePoint(slot); err != nil {
				return err
			}
		}
		return nil
	})
}

// changeSelected rewrites the payload of each selected point.
func (c *collection) changeSelected(ctx context.Context, s *pb.PointsSelector, strict bool, fn func(map[string]*pb.Value) map[string]*pb.Value) (uint64, error) {
	return c.update(func(w *writer) error {
		slots, err := w.selected(ctx, s, strict)
		if err != nil {
			return err
		}
		for _, slot := range slots {
			if err := w.changePayload(slot, fn); err != nil {
				return err
			}
		}
		return nil
	})
}

// mergeInto returns a change that sets top-level keys.
func mergeInto(set map[string]*pb.Value) func(map[string]*pb.Value) map[string]*pb.Value {
	return func(fields map[string]*pb.Value) map[string]*pb.Value {
		maps.Copy(fields, set)
		return fields
	}
}

// without returns a change that removes top-level keys.
func without(keys []string) func(map[string]*pb.Value) map[string]*pb.Value {
	return func(fields map[string]*pb.Value) map[string]*pb.Value {
		for _, k := range keys {
			delete(fields, k)
		}
		return fields
	}
}

// createIndex adds a payload index over the points there are. One that exists
// is built anew.
func (c *collection) createIndex(field string, info *pb.PayloadSchemaInfo) error {
	if _, err := parsePath(field); err != nil {
		return err
	}
	raw, err := proto.Marshal(info)
	if err != nil {
		return fmt.Errorf("encoding index: %w", err)
	}
	_, err = c.update(func(w *writer) error {
		tx := w.tx
		if err := dropIndex(tx, field); err != nil {
			return err
		}
		for _, b := range [][]byte{entryBucket(field), countBucket(field)} {
			if _, err := tx.CreateBucket(b); err != nil {
				return err
			}
		}
		if err := tx.Bucket(bucketSchema).Put([]byte(field), raw); err != nil {
			return err
		}
		return w.fillIndex(field)
	})
	return err
}

// fillIndex makes the entries of a new index.
func (w *writer) fillIndex(field string) error {
	all, err := loadIndexes(w.tx)
	if err != nil {
		return err
	}
	w.indexes = map[string]fieldIndex{field: all[field]}
	for slot, rec := range cursorPairs(w.points.Cursor()) {
		_, payload := splitRecord(rec)
		if err := w.reindex(slotOf(slot), nil, payload); err != nil {
			return err
		}
	}
	return nil
}

// dropIndex removes a payload index; one that does not exist is fine.
func dropIndex(tx *bolt.Tx, field string) error {
	for _, b := range [][]byte{entryBucket(field), countBucket(field)} {
		if tx.Bucket(b) == nil {
			continue
		}
		if err := tx.DeleteBucket(b); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketSchema).Delete([]byte(field))
}

// schema lists the payload indexes with how many points each covers.
func (r *reader) schema() map[string]*pb.PayloadSchemaInfo {
	out := map[string]*pb.PayloadSchemaInfo{}
	for field, x := range r.indexes {
		var points uint64
		for _, n := range cursorPairs(x.counts.Cursor()) {
			points += countOf(n)
		}
		x.info.Points = proto.Uint64(min(points, r.total))
		out[field] = x.info
	}
	return out
}
