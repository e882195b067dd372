package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"github.com/weir-dev/weir/embedded/qdrantd"
	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/vector"
	"github.com/weir-dev/weir/pkg/vector/qdrant"
)

// store is what the benchmark needs of a vector store; [vector.Store] has it.
type store interface {
	Ensure(ctx context.Context, idx vector.Index) error
	Upsert(ctx context.Context, idx vector.Index, scope vector.Scope, points []vector.Point) error
	Search(ctx context.Context, idx vector.Index, q vector.Query) ([]vector.Hit, error)
}

// index is where a set is kept: each in its own, because the IDF is an index's.
func index(set string) vector.Index { return vector.Index{Name: set, Model: "none", Dimension: 1} }

func scope(name string) vector.Scope { return vector.Scope{Tenant: "bench", Collection: name} }

// pointID is unique over the sets.
func pointID(set string, i int) string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", crc32.ChecksumIEEE([]byte(set)), i)
}

// prefix is what stands before a document's text.
func prefix(d dataset.Document) string {
	if d.Title == "" {
		return ""
	}
	return d.Title + "\n\n"
}

// batch is how many points are stored at once.
const batch = 128

// fill stores a set in its index.
func fill(ctx context.Context, s store, encoder *sparse.Encoder, set dataset.Set) error {
	if err := s.Ensure(ctx, index(set.Name)); err != nil {
		return fmt.Errorf("making the index of %s: %w", set.Name, err)
	}
	var points []vector.Point
	for i, d := range set.Documents {
		// A dense vector is a must; none is searched.
		p := vector.Point{ID: pointID(set.Name, i), Dense: []float32{1}, Chunk: vector.Chunk{
			Document: d.ID, Version: 1, Hash: d.ID, Prefix: prefix(d), Text: d.Text, Meta: vector.Meta{Title: d.Title}}}
		p.BM25, p.Grams = encoder.Passage(p.Chunk.Prefix + p.Chunk.Text)
		points = append(points, p)
		if len(points) == batch || i == len(set.Documents)-1 {
			if err := s.Upsert(ctx, index(set.Name), scope(set.Name), points); err != nil {
				return fmt.Errorf("storing %s: %w", set.Name, err)
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

// openStore opens a store of the kind, and returns what closes it.
func openStore(ctx context.Context, kind string) (store, func() error, error) {
	switch kind {
	case storeMemory:
		return memory{}, func() error { return nil }, nil
	case storeQdrant:
		return openQdrant(ctx)
	}
	return nil, nil, fmt.Errorf("-store is %q; want %s or %s", kind, storeMemory, storeQdrant)
}

// openQdrant runs the embedded server on a new directory and connects to it as
// the services do.
func openQdrant(ctx context.Context) (store, func() error, error) {
	dir, err := os.MkdirTemp("", "weir-retrieval-")
	if err != nil {
		return nil, nil, fmt.Errorf("making a temporary directory: %w", err)
	}
	server, err := qdrantd.New(qdrantd.Config{Dir: dir, Addr: "127.0.0.1:0"})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	stop := func() error {
		cancel()
		return errors.Join(<-done, os.RemoveAll(dir))
	}
	select {
	case <-server.Ready():
	case err := <-done:
		done <- err // for stop
		return nil, nil, stop()
	}
	s, err := qdrant.New(qdrant.Config{Addr: server.Addr()})
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return s, func() error { return errors.Join(s.Close(), stop()) }, nil
}
