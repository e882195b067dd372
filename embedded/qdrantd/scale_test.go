package qdrantd_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/embedded/qdrantd"
	"github.com/weir-dev/weir/pkg/vector"
	"github.com/weir-dev/weir/pkg/vector/qdrant"
	"github.com/weir-dev/weir/pkg/vector/vectortest/load"
)

// serveEnv tells the re-executed test binary to be the server of a benchmark.
const serveEnv = "QDRANTD_TEST_SERVE_DIR"

var scalePoints = flag.Int("points", 10_000, "chunks that BenchmarkScale loads; the figures in the docs are of 100000")

// BenchmarkScale loads chunks into a server of its own process and measures it:
//
//	go test -run='^$' -bench=Scale -benchtime=1x ./qdrantd -points=100000
//
// cpu is the time of the server's process per query, however loaded the machine.
func BenchmarkScale(b *testing.B) {
	for b.Loop() {
		s := startScale(b)
		s.load(b)
		s.more(b, 0, "without indexes in memory")
		s.queries(b, "after load")
		s.more(b, 1, "beside indexes in memory")
		s.ratio(b)
		s.restart(b)
		s.queries(b, "after restart")
		s.stop()
	}
}

// scale is a server with generated chunks: one tenant has half of them, 50 have
// 1 % each.
type scale struct {
	dir    string
	cmd    *exec.Cmd
	addr   string
	store  *qdrant.Store
	idx    vector.Index
	corpus load.Corpus
}

func startScale(b *testing.B) *scale {
	b.Helper()
	s := &scale{dir: b.TempDir(), idx: vector.Index{Name: "load", Model: "m", Dimension: 384}, corpus: load.Corpus{Seed: 1, Dimension: 384}}
	s.start(b)
	if err := s.store.Ensure(b.Context(), s.idx); err != nil {
		b.Fatal(err)
	}
	return s
}

// start runs the server's process.
func (s *scale) start(b *testing.B) {
	b.Helper()
	s.cmd = exec.Command(os.Args[0])
	s.cmd.Env = append(os.Environ(), serveEnv+"="+s.dir)
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.stop)
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	s.addr = strings.TrimSpace(addr)
	if s.store, err = qdrant.New(qdrant.Config{Addr: s.addr}); err != nil {
		b.Fatal(err)
	}
}

func (s *scale) stop() {
	_ = s.store.Close()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *scale) restart(b *testing.B) {
	b.Helper()
	s.stop()
	s.start(b)
	start := time.Now()
	if _, err := s.store.Search(b.Context(), s.idx, s.query(0)); err != nil {
		b.Fatal(err)
	}
	s.log("first query after a restart: %s", time.Since(start).Round(time.Millisecond))
}

func (s *scale) log(format string, args ...any) {
	rss, _ := s.usage()
	fmt.Printf("  [rss %4d MiB] %s\n", rss, fmt.Sprintf(format, args...))
}

// usage is the server's resident memory in MiB and the CPU time it has used.
func (s *scale) usage() (anon int, cpu time.Duration) {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	for line := range strings.Lines(string(raw)) {
		_, _ = fmt.Sscanf(line, "RssAnon: %d", &anon)
	}
	raw, _ = os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	var user, sys int
	if f := strings.Fields(string(raw)); len(f) > 14 {
		_, _ = fmt.Sscan(f[13]+" "+f[14], &user, &sys)
	}
	return anon / 1024, time.Duration(user+sys) * 10 * time.Millisecond
}

// load stores the chunks: half of them of one tenant, the others of 50 more.
func (s *scale) load(b *testing.B) {
	b.Helper()
	batches := *scalePoints / load.Batch
	_, before := s.usage()
	s.corpus.Tenants = 1
	first, err := s.corpus.Upsert(b.Context(), s.store, s.idx, 0, batches/2, 2)
	if err != nil {
		b.Fatal(err)
	}
	many := s.corpus
	many.Tenants = 50
	second, err := many.Upsert(b.Context(), s.store, s.idx, batches/2, batches, 2)
	if err != nil {
		b.Fatal(err)
	}
	took := first + second
	s.stored("into an empty collection", batches, took, before)
}

// stored logs how long storing took.
func (s *scale) stored(where string, batches int, took, cpuBefore time.Duration) {
	_, cpu := s.usage()
	n := float64(batches * load.Batch)
	s.log("stored %.0f chunks %s in %s: %.0f/s, %.0f us cpu each", n, where, took.Round(time.Millisecond), n/took.Seconds(), float64((cpu-cpuBefore).Microseconds())/n)
}

// more stores the n-th lot of more chunks, and then the same ones again.
func (s *scale) more(b *testing.B, n int, where string) {
	b.Helper()
	const batches = 40
	from := *scalePoints/load.Batch + n*batches
	_, before := s.usage()
	took, err := s.corpus.Upsert(b.Context(), s.store, s.idx, from, from+batches, 2)
	if err != nil {
		b.Fatal(err)
	}
	s.stored(where, batches, took, before)
	_, before = s.usage()
	if took, err = s.corpus.Upsert(b.Context(), s.store, s.idx, from, from+batches, 2); err != nil {
		b.Fatal(err)
	}
	s.stored("again, "+where, batches, took, before)
}

// query is one question to all lists.
func (s *scale) query(n int) vector.Query {
	q := s.corpus.Query(n*37%*scalePoints, 10)
	q.Scope.Tenant = "tenant-0"
	return q
}

// queries measures each list and the fusions.
func (s *scale) queries(b *testing.B, when string) {
	b.Helper()
	for _, tt := range []struct {
		name   string
		change func(q *vector.Query)
	}{
		{"dense", func(q *vector.Query) { *q = vector.Query{Scope: q.Scope, TopK: 10, Dense: q.Dense} }},
		{"bm25", func(q *vector.Query) { *q = vector.Query{Scope: q.Scope, TopK: 10, BM25: q.BM25} }},
		{"grams", func(q *vector.Query) { *q = vector.Query{Scope: q.Scope, TopK: 10, Grams: q.Grams} }},
		{"bm25+grams, dbsf", func(q *vector.Query) { q.Dense = nil }},
		{"all three, dbsf", func(*vector.Query) {}},
		{"all three, bm25 twice", func(q *vector.Query) { q.Weights = map[vector.List]float64{vector.BM25: 2} }},
		{"all three, scores", func(q *vector.Query) { q.Scores = true }},
		{"grams, tenant of 1 %", func(q *vector.Query) {
			*q = vector.Query{Scope: q.Scope, TopK: 10, Grams: q.Grams}
			q.Scope.Tenant = "tenant-7"
		}},
		{"all three, tenant of 1 %", func(q *vector.Query) { q.Scope.Tenant = "tenant-7" }},
	} {
		const n = 40
		var hits int
		_, before := s.usage()
		start := time.Now()
		for i := range n {
			q := s.query(i)
			tt.change(&q)
			found, err := s.store.Search(b.Context(), s.idx, q)
			if err != nil {
				b.Fatal(err)
			}
			hits += len(found)
		}
		wall := time.Since(start)
		_, after := s.usage()
		s.log("%-26s %-14s %6.2f ms wall, %6.2f ms cpu, %d hits", tt.name, when,
			wall.Seconds()*1000/n, (after-before).Seconds()*1000/n, hits/n)
	}
}

// ratio compares storing through the adapter with the bare client, turn by turn
// on fresh collections.
func (s *scale) ratio(b *testing.B) {
	b.Helper()
	var took [2]time.Duration
	for round := range 4 {
		for turn := range took {
			i := (turn + round) % 2
			idx := vector.Index{Name: fmt.Sprintf("ratio-%d-%d", round, i), Model: "m", Dimension: 384}
			if err := s.store.Ensure(b.Context(), idx); err != nil {
				b.Fatal(err)
			}
			c := client(b, s.addr)
			var d time.Duration
			var err error
			if i == 0 {
				d, err = s.corpus.Upsert(b.Context(), s.store, idx, 0, 20, 2)
			} else {
				d, err = s.corpus.UpsertRaw(b.Context(), c, idx.Name, 0, 20, 2)
			}
			if err != nil {
				b.Fatal(err)
			}
			took[i] += d
		}
	}
	s.log("upsert of %d chunks: adapter %s, bare client %s, ratio %.2f", 80*load.Batch,
		took[0].Round(time.Millisecond), took[1].Round(time.Millisecond), took[0].Seconds()/took[1].Seconds())
}

// serveChild serves dir until it is killed, printing its address.
func serveChild(dir string) {
	srv, err := qdrantd.New(qdrantd.Config{Dir: dir, Addr: "127.0.0.1:0"})
	if err == nil {
		go func() { <-srv.Ready(); fmt.Println(srv.Addr()) }()
		err = srv.Run(context.Background())
	}
	fmt.Fprintln(os.Stderr, "server:", err)
	os.Exit(1)
}
