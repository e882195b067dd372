package llmsim

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"testing"
)

// dataset is one retrieval set: documents, questions and the right document
// of each question.
type dataset struct {
	docs    []datasetDoc
	queries []datasetQuery
	gold    map[string]map[string]bool // query id to document ids
}

type datasetDoc struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

type datasetQuery struct {
	ID      string   `json:"id"`
	Text    string   `json:"text"`
	Answers []string `json:"answers"`
}

// loadDataset reads a set from WEIR_DATA (by default ../shared/data beside the
// repository). Without the data the test is skipped, in CI it fails.
func loadDataset(t testing.TB, name string) dataset {
	t.Helper()
	root := os.Getenv("WEIR_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(root, "rag", name)
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("data set %s is missing: set WEIR_DATA: %v", name, err)
		}
		t.Skipf("SKIPPED, NOT MEASURED: data set %s is missing (set WEIR_DATA): %v", name, err)
	}
	set := dataset{gold: map[string]map[string]bool{}}
	readLines(t, filepath.Join(dir, "corpus.jsonl"), func(line []byte) error {
		var d datasetDoc
		err := json.Unmarshal(line, &d)
		set.docs = append(set.docs, d)
		return err
	})
	readLines(t, filepath.Join(dir, "queries.jsonl"), func(line []byte) error {
		var q datasetQuery
		err := json.Unmarshal(line, &q)
		set.queries = append(set.queries, q)
		return err
	})
	readLines(t, filepath.Join(dir, "qrels.tsv"), func(line []byte) error {
		f := strings.Split(string(line), "\t")
		if set.gold[f[0]] == nil {
			set.gold[f[0]] = map[string]bool{}
		}
		set.gold[f[0]][f[1]] = true
		return nil
	})
	return set
}

// every returns each nth query.
func every(queries []datasetQuery, n int) (out []datasetQuery) {
	for i := 0; i < len(queries); i += n {
		out = append(out, queries[i])
	}
	return out
}

func readLines(t testing.TB, path string, fn func(line []byte) error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		if err := fn(s.Bytes()); err != nil {
			t.Fatalf("reading %s: %v", path, err)
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
}

// index is a brute force vector index of a set's documents.
type index struct {
	docs    []datasetDoc
	vectors [][]float32
}

func newIndex(docs []datasetDoc, dims int) *index {
	e := newEmbedder()
	ix := &index{docs: docs}
	for _, d := range docs {
		ix.vectors = append(ix.vectors, e.embed(d.Title+"\n"+d.Text, dims))
	}
	return ix
}

// top returns the k nearest documents, best first.
func (ix *index) top(query []float32, k int) []datasetDoc {
	scores := make([]float32, len(ix.docs))
	order := make([]int, len(ix.docs))
	for i, v := range ix.vectors {
		order[i] = i
		for j, x := range query {
			scores[i] += x * v[j]
		}
	}
	sort.SliceStable(order, func(a, b int) bool { return scores[order[a]] > scores[order[b]] })
	out := make([]datasetDoc, 0, k)
	for _, i := range order[:min(k, len(order))] {
		out = append(out, ix.docs[i])
	}
	return out
}

// forQueries calls fn for all queries on all cores; fn gets the 10 nearest.
func (ix *index) forQueries(queries []datasetQuery, dims int, fn func(q datasetQuery, top []datasetDoc)) {
	e := newEmbedder()
	var wg sync.WaitGroup
	work := make(chan datasetQuery)
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
func recall(set dataset, dims int) (at1, at5, at10 float64) {
	var mu sync.Mutex
	ix := newIndex(set.docs, dims)
	ix.forQueries(set.queries, dims, func(q datasetQuery, top []datasetDoc) {
		for rank, d := range top {
			if !set.gold[q.ID][d.ID] {
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
	n := float64(len(set.queries))
	return at1 / n, at5 / n, at10 / n
}

func TestRecallOnSquad(t *testing.T) {
	t.Parallel()
	set := loadDataset(t, "squad")
	set.queries = every(set.queries, sampleStride)
	at1, at5, at10 := recall(set, 1024)
	t.Logf("%d documents, %d queries: recall@1 %.3f, @5 %.3f, @10 %.3f", len(set.docs), len(set.queries), at1, at5, at10)
	if at5 < 0.88-sampleSlack {
		t.Errorf("recall@5 = %.3f, want at least 0.88", at5)
	}
}
