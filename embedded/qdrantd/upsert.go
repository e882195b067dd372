package qdrantd

import (
	pb "github.com/qdrant/go-client/qdrant"
)

// newPoint is a checked point in its stored form.
type newPoint struct {
	id      []byte
	payload []byte
	vectors map[string][]byte
}

// checkPoints checks a whole batch before any of it is stored. Of points with
// the same id the last one wins.
func (c *collection) checkPoints(in []*pb.PointStruct) ([]newPoint, error) {
	at := make(map[string]int, len(in))
	out := make([]newPoint, 0, len(in))
	for _, p := range in {
		np, err := c.checkPoint(p)
		if err != nil {
			return nil, err
		}
		if i, ok := at[string(np.id)]; ok {
			out[i] = np
			continue
		}
		at[string(np.id)] = len(out)
		out = append(out, np)
	}
	return out, nil
}

func (c *collection) checkPoint(p *pb.PointStruct) (np newPoint, err error) {
	if np.id, err = idKey(p.GetId()); err != nil {
		return np, err
	}
	if np.vectors, err = c.encodeVectors(p.GetVectors()); err != nil {
		return np, err
	}
	np.payload, err = encodePayload(p.GetPayload())
	return np, err
}

// upsert stores a batch in one transaction, under the request's conditions.
func (c *collection) upsert(req *pb.UpsertPoints) (uint64, error) {
	points, err := c.checkPoints(req.GetPoints())
	if err != nil {
		return 0, err
	}
	filter, err := compileFilter(req.GetUpdateFilter(), 0)
	if err != nil {
		return 0, err
	}
	if _, known := pb.UpdateMode_name[int32(req.GetUpdateMode())]; !known {
		return 0, badInput("unknown update_mode %d", req.GetUpdateMode())
	}
	return c.update(func(w *writer) error {
		for _, p := range points {
			if !w.admits(p, req.GetUpdateMode(), filter) {
				continue
			}
			if err := w.putPoint(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// admits applies mode and filter. The filter is about points that exist; new
// ones are stored whatever it says.
func (w *writer) admits(p newPoint, mode pb.UpdateMode, filter predicate) bool {
	slot, exists := w.slot(p.id)
	switch {
	case !exists:
		return mode != pb.UpdateMode_UpdateOnly
	case mode == pb.UpdateMode_InsertOnly:
		return false
	}
	return filter == nil || filter(recordView(w.record(slot)))
}
