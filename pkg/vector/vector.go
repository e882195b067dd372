// Package vector is the port to the vector store: what the pipeline needs of
// one, in the pipeline's words. Adapters live in sub-packages; vectortest holds
// the suite every adapter must pass.
//
// All points of one embedding model live in one index. Tenants and their
// collections share it and are kept apart by the filter of every call, which
// the adapter builds from [Scope]: no call of the pipeline can read without a
// tenant.
//
// The store holds points; which of them are a document's current chunks is said
// by the manifest (pkg/manifest), and readers check what they found against it.
package vector

import (
	"context"
	"errors"
	"time"

	"github.com/weir-dev/weir/pkg/sparse"
)

// ErrDimension says that a vector's length differs from the index's dimension.
var ErrDimension = errors.New("vector dimension mismatch")

// DefaultIndex is the name all services use for the pipeline's index.
const DefaultIndex = "weir"

// Index names the place that holds the vectors of one embedding model. Writes
// and reads by Index go to the collection of exactly this model and dimension,
// so vectors of two models can't meet.
type Index struct {
	// Name is the stable name (an alias in the store, see [Store.Switch]).
	Name string
	// Model is the embedding model; part of the physical collection's name.
	Model string
	// Dimension is the length of every dense vector in the index.
	Dimension int
}

// Scope is the wall around every read and write: one tenant's collection.
// Both fields are required.
type Scope struct {
	Tenant     string
	Collection string
}

// Document names one document inside a scope.
type Document struct {
	Scope Scope
	ID    string
}

// Point is one chunk with its vectors.
type Point struct {
	// ID is a UUID; equal content of one document has an equal id. It must be
	// derived from the scope too: a point whose id another scope already uses is
	// left alone.
	ID    string
	Dense []float32
	// BM25 and Grams may be empty: then the point is in neither list.
	BM25, Grams sparse.Vector
	Chunk       Chunk
}

// Chunk is the stored payload of a point. Its place in the document is not here
// but in the manifest: a chunk that is kept when text is added before it is not
// written again.
type Chunk struct {
	Document string // document id inside the scope
	// Version is that of the document when the point was written; a higher one
	// replaces lower ones. It must stay below 2^53 (stores keep numbers as float64).
	Version int64
	// Hash names what was embedded (prefix and text): points of equal hash have
	// equal vectors.
	Hash string
	// Prefix (title, heading path) is embedded before Text.
	Prefix  string
	Text    string
	Tokens  int      // of Prefix and Text
	Section []string // heading path, outermost first
	Created time.Time
	Meta
}

// Meta is what may change without new vectors; see [Store.SetMeta].
type Meta struct {
	Source   string            `json:"source,omitempty"` // where the document came from (path or URL)
	Title    string            `json:"title,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	// ACL lists who may read it; empty is everybody in the tenant. "*" is
	// reserved for the adapter.
	ACL []string `json:"acl,omitempty"`
}

// List is one way of searching, named as its vectors are.
type List string

// The lists.
const (
	Dense List = "dense" // nearest by meaning
	BM25  List = "bm25"  // shared words, weighted by rarity
	Grams List = "grams" // shared pieces of words
)

// Fusion is how lists are joined.
type Fusion string

// The fusions.
const (
	// DBSF adds the lists' scores, each normalised by its mean and deviation.
	DBSF Fusion = "dbsf"
	// RRF adds reciprocal ranks, 1/((position+1)/weight + 1).
	RRF Fusion = "rrf"
)

// Query asks for the best chunks of one scope.
type Query struct {
	Scope  Scope
	Filter Filter
	// Dense, BM25 and Grams: a list is searched when its vector is not empty. At
	// least one is needed; one alone is not fused, its own scores are the hits'.
	Dense       []float32
	BM25, Grams sparse.Vector
	// Weights of the lists in the fusion, 1 when absent. DBSF takes whole numbers
	// from 1 to 4.
	Weights map[List]float64
	// Fusion is DBSF when "".
	Fusion Fusion
	TopK   int // hits wanted, > 0
	// Candidates is how many of each list are fused; 0 takes max(50, 2*TopK).
	Candidates int
	// Scores asks for each hit's score and rank in every list, which takes a
	// search of each by itself.
	Scores bool
}

// Filter narrows a query within its scope. It holds in every list.
type Filter struct {
	// Readers are the names (user, groups) the reader answers to: a chunk with an
	// ACL is found only if one of them is in it.
	Readers []string
	// Metadata must all be equal to the chunk's.
	Metadata map[string]string
	// Documents, when not empty, are the only documents searched.
	Documents []string
}

// Hit is one found chunk, best first.
type Hit struct {
	ID    string
	Score float32
	// Lists holds, with Query.Scores, the hit's place in each list that found it.
	Lists map[List]Place
	Chunk Chunk
}

// Place is where a list has a hit.
type Place struct {
	Rank  int // from 1
	Score float32
}

// Stored is a point without its vectors.
type Stored struct {
	ID         string
	Tenant     string
	Collection string
	Chunk      Chunk
}

// Scan is a walk over the points of an index for maintenance. Empty fields of
// Scope don't narrow it: it alone may cross tenants.
type Scan struct {
	Scope    Scope
	Document string
	// After is the id to go on behind; "" begins.
	After string
	Limit int // > 0
}

// Store is a vector store. Implementations are safe for concurrent use and
// return *event.Error with ClassUnavailable for trouble that may pass. Reads of
// an index that does not exist find nothing; writes to it are refused.
type Store interface {
	// Ensure creates idx with its payload indexes, or verifies that what exists
	// has its dimension (else ErrDimension) and, when idx has no alias yet, puts
	// the alias on it. Idempotent; safe to race.
	Ensure(ctx context.Context, idx Index) error
	// Current returns the model and dimension the alias leads to; ok is false
	// when there is no such alias.
	Current(ctx context.Context, name string) (idx Index, ok bool, err error)
	// Switch puts the alias on idx, in one step.
	Switch(ctx context.Context, idx Index) error
	// Drop removes the collection of idx; one that is not there is no error. The
	// one the alias leads to is refused.
	Drop(ctx context.Context, idx Index) error

	// Upsert stores points durably before it returns. A stored point with a
	// higher Version than the new one is left alone (late messages never
	// overwrite newer chunks). Points may span documents of one scope.
	Upsert(ctx context.Context, idx Index, scope Scope, points []Point) error
	// SetMeta changes the meta of all stored chunks of a document.
	SetMeta(ctx context.Context, idx Index, doc Document, meta Meta) error
	// Delete removes those of the document's points with the ids that were
	// written by a version before the given one.
	Delete(ctx context.Context, idx Index, doc Document, ids []string, before int64) error
	// DeleteDocument removes all points of the document that were written by a
	// version before the given one.
	DeleteDocument(ctx context.Context, idx Index, doc Document, before int64) error

	// Search returns at most TopK hits of the scope, best first.
	Search(ctx context.Context, idx Index, q Query) ([]Hit, error)
	// Get returns the points of the scope with the ids, in no order; those not
	// there are left out.
	Get(ctx context.Context, idx Index, scope Scope, ids []string) ([]Stored, error)
	// Vectors returns the dense vectors of a tenant's points by their hash; those
	// not there are left out. A store may keep them scaled to length 1.
	Vectors(ctx context.Context, idx Index, tenant string, hashes []string) (map[string][]float32, error)
	// Scan returns the next points in the order of their ids.
	Scan(ctx context.Context, idx Index, scan Scan) ([]Stored, error)
	// Count returns the number of points in a scope, of which empty fields don't
	// narrow it.
	Count(ctx context.Context, idx Index, scope Scope) (int, error)
}
