package main

import (
	"context"
	"fmt"
	"hash/crc32"

	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/vector"
)

// store is what the benchmark needs of a vector store; [vector.Store] has it.
type store interface {
	Upsert(ctx context.Context, idx vector.Index, scope vector.Scope, points []vector.Point) error
	Search(ctx context.Context, idx vector.Index, q vector.Query) ([]vector.Hit, error)
}

// index is where the sets are kept: a collection each, in a scope of its name.
var index = vector.Index{Name: "retrieval", Model: "none", Dimension: 1}

func scope(name string) vector.Scope { return vector.Scope{Tenant: "bench", Collection: name} }

// pointID is unique over the sets.
func pointID(set string, i int) string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", crc32.ChecksumIEEE([]byte(set)), i)
}

// batch is how many points are stored at once.
const batch = 128

// fill stores a set.
func fill(ctx context.Context, s store, encoder *sparse.Encoder, set set) error {
	var points []vector.Point
	for i, d := range set.documents {
		p := vector.Point{ID: pointID(set.name, i), Chunk: vector.Chunk{
			Document: d.ID, Version: 1, Hash: d.ID, Prefix: d.Title, Text: d.Text, Meta: vector.Meta{Title: d.Title}}}
		p.BM25, p.Grams = encoder.Passage(d.Title + "\n" + d.Text)
		points = append(points, p)
		if len(points) == batch || i == len(set.documents)-1 {
			if err := s.Upsert(ctx, index, scope(set.name), points); err != nil {
				return fmt.Errorf("storing %s: %w", set.name, err)
			}
			points = points[:0]
		}
	}
	return nil
}

// The stores that can be measured.
const (
	storeMemory = "memory"
	storeQdrant = "qdrant"
)

func openStore(ctx context.Context, kind string) (store, func(), error) {
	return memory{}, func() {}, nil
}
