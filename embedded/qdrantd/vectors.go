package qdrantd

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	pb "github.com/qdrant/go-client/qdrant"
)

// sparseVector is a sparse vector with its indices in ascending order.
type sparseVector struct {
	indices []uint32
	values  []float32
}

// encodeVectors checks a point's vectors against the collection and encodes
// them for storage, by vector name.
func (c *collection) encodeVectors(in *pb.Vectors) (map[string][]byte, error) {
	named := in.GetVectors().GetVectors()
	switch {
	case in.GetVectorsOptions() == nil:
		return nil, badInput("Expected some vectors")
	case in.GetVector() != nil:
		named = map[string]*pb.Vector{"": in.GetVector()}
	}
	out := make(map[string][]byte, len(named))
	for name, v := range named {
		spec, err := c.spec(name)
		if err != nil {
			return nil, err
		}
		if out[name], err = spec.encode(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// encode checks one vector and returns its stored form.
func (v vectorSpec) encode(in *pb.Vector) ([]byte, error) {
	dense, sparse := vectorParts(in)
	if v.dense != nil {
		if dense == nil {
			return nil, badInput("Conversion between sparse and regular vectors failed: vector %q is dense", v.name)
		}
		d, err := v.checkDense(dense)
		return appendFloats(make([]byte, 0, 4*len(d)), d), err
	}
	if sparse == nil {
		return nil, badInput("Conversion between sparse and regular vectors failed: vector %q is sparse", v.name)
	}
	s, err := checkSparse(sparse)
	return s.encode(), err
}

// vectorParts reads a vector in the current or the older form of the message
// (plain data, with indices when sparse).
func vectorParts(in *pb.Vector) (dense []float32, sparse *pb.SparseVector) {
	switch {
	case in.GetDense() != nil:
		return in.GetDense().GetData(), nil
	case in.GetSparse() != nil:
		return nil, in.GetSparse()
	case in.GetIndices() != nil: //nolint:staticcheck // older clients send it
		return nil, &pb.SparseVector{Indices: in.GetIndices().GetData(), Values: in.GetData()} //nolint:staticcheck // older clients send it
	}
	return in.GetData(), nil //nolint:staticcheck // older clients send it
}

// checkDense checks length and values and normalises where the distance needs it.
func (v vectorSpec) checkDense(data []float32) ([]float32, error) {
	if uint64(len(data)) != v.dense.GetSize() {
		return nil, badInput("Vector dimension error: expected dim: %d, got %d", v.dense.GetSize(), len(data))
	}
	if err := checkFinite(data); err != nil {
		return nil, err
	}
	if v.dense.GetDistance() == pb.Distance_Cosine {
		return normalise(data), nil
	}
	return data, nil
}

// checkFinite refuses NaN and infinities, which have no place in an order.
func checkFinite(data []float32) error {
	for i, x := range data {
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			return badInput("vector value %d is %v; want a finite number", i, x)
		}
	}
	return nil
}

// checkSparse checks a sparse vector and sorts it by index.
func checkSparse(in *pb.SparseVector) (sparseVector, error) {
	var out sparseVector
	if len(in.GetIndices()) != len(in.GetValues()) {
		return out, badInput("sparse vector has %d indices but %d values", len(in.GetIndices()), len(in.GetValues()))
	}
	if err := checkFinite(in.GetValues()); err != nil {
		return out, err
	}
	order := make([]int, len(in.GetIndices()))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(in.Indices[a], in.Indices[b]) })
	out = sparseVector{indices: make([]uint32, 0, len(order)), values: make([]float32, 0, len(order))}
	for n, i := range order {
		if n > 0 && in.Indices[i] == out.indices[n-1] {
			return out, badInput("sparse vector indices must be unique; %d is twice", in.Indices[i])
		}
		out.indices = append(out.indices, in.Indices[i])
		out.values = append(out.values, in.Values[i])
	}
	return out, nil
}

// encode is the stored form: all indices, then all values.
func (s sparseVector) encode() []byte {
	out := make([]byte, 0, 8*len(s.indices))
	for _, i := range s.indices {
		out = binary.LittleEndian.AppendUint32(out, i)
	}
	return appendFloats(out, s.values)
}

// decodeSparse views the stored form, under the rules of floats.
func decodeSparse(raw []byte) sparseVector {
	half := len(raw) / 2
	return sparseVector{indices: indices(raw[:half]), values: floats(raw[half:])}
}

// output is the vector as a reply holds it, copied out of raw.
func (v vectorSpec) output(raw []byte) *pb.VectorOutput {
	if v.dense != nil {
		return &pb.VectorOutput{Vector: &pb.VectorOutput_Dense{Dense: &pb.DenseVector{Data: slices.Clone(floats(raw))}}}
	}
	s := decodeSparse(raw)
	return &pb.VectorOutput{Vector: &pb.VectorOutput_Sparse{Sparse: &pb.SparseVector{
		Indices: slices.Clone(s.indices), Values: slices.Clone(s.values),
	}}}
}
