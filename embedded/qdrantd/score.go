package qdrantd

import (
	"context"
	"math"

	pb "github.com/qdrant/go-client/qdrant"
)

// denseScore compares stored vectors with a query vector.
func (v vectorSpec) denseScore(query []float32) func([]byte) (float32, bool) {
	return func(stored []byte) (float32, bool) {
		f := floats(stored)
		if len(f) != len(query) {
			return 0, false
		}
		return v.metric.score(query, f), true
	}
}

// sparseScore sums the products over shared indices; a point that shares none,
// or whose sum is 0, is no result.
func sparseScore(query sparseVector) func([]byte) (float32, bool) {
	return func(stored []byte) (float32, bool) {
		s := decodeSparse(stored)
		var sum float32
		overlap(query.indices, s.indices, func(i, j int) { sum += query.values[i] * s.values[j] })
		return sum, sum != 0
	}
}

// overlap calls fn for the positions of each value that two ascending lists share.
func overlap(a, b []uint32, fn func(i, j int)) {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] < b[j]:
			i++
		case a[i] > b[j]:
			j++
		default:
			fn(i, j)
			i++
			j++
		}
	}
}

// scaleIDF multiplies a query's weights by how rare each index is in the whole
// collection: ln((N - df + 0.5) / (df + 0.5) + 1).
func scaleIDF(query sparseVector, n float64, df []float64) sparseVector {
	scaled := sparseVector{indices: query.indices, values: make([]float32, len(query.values))}
	for i, w := range query.values {
		scaled.values[i] = w * float32(math.Log((n-df[i]+0.5)/(df[i]+0.5)+1))
	}
	return scaled
}

// frequencies counts all vectors, and those that hold each of the indices.
func (r *reader) frequencies(ctx context.Context, spec vectorSpec, of []uint32) (n float64, df []float64, err error) {
	df = make([]float64, len(of))
	err = plan{all: true}.each(ctx, r.tx.Bucket(spec.bucket()), slotRange{}, func(_ uint64, stored []byte) {
		n++
		overlap(of, decodeSparse(stored).indices, func(i, _ int) { df[i]++ })
	})
	return n, df, err
}

// nearest prepares a search for the points of a plan that are nearest to the
// input.
func (r *reader) nearest(ctx context.Context, n queryNode, in *pb.VectorInput, p plan) (search, error) {
	spec, err := r.col.spec(n.using)
	if err != nil {
		return search{}, err
	}
	s, err := r.nearestTo(ctx, spec, in)
	s.plan, s.limit, s.threshold = p, n.limit, n.threshold
	return s, err
}

// nearestTo is nearest without a plan.
func (r *reader) nearestTo(ctx context.Context, spec vectorSpec, in *pb.VectorInput) (s search, err error) {
	s.spec = spec
	switch t := in.GetVariant().(type) {
	case *pb.VectorInput_Id:
		return r.nearestToPoint(ctx, spec, t.Id)
	case *pb.VectorInput_Dense:
		if spec.dense == nil {
			return s, badInput("vector %q is sparse; the query's vector is dense", spec.name)
		}
		query, err := spec.checkDense(t.Dense.GetData())
		s.score = spec.denseScore(query)
		return s, err
	case *pb.VectorInput_Sparse:
		if spec.sparse == nil {
			return s, badInput("vector %q is dense; the query's vector is sparse", spec.name)
		}
		query, err := checkSparse(t.Sparse)
		if err != nil {
			return s, err
		}
		return r.nearestSparse(ctx, spec, query)
	}
	return s, badInput("Malformed query: nearest has no vector and no id")
}

// nearestSparse prepares a sparse search, with the inverted index if that can
// answer for the reader's snapshot.
func (r *reader) nearestSparse(ctx context.Context, spec vectorSpec, query sparseVector) (s search, err error) {
	view, err := r.col.postings[spec.name].at(ctx, uint64(r.tx.ID()), query.indices)
	if err != nil {
		return s, err
	}
	asked := query
	if spec.idf() {
		var n float64
		var df []float64
		if view != nil {
			n, df = view.frequencies()
		} else if n, df, err = r.frequencies(ctx, spec, query.indices); err != nil {
			return s, err
		}
		query = scaleIDF(query, n, df)
	}
	return search{spec: spec, view: view, sparse: query, asked: asked, score: sparseScore(query)}, nil
}

// nearestToPoint prepares a search with a stored point's vector; the point
// itself is left out of the result.
func (r *reader) nearestToPoint(ctx context.Context, spec vectorSpec, id *pb.PointId) (s search, err error) {
	key, err := idKey(id)
	if err != nil {
		return s, err
	}
	slot, ok := r.slot(key)
	if !ok {
		return s, notFound("No point with id %s found", idText(id))
	}
	stored := r.vector(spec, slot)
	if stored == nil {
		return s, notFound("Point %s has no vector %q", idText(id), spec.name)
	}
	if spec.sparse != nil {
		s, err = r.nearestSparse(ctx, spec, decodeSparse(stored))
	} else {
		s = search{spec: spec, score: spec.denseScore(floats(stored))}
	}
	s.exclude = key
	return s, err
}
