// Package vector is the port to the vector store: what the pipeline needs of
// one, in the pipeline's words. Adapters live in sub-packages; vectortest holds
// the suite every adapter must pass.
//
// All points of one embedding model live in one index. Tenants and their
// collections share it and are kept apart by the filter of every call, which
// the adapter builds from [Scope]: no call can read without a tenant.
package vector

import (
	"context"
	"errors"
	"time"
)

// ErrDimension says that a vector's length differs from the index's dimension.
var ErrDimension = errors.New("vector dimension mismatch")

// DefaultIndex is the name all services use for the pipeline's index.
const DefaultIndex = "weir"

// Index names the place that holds the vectors of one embedding model.
type Index struct {
	// Name is the stable name readers and writers use (an alias in the store).
	Name string
	// Model is the embedding model; part of the physical collection's name.
	Model string
	// Dimension is the length of every vector in the index.
	Dimension int
}

// Scope is the wall around every read and write: one tenant's collection.
// Both fields are required.
type Scope struct {
	Tenant     string
	Collection string
}

// Point is one chunk with its embedding.
type Point struct {
	// ID is a UUID; equal content of one document has an equal id. It must be
	// derived from the scope too: a point whose id another scope already uses is
	// left alone.
	ID     string
	Vector []float32
	Chunk  Chunk
}

// Chunk is the stored payload of a point.
type Chunk struct {
	Document string // document id inside the scope
	// Version orders the states of one document; a higher one replaces lower
	// ones. It must stay below 2^53 (stores keep numbers as float64).
	Version  int64
	Position int    // place of the chunk in its document, from 0
	Text     string // the chunk as it is shown to the model
	Source   string // where the document came from (path or URL)
	Title    string
	Section  []string // heading path, outermost first
	Start    int      // byte offsets of the chunk in the document's text
	End      int
	// Created is when this version was ingested.
	Created  time.Time
	Metadata map[string]string
}

// Query asks for the nearest chunks of one scope.
type Query struct {
	Scope  Scope
	Vector []float32
	TopK   int // > 0
	// MinScore drops hits below it (a hit that reaches it is kept); 0 keeps all.
	// Scores are cosine, -1..1.
	MinScore float32
}

// Hit is one found chunk, best first.
type Hit struct {
	ID    string
	Score float32
	Chunk Chunk
}

// Store is a vector store. Implementations are safe for concurrent use and
// return *event.Error with ClassUnavailable for trouble that may pass.
type Store interface {
	// Ensure creates idx with its payload indexes, or verifies that what exists
	// has its dimension (else ErrDimension). Idempotent; safe to race. Reads of an
	// index that does not exist yet find nothing; writes to it are refused.
	Ensure(ctx context.Context, idx Index) error
	// Upsert stores points durably before it returns. A stored point with a
	// higher Version than the new one is left alone (late messages never
	// overwrite newer chunks). Points may span documents of one scope.
	Upsert(ctx context.Context, idx Index, scope Scope, points []Point) error
	// DeleteStale removes the chunks of a document older than version, and those
	// of version as well when newer ones are stored: it came late.
	DeleteStale(ctx context.Context, idx Index, doc Document, version int64) error
	// Search returns at most TopK hits of the scope, best first.
	Search(ctx context.Context, idx Index, q Query) ([]Hit, error)
	// Count returns the number of chunks in a scope; an unknown one has 0.
	Count(ctx context.Context, idx Index, scope Scope) (int, error)
}

// Document names one document inside a scope.
type Document struct {
	Scope Scope
	ID    string
}
