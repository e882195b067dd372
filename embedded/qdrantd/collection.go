package qdrantd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
)

// Buckets of a collection's file. A slot is the number a point gets when it is
// first stored; it never changes, so a point's parts are found by it.
var (
	bucketConfig = []byte("config") // "config" -> CreateCollection
	bucketStats  = []byte("stats")  // "points" -> number of points
	bucketPoints = []byte("points") // slot -> id key, payload
	bucketIDs    = []byte("ids")    // id key -> slot
	bucketSchema = []byte("schema") // field -> PayloadSchemaInfo
)

// Buckets with a name in them.
func denseBucket(vector string) []byte  { return []byte("d:" + vector) } // slot -> float32s
func sparseBucket(vector string) []byte { return []byte("s:" + vector) } // slot -> indices, weights
func entryBucket(field string) []byte   { return []byte("x:" + field) }  // value, slot -> nothing
func countBucket(field string) []byte   { return []byte("n:" + field) }  // value -> number of entries

// vectorSpec is how one named vector is stored and compared.
type vectorSpec struct {
	name   string
	dense  *pb.VectorParams       // nil for a sparse vector
	sparse *pb.SparseVectorParams // nil for a dense vector
	metric metric
}

// collection is one open collection file.
type collection struct {
	name    string
	file    string
	db      *bolt.DB
	config  *pb.CreateCollection
	vectors map[string]vectorSpec
	// postings are the indexes of the sparse vectors, by name.
	postings map[string]*postings
	rankings rankings
	changes  changeQueue
	// life is read-locked by every request; closing takes the write lock.
	life sync.RWMutex
}

// createCollection makes the file of a new collection.
func createCollection(dir, file string, req *pb.CreateCollection) (*collection, error) {
	db, err := openBolt(filepath.Join(dir, file), time.Second)
	if err != nil {
		return nil, fmt.Errorf("creating collection file: %w", err)
	}
	col := newCollection(req.GetCollectionName(), file, db, req)
	if err := db.Update(col.initialise); err != nil {
		return nil, errors.Join(fmt.Errorf("initialising collection: %w", err), db.Close())
	}
	return col, nil
}

// openCollection opens an existing file.
func openCollection(dir, file, name string, lockTimeout time.Duration) (*collection, error) {
	path := filepath.Join(dir, file)
	if _, err := os.Stat(path); err != nil { // bbolt would create an empty file
		return nil, fmt.Errorf("opening collection %s: %w", name, err)
	}
	db, err := openBolt(path, lockTimeout)
	if err != nil {
		return nil, fmt.Errorf("opening collection %s (%s): %w", name, path, err)
	}
	config := &pb.CreateCollection{}
	err = db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketConfig)
		if b == nil {
			return errors.New("file holds no collection")
		}
		return proto.Unmarshal(b.Get([]byte("config")), config)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading collection %s (%s): %w", name, path, err), db.Close())
	}
	return newCollection(name, file, db, config), nil
}

// newCollection derives the vector specs from a checked config.
func newCollection(name, file string, db *bolt.DB, config *pb.CreateCollection) *collection {
	col := &collection{name: name, file: file, db: db, config: config, vectors: map[string]vectorSpec{}, postings: map[string]*postings{}}
	for vector, p := range denseParams(config) {
		col.vectors[vector] = vectorSpec{name: vector, dense: p, metric: newMetric(p.GetDistance())}
	}
	for vector, p := range config.GetSparseVectorsConfig().GetMap() {
		spec := vectorSpec{name: vector, sparse: p, metric: newMetric(pb.Distance_Dot)}
		col.vectors[vector], col.postings[vector] = spec, newPostings(spec)
	}
	return col
}

// initialise creates the buckets.
func (c *collection) initialise(tx *bolt.Tx) error {
	names := [][]byte{bucketConfig, bucketStats, bucketPoints, bucketIDs, bucketSchema}
	for _, v := range c.vectors {
		names = append(names, v.bucket())
	}
	for _, n := range names {
		if _, err := tx.CreateBucket(n); err != nil {
			return err
		}
	}
	raw, err := proto.Marshal(c.config)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketConfig).Put([]byte("config"), raw)
}

// close waits for running requests and closes the file.
func (c *collection) close() error {
	c.life.Lock()
	defer c.life.Unlock()
	for _, p := range c.postings {
		p.forget()
	}
	return c.db.Close()
}

// bucket is where the vector's values are.
func (v vectorSpec) bucket() []byte {
	if v.dense != nil {
		return denseBucket(v.name)
	}
	return sparseBucket(v.name)
}

// idf reports whether query weights are scaled by rarity.
func (v vectorSpec) idf() bool { return v.sparse.GetModifier() == pb.Modifier_Idf }

// spec finds a vector by name ("" is the unnamed one).
func (c *collection) spec(name string) (vectorSpec, error) {
	v, ok := c.vectors[name]
	if !ok {
		return v, badInput("Not existing vector name error: %s", name)
	}
	return v, nil
}

// pointCount is the number of points in the collection.
func pointCount(tx *bolt.Tx) uint64 { return getCount(tx.Bucket(bucketStats), []byte("points")) }

// getCount reads a counter, 0 when absent.
func getCount(b *bolt.Bucket, key []byte) uint64 { return countOf(b.Get(key)) }

// countOf decodes a counter.
func countOf(v []byte) uint64 {
	if len(v) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

// addCount changes a counter; one that reaches 0 is removed.
func addCount(b *bolt.Bucket, key []byte, delta int64) error {
	n := int64(getCount(b, key)) + delta
	if n <= 0 {
		return b.Delete(key)
	}
	return b.Put(key, binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// cursorPairs iterates over all pairs a cursor can reach.
func cursorPairs(cur *bolt.Cursor) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for k, v := cur.First(); k != nil; k, v = cur.Next() {
			if !yield(k, v) {
				return
			}
		}
	}
}
