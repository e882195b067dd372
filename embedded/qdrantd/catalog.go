package qdrantd

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Buckets of meta.db.
var (
	bucketCollections = []byte("collections") // name -> file name
	bucketAliases     = []byte("aliases")     // alias -> collection name
	// bucketPending holds files that are being created or removed; those found
	// at start are leftovers of a crash and are removed then.
	bucketPending = []byte("pending")
)

// catalog knows the collections of one data directory and their aliases.
type catalog struct {
	dir string
	db  *bolt.DB

	mu          sync.RWMutex
	collections map[string]*collection
	aliases     map[string]string
}

// openCatalog opens the directory with every collection in it, creating it when
// missing. The lock on meta.db makes this process the directory's only owner.
func openCatalog(dir string, lockTimeout time.Duration) (*catalog, error) {
	c, files, err := openMeta(dir, lockTimeout)
	if err != nil {
		return nil, err
	}
	for name, file := range files {
		col, err := openCollection(c.dir, file, name, lockTimeout)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.collections[name] = col
	}
	return c, nil
}

// openMeta opens the directory without its collections, of which it returns the
// files by name, and removes what a crash has left over.
func openMeta(dir string, lockTimeout time.Duration) (c *catalog, files map[string]string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("creating data directory: %w", err)
	}
	db, err := openBolt(filepath.Join(dir, "meta.db"), lockTimeout)
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, nil, fmt.Errorf("opening data directory %s: %w; stop that process or use another directory: %w", dir, ErrInUse, err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("opening data directory %s: %w", dir, err)
	}
	c = &catalog{dir: dir, db: db, collections: map[string]*collection{}, aliases: map[string]string{}}
	if files, err = c.load(); err != nil {
		return nil, nil, errors.Join(err, c.close())
	}
	return c, files, nil
}

// openBolt opens one bbolt file. Where that costs only address space it maps
// generously, since growing a map waits for all readers.
func openBolt(path string, lockTimeout time.Duration) (*bolt.DB, error) {
	opts := &bolt.Options{Timeout: lockTimeout, FreelistType: bolt.FreelistMapType}
	if strconv.IntSize == 64 && runtime.GOOS != "windows" { // on Windows bbolt grows the file itself to the map's size
		size := int64(4 << 30)
		opts.InitialMmapSize = int(size)
	}
	return bolt.Open(path, 0o600, opts)
}

// load reads meta.db, makes it when it is new, and removes pending files.
func (c *catalog) load() (files map[string]string, err error) {
	files = map[string]string{}
	var pending []string
	err = c.db.Update(func(tx *bolt.Tx) error {
		for _, b := range [][]byte{bucketCollections, bucketAliases, bucketPending} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		readMap(tx, bucketAliases, c.aliases)
		readMap(tx, bucketCollections, files)
		return tx.Bucket(bucketPending).ForEach(func(k, _ []byte) error {
			pending = append(pending, string(k))
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading meta.db: %w", err)
	}
	for _, f := range pending {
		if err := c.removeFile(f); err != nil {
			return nil, err
		}
	}
	return files, c.removeTorn()
}

// readMap copies a bucket of strings into m.
func readMap(tx *bolt.Tx, bucket []byte, m map[string]string) {
	for k, v := range cursorPairs(tx.Bucket(bucket).Cursor()) {
		m[string(k)] = string(v)
	}
}

// close closes all files. Running requests must have ended.
func (c *catalog) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, col := range c.collections {
		errs = append(errs, col.close())
	}
	return errors.Join(append(errs, c.db.Close())...)
}

// use finds a collection by name or alias and keeps it open until release.
func (c *catalog) use(name string) (col *collection, release func(), err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	col, ok := c.collections[c.resolve(name)]
	if !ok {
		return nil, nil, noCollection(name)
	}
	// Under c.mu no removal can be between unlisting and closing col.
	col.life.RLock()
	return col, col.life.RUnlock, nil
}

// with runs fn on a collection, by name or alias, that stays open meanwhile.
func (c *catalog) with(name string, fn func(col *collection) error) error {
	col, release, err := c.use(name)
	if err != nil {
		return err
	}
	defer release()
	return fn(col)
}

// resolve follows an alias; c.mu must be held.
func (c *catalog) resolve(name string) string {
	if target, ok := c.aliases[name]; ok {
		return target
	}
	return name
}

// create makes a collection. The file is complete before its name is listed.
func (c *catalog) create(req *pb.CreateCollection) error {
	name := req.GetCollectionName()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.collections[name]; ok {
		return status.Errorf(codes.AlreadyExists, "Wrong input: Collection `%s` already exists!", name)
	}
	if _, ok := c.aliases[name]; ok {
		return badInput("Can't create collection with name %s. Alias with the same name already exists", name)
	}
	file, err := c.newFile()
	if err != nil {
		return err
	}
	col, err := createCollection(c.dir, file, req)
	if err != nil {
		return err
	}
	syncDir(c.dir)
	if err := c.replace(name, file, ""); err != nil {
		return errors.Join(err, col.close())
	}
	c.collections[name] = col
	return nil
}

// newFile names a file for a collection and marks it as pending.
func (c *catalog) newFile() (string, error) {
	file := "c-" + uuid.NewString() + ".db"
	return file, c.put(bucketPending, file, "")
}

// syncDir makes a new file's directory entry durable where the system can.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync() // not every system can sync a directory
		_ = d.Close()
	}
}

// remove deletes a collection with its aliases; false says there was none.
func (c *catalog) remove(name string) (bool, error) {
	col, err := c.unlist(name)
	if col == nil || err != nil {
		return false, err
	}
	if err := col.close(); err != nil { // waits for running requests
		return true, err
	}
	return true, c.removeFile(col.file)
}

// unlist takes a collection off the catalog and marks its file for removal.
func (c *catalog) unlist(name string) (*collection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	col, ok := c.collections[name]
	if !ok {
		return nil, nil
	}
	aliases := maps.Clone(c.aliases)
	maps.DeleteFunc(aliases, func(_, target string) bool { return target == name })
	err := c.db.Update(func(tx *bolt.Tx) error {
		return errors.Join(
			tx.Bucket(bucketCollections).Delete([]byte(name)),
			tx.Bucket(bucketPending).Put([]byte(col.file), nil),
			writeAliases(tx, aliases))
	})
	if err != nil {
		return nil, fmt.Errorf("unlisting collection: %w", err)
	}
	delete(c.collections, name)
	c.aliases = aliases
	return col, nil
}

// removeFile deletes a pending file, then its mark.
func (c *catalog) removeFile(file string) error {
	if err := os.Remove(filepath.Join(c.dir, file)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing collection file: %w", err)
	}
	return c.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketPending).Delete([]byte(file)) })
}

// put writes one pair to meta.db.
func (c *catalog) put(bucket []byte, key, value string) error {
	return c.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucket).Put([]byte(key), []byte(value)) })
}

// names lists the collections in order.
func (c *catalog) names() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Sorted(maps.Keys(c.collections))
}

// exists reports whether name is a collection or an alias.
func (c *catalog) exists(name string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, ok := c.collections[c.resolve(name)]
	return ok
}
