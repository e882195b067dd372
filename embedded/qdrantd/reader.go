package qdrantd

import (
	"bytes"
	"context"
	"slices"

	pb "github.com/qdrant/go-client/qdrant"
	bolt "go.etcd.io/bbolt"
)

// reader reads a collection within one transaction. The bytes it returns are
// valid until the transaction ends. The methods that the workers of a scan share
// only read.
type reader struct {
	col     *collection
	tx      *bolt.Tx
	points  *bolt.Bucket
	ids     *bolt.Bucket
	indexes map[string]fieldIndex
	total   uint64
	memo    memo
}

// newReader opens the buckets within tx.
func (c *collection) newReader(tx *bolt.Tx) (*reader, error) {
	indexes, err := loadIndexes(tx)
	if err != nil {
		return nil, err
	}
	return &reader{
		col: c, tx: tx, points: tx.Bucket(bucketPoints), ids: tx.Bucket(bucketIDs),
		indexes: indexes, total: pointCount(tx), memo: newMemo(),
	}, nil
}

// view runs fn on a snapshot of the collection.
func (c *collection) view(fn func(r *reader) error) error {
	return c.db.View(func(tx *bolt.Tx) error {
		r, err := c.newReader(tx)
		if err != nil {
			return err
		}
		return fn(r)
	})
}

// record is the stored point in a slot, nil when there is none.
func (r *reader) record(slot uint64) []byte { return r.points.Get(slotKey(slot)) }

// slot finds a point by its id key.
func (r *reader) slot(id []byte) (uint64, bool) {
	v := r.ids.Get(id)
	if v == nil {
		return 0, false
	}
	return slotOf(v), true
}

// count returns how many points match a filter.
func (r *reader) count(ctx context.Context, f *pb.Filter) (uint64, error) {
	p, err := r.plan(f)
	if err != nil {
		return 0, err
	}
	if p.all && p.rest == nil {
		return r.total, nil
	}
	slots, err := r.matching(ctx, p)
	return uint64(len(slots)), err
}

// matching returns the slots of all points a plan selects, in slot order.
func (r *reader) matching(ctx context.Context, p plan) ([]uint64, error) {
	if !p.all && p.rest == nil {
		return p.slots, nil
	}
	var out []uint64
	err := p.each(ctx, r.points, slotRange{}, func(slot uint64, rec []byte) {
		if p.rest == nil || p.rest(recordView(rec)) {
			out = append(out, slot)
		}
	})
	return out, err
}

// page returns up to limit matching points in id order, from an id on (nil:
// from the first).
func (r *reader) page(ctx context.Context, p plan, from []byte, limit int) ([]hit, error) {
	// Few slots are sorted by id; of many it is quicker to meet some by walking
	// over all ids.
	n := uint64(len(p.slots))
	if !p.all && (n == 0 || uint64(limit)*(r.total/n) >= n) {
		return r.pageOfSlots(p, from, limit), ctx.Err()
	}
	member := newSlotSet(p)
	var out []hit
	cur := r.ids.Cursor()
	for k, v := cur.Seek(from); k != nil && len(out) < limit; k, v = cur.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		slot := slotOf(v)
		if !member.has(slot) {
			continue
		}
		if p.rest == nil || p.rest(recordView(r.record(slot))) {
			out = append(out, hit{slot: slot, id: k, score: 1})
		}
	}
	return out, nil
}

// pageOfSlots is page for a plan with a list of slots.
func (r *reader) pageOfSlots(p plan, from []byte, limit int) []hit {
	var out []hit
	for _, slot := range p.slots {
		rec := r.record(slot)
		id, _ := splitRecord(rec)
		if bytes.Compare(id, from) >= 0 {
			out = append(out, hit{slot: slot, id: id, score: 1})
		}
	}
	slices.SortFunc(out, func(a, b hit) int { return bytes.Compare(a.id, b.id) })
	if p.rest != nil {
		out = slices.DeleteFunc(out, func(h hit) bool { return !p.rest(recordView(r.record(h.slot))) })
	}
	return out[:min(limit, len(out))]
}

// vector returns a point's vector in its stored form, nil when it has none.
func (r *reader) vector(spec vectorSpec, slot uint64) []byte {
	return r.tx.Bucket(spec.bucket()).Get(slotKey(slot))
}
