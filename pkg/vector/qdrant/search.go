package qdrant

import (
	"cmp"
	"context"
	"math"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/vector"
)

// maxWeight is the highest weight of a list under DBSF, where it is searched
// that many times.
const maxWeight = 4

// list is one list of a query.
type list struct {
	name   vector.List
	query  *pb.Query
	weight float64
}

// Search implements vector.Store.
func (s *Store) Search(ctx context.Context, idx vector.Index, q vector.Query) ([]vector.Hit, error) {
	lists, err := newLists(idx, q)
	if err != nil {
		return nil, err
	}
	filter, err := readFilter(q.Scope, q.Filter)
	if err != nil {
		return nil, err
	}
	requests := newRequests(physicalName(idx), q, lists, filter)
	var results []*pb.BatchResult
	err = s.read(ctx, "searching "+idx.Name, func(ctx context.Context) (err error) {
		results, err = s.client.QueryBatch(ctx, &pb.QueryBatchPoints{CollectionName: physicalName(idx), QueryPoints: requests})
		return err
	})
	if err != nil || len(results) == 0 {
		return nil, err
	}
	hits := decodeHits(results[0])
	if q.Scores {
		own := results[len(results)-len(lists):] // of each list, the last requests
		for i, l := range lists {
			place(hits, l.name, own[i])
		}
	}
	return hits, nil
}

// newLists checks the query's vectors and returns its lists.
func newLists(idx vector.Index, q vector.Query) ([]list, error) {
	if q.TopK < 1 {
		return nil, event.Invalid("query.top_k", "ask for at least one hit", "is %d", q.TopK)
	}
	if q.Candidates < 0 {
		return nil, event.Invalid("query.candidates", "use 0 for the default", "is %d", q.Candidates)
	}
	var lists []list
	if n := len(q.Dense); n > 0 {
		if n != idx.Dimension {
			return nil, dimensionError("query.dense", n, idx.Dimension)
		}
		lists = append(lists, list{name: vector.Dense, query: pb.NewQueryDense(q.Dense)})
	}
	for _, l := range []struct {
		name vector.List
		v    sparse.Vector
	}{{vector.BM25, q.BM25}, {vector.Grams, q.Grams}} {
		if err := checkSparse("query."+string(l.name), l.v); err != nil {
			return nil, err
		}
		if len(l.v.Indices) > 0 {
			lists = append(lists, list{name: l.name, query: pb.NewQuerySparse(l.v.Indices, l.v.Values)})
		}
	}
	if len(lists) == 0 {
		return nil, event.Invalid("query", "give a vector of at least one list", "has no vector to search with")
	}
	return lists, setWeights(lists, q)
}

// setWeights checks the query's weights and gives them to the lists.
func setWeights(lists []list, q vector.Query) error {
	switch q.Fusion {
	case "", vector.DBSF, vector.RRF:
	default:
		return event.Invalid("query.fusion", `use "dbsf" or "rrf"`, "is %q", q.Fusion)
	}
	for name, w := range q.Weights {
		if name != vector.Dense && name != vector.BM25 && name != vector.Grams {
			return event.Invalid("query.weights", `the lists are "dense", "bm25" and "grams"`, "has a weight for list %q", name)
		}
		whole := w == math.Trunc(w) && w <= maxWeight
		if !(w > 0) || math.IsInf(w, 0) || q.Fusion != vector.RRF && !whole {
			return event.Invalid("query.weights", "use whole numbers from 1 to 4 with dbsf, positive numbers with rrf", "list %q has weight %v", name, w)
		}
	}
	for i, l := range lists {
		lists[i].weight = 1
		if w, ok := q.Weights[l.name]; ok {
			lists[i].weight = w
		}
	}
	return nil
}

// newRequests makes the query and, when the lists' scores are wanted and there
// are several, one of each list. The filter is in every list by itself.
func newRequests(collection string, q vector.Query, lists []list, filter *pb.Filter) []*pb.QueryPoints {
	payload, none := pb.NewWithPayload(true), pb.NewWithVectors(false)
	main := &pb.QueryPoints{
		CollectionName: collection, Filter: filter, Limit: proto.Uint64(uint64(q.TopK)), WithPayload: payload, WithVectors: none,
	}
	if len(lists) == 1 {
		main.Query, main.Using = lists[0].query, proto.String(string(lists[0].name))
		return []*pb.QueryPoints{main}
	}
	candidates := proto.Uint64(uint64(cmp.Or(q.Candidates, max(50, 2*q.TopK))))
	main.Query, main.Prefetch = fuse(q.Fusion, lists)
	for _, p := range main.Prefetch {
		p.Filter, p.Limit = filter, candidates
	}
	requests := []*pb.QueryPoints{main}
	for _, l := range lists {
		if q.Scores {
			requests = append(requests, &pb.QueryPoints{
				CollectionName: collection, Query: l.query, Using: proto.String(string(l.name)), Filter: filter, Limit: candidates,
				WithPayload: pb.NewWithPayload(false), WithVectors: none,
			})
		}
	}
	return requests
}

// fuse makes the fusion and the lists it joins. DBSF has no weights: a list that
// counts twice is there twice.
func fuse(how vector.Fusion, lists []list) (*pb.Query, []*pb.PrefetchQuery) {
	var prefetch []*pb.PrefetchQuery
	var weights []float32
	for _, l := range lists {
		times := 1
		if how != vector.RRF {
			times = int(l.weight)
		}
		for range times {
			prefetch = append(prefetch, &pb.PrefetchQuery{Query: l.query, Using: proto.String(string(l.name))})
		}
		weights = append(weights, float32(l.weight))
	}
	if how == vector.RRF {
		return pb.NewQueryRRF(&pb.Rrf{K: proto.Uint32(rrfK), Weights: weights}), prefetch
	}
	return pb.NewQueryFusion(pb.Fusion_DBSF), prefetch
}

// rrfK makes a list give 1/((position+1)/weight + 1).
const rrfK = 2

// decodeHits decodes found points.
func decodeHits(result *pb.BatchResult) []vector.Hit {
	out := make([]vector.Hit, 0, len(result.GetResult()))
	for _, p := range result.GetResult() {
		out = append(out, vector.Hit{ID: idText(p.GetId()), Score: p.GetScore(), Chunk: decodeChunk(p.GetPayload())})
	}
	return out
}

// place notes where a list has the hits.
func place(hits []vector.Hit, name vector.List, result *pb.BatchResult) {
	places := make(map[string]vector.Place, len(result.GetResult()))
	for i, p := range result.GetResult() {
		places[idText(p.GetId())] = vector.Place{Rank: i + 1, Score: p.GetScore()}
	}
	for i, h := range hits {
		at, ok := places[h.ID]
		if !ok {
			continue
		}
		if hits[i].Lists == nil {
			hits[i].Lists = map[vector.List]vector.Place{}
		}
		hits[i].Lists[name] = at
	}
}
