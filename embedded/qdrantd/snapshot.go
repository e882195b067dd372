package qdrantd

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// A snapshot is a copy of a collection's file as of one moment, under
// snapshots/<collection>/ of the data directory, with its SHA-256 in a file of
// the same name and ".checksum". It goes on to exist when its collection is
// deleted. See Restore.

const (
	snapshotSuffix = ".snapshot"
	checksumSuffix = ".checksum"
	tornPrefix     = ".tmp-" // of files that are being written
)

// snapshotDir is where a collection's snapshots are.
func (c *catalog) snapshotDir(collection string) (string, error) {
	if !filepath.IsLocal(collection) || collection == "." {
		return "", unsupported("a snapshot of a collection named " + collection)
	}
	return filepath.Join(c.dir, "snapshots", collection), nil
}

// createSnapshot copies a collection's file. Writers go on meanwhile.
func (c *catalog) createSnapshot(col *collection, now time.Time) (*pb.SnapshotDescription, error) {
	dir, err := c.snapshotDir(col.name)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating snapshot directory: %w", err)
	}
	name := col.name + "-" + now.UTC().Format("2006-01-02-15-04-05.000000000") + snapshotSuffix
	path := filepath.Join(dir, name)
	sum, err := writeFile(path, func(w io.Writer) error {
		return col.db.View(func(tx *bolt.Tx) error {
			_, err := tx.WriteTo(w)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("writing snapshot %s: %w", path, err)
	}
	_, err = writeFile(path+checksumSuffix, func(w io.Writer) error {
		_, err := io.WriteString(w, sum)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("writing checksum: %w", err), os.Remove(path))
	}
	return describeSnapshot(path)
}

// removeTorn removes snapshots that a crash has left half written.
func (c *catalog) removeTorn() error {
	torn, err := filepath.Glob(filepath.Join(c.dir, "snapshots", "*", tornPrefix+"*"))
	for _, path := range torn {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// writeFile writes a file that appears under its name only when it is whole and
// on disk, and returns its SHA-256.
func writeFile(path string, fill func(w io.Writer) error) (sum string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tornPrefix+"*")
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	err = errors.Join(fill(io.MultiWriter(f, hash)), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	syncDir(filepath.Dir(path))
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// listSnapshots describes a collection's snapshots, oldest first.
func (c *catalog) listSnapshots(collection string) ([]*pb.SnapshotDescription, error) {
	dir, err := c.snapshotDir(collection)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir) // in the order of their names, so of their times
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing snapshots: %w", err)
	}
	var out []*pb.SnapshotDescription
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), snapshotSuffix) {
			continue
		}
		d, err := describeSnapshot(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// describeSnapshot describes a snapshot's file.
func describeSnapshot(path string) (*pb.SnapshotDescription, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("describing snapshot: %w", err)
	}
	d := &pb.SnapshotDescription{Name: filepath.Base(path), CreationTime: timestamppb.New(info.ModTime()), Size: info.Size()}
	if sum, err := os.ReadFile(path + checksumSuffix); err == nil {
		text := string(sum)
		d.Checksum = &text
	}
	return d, nil
}

// deleteSnapshot removes a snapshot of a collection.
func (c *catalog) deleteSnapshot(collection, name string) error {
	dir, err := c.snapshotDir(collection)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if filepath.Base(name) != name || !strings.HasSuffix(name, snapshotSuffix) {
		return notFound("Snapshot %s not found", name)
	}
	if err := os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		return notFound("Snapshot %s not found", name)
	} else if err != nil {
		return fmt.Errorf("deleting snapshot: %w", err)
	}
	if err := os.Remove(path + checksumSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting checksum: %w", err)
	}
	return nil
}
