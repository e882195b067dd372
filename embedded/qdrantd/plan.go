package qdrantd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
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
	all   bool   // every point meets it
	// condition is what the term stands for.
	condition *pb.Condition
}

// parts is a filter, cut into what the indexes answer and the rest.
type parts struct {
	terms []term
	lists [][]uint64 // ascending slots, of has_id conditions
	rest  *pb.Filter
}

// cut cuts a filter. It refuses what is malformed, even where an index would
// hide it.
func (r *reader) cut(f *pb.Filter) (parts, error) {
	if _, err := compileFilter(f, 0); err != nil {
		return parts{}, err
	}
	p := parts{rest: &pb.Filter{Should: f.GetShould(), MustNot: f.GetMustNot(), MinShould: f.GetMinShould()}}
	for _, c := range flattenMust(f) {
		if t, ok := r.indexTerm(c); ok {
			p.terms = append(p.terms, t)
		} else if c.GetHasId() != nil {
			p.lists = append(p.lists, r.slotsOf(c.GetHasId().GetHasId()))
		} else {
			p.rest.Must = append(p.rest.Must, c)
		}
	}
	// A term that all points meet costs nothing: the common case of one tenant.
	p.terms = slices.DeleteFunc(p.terms, func(t term) bool { return t.all })
	slices.SortFunc(p.terms, func(a, b term) int { return cmp.Compare(a.count, b.count) })
	return p, nil
}

// plan makes the plan of a filter for walking over all its points: the indexes
// answer what they can.
func (r *reader) plan(f *pb.Filter) (plan, error) {
	p, err := r.cut(f)
	if err != nil {
		return plan{}, err
	}
	return p.plan(len(p.terms))
}

// searchPlan makes the plan of a filter for a search, which looks closely at few
// points: only the most selective conditions are worth a list of slots, the
// others are checked on would-be hits. A condition that more than most points
// meet never is.
func (r *reader) searchPlan(f *pb.Filter, most uint64) (plan, error) {
	p, err := r.cut(f)
	if err != nil {
		return plan{}, err
	}
	n := most
	for _, l := range p.lists {
		n = min(n, uint64(len(l)))
	}
	use := 0
	for use < len(p.terms) && p.terms[use].count <= n {
		n = min(n, 4*p.terms[use].count) // further ones only if they are not much longer
		use++
	}
	return p.plan(use)
}

// plan lists the slots of the first terms; the others are left to check.
func (p parts) plan(use int) (out plan, err error) {
	for _, t := range p.terms[use:] {
		p.rest.Must = append(p.rest.Must, t.condition)
	}
	out = intersect(p.terms[:use], p.lists)
	out.rest, err = compileFilter(p.rest, 0)
	return out, err
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
	t := term{index: index, condition: c}
	if t.keys, ok = index.conditionKeys(m); !ok {
		return term{}, false
	}
	slices.Sort(t.keys)
	t.keys = slices.Compact(t.keys)
	for _, k := range t.keys {
		n := getCount(index.counts, []byte(k))
		t.count += n
		t.all = t.all || n == r.total // a point has at most one entry per key
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

// intersect finds the slots that meet every term, of which the first has the
// fewest points, and are in every list.
func intersect(terms []term, lists [][]uint64) plan {
	if len(terms)+len(lists) == 0 {
		return plan{all: true}
	}
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
	return slices.ContainsFunc(t.keys, func(k string) bool { return t.index.entries.Get(entryKey(k, slot)) != nil })
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
	want := make([]byte, 8)
	for n, slot := range p.slots {
		if err := checkEvery(ctx, n); err != nil {
			return err
		}
		binary.BigEndian.PutUint64(want, slot)
		if k, v = advance(cur, k, v, want); k == nil {
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
