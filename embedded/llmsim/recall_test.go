package llmsim

import (
	"runtime"
	"sort"
	"sync"
	"testing"

	"github.com/weir-dev/weir/pkg/dataset"
)

// loadDataset reads a set; see [dataset.Path] for when it is missing.
func loadDataset(t testing.TB, name string) dataset.Set {
	t.Helper()
	dataset.Path(t, "rag", name)
	set, err := dataset.Read(dataset.Folder(), name)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// every returns each nth query.
func every(queries []dataset.Question, n int) (out []dataset.Question) {
	for i := 0; i < len(queries); i += n {
		out = append(out, queries[i])
	}
	return out
}

// index is a brute force vector index of a set's documents.
type index struct {
	docs    []dataset.Document
	vectors [][]float32
}

func newIndex(docs []dataset.Document, dims int) *index {
	e := newEmbedder()
	ix := &index{docs: docs}
	for _, d := range docs {
		ix.vectors = append(ix.vectors, e.embed(d.Title+"\n"+d.Text, dims))
	}
	return ix
}

// top returns the k nearest documents, best first.
func (ix *index) top(query []float32, k int) []dataset.Document {
	scores := make([]float32, len(ix.docs))
	order := make([]int, len(ix.docs))
	for i, v := range ix.vectors {
		order[i] = i
		for j, x := range query {
			scores[i] += x * v[j]
		}
	}
	sort.SliceStable(order, func(a, b int) bool { return scores[order[a]] > scores[order[b]] })
	out := make([]dataset.Document, 0, k)
	for _, i := range order[:min(k, len(order))] {
		out = append(out, ix.docs[i])
	}
	return out
}

// forQueries calls fn for all queries on all cores; fn gets the 10 nearest.
func (ix *index) forQueries(queries []dataset.Question, dims int, fn func(q dataset.Question, top []dataset.Document)) {
	e := newEmbedder()
	var wg sync.WaitGroup
	work := make(chan dataset.Question)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for q := range work {
				fn(q, ix.top(e.embed(q.Text, dims), 10))
			}
		})
	}
	for _, q := range queries {
		work <- q
	}
	close(work)
	wg.Wait()
}

// recall is the share of queries with a right document among the first 1, 5
// and 10.
func recall(set dataset.Set, dims int) (at1, at5, at10 float64) {
	var mu sync.Mutex
	ix := newIndex(set.Documents, dims)
	ix.forQueries(set.Questions, dims, func(q dataset.Question, top []dataset.Document) {
		for rank, d := range top {
			if !set.Gold[q.ID][d.ID] {
				continue
			}
			mu.Lock()
			defer mu.Unlock()
			at10++
			if rank < 5 {
				at5++
			}
			if rank == 0 {
				at1++
			}
			return
		}
	})
	n := float64(len(set.Questions))
	return at1 / n, at5 / n, at10 / n
}

func TestRecallOnSquad(t *testing.T) {
	t.Parallel()
	set := loadDataset(t, "squad")
	set.Questions = every(set.Questions, sampleStride)
	at1, at5, at10 := recall(set, 1024)
	t.Logf("%d documents, %d queries: recall@1 %.3f, @5 %.3f, @10 %.3f", len(set.Documents), len(set.Questions), at1, at5, at10)
	if at5 < 0.88-sampleSlack {
		t.Errorf("recall@5 = %.3f, want at least 0.88", at5)
	}
}
