package qdrantd

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestInvertedAgainstModel replays random transactions and asks for old
// snapshots as well as the newest, with and without sweeping.
func TestInvertedAgainstModel(t *testing.T) {
	t.Parallel()
	for round := range 30 {
		seed := rand.Uint64()
		m := newModel(seed)
		for range 60 {
			m.transact()
			if m.rng.IntN(4) == 0 {
				m.index.merge(m.index.sortRecent())
				if round%2 == 0 && m.rng.IntN(3) == 0 {
					m.index = m.index.compact()
				}
			}
			for range 3 {
				m.check(t, m.index.since+m.rng.Uint64N(m.index.applied-m.index.since+1))
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// model is what an index must hold, after each transaction.
type model struct {
	rng    *rand.Rand
	index  *inverted
	states []map[uint64]sparseVector // by transaction: slot -> vector
}

func newModel(seed uint64) *model {
	return &model{
		rng:    rand.New(rand.NewPCG(seed, 0)),
		index:  &inverted{ids: map[uint32]uint32{}, rowOf: map[uint64]uint32{}, marks: []mark{{}}},
		states: []map[uint64]sparseVector{{}},
	}
}

// transact adds, replaces and removes some vectors, some of them twice.
func (m *model) transact() {
	txid := uint64(len(m.states))
	state := map[uint64]sparseVector{}
	for slot, v := range m.states[txid-1] {
		state[slot] = v
	}
	var changes []vectorChange
	for range m.rng.IntN(6) {
		slot := m.rng.Uint64N(20)
		c := vectorChange{slot: slot, old: state[slot].indices}
		delete(state, slot)
		if m.rng.IntN(3) > 0 {
			state[slot] = m.vector()
			c.raw = state[slot].encode()
		}
		changes = append(changes, c)
	}
	m.index.apply(txid, changes)
	m.states = append(m.states, state)
}

func (m *model) vector() sparseVector {
	var v sparseVector
	for i := range uint32(6) {
		if m.rng.IntN(2) == 0 {
			v.indices = append(v.indices, i*i)
			v.values = append(v.values, m.rng.Float32())
		}
	}
	return v
}

// check compares the index with the model as of one transaction.
func (m *model) check(t *testing.T, txid uint64) {
	t.Helper()
	state, query := m.states[txid], m.vector()
	query.indices = append(query.indices, 77)
	query.values = append(query.values, 1)
	v := viewOf(m.index, txid, query.indices)
	if v.n != float64(len(state)) {
		t.Errorf("transaction %d: %v vectors, want %d", txid, v.n, len(state))
	}
	scores := make([]float32, len(v.slots))
	v.add(scores, query.values)
	got := map[uint64]float32{}
	for row, slot := range v.slots {
		if v.alive(uint32(row)) {
			if _, twice := got[slot]; twice {
				t.Errorf("transaction %d: slot %d is alive twice", txid, slot)
			}
			got[slot] = scores[row]
		}
	}
	df := make([]float64, len(query.indices))
	for slot, s := range state {
		overlap(query.indices, s.indices, func(i, _ int) { df[i]++ })
		if want, _ := sparseScore(query)(s.encode()); got[slot] != want {
			t.Errorf("transaction %d: slot %d scores %v, want %v", txid, slot, got[slot], want)
		}
	}
	if len(got) != len(state) {
		t.Errorf("transaction %d: %d rows are alive, want %d", txid, len(got), len(state))
	}
	for i, term := range v.terms {
		if term.df != df[i] {
			t.Errorf("transaction %d: dimension %d is in %v vectors, want %v", txid, query.indices[i], term.df, df[i])
		}
	}
}

func viewOf(x *inverted, txid uint64, indices []uint32) *postingView {
	v, merged, recent := x.view(txid, indices)
	v.addRecent(indices, merged, recent)
	return v
}

func TestSortEntries(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for n := range 200 {
		var entries []entry
		for row := range uint32(n) {
			entries = append(entries, entry{index: rng.Uint32() >> rng.IntN(32), row: row})
		}
		want := slices.Clone(entries)
		slices.SortStableFunc(want, func(a, b entry) int { return cmp.Compare(a.index, b.index) })
		got := sortEntries(entries, make([]entry, n))
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		var regrouped []entry
		for index, group := range dimensions(got) {
			if len(regrouped) > 0 && regrouped[len(regrouped)-1].index == index {
				t.Errorf("dimension %d comes twice", index)
			}
			regrouped = append(regrouped, group...)
		}
		if !slices.Equal(regrouped, want) {
			t.Errorf("regrouped %v, want %v", regrouped, want)
		}
	}
}

func TestRowHeap(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 40 {
		var h rowHeap
		for i := range n {
			h = append(h, row{score: float32(rng.IntN(9)), at: uint32(i)})
		}
		h.init()
		seen := map[uint32]bool{}
		for last := float32(10); len(h) > 0; {
			r := h.pop()
			if r.score > last || seen[r.at] {
				t.Fatalf("of %d rows: %v after a score of %v", n, r, last)
			}
			seen[r.at], last = true, r.score
		}
		if len(seen) != n {
			t.Errorf("%d rows came out of %d", len(seen), n)
		}
	}
}

func TestSlotSet(t *testing.T) {
	t.Parallel()
	set := newSlotSet(plan{slots: []uint64{1, 63, 64, 200}})
	for slot := range uint64(300) {
		if want := slot == 1 || slot == 63 || slot == 64 || slot == 200; set.has(slot) != want {
			t.Errorf("slot %d: %v", slot, !want)
		}
	}
	if all := newSlotSet(plan{all: true}); !all.has(5) || newSlotSet(plan{}).has(5) {
		t.Error("a plan of all or of no slots")
	}
}

// TestOldMarksAreDropped: after very many transactions the oldest can't be
// answered for, and those kept are answered right.
func TestOldMarksAreDropped(t *testing.T) {
	t.Parallel()
	x := newModel(1).index
	const n = maxMarks + 10
	for i := range uint64(n) {
		raw := sparseVector{indices: []uint32{7}, values: []float32{1}}.encode()
		x.apply(i+1, []vectorChange{{slot: i, raw: raw}})
	}
	if x.since == 0 || x.since > n/2+10 || len(x.marks) > maxMarks {
		t.Errorf("answers since transaction %d with %d marks", x.since, len(x.marks))
	}
	for _, txid := range []uint64{x.since, x.since + 1, n} {
		if v := viewOf(x, txid, []uint32{7}); v.n != float64(txid) || v.terms[0].df != float64(txid) {
			t.Errorf("transaction %d: %v vectors, %v of them with the term", txid, v.n, v.terms[0].df)
		}
	}
}
