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

	bolt "go.etcd.io/bbolt"
)

// ErrSnapshot says that a file is no snapshot, or one that is damaged.
var ErrSnapshot = errors.New("not a whole snapshot")

// Restore puts a snapshot into the data directory dir, which it makes when
// missing, and returns the collection's name. A collection of that name is
// replaced, in one step; aliases that lead to it stay. The snapshot is read and
// checked whole before anything changes; it is left as it is.
//
// No server may be running on dir: then the error is ErrInUse. A file that does
// not pass the checks is refused with ErrSnapshot.
func Restore(dir, snapshot string) (collection string, err error) {
	cat, files, err := openMeta(dir, time.Second) // not the collections: what is to be replaced may be damaged
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, cat.close()) }()
	file, err := cat.newFile()
	if err != nil {
		return "", err
	}
	name, err := importSnapshot(snapshot, filepath.Join(dir, file))
	if target, taken := cat.aliases[name]; err == nil && taken {
		err = fmt.Errorf("restoring collection %s: an alias of that name leads to %s; remove it first", name, target)
	}
	if err != nil {
		return "", errors.Join(err, cat.removeFile(file))
	}
	return name, cat.replace(name, file, files[name])
}

// importSnapshot copies a snapshot to path, checks the copy and reads the
// collection's name.
func importSnapshot(snapshot, path string) (name string, err error) {
	in, err := os.Open(snapshot)
	if err != nil {
		return "", fmt.Errorf("opening snapshot: %w", err)
	}
	defer func() { _ = in.Close() }() // read only
	sum, err := copyFile(path, in)
	if err != nil {
		return "", fmt.Errorf("copying snapshot: %w", err)
	}
	want, err := os.ReadFile(snapshot + checksumSuffix)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("reading checksum: %w", err)
	case err == nil && strings.TrimSpace(string(want)) != sum:
		return "", fmt.Errorf("%w: %s does not match its checksum", ErrSnapshot, snapshot)
	}
	if err := checkFile(path); err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrSnapshot, snapshot, err)
	}
	col, err := openCollection(filepath.Dir(path), filepath.Base(path), "", time.Second)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrSnapshot, snapshot, err)
	}
	return col.config.GetCollectionName(), col.close()
}

// copyFile writes a new file, flushed to disk, and returns its SHA-256.
func copyFile(path string, in io.Reader) (sum string, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, hash), in)
	err = errors.Join(err, f.Sync(), f.Close())
	syncDir(filepath.Dir(path))
	return hex.EncodeToString(hash.Sum(nil)), err
}

// checkFile walks over all pages of a file. bbolt panics on some kinds of
// damage.
func checkFile(path string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("damaged file: %v", v)
		}
	}()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bolt.Tx) error {
		var first error
		for err := range tx.Check() { // to its end: the check runs in a goroutine of its own
			if first == nil {
				first = err
			}
		}
		return first
	})
}

// replace lists a pending file under a name and removes the one it had, "" for
// none.
func (c *catalog) replace(name, file, old string) error {
	err := c.db.Update(func(tx *bolt.Tx) error {
		errs := []error{
			tx.Bucket(bucketPending).Delete([]byte(file)),
			tx.Bucket(bucketCollections).Put([]byte(name), []byte(file)),
		}
		if old != "" {
			errs = append(errs, tx.Bucket(bucketPending).Put([]byte(old), nil))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return fmt.Errorf("listing collection: %w", err)
	}
	if old == "" {
		return nil
	}
	return c.removeFile(old)
}
