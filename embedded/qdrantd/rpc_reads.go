package qdrantd

import (
	"context"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
)

// read runs fn on a snapshot of a collection.
func (s *pointsService) read(name string, fn func(r *reader) error) error {
	return s.cat.with(name, func(col *collection) error { return col.view(fn) })
}

// search is read for a request that ranks by the named vectors. Their indexes
// are built before the snapshot is taken.
func (s *pointsService) search(ctx context.Context, name string, vectors []string, fn func(r *reader) error) error {
	return s.cat.with(name, func(col *collection) error {
		for _, vector := range vectors {
			if p := col.postings[vector]; p != nil {
				if err := p.ready(ctx, col.db); err != nil {
					return err
				}
			}
		}
		return col.view(fn)
	})
}

// vectorsUsed lists the vectors a query ranks by.
func vectorsUsed(using string, prefetch []*pb.PrefetchQuery) []string {
	out := []string{using}
	for _, p := range prefetch {
		out = append(out, vectorsUsed(p.GetUsing(), p.GetPrefetch())...)
	}
	return out
}

// Get returns points by id, in the order asked for; missing ones are left out.
func (s *pointsService) Get(_ context.Context, req *pb.GetPoints) (*pb.GetResponse, error) {
	start := time.Now()
	keys, err := idKeys(req.GetIds())
	if err != nil {
		return nil, err
	}
	resp := &pb.GetResponse{}
	err = s.read(req.GetCollectionName(), func(r *reader) error {
		sel, err := r.col.newSelection(req.GetWithPayload(), req.GetWithVectors(), false)
		if err != nil {
			return err
		}
		var hits []hit
		for _, k := range keys {
			if slot, ok := r.slot(k); ok {
				hits = append(hits, hit{slot: slot, id: k})
			}
		}
		resp.Result, err = r.retrieved(hits, sel)
		return err
	})
	resp.Time = seconds(start)
	return resp, err
}

// Scroll pages through points in id order. The offset is the first id of the
// page.
func (s *pointsService) Scroll(ctx context.Context, req *pb.ScrollPoints) (*pb.ScrollResponse, error) {
	start := time.Now()
	limit, err := checkLimit("limit", req.Limit)
	if err != nil {
		return nil, err
	}
	var from []byte
	if req.Offset != nil {
		if from, err = idKey(req.GetOffset()); err != nil {
			return nil, err
		}
	}
	resp := &pb.ScrollResponse{}
	err = s.read(req.GetCollectionName(), func(r *reader) error {
		hits, next, err := r.scroll(ctx, req, from, limit)
		if err != nil {
			return err
		}
		sel, err := r.col.newSelection(req.GetWithPayload(), req.GetWithVectors(), true)
		if err != nil {
			return err
		}
		resp.NextPageOffset = next
		resp.Result, err = r.retrieved(hits, sel)
		return err
	})
	resp.Time = seconds(start)
	return resp, err
}

// scroll returns a page by id with the first id of the next one, or the first
// points in the order of a field, for which there are no pages.
func (r *reader) scroll(ctx context.Context, req *pb.ScrollPoints, from []byte, limit int) (hits []hit, next *pb.PointId, err error) {
	p, err := r.plan(req.GetFilter())
	if err != nil {
		return nil, nil, err
	}
	if req.OrderBy != nil {
		if from != nil {
			return nil, nil, badInput("Cannot use an `offset` when using `order_by`; page with `order_by.start_from` and a filter that leaves out the ids seen")
		}
		hits, err = r.ordered(ctx, req.GetOrderBy(), p, limit)
		return hits, nil, err
	}
	hits, err = r.page(ctx, p, from, limit+1)
	if len(hits) > limit {
		return hits[:limit], pointID(hits[limit].id), err
	}
	return hits, nil, err
}

// Facet counts points per value of an indexed field.
func (s *pointsService) Facet(ctx context.Context, req *pb.FacetCounts) (*pb.FacetResponse, error) {
	start := time.Now()
	resp := &pb.FacetResponse{}
	err := s.read(req.GetCollectionName(), func(r *reader) (err error) {
		resp.Hits, err = r.facet(ctx, req)
		return err
	})
	resp.Time = seconds(start)
	return resp, err
}

// Count counts matching points, always exactly.
func (s *pointsService) Count(ctx context.Context, req *pb.CountPoints) (*pb.CountResponse, error) {
	start := time.Now()
	var n uint64
	err := s.read(req.GetCollectionName(), func(r *reader) (err error) {
		n, err = r.count(ctx, req.GetFilter())
		return err
	})
	return &pb.CountResponse{Result: &pb.CountResult{Count: n}, Time: seconds(start)}, err
}

// Query ranks points.
func (s *pointsService) Query(ctx context.Context, req *pb.QueryPoints) (*pb.QueryResponse, error) {
	start := time.Now()
	resp := &pb.QueryResponse{}
	err := s.search(ctx, req.GetCollectionName(), vectorsUsed(req.GetUsing(), req.GetPrefetch()), func(r *reader) (err error) {
		resp.Result, err = r.queryPoints(ctx, req)
		return err
	})
	resp.Time = seconds(start)
	return resp, err
}

// QueryBatch runs several queries on one snapshot; all succeed or none.
func (s *pointsService) QueryBatch(ctx context.Context, req *pb.QueryBatchPoints) (*pb.QueryBatchResponse, error) {
	start := time.Now()
	resp := &pb.QueryBatchResponse{}
	var vectors []string
	for _, q := range req.GetQueryPoints() {
		vectors = append(vectors, vectorsUsed(q.GetUsing(), q.GetPrefetch())...)
	}
	err := s.search(ctx, req.GetCollectionName(), vectors, func(r *reader) error {
		for _, q := range req.GetQueryPoints() {
			if n := q.GetCollectionName(); n != "" && n != req.GetCollectionName() {
				return badInput("query of collection %s in a batch for %s", n, req.GetCollectionName())
			}
			points, err := r.queryPoints(ctx, q)
			if err != nil {
				return err
			}
			resp.Result = append(resp.Result, &pb.BatchResult{Result: points})
		}
		return nil
	})
	resp.Time = seconds(start)
	return resp, err
}

// queryPoints answers one query.
func (r *reader) queryPoints(ctx context.Context, req *pb.QueryPoints) ([]*pb.ScoredPoint, error) {
	limit, err := checkLimit("limit", req.Limit)
	if err != nil {
		return nil, err
	}
	sel, err := r.col.newSelection(req.GetWithPayload(), req.GetWithVectors(), false)
	if err != nil {
		return nil, err
	}
	offset := int(min(req.GetOffset(), maxLimit))
	hits, err := r.evaluate(ctx, queryNode{
		prefetch: req.GetPrefetch(), query: req.GetQuery(), using: req.GetUsing(), filter: req.GetFilter(),
		threshold: req.ScoreThreshold, limit: limit + offset,
	}, 0)
	if err != nil {
		return nil, err
	}
	return r.scored(hits[min(offset, len(hits)):], sel)
}

// QueryGroups ranks points within the groups of a payload field.
func (s *pointsService) QueryGroups(ctx context.Context, req *pb.QueryPointGroups) (*pb.QueryGroupsResponse, error) {
	start := time.Now()
	result := &pb.GroupsResult{}
	err := s.search(ctx, req.GetCollectionName(), vectorsUsed(req.GetUsing(), req.GetPrefetch()), func(r *reader) error {
		sel, err := r.col.newSelection(req.GetWithPayload(), req.GetWithVectors(), false)
		if err != nil {
			return err
		}
		g, err := r.queryGroups(ctx, req)
		if err != nil {
			return err
		}
		for _, key := range g.order {
			points, err := r.scored(g.hits[key], sel)
			if err != nil {
				return err
			}
			result.Groups = append(result.Groups, &pb.PointGroup{Id: g.ids[key], Hits: points})
		}
		return nil
	})
	return &pb.QueryGroupsResponse{Result: result, Time: seconds(start)}, err
}
