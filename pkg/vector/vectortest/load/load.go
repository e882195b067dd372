// Package load measures vector stores: it makes chunks with the sizes and the
// distribution of words of real ones, and stores them through the port or
// through Qdrant's own client.
package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/vector"
)

// The shape of a chunk, as measured on text of about 200 tokens.
const (
	words     = 57      // non-zeros of bm25
	wordKinds = 200_000 // different words there are
	grams     = 300     // non-zeros of grams
	gramKinds = 100_000 // different grams there are
	textBytes = 1000
	queryLen  = 6  // words of a question
	queryGram = 35 // grams of a question
)

// Batch is the number of points that are stored at once.
const Batch = 256

// Corpus is a set of generated chunks. The n-th chunk of equal corpora is equal.
type Corpus struct {
	Seed      uint64
	Dimension int
	// Tenants share the chunks evenly; 0 counts as 1. A batch is of one tenant.
	Tenants int
}

// Scope is where the batch with the given number goes.
func (c Corpus) Scope(batch int) vector.Scope {
	return vector.Scope{Tenant: fmt.Sprint("tenant-", batch%max(1, c.Tenants)), Collection: "load"}
}

// Points makes a batch of points.
func (c Corpus) Points(batch int) []vector.Point {
	out := make([]vector.Point, Batch)
	for i := range out {
		out[i] = c.point(batch*Batch + i)
	}
	return out
}

func (c Corpus) point(n int) vector.Point {
	rng := rand.New(rand.NewPCG(c.Seed, uint64(n)))
	text := fmt.Sprintf("chunk %d of generated text. ", n)
	return vector.Point{
		ID:    fmt.Sprintf("%08x-%04x-5000-8000-%012x", rng.Uint32(), rng.Uint32()&0xffff, n),
		Dense: dense(rng, c.Dimension), BM25: zipf(rng, words, wordKinds), Grams: zipf(rng, grams, gramKinds),
		Chunk: vector.Chunk{
			Document: fmt.Sprint("document-", n/20), Version: 1, Hash: fmt.Sprintf("%064x", n), Tokens: 200,
			Text: strings.Repeat(text, textBytes/len(text)+1)[:textBytes], Section: []string{"Chapter", "Section"},
			Created: time.Unix(1_800_000_000, 0), Meta: vector.Meta{Source: fmt.Sprintf("docs/document-%d.md", n/20), Title: "Generated"},
		},
	}
}

// Query asks for what the n-th chunk is about.
func (c Corpus) Query(n, topK int) vector.Query {
	rng := rand.New(rand.NewPCG(c.Seed, 1<<40+uint64(n)))
	p := c.point(n)
	return vector.Query{
		Scope: c.Scope(n / Batch), TopK: topK, Dense: p.Dense, BM25: some(rng, p.BM25, queryLen), Grams: some(rng, p.Grams, queryGram),
	}
}

// dense is a random direction.
func dense(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// zipf draws n different terms of kinds, the k-th about 1/k as often as the first.
func zipf(rng *rand.Rand, n, kinds int) sparse.Vector {
	seen := make(map[uint32]bool, n)
	for len(seen) < n {
		rank := math.Exp(rng.Float64() * math.Log(float64(kinds))) // density 1/rank
		seen[uint32(rank)*2654435761] = true                       // spread as hashes are
	}
	var v sparse.Vector
	for i := range seen {
		v.Indices = append(v.Indices, i)
	}
	slices.Sort(v.Indices)
	for range v.Indices {
		v.Values = append(v.Values, 0.5+rng.Float32())
	}
	return v
}

// some keeps n terms of a vector.
func some(rng *rand.Rand, v sparse.Vector, n int) sparse.Vector {
	var out sparse.Vector
	picked := rng.Perm(len(v.Indices))[:n]
	slices.Sort(picked)
	for _, i := range picked {
		out.Indices = append(out.Indices, v.Indices[i])
		out.Values = append(out.Values, 1)
	}
	return out
}

// Upsert stores batches from (inclusive) to to (exclusive) through the port, as
// many at once as there are clients, and returns how long storing took. Making
// the points is not in it.
func (c Corpus) Upsert(ctx context.Context, store vector.Store, idx vector.Index, from, to, clients int) (time.Duration, error) {
	return c.each(from, to, clients, func(batch int, points []vector.Point) (time.Duration, error) {
		start := time.Now()
		err := store.Upsert(ctx, idx, c.Scope(batch), points)
		return time.Since(start), err
	})
}

// UpsertRaw stores the same points with Qdrant's client alone: no checks, no
// condition on the version. The collection must have the vectors dense, bm25
// and grams.
func (c Corpus) UpsertRaw(ctx context.Context, client *pb.Client, collection string, from, to, clients int) (time.Duration, error) {
	return c.each(from, to, clients, func(batch int, points []vector.Point) (time.Duration, error) {
		start := time.Now()
		req := &pb.UpsertPoints{CollectionName: collection, Wait: proto.Bool(true)}
		for _, p := range points {
			req.Points = append(req.Points, rawPoint(c.Scope(batch), p))
		}
		_, err := client.Upsert(ctx, req)
		return time.Since(start), err
	})
}

// each hands batches to clients and adds up the time they take, divided by the
// number of clients.
func (c Corpus) each(from, to, clients int, store func(batch int, points []vector.Point) (time.Duration, error)) (time.Duration, error) {
	var next, spent atomic.Int64
	next.Store(int64(from))
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for batch := int(next.Add(1)) - 1; batch < to && errs[i] == nil; batch = int(next.Add(1)) - 1 {
				took, err := store(batch, c.Points(batch))
				spent.Add(int64(took))
				errs[i] = err
			}
		})
	}
	wg.Wait()
	return time.Duration(spent.Load() / int64(clients)), errors.Join(errs...)
}

// rawPoint is a point as a user of Qdrant's client writes it.
func rawPoint(scope vector.Scope, p vector.Point) *pb.PointStruct {
	return &pb.PointStruct{
		Id: pb.NewIDUUID(p.ID),
		Vectors: pb.NewVectorsMap(map[string]*pb.Vector{
			string(vector.Dense): pb.NewVectorDense(p.Dense),
			string(vector.BM25):  pb.NewVectorSparse(p.BM25.Indices, p.BM25.Values),
			string(vector.Grams): pb.NewVectorSparse(p.Grams.Indices, p.Grams.Values),
		}),
		Payload: pb.NewValueMap(map[string]any{
			"tenant": scope.Tenant, "collection": scope.Collection, "document": p.Chunk.Document, "version": p.Chunk.Version, "hash": p.Chunk.Hash,
			"text": p.Chunk.Text, "tokens": p.Chunk.Tokens, "section": []any{"Chapter", "Section"}, "acl": []any{"*"},
			"source": p.Chunk.Source, "title": p.Chunk.Title,
		}),
	}
}
