package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/weir-dev/weir/embedded/qdrantd"
	"github.com/weir-dev/weir/pkg/vector"
	"github.com/weir-dev/weir/pkg/vector/qdrant"
)

type snapshotCmd struct {
	Create  snapshotCreateCmd  `cmd:"" help:"Make a snapshot of the vectors."`
	Ls      snapshotLsCmd      `cmd:"" help:"List the snapshots."`
	Rm      snapshotRmCmd      `cmd:"" help:"Remove a snapshot."`
	Restore snapshotRestoreCmd `cmd:"" help:"Put a snapshot back into the embedded store, while it doesn't run."`
}

// storeFlags say where Qdrant is.
type storeFlags struct {
	QdrantAddr string `env:"WEIR_ROUTER_QDRANT_ADDR" default:"127.0.0.1:6334" help:"Qdrant's gRPC address."`
	QdrantKey  string `env:"WEIR_ROUTER_QDRANT_KEY" help:"Qdrant's API key."`
	QdrantTLS  bool   `name:"qdrant-tls" env:"WEIR_ROUTER_QDRANT_TLS" help:"Use TLS."`
}

func (f *storeFlags) with(fn func(*qdrant.Store) error) error {
	store, err := qdrant.New(qdrant.Config{Addr: f.QdrantAddr, APIKey: f.QdrantKey, TLS: f.QdrantTLS})
	if err != nil {
		return err
	}
	return errors.Join(fn(store), store.Close())
}

type snapshotCreateCmd struct{ storeFlags }

// Run makes a snapshot.
func (c *snapshotCreateCmd) Run(e *env) error {
	return c.with(func(store *qdrant.Store) error {
		s, err := store.CreateSnapshot(e.ctx, vector.DefaultIndex)
		if err != nil {
			return err
		}
		return e.printSnapshots([]qdrant.Snapshot{s})
	})
}

type snapshotLsCmd struct{ storeFlags }

// Run lists the snapshots.
func (c *snapshotLsCmd) Run(e *env) error {
	return c.with(func(store *qdrant.Store) error {
		list, err := store.Snapshots(e.ctx, vector.DefaultIndex)
		if err != nil {
			return err
		}
		return e.printSnapshots(list)
	})
}

func (e *env) printSnapshots(list []qdrant.Snapshot) error {
	if e.JSON {
		return printLines(e, list)
	}
	return e.table("snapshots", func(w io.Writer) {
		for _, s := range list {
			fmt.Fprintf(w, "%s\t%d bytes\t%s\n", s.Name, s.Size, s.Created.Local().Format(time.DateTime))
		}
	})
}

type snapshotRmCmd struct {
	storeFlags
	Name string `arg:"" help:"Snapshot, as listed."`
}

// Run removes a snapshot.
func (c *snapshotRmCmd) Run(e *env) error {
	return c.with(func(store *qdrant.Store) error {
		return store.DeleteSnapshot(e.ctx, vector.DefaultIndex, c.Name)
	})
}

type snapshotRestoreCmd struct {
	File    string `arg:"" type:"path" help:"The snapshot's file."`
	DataDir string `type:"path" help:"Where the collections are kept (default: the user's state directory)."`
}

// Run puts a snapshot back. Documents that changed after it was made are then
// incomplete until they are mended: weir docs verify --fix.
func (c *snapshotRestoreCmd) Run(e *env) error {
	dir, err := devDir(c.DataDir, "qdrant")
	if err != nil {
		return err
	}
	collection, err := qdrantd.Restore(dir, c.File)
	if errors.Is(err, qdrantd.ErrInUse) {
		return coded(exitError, "%w; stop the server first", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "restored %s; then run `weir docs verify --fix`\n", collection)
	return nil
}
