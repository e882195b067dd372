// Package sparse makes the sparse vectors of lexical search: bm25, of stemmed
// words, and grams, of pieces of words, which need no language and forgive
// typing errors. It is pure; the store scales a query's weights by how rare each
// term is (the IDF modifier of Qdrant).
//
// A store that keeps both lists fuses them by DBSF with [WeightBM25] and
// [WeightGrams] over [Candidates] of each.
package sparse

// Vector is a sparse vector: a weight for each of some dimensions. Indices are
// unique and ascending; Values has the same length.
type Vector struct {
	Indices []uint32
	Values  []float32
}

// Version names the encoding. Vectors of two versions don't find each other, so
// an index holds vectors of one.
const Version = 1

// The fusion that serves best where nothing is known of the collection: no list
// by itself was better by more than half a point of R@1 on any of 14 sets in 11
// languages (test/bench/retrieval).
const (
	// WeightBM25 is the weight of bm25 in a fusion by DBSF.
	WeightBM25 = 1
	// WeightGrams is the weight of grams in a fusion by DBSF.
	WeightGrams = 2
	// Candidates is how many of each list are fused.
	Candidates = 100
)

// BM25 of both lists: tf*(k+1) / (tf + k*(1-b+b*length/average)). The constants
// are Robertson's; the averages stand in for the collection's, which a single
// passage can't know: what a chunk of 256 tokens has. Between 120 and 256 words
// they hardly matter (under .5 point of R@1).
const (
	saturationWords = 1.2
	saturationGrams = 0.9 // a word's pieces come together, so repetition says less
	lengthShare     = 0.75
	averageWords    = 160 // stop words left out
	averageGrams    = 800
	// pieceLength is the length, in words, of a piece of script without blanks:
	// with it a chunk of 256 tokens is equally long in every script.
	pieceLength = 0.3
)
