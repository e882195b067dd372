package qdrantd

import (
	"encoding/binary"
	"math"
	"unsafe"

	pb "github.com/qdrant/go-client/qdrant"
	"github.com/viterin/vek/vek32"
)

// metric compares two vectors of equal, non-zero length.
type metric struct {
	score func(a, b []float32) float32
	// smaller says that a smaller score is the better one.
	smaller bool
}

// newMetric returns the metric of a distance. Cosine is a dot product because
// vectors are stored normalised.
func newMetric(d pb.Distance) metric {
	switch d {
	case pb.Distance_Euclid:
		return metric{score: vek32.Distance, smaller: true}
	case pb.Distance_Manhattan:
		return metric{score: vek32.ManhattanDistance, smaller: true}
	}
	return metric{score: vek32.Dot}
}

// normalise returns v scaled to length 1. A zero or already normal vector is
// returned as it is.
func normalise(v []float32) []float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 || math.Abs(sum-1) < 1e-6 {
		return v
	}
	inv := 1 / math.Sqrt(sum)
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) * inv)
	}
	return out
}

// appendFloats appends v, little-endian.
func appendFloats(dst []byte, v []float32) []byte {
	for _, x := range v {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(x))
	}
	return dst
}

// floats views stored bytes as floats. The result aliases raw where the machine
// allows it, so it is valid only as long as raw is and must not be written to.
func floats(raw []byte) []float32 { return words[float32](raw) }

// indices views stored bytes as sparse indices, under the rules of floats.
func indices(raw []byte) []uint32 { return words[uint32](raw) }

// words views raw as 4-byte numbers. bbolt keeps values 4-byte aligned as long
// as all keys and values of a bucket are, except in small inlined buckets: those
// are copied.
func words[T float32 | uint32](raw []byte) []T {
	n := len(raw) / 4
	if n == 0 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(raw))
	little := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	if little && uintptr(p)%4 == 0 {
		return unsafe.Slice((*T)(p), n)
	}
	out := make([]T, n)
	for i := range out {
		bits := binary.LittleEndian.Uint32(raw[4*i:])
		out[i] = *(*T)(unsafe.Pointer(&bits))
	}
	return out
}
