// Package sparse makes the sparse vectors of lexical search: bm25, of stemmed
// words, and grams, of pieces of words, which need no language and forgive
// typing errors. It is pure; the store scales a query's weights by how rare each
// term is (the IDF modifier of Qdrant).
package sparse

// Vector is a sparse vector: a weight for each of some dimensions. Indices are
// unique and ascending; Values has the same length.
type Vector struct {
	Indices []uint32
	Values  []float32
}
