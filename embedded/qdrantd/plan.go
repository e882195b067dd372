package qdrantd

import (
	"bytes"
	"context"
	"math"
	"slices"

	pb "github.com/qdrant/go-client/qdrant"
	bolt "go.etcd.io/bbolt"
)

// plan is how a filter is applied: which slots can match at all, as far as the
// payload indexes tell, and what is left to check on each point.
type plan struct {
	all   bool      // every slot; slots is unused
	slots []uint64  // ascending
	rest  predicate // nil: nothing
}

// term is a condition an index answers: points with any of the keys.
type term struct {
	index fieldIndex
	keys  []string
	count uint64 // entries under the keys: an upper bound of the points
}

// plan splits a filter into the part the indexes answer and the rest.
func (r *reader) plan(f *pb.Filter) (plan, error) {
	if _, err := compileFilter(f, 0); err != nil { // refuse what is malformed, even where an index would hide it
		return plan{}, err
	}
	rest := &pb.Filter{Should: f.GetShould(), MustNot: f.GetMustNot(), MinShould: f.GetMinShould()}
	var terms []term
	var lists [][]uint64
	for _, c := range flattenMust(f) {
		if t, ok := r.indexTerm(c); ok {
			terms = append(terms, t)
		} else if c.GetHasId() != nil {
			lists = append(lists, r.slotsOf(c.GetHasId().GetHasId()))
		} else {
			rest.Must = append(rest.Must, c)
		}
	}
	p := r.intersect(terms, lists)
	var err error
	p.rest, err = compileFilter(rest, 0)
	return p, err
}

// flattenMust lists the must conditions of f and of the pure must-filters
// nested in it.
func flattenMust(f *pb.Filter) []*pb.Condition {
	var out []*pb.Condition
	for _, c := range f.GetMust() {
		sub := c.GetFilter()
		if sub != nil && len(sub.GetShould())+len(sub.GetMustNot()) == 0 && sub.GetMinShould() == nil {
			out = append(out, flattenMust(sub)...)
			continue
		}
		out = append(out, c)
	}
	return out
}

// indexTerm makes a term of a condition that an index answers.
func (r *reader) indexTerm(c *pb.Condition) (term, bool) {
	m := c.GetField().GetMatch()
	index, ok := r.indexes[c.GetField().GetKey()]
	if m == nil || !ok {
		return term{}, false
	}
	t := term{index: index}
	if t.keys, ok = index.conditionKeys(m); !ok {
		return term{}, false
	}
	slices.Sort(t.keys)
	t.keys = slices.Compact(t.keys)
	for _, k := range t.keys {
		t.count += getCount(index.counts, []byte(k))
	}
	return t, true
}

// slotsOf finds the slots of ids, which compileFilter has checked.
func (r *reader) slotsOf(ids []*pb.PointId) []uint64 {
	var out []uint64
	for _, id := range ids {
		key, err := idKey(id)
		if err != nil {
			continue
		}
		if slot, ok := r.slot(key); ok {
			out = append(out, slot)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// intersect finds the slots that meet every term and are in every list. A term
// that all points meet costs nothing: the common case of one single tenant.
func (r *reader) intersect(terms []term, lists [][]uint64) plan {
	terms = slices.DeleteFunc(terms, func(t term) bool { return len(t.keys) == 1 && t.count == r.total })
	if len(terms)+len(lists) == 0 {
		return plan{all: true}
	}
	slices.SortFunc(terms, func(a, b term) int { return int(min(a.count, math.MaxInt32)) - int(min(b.count, math.MaxInt32)) })
	if len(lists) == 0 {
		lists = append(lists, terms[0].slots())
		terms = terms[1:]
	}
	slots := lists[0]
	for _, l := range lists[1:] {
		slots = common(slots, l)
	}
	for _, t := range terms {
		if t.count > 4*uint64(len(slots)) {
			slots = slices.DeleteFunc(slots, func(s uint64) bool { return !t.has(s) })
		} else {
			slots = common(slots, t.slots())
		}
	}
	return plan{slots: slots}
}

// slots lists the term's points in order.
func (t term) slots() []uint64 {
	out := make([]uint64, 0, t.count)
	cur := t.index.entries.Cursor()
	for _, key := range t.keys {
		prefix := []byte(key)
		for k, _ := cur.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = cur.Next() {
			out = append(out, slotOf(k[len(prefix):]))
		}
	}
	if len(t.keys) > 1 {
		slices.Sort(out)
		out = slices.Compact(out)
	}
	return out
}

// has reports whether a slot meets the term.
func (t term) has(slot uint64) bool {
	return slices.ContainsFunc(t.keys, func(k string) bool { return t.index.entries.Get(append([]byte(k), slotKey(slot)...)) != nil })
}

// common intersects two ascending lists in place of the first.
func common(a, b []uint64) []uint64 {
	out := a[:0]
	for _, s := range a {
		i, ok := slices.BinarySearch(b, s)
		if ok {
			out = append(out, s)
		}
		b = b[i:]
	}
	return out
}

// slotRange bounds a walk: from (inclusive) to to (exclusive, 0: no bound).
type slotRange struct{ from, to uint64 }

// each calls fn for every slot of the plan within rng that b holds a value for.
func (p plan) each(ctx context.Context, b *bolt.Bucket, rng slotRange, fn func(slot uint64, value []byte)) error {
	if p.all {
		return eachInRange(ctx, b.Cursor(), rng, fn)
	}
	cur := b.Cursor()
	var k, v []byte
	for n, slot := range p.slots {
		if err := checkEvery(ctx, n); err != nil {
			return err
		}
		if k, v = advance(cur, k, v, slotKey(slot)); k == nil {
			return nil
		}
		if slotOf(k) == slot {
			fn(slot, v)
		}
	}
	return nil
}

// eachInRange walks a cursor over a range of slots.
func eachInRange(ctx context.Context, cur *bolt.Cursor, rng slotRange, fn func(slot uint64, value []byte)) error {
	n := 0
	for k, v := cur.Seek(slotKey(rng.from)); k != nil; k, v = cur.Next() {
		slot := slotOf(k)
		if rng.to != 0 && slot >= rng.to {
			return nil
		}
		if err := checkEvery(ctx, n); err != nil {
			return err
		}
		fn(slot, v)
		n++
	}
	return nil
}

// advance moves a cursor that is at (k, v) to the first key >= want. Steps are
// cheaper than a seek when the way is short.
func advance(cur *bolt.Cursor, k, v, want []byte) ([]byte, []byte) {
	for range 8 {
		if k == nil {
			break
		}
		if bytes.Compare(k, want) >= 0 {
			return k, v
		}
		if k, v = cur.Next(); k == nil {
			return nil, nil
		}
	}
	if k != nil && bytes.Compare(k, want) >= 0 {
		return k, v
	}
	return cur.Seek(want)
}

// checkEvery looks at ctx now and then.
func checkEvery(ctx context.Context, n int) error {
	if n%1024 == 0 {
		return ctx.Err()
	}
	return nil
}
