package manifest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weir-dev/weir/pkg/vector"
)

// The model: any number of workers carry out versions of one document, each step
// of each worker may come at any time, workers die and their messages are
// delivered again, even while the dead one's last write is still to arrive. The
// store is a map from point to the version that wrote it and that whose meta it
// has.

// world is one document under many hands.
type world struct {
	t        *testing.T
	rng      *rand.Rand
	row      Row
	store    map[ID]point
	contents map[int64][]ID // by version; nil is a delete
}

// point is a stored chunk.
type point struct {
	version int64
	meta    string
}

// worker is one delivery of one version's message.
type worker struct {
	version int64
	chunks  []ID
	del     bool
	batch   int // of an embed message; -1 is the ingest message
	step    int
	ids     IDs
	settle  Settle
	stale   IDs
	before  int64
	meta    string // to write to all points; "" writes none
	late    bool
}

func (w *world) state(v int64, chunks []ID) State {
	s := State{Version: v, Job: fmt.Sprint("job-", v), Meta: vector.Meta{Title: fmt.Sprint(v)}}
	for i, id := range chunks {
		s.Chunks = append(s.Chunks, Ref{ID: id, Start: i, End: i + 1})
	}
	return s
}

// begin is the ingestor's step; it returns the embed messages.
func (w *world) begin(v int64) []*worker {
	chunks, known := w.contents[v]
	if !known {
		w.t.Fatal("unknown version")
	}
	if chunks == nil {
		w.row.Delete(w.state(v, nil))
		return []*worker{{version: v, batch: 0, del: true}}
	}
	if slices.Equal(w.row.Chunks.IDs(), chunks) && !w.row.Deleted && w.row.Version > 0 {
		w.row.Refresh(w.state(v, chunks))
		return []*worker{{version: v, batch: 0, del: true}}
	}
	p := Pending{State: w.state(v, chunks)}
	have := w.row.Chunks.Set()
	for i, id := range chunks {
		if !have[id] {
			p.Added = append(p.Added, i)
		}
	}
	if w.row.Begin(p) != Proceed {
		return []*worker{{version: v, batch: 0, del: true}}
	}
	var out []*worker
	for b := range w.row.Pending.Batches() {
		m := &worker{version: v, chunks: chunks, batch: b}
		for _, i := range w.row.Pending.BatchOf(b) {
			m.ids = append(m.ids, chunks[i])
		}
		out = append(out, m)
	}
	return out
}

// next makes one step of an embed message's worker; it returns true at the end.
func (w *world) next(m *worker) bool {
	m.step++
	switch m.step {
	case 1: // upsert, where nothing newer is
		for _, id := range m.ids {
			if w.store[id].version <= m.version {
				w.store[id] = point{m.version, fmt.Sprint(m.version)}
			}
		}
	case 2:
		if m.del {
			m.late = w.row.Version != m.version
			break
		}
		m.late = w.row.Mark(m.version, fmt.Sprint("job-", m.version), m.batch, m.ids, Work{}) == Superseded
		if m.late {
			m.stale, m.before = w.row.Garbage(m.ids), m.version+1
			if len(m.stale) < len(m.ids) {
				w.row.MetaWritten(vector.Meta{Title: fmt.Sprint(m.version)}) //nolint:errcheck // kept or not
			}
		}
	case 3:
		if m.late {
			w.remove(m.stale, m.before)
		}
		if !w.row.Unsettled() {
			return true
		}
		m.settle, m.stale, m.before = w.row.Settle(), slices.Clone(w.row.Stale), w.row.Before()
		if m.meta = ""; w.row.MetaStale && !w.row.Deleted {
			m.meta = w.row.Meta.Title
		}
	case 4:
		w.remove(m.stale, m.before)
		w.describe(m.meta)
	case 5:
		if !w.row.Settled(m.settle) && m.meta != "" {
			w.row.MetaWritten(vector.Meta{Title: m.meta}) //nolint:errcheck // kept or not
		}
		m.step = 2 // look again
		m.late = false
	}
	return false
}

func (w *world) remove(ids IDs, before int64) {
	for _, id := range ids {
		if p, ok := w.store[id]; ok && p.version < before {
			delete(w.store, id)
		}
	}
}

// describe writes meta to all points.
func (w *world) describe(meta string) {
	for id, p := range w.store {
		if meta != "" {
			w.store[id] = point{p.version, meta}
		}
	}
}

// read is a reader: what the store holds, checked against the row.
func (w *world) read() {
	w.t.Helper()
	var seen []ID
	for _, c := range w.row.Chunks {
		if _, ok := w.store[c.ID]; ok && !w.row.Deleted {
			seen = append(seen, c.ID)
		}
	}
	want := w.contents[w.row.Version]
	if !slices.Equal(seen, want) {
		w.t.Fatalf("reader of version %d sees %d chunks, want all %d of it", w.row.Version, len(seen), len(want))
	}
}

// TestAnyOrderOfAnySteps runs the model over seeded schedules.
func TestAnyOrderOfAnySteps(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4000) {
		w := newWorld(t, seed)
		w.run()
		w.end(seed)
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), row: Row{V: 1}, store: map[ID]point{}, contents: map[int64][]ID{}}
	for v := range int64(2 + w.rng.IntN(5)) {
		w.contents[v+1] = w.content()
	}
	w.contents[0] = []ID{}
	return w
}

// content is a random list of chunks out of a few, or a delete.
func (w *world) content() []ID {
	if w.rng.IntN(5) == 0 {
		return nil
	}
	var ids []ID
	for _, n := range w.rng.Perm(6)[:1+w.rng.IntN(5)] {
		for i := range 1 + 100*w.rng.IntN(2) { // one or many: more than a batch
			ids = append(ids, ID{byte(n), byte(i)})
		}
	}
	return ids
}

// run delivers each version's message at a random time, lets workers take turns,
// and kills some, whose message is delivered again.
func (w *world) run() {
	waiting := slices.Sorted(maps.Keys(w.contents))[1:]
	w.rng.Shuffle(len(waiting), func(i, j int) { waiting[i], waiting[j] = waiting[j], waiting[i] })
	var work []*worker
	for steps := 0; len(waiting)+len(work) > 0; steps++ {
		if steps > 100_000 {
			w.t.Fatalf("%d workers don't come to an end: %+v", len(work), w.row.Settle())
		}
		w.read()
		if len(waiting) > 0 && (len(work) == 0 || w.rng.IntN(6) == 0) {
			work = append(work, w.begin(waiting[0])...)
			if w.rng.IntN(4) > 0 { // else: died before its ack, it comes again
				waiting = waiting[1:]
			}
			continue
		}
		i := w.rng.IntN(len(work))
		m := work[i]
		if len(work) < 30 && w.rng.IntN(8) == 0 && m.step != 4 { // frozen or dead: another one begins, this one may go on
			again := *m
			again.step = 0
			work = append(work, &again)
			if w.rng.IntN(2) == 0 {
				work = slices.Delete(work, i, i+1)
				continue
			}
		}
		if w.next(m) {
			work = slices.Delete(work, i, i+1)
		}
	}
}

// end checks that the store holds the highest version's chunks and nothing else.
func (w *world) end(seed uint64) {
	w.t.Helper()
	w.read()
	last := slices.Max(slices.Collect(maps.Keys(w.contents)))
	if w.row.Version != last || w.row.Pending != nil || w.row.Unsettled() {
		w.t.Fatalf("seed %d: ends with version %d (pending %v, unsettled %v), want %d", seed, w.row.Version, w.row.Pending != nil, w.row.Unsettled(), last)
	}
	if len(w.store) != len(w.contents[last]) {
		w.t.Fatalf("seed %d: the store holds %d points, want the %d of version %d", seed, len(w.store), len(w.contents[last]), last)
	}
	for id, p := range w.store {
		if p.meta != w.row.Meta.Title {
			w.t.Fatalf("seed %d: point %v has the meta of version %s, want %s", seed, id, p.meta, w.row.Meta.Title)
		}
	}
}
