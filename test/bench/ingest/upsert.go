package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	pb "github.com/qdrant/go-client/qdrant"

	"github.com/weir-dev/weir/embedded/qdrantd"
	"github.com/weir-dev/weir/pkg/vector"
	"github.com/weir-dev/weir/pkg/vector/qdrant"
	"github.com/weir-dev/weir/pkg/vector/vectortest/load"
	"github.com/weir-dev/weir/test/internal/figures"
)

// The load of upsert: some 10,000 points of the shape of real chunks.
const (
	batches = 40
	clients = 2
)

// benchUpsert measures storing the same points through the adapter and with
// Qdrant's client alone, on the embedded server, in turns and each in a fresh
// collection; which goes first alternates. upsert_ratio_raw is the client's time
// divided by the adapter's: 1 is no overhead.
func benchUpsert(ctx context.Context, c *corpus, found figures.Figures) error {
	dir, err := os.MkdirTemp("", "weir-ingest-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	srv, err := qdrantd.New(qdrantd.Config{Dir: dir, Addr: "127.0.0.1:0"})
	if err != nil {
		return fmt.Errorf("making the vector store: %w", err)
	}
	return serve(ctx, srv, func() error {
		u, err := newUpserts(srv.Addr())
		if err != nil {
			return err
		}
		defer u.close()
		return u.measure(ctx, c.rounds, found)
	})
}

// upserts are the two ways to store points.
type upserts struct {
	corpus load.Corpus
	store  *qdrant.Store
	raw    *pb.Client
}

func newUpserts(addr string) (*upserts, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address of the vector store: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("port of the vector store: %w", err)
	}
	u := &upserts{corpus: load.Corpus{Seed: 1, Dimension: dimension}}
	if u.store, err = qdrant.New(qdrant.Config{Addr: addr, PoolSize: clients}); err != nil {
		return nil, fmt.Errorf("making the adapter: %w", err)
	}
	u.raw, err = pb.NewClient(&pb.Config{Host: host, Port: number, PoolSize: clients, SkipCompatibilityCheck: true})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making the client: %w", err), u.store.Close())
	}
	return u, nil
}

func (u *upserts) close() { _ = errors.Join(u.raw.Close(), u.store.Close()) }

func (u *upserts) measure(ctx context.Context, rounds int, found figures.Figures) error {
	var adapter, raw, ratios []float64
	for round := range rounds {
		var seconds [2]float64
		for turn := range seconds {
			i := (turn + round) % 2
			took, err := u.fill(ctx, fmt.Sprintf("round-%d-%d", round, i), i == 1)
			if err != nil {
				return err
			}
			seconds[i] = took
		}
		adapter, raw, ratios = append(adapter, seconds[0]), append(raw, seconds[1]), append(ratios, seconds[1]/seconds[0])
	}
	const points = batches * load.Batch
	found["upsert_chunks_s"], found["upsert_raw_chunks_s"] = points/figures.Median(adapter), points/figures.Median(raw)
	found["upsert_ratio_raw"] = figures.Median(ratios)
	return nil
}

// fill stores the points in a collection, which it then drops, and returns the
// seconds that storing took.
func (u *upserts) fill(ctx context.Context, name string, raw bool) (float64, error) {
	idx := vector.Index{Name: name, Model: "m", Dimension: dimension}
	if err := u.store.Ensure(ctx, idx); err != nil {
		return 0, fmt.Errorf("making a collection: %w", err)
	}
	var took time.Duration
	var err error
	if raw { // by its alias
		took, err = u.corpus.UpsertRaw(ctx, u.raw, idx.Name, 0, batches, clients)
	} else {
		took, err = u.corpus.Upsert(ctx, u.store, idx, 0, batches, clients)
	}
	if err != nil {
		return 0, fmt.Errorf("storing: %w", err)
	}
	return took.Seconds(), u.drop(ctx)
}

// drop removes all collections of the server, which is only ours.
func (u *upserts) drop(ctx context.Context) error {
	names, err := u.raw.ListCollections(ctx)
	if err != nil {
		return fmt.Errorf("listing collections: %w", err)
	}
	for _, name := range names {
		if err := u.raw.DeleteCollection(ctx, name); err != nil {
			return fmt.Errorf("dropping collection %s: %w", name, err)
		}
	}
	return nil
}
