package qdrantd

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	pb "github.com/qdrant/go-client/qdrant"
)

// minPerWorker is the least number of vectors that is worth a goroutine.
const minPerWorker = 4096

// hit is a point with its score.
type hit struct {
	slot  uint64
	id    []byte // id key
	score float32
	order int            // position among the keys it was sorted by
	value *pb.OrderValue // what it was sorted by, nil for a score
}

// search is one exact search.
type search struct {
	spec  vectorSpec
	score func(stored []byte) (float32, bool) // false: not a result
	// view and sparse are the index and the query of a sparse search; view is nil
	// when the file must be searched.
	view   *postingView
	sparse sparseVector
	asked  sparseVector // the query before its terms were scaled by rarity
	plan   plan
	limit  int
	// threshold, when set, must be beaten.
	threshold *float32
	// exclude is the id key of a point to leave out, nil for none.
	exclude []byte
}

// better orders hits: by score, best first, then by descending id.
func (m metric) better(a, b hit) bool {
	if a.score != b.score {
		return (a.score < b.score) == m.smaller
	}
	return bytes.Compare(a.id, b.id) > 0
}

// sortHits sorts hits, best first.
func (m metric) sortHits(hits []hit) {
	slices.SortFunc(hits, func(a, b hit) int {
		if m.better(a, b) {
			return -1
		}
		return 1
	})
}

// fewSlots is the part of all points, 1/fewSlots, up to which it is quicker to
// compare their sparse vectors one by one than to score all points at once.
const fewSlots = 64

// run answers a search with the best hits in order.
func (r *reader) run(ctx context.Context, s search) ([]hit, error) {
	s.limit = int(min(uint64(s.limit), r.total))
	switch {
	case s.limit == 0:
		return nil, nil
	case s.view != nil && (s.plan.all || uint64(len(s.plan.slots)) > r.total/fewSlots):
		return r.runPostings(ctx, s)
	}
	return r.runScan(ctx, s)
}

// runScan scans the vectors the plan selects, with several goroutines when there
// are many.
func (r *reader) runScan(ctx context.Context, s search) ([]hit, error) {
	jobs := r.split(s.plan)
	tops := make([]*top, len(jobs))
	errs := make([]error, len(jobs))
	bucket := r.tx.Bucket(s.spec.bucket())
	var wg sync.WaitGroup
	for i, j := range jobs {
		tops[i] = &top{search: &s, reader: r}
		wg.Go(func() {
			errs[i] = j.plan.each(ctx, bucket, j.rng, func(slot uint64, stored []byte) {
				if score, ok := s.score(stored); ok {
					tops[i].offer(slot, score)
				}
			})
		})
	}
	wg.Wait()
	var hits []hit
	for _, t := range tops {
		hits = append(hits, t.hits...)
	}
	s.spec.metric.sortHits(hits)
	return hits[:min(s.limit, len(hits))], errors.Join(errs...)
}

// job is one worker's share of a scan.
type job struct {
	plan plan
	rng  slotRange
}

// split divides a plan among workers.
func (r *reader) split(p plan) []job {
	size := r.total
	if !p.all {
		size = uint64(len(p.slots))
	}
	n := min(uint64(runtime.GOMAXPROCS(0)), size/minPerWorker+1)
	if n == 1 {
		return []job{{plan: p}}
	}
	jobs := make([]job, 0, n)
	if !p.all {
		for part := range slices.Chunk(p.slots, int(size/n)+1) {
			jobs = append(jobs, job{plan: plan{slots: part, rest: p.rest}})
		}
		return jobs
	}
	step := r.points.Sequence()/n + 1 // slots are numbered from 1
	for i := range n {
		jobs = append(jobs, job{plan: p, rng: slotRange{from: i * step, to: (i + 1) * step}})
	}
	return jobs
}

// top keeps the best hits of a scan in a heap, the worst on top.
type top struct {
	search *search
	reader *reader
	hits   []hit
}

// beyond reports that no point with this score, or a worse one, can enter.
func (t *top) beyond(score float32) bool {
	m := t.search.spec.metric
	if th := t.search.threshold; th != nil && (score == *th || (score < *th) != m.smaller) {
		return true
	}
	full := len(t.hits) == t.search.limit
	return full && score != t.hits[0].score && (score < t.hits[0].score) != m.smaller
}

// offer considers a point. Only one that would enter the result is looked at
// more closely (its id and the rest of the filter), since that costs more than
// its score did.
func (t *top) offer(slot uint64, score float32) {
	if t.beyond(score) {
		return
	}
	full := len(t.hits) == t.search.limit
	rec := t.reader.record(slot)
	id, _ := splitRecord(rec)
	h := hit{slot: slot, id: id, score: score}
	if full && !t.search.spec.metric.better(h, t.hits[0]) {
		return
	}
	if bytes.Equal(id, t.search.exclude) {
		return
	}
	if rest := t.search.plan.rest; rest != nil && !rest(recordView(rec)) {
		return
	}
	if full {
		t.hits[0] = h
		heap.Fix(t, 0)
		return
	}
	heap.Push(t, h)
}

// Len, Less, Swap, Push and Pop implement heap.Interface.

func (t *top) Len() int           { return len(t.hits) }
func (t *top) Less(i, j int) bool { return t.search.spec.metric.better(t.hits[j], t.hits[i]) }
func (t *top) Swap(i, j int)      { t.hits[i], t.hits[j] = t.hits[j], t.hits[i] }

// Push implements heap.Interface.
func (t *top) Push(x any) { t.hits = append(t.hits, x.(hit)) }

// Pop implements heap.Interface.
func (t *top) Pop() any {
	last := t.hits[len(t.hits)-1]
	t.hits = t.hits[:len(t.hits)-1]
	return last
}
