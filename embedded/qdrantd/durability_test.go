package qdrantd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/embedded/qdrantd"
	"github.com/weir-dev/weir/embedded/qdrantd/qdrantdtest"
)

// childEnv tells the re-executed test binary to be the crash test's writer.
const childEnv = "QDRANTD_TEST_CRASH_DIR"

// batchSize is the number of points per batch of the crash test.
const batchSize = 50

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		crashChild(dir)
		return
	}
	if dir := os.Getenv(serveEnv); dir != "" {
		serveChild(dir)
	}
	os.Exit(m.Run())
}

func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr, stop := qdrantdtest.StartDir(t, dir)
	c := client(t, addr)
	create(t, c, plain("c", 2))
	create(t, c, plain("gone", 2))
	createIndex(t, c, "k", pb.FieldType_FieldTypeKeyword)
	upsert(t, c, num(1, map[string]any{"k": "a"}, 1, 2), num(2, map[string]any{"k": "b"}, 3, 4))
	if err := c.CreateAlias(t.Context(), "live", "c"); err != nil {
		t.Fatalf("create alias: %v", err)
	}
	if err := c.DeleteCollection(t.Context(), "gone"); err != nil {
		t.Fatalf("delete: %v", err)
	}
	stop()
	files, _ := filepath.Glob(filepath.Join(dir, "c-*.db"))
	if len(files) != 1 {
		t.Errorf("collection files %v, want one", files)
	}
	addr, _ = qdrantdtest.StartDir(t, dir)
	c = client(t, addr)
	if names, err := c.ListCollections(t.Context()); err != nil || fmt.Sprint(names) != "[c]" {
		t.Errorf("collections %v, error %v", names, err)
	}
	wantIDs(t, scrollIDs(t, c, must(pb.NewMatch("k", "b"))), 2)
	wantScored(t, query(t, c, &pb.QueryPoints{Query: pb.NewQuery(1, 0)}), scored{2, 3}, scored{1, 1})
	if n, err := c.Count(t.Context(), &pb.CountPoints{CollectionName: "live"}); err != nil || n != 2 {
		t.Errorf("count behind the alias %d, error %v", n, err)
	}
	upsert(t, c, num(3, map[string]any{"k": "b"}, 0, 0)) // slots go on where they were
	wantIDs(t, scrollIDs(t, c, must(pb.NewMatch("k", "b"))), 2, 3)
}

func TestDirectoryIsLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	qdrantdtest.StartDir(t, dir)
	second, err := qdrantd.New(qdrantd.Config{Dir: dir, Addr: "127.0.0.1:0", LockTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	err = second.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "stop that process") {
		t.Errorf("error %v, want one that names the directory and what to do", err)
	}
}

func TestRunTwice(t *testing.T) {
	t.Parallel()
	srv, err := qdrantd.New(qdrantd.Config{Dir: t.TempDir(), Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := srv.Run(ctx); err != nil && ctx.Err() == nil {
		t.Errorf("run: %v", err)
	}
	if err := srv.Run(ctx); !errors.Is(err, qdrantd.ErrRunning) {
		t.Errorf("second run: %v, want ErrRunning", err)
	}
}

// TestCrash kills a writing process and looks for every batch it had announced
// as acknowledged, again and again on the same files.
func TestCrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acked := map[string]bool{}
	for round := range 3 {
		for _, b := range killWriter(t, dir, 5+3*round) {
			acked[b] = true
		}
		addr, stop := qdrantdtest.StartDir(t, dir)
		c := client(t, addr)
		total := count(t, c, nil)
		for b := range acked {
			if n := count(t, c, must(pb.NewMatch("batch", b))); n != batchSize {
				t.Errorf("round %d: acknowledged batch %s has %d of %d points", round, b, n, batchSize)
			}
			found := query(t, c, &pb.QueryPoints{Using: proto.String("s"), Query: pb.NewQuerySparse([]uint32{crashTerm(b)}, []float32{1}), Limit: proto.Uint64(1000)})
			if len(found) != batchSize {
				t.Errorf("round %d: search finds %d of %d points of acknowledged batch %s", round, len(found), batchSize, b)
			}
		}
		if total%batchSize != 0 || total < uint64(len(acked)*batchSize) {
			t.Errorf("round %d: %d points, want whole batches and at least %d", round, total, len(acked)*batchSize)
		}
		stop()
	}
}

// killWriter runs a writer until it has acknowledged some batches, kills it, and
// returns all it had acknowledged.
func killWriter(t *testing.T, dir string, batches int) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("pipe: %v", err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start writer: %v", err)
	}
	lines := bufio.NewScanner(out)
	var acked []string
	for len(acked) < batches && lines.Scan() {
		acked = append(acked, lines.Text())
	}
	if len(acked) < batches {
		t.Errorf("writer ended after %d batches", len(acked))
	}
	_ = cmd.Process.Kill() // SIGKILL
	rest, _ := io.ReadAll(out)
	for _, line := range strings.SplitAfter(string(rest), "\n") {
		if strings.HasSuffix(line, "\n") { // a torn line is no announcement
			acked = append(acked, strings.TrimSpace(line))
		}
	}
	_ = cmd.Wait() // killed: always an error
	return acked
}

// crashChild serves dir and writes batches until it is killed, printing the name
// of each batch once it is acknowledged.
func crashChild(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "crash child:", err)
			os.Exit(1)
		}
	}
	srv, err := qdrantd.New(qdrantd.Config{Dir: dir, Addr: "127.0.0.1:0"})
	fail(err)
	ctx := context.Background()
	go func() { fail(srv.Run(ctx)) }()
	<-srv.Ready()
	var port int
	_, err = fmt.Sscanf(srv.Addr(), "127.0.0.1:%d", &port)
	fail(err)
	c, err := pb.NewClient(&pb.Config{Host: "127.0.0.1", Port: port, PoolSize: 1, SkipCompatibilityCheck: true})
	fail(err)
	if exists, err := c.CollectionExists(ctx, "c"); err == nil && !exists {
		config := sparseConfig()
		config.VectorsConfig.GetParams().Size = 64
		fail(c.CreateCollection(ctx, config))
		_, err = c.CreateFieldIndex(ctx, &pb.CreateFieldIndexCollection{CollectionName: "c", FieldName: "batch", FieldType: pb.FieldType_FieldTypeKeyword.Enum()})
		fail(err)
	}
	for n := 0; ; n++ {
		name := fmt.Sprintf("%d-%d", os.Getpid(), n)
		_, err := c.Upsert(ctx, &pb.UpsertPoints{CollectionName: "c", Wait: proto.Bool(n%2 == 0), Points: crashBatch(name)})
		fail(err)
		// The index in memory takes part in the writing.
		_, err = c.Query(ctx, &pb.QueryPoints{CollectionName: "c", Using: proto.String("s"), Query: pb.NewQuerySparse([]uint32{1}, []float32{1})})
		fail(err)
		fmt.Println(name)
	}
}

// crashTerm is the term that all points of a batch share, and no others.
func crashTerm(name string) uint32 { return crc32.ChecksumIEEE([]byte(name)) }

// crashBatch makes points with ids of their own.
func crashBatch(name string) []*pb.PointStruct {
	var pid, n uint64
	_, _ = fmt.Sscanf(name, "%d-%d", &pid, &n)
	points := make([]*pb.PointStruct, batchSize)
	for i := range points {
		v := make([]float32, 64)
		v[i] = 1
		points[i] = num(pid<<32|n<<8|uint64(i), map[string]any{"batch": name})
		points[i].Vectors = pb.NewVectorsMap(map[string]*pb.Vector{
			"": pb.NewVector(v...), "s": pb.NewVectorSparse([]uint32{crashTerm(name)}, []float32{1}),
		})
	}
	return points
}
