package qdrantd

import (
	"context"
	"errors"
	"testing"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	bolt "go.etcd.io/bbolt"
)

// openSparse is a collection with one sparse vector, "s".
func openSparse(t *testing.T) *collection {
	t.Helper()
	c := reopen(t, t.TempDir())
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	err := c.create(&pb.CreateCollection{
		CollectionName: "docs", SparseVectorsConfig: pb.NewSparseVectorsConfig(map[string]*pb.SparseVectorParams{"s": {Modifier: pb.Modifier_Idf.Enum()}})})
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return c.collections["docs"]
}

// storing is a change that stores a point with one term.
func storing(t *testing.T, col *collection, id uint64, term uint32) *change {
	t.Helper()
	points, err := col.checkPoints([]*pb.PointStruct{{Id: pb.NewIDNum(id), Vectors: pb.NewVectorsMap(map[string]*pb.Vector{
		"s": pb.NewVectorSparse([]uint32{term}, []float32{1})})}})
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	return &change{run: func(w *writer) error { return w.putPoint(points[0]) }}
}

// find searches for a term and returns the numeric ids, and whether the index
// answered.
func find(t *testing.T, col *collection, term uint32) (ids []uint64, indexed bool) {
	t.Helper()
	err := col.view(func(r *reader) error {
		s, err := r.nearestSparse(t.Context(), col.vectors["s"], sparseVector{indices: []uint32{term}, values: []float32{1}})
		if err != nil {
			return err
		}
		indexed = s.view != nil
		s.plan, s.limit = plan{all: true}, 100
		hits, err := r.run(t.Context(), s)
		for _, h := range hits {
			ids = append(ids, pointID(h.id).GetNum())
		}
		return err
	})
	if err != nil {
		t.Fatalf("find: %v", err)
	}
	return ids, indexed
}

func wantFound(t *testing.T, col *collection, term uint32, wantIndexed bool, want int) {
	t.Helper()
	if ids, indexed := find(t, col, term); len(ids) != want || indexed != wantIndexed {
		t.Errorf("term %d: found %v, by index %v; want %d, by index %v", term, ids, indexed, want, wantIndexed)
	}
}

// TestGroupWithFailures writes a group in which some changes fail after they
// have begun: the others are stored, and nothing of those.
func TestGroupWithFailures(t *testing.T) {
	t.Parallel()
	col := openSparse(t)
	if err := col.postings["s"].ready(t.Context(), col.db); err != nil {
		t.Fatalf("ready: %v", err)
	}
	broken := errors.New("broken")
	failing := func(id uint64) *change {
		ch := storing(t, col, id, 7)
		put := ch.run
		ch.run = func(w *writer) error { return errors.Join(put(w), broken) }
		return ch
	}
	group := []*change{storing(t, col, 1, 7), failing(2), storing(t, col, 3, 7), failing(4)}
	col.write(group)
	for i, ch := range group {
		if wantErr := i%2 == 1; !ch.done || errors.Is(ch.err, broken) != wantErr || !wantErr && ch.err != nil {
			t.Errorf("change %d: done %v, error %v", i, ch.done, ch.err)
		}
	}
	wantFound(t, col, 7, true, 2)
	if n, err := total(col); n != 2 || err != nil {
		t.Errorf("%d points, error %v; want 2", n, err)
	}
}

func total(col *collection) (n uint64, err error) {
	err = col.view(func(r *reader) error { n = r.total; return nil })
	return n, err
}

// TestGroupWithPanic: a change that panics takes its group along, with an error
// for each, and the collection stays usable.
func TestGroupWithPanic(t *testing.T) {
	t.Parallel()
	col := openSparse(t)
	group := []*change{storing(t, col, 1, 7), {run: func(*writer) error { panic("defect") }}, storing(t, col, 2, 7)}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		col.write(group)
	}()
	for i, ch := range group {
		if !ch.done || !errors.Is(ch.err, errAbandoned) {
			t.Errorf("change %d: done %v, error %v", i, ch.done, ch.err)
		}
	}
	if _, err := col.update(storing(t, col, 3, 7).run); err != nil {
		t.Errorf("the next change: %v", err)
	}
	if n, err := total(col); n != 1 || err != nil {
		t.Errorf("%d points, error %v; want 1", n, err)
	}
}

// TestForgottenIndex: without its index a search scans the file, and the next
// one builds the index anew.
func TestForgottenIndex(t *testing.T) {
	t.Parallel()
	col := openSparse(t)
	p := col.postings["s"]
	store := func(id uint64) {
		if _, err := col.update(storing(t, col, id, 7).run); err != nil {
			t.Fatalf("store: %v", err)
		}
	}
	store(1)
	wantFound(t, col, 7, false, 1)
	for n := 1; n < 4; n++ {
		if err := p.ready(t.Context(), col.db); err != nil {
			t.Fatalf("ready: %v", err)
		}
		wantFound(t, col, 7, true, n)
		col.publish(99, nil, errors.New("commit failed"))
		wantFound(t, col, 7, false, n)
		store(uint64(n + 1))
	}
}

// TestCommitsWhileBuilding: what is committed between the snapshot an index is
// built from and its use is in it, once.
func TestCommitsWhileBuilding(t *testing.T) {
	t.Parallel()
	col := openSparse(t)
	p := col.postings["s"]
	store := func(id uint64) {
		if _, err := col.update(storing(t, col, id, 7).run); err != nil {
			t.Fatalf("store: %v", err)
		}
	}
	store(1)
	p.building = true
	store(2)
	var index *inverted
	if err := col.db.View(func(tx *bolt.Tx) error { index = buildInverted(tx, p.bucket); return nil }); err != nil {
		t.Fatal(err)
	}
	store(3)
	p.finish(index)
	wantFound(t, col, 7, true, 3)
	store(4)
	wantFound(t, col, 7, true, 4)
}

// TestReaderAheadOfIndex: a snapshot with a commit the index has not yet got
// waits for it, and gives up with its context.
func TestReaderAheadOfIndex(t *testing.T) {
	t.Parallel()
	col := openSparse(t)
	p := col.postings["s"]
	if err := p.ready(t.Context(), col.db); err != nil {
		t.Fatalf("ready: %v", err)
	}
	ahead := p.index.applied + 1
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.at(ctx, ahead, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
	got := make(chan *postingView, 1)
	go func() {
		v, _ := p.at(t.Context(), ahead, nil)
		got <- v
	}()
	p.commit(commit{txid: ahead, changes: []vectorChange{{slot: 1, raw: sparseVector{indices: []uint32{7}, values: []float32{1}}.encode()}}})
	if v := <-got; v == nil || v.n != 1 {
		t.Errorf("view %+v, want one vector", v)
	}
}

// TestUnchangedVectorsAreLeftAlone: a point that is written again as it is
// costs the index nothing.
func TestUnchangedVectorsAreLeftAlone(t *testing.T) {
	t.Parallel()
	col := openSparse(t)
	p := col.postings["s"]
	if err := p.ready(t.Context(), col.db); err != nil {
		t.Fatalf("ready: %v", err)
	}
	for _, tt := range []struct {
		term uint32
		rows int
	}{{7, 1}, {7, 1}, {8, 2}, {8, 2}, {7, 3}} {
		if _, err := col.update(storing(t, col, 1, tt.term).run); err != nil {
			t.Fatalf("store: %v", err)
		}
		if rows := len(p.index.slots); rows != tt.rows {
			t.Errorf("term %d: %d rows, want %d", tt.term, rows, tt.rows)
		}
		wantFound(t, col, tt.term, true, 1)
	}
}
