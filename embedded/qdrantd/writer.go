package qdrantd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	pb "github.com/qdrant/go-client/qdrant"
	bolt "go.etcd.io/bbolt"
)

// writer changes a collection within one transaction. It keeps the payload
// indexes and counters in step with the points.
type writer struct {
	*reader
	deltas map[string]map[string]int64 // index field -> value key -> change of its count
	added  int64                       // change of the number of points
	sparse map[string][]vectorChange   // by vector name
}

// newWriter opens the buckets within tx.
func (c *collection) newWriter(tx *bolt.Tx) (*writer, error) {
	r, err := c.newReader(tx)
	if err != nil {
		return nil, err
	}
	return &writer{reader: r, deltas: map[string]map[string]int64{}, sparse: map[string][]vectorChange{}}, nil
}

// flushCounts stores the changed counters.
func (w *writer) flushCounts() error {
	errs := []error{addCount(w.tx.Bucket(bucketStats), []byte("points"), w.added)}
	for field, deltas := range w.deltas {
		for key, delta := range deltas {
			if delta != 0 {
				errs = append(errs, addCount(w.indexes[field].counts, []byte(key), delta))
			}
		}
	}
	return errors.Join(errs...)
}

// putPoint stores a whole point, new or in place of old. Vectors it does not
// have are removed.
func (w *writer) putPoint(p newPoint) error {
	slot, exists := w.slot(p.id)
	if !exists {
		var err error
		if slot, err = w.points.NextSequence(); err != nil {
			return err
		}
		if err := w.ids.Put(p.id, slotKey(slot)); err != nil {
			return err
		}
		w.added++
	}
	if err := w.putPayload(slot, p.id, p.payload); err != nil {
		return err
	}
	for name, spec := range w.col.vectors {
		if err := w.putVector(spec, slot, p.vectors[name], exists); err != nil {
			return err
		}
	}
	return nil
}

// putVector stores a point's vector, or removes it when raw is nil. A point that
// did not exist has none to remove.
func (w *writer) putVector(spec vectorSpec, slot uint64, raw []byte, exists bool) error {
	if raw == nil && !exists {
		return nil
	}
	b := w.tx.Bucket(spec.bucket())
	var old []byte
	if exists {
		if old = b.Get(slotKey(slot)); (old == nil) == (raw == nil) && bytes.Equal(old, raw) {
			return nil
		}
	}
	if spec.sparse != nil { // cloned: the file's bytes change with the transaction
		change := vectorChange{slot: slot, raw: raw, old: slices.Clone(decodeSparse(old).indices)}
		w.sparse[spec.name] = append(w.sparse[spec.name], change)
	}
	if raw == nil {
		return b.Delete(slotKey(slot))
	}
	return b.Put(slotKey(slot), raw)
}

// putPayload stores a point's id and payload and updates the indexes.
func (w *writer) putPayload(slot uint64, id, payload []byte) error {
	var old []byte
	if rec := w.record(slot); rec != nil {
		if _, old = splitRecord(rec); bytes.Equal(old, payload) {
			return nil // chunks are often written again as they are
		}
	}
	if err := w.reindex(slot, old, payload); err != nil {
		return err
	}
	rec := make([]byte, 0, len(id)+len(payload))
	return w.points.Put(slotKey(slot), append(append(rec, id...), payload...))
}

// reindex changes the index entries of a point from one payload to another.
func (w *writer) reindex(slot uint64, from, to []byte) error {
	var errs []error
	for field, x := range w.indexes {
		had, has := x.keys(from), x.keys(to)
		for k := range had {
			if !has[k] {
				errs = append(errs, x.entries.Delete(entryKey(k, slot)))
				w.countEntry(field, k, -1)
			}
		}
		for k := range has {
			if !had[k] {
				errs = append(errs, x.entries.Put(entryKey(k, slot), []byte{1}))
				w.countEntry(field, k, +1)
			}
		}
	}
	return errors.Join(errs...)
}

// countEntry notes a change of a value's entries.
func (w *writer) countEntry(field, key string, delta int64) {
	if w.deltas[field] == nil {
		w.deltas[field] = map[string]int64{}
	}
	w.deltas[field][key] += delta
}

// entryKey is the key of an index entry.
func entryKey(value string, slot uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(value), slot)
}

// deletePoint removes a point with all its parts.
func (w *writer) deletePoint(slot uint64) error {
	id, payload := splitRecord(w.record(slot))
	errs := []error{w.reindex(slot, payload, nil), w.ids.Delete(id)}
	for _, spec := range w.col.vectors {
		errs = append(errs, w.putVector(spec, slot, nil, true))
	}
	w.added--
	return errors.Join(append(errs, w.points.Delete(slotKey(slot)))...)
}

// changePayload replaces a point's payload by what fn makes of it.
func (w *writer) changePayload(slot uint64, fn func(map[string]*pb.Value) map[string]*pb.Value) error {
	id, raw := splitRecord(w.record(slot))
	fields, err := decodePayload(raw)
	if err != nil {
		return err
	}
	payload, err := encodePayload(fn(fields))
	if err != nil {
		return err
	}
	return w.putPayload(slot, id, payload)
}
