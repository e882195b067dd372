package qdrantd_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/embedded/qdrantd"
	"github.com/weir-dev/weir/embedded/qdrantd/qdrantdtest"
)

// dayTwo is 2 January 2024, UTC.
func dayTwo() time.Time { return time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC) }

// snapshot makes a snapshot of "c" and returns its file.
func snapshot(t *testing.T, c *pb.Client, dir string) string {
	t.Helper()
	d, err := c.CreateSnapshot(t.Context(), "c")
	if err != nil {
		t.Fatalf("create snapshot: %v", err)
	}
	path := filepath.Join(dir, "snapshots", "c", d.GetName())
	if info, err := os.Stat(path); err != nil || info.Size() != d.GetSize() || len(d.GetChecksum()) != 64 {
		t.Errorf("snapshot %v: file %v, error %v", d, info, err)
	}
	return path
}

func TestSnapshots(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr, _ := qdrantdtest.StartDir(t, dir)
	c := client(t, addr)
	create(t, c, plain("c", 1))
	if list, err := c.ListSnapshots(t.Context(), "c"); err != nil || len(list) != 0 {
		t.Errorf("snapshots %v, error %v; want none", list, err)
	}
	if err := c.CreateAlias(t.Context(), "live", "c"); err != nil {
		t.Fatalf("create alias: %v", err)
	}
	first, second := filepath.Base(snapshot(t, c, dir)), filepath.Base(snapshot(t, c, dir))
	list, err := c.ListSnapshots(t.Context(), "live") // an alias will do
	if err != nil || len(list) != 2 || list[0].GetName() != first || list[1].GetName() != second || list[0].GetChecksum() == "" {
		t.Errorf("snapshots %v, error %v; want %s and %s", list, err, first, second)
	}
	if err := c.DeleteSnapshot(t.Context(), "c", first); err != nil {
		t.Errorf("delete: %v", err)
	}
	for _, name := range []string{first, "", "..", "../../meta.db", second + "/", "x.snapshot"} {
		wantCode(t, c.DeleteSnapshot(t.Context(), "c", name), codes.NotFound, "not found")
	}
	if list, err = c.ListSnapshots(t.Context(), "c"); err != nil || len(list) != 1 || list[0].GetName() != second {
		t.Errorf("snapshots %v, error %v; want %s", list, err, second)
	}
	if files, _ := os.ReadDir(filepath.Join(dir, "snapshots", "c")); len(files) != 2 {
		t.Errorf("files %v, want the snapshot and its checksum", files)
	}
	_, err = c.CreateSnapshot(t.Context(), "missing")
	wantCode(t, err, codes.NotFound, "missing")
}

// TestRestore puts a snapshot, made under writes, into the directory it came
// from and into a new one.
func TestRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr, stop := qdrantdtest.StartDir(t, dir)
	c := client(t, addr)
	create(t, c, sparseConfig())
	createIndex(t, c, "k", pb.FieldType_FieldTypeKeyword)
	if err := c.CreateAlias(t.Context(), "live", "c"); err != nil {
		t.Fatalf("create alias: %v", err)
	}
	batch := func(n uint64) (out []*pb.PointStruct) {
		for i := range uint64(20) {
			out = append(out, sparsePoint(n*20+i, map[string]any{"k": "x"}, map[uint32]float32{7: 1}))
		}
		return out
	}
	upsert(t, c, batch(0)...)
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range uint64(30) {
			if _, err := c.Upsert(t.Context(), &pb.UpsertPoints{CollectionName: "c", Points: batch(n)}); err != nil {
				t.Errorf("upsert: %v", err)
			}
		}
	})
	file := snapshot(t, c, dir)
	wg.Wait()
	if _, err := qdrantd.Restore(dir, file); !errors.Is(err, qdrantd.ErrInUse) {
		t.Errorf("restore under a running server: %v, want ErrInUse", err)
	}
	stop()
	for _, to := range []string{dir, filepath.Join(t.TempDir(), "new")} {
		if name, err := qdrantd.Restore(to, file); err != nil || name != "c" {
			t.Fatalf("restore: %q, error %v; want c", name, err)
		}
		addr, stop := qdrantdtest.StartDir(t, to)
		c := client(t, addr)
		n := count(t, c, must(pb.NewMatch("k", "x")))
		if n == 0 || n%20 != 0 || n != count(t, c, nil) {
			t.Errorf("%d points, %d of them indexed; want whole batches", count(t, c, nil), n)
		}
		found := query(t, c, &pb.QueryPoints{Using: proto.String("s"), Query: pb.NewQuerySparse([]uint32{7}, []float32{1}), Limit: proto.Uint64(1000)})
		if uint64(len(found)) != n {
			t.Errorf("search finds %d of %d points", len(found), n)
		}
		upsert(t, c, batch(99)...)
		if exists, err := c.CollectionExists(t.Context(), "live"); err != nil || exists != (to == dir) {
			t.Errorf("the alias exists: %v, error %v", exists, err)
		}
		stop()
		if files, _ := filepath.Glob(filepath.Join(to, "c-*.db")); len(files) != 1 {
			t.Errorf("collection files %v, want one", files)
		}
	}
}

// TestRestoreRefusesDamage: a damaged snapshot changes nothing; a damaged
// collection does not keep one from being restored.
func TestRestoreRefusesDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr, stop := qdrantdtest.StartDir(t, dir)
	c := client(t, addr)
	create(t, c, plain("c", 1))
	var points []*pb.PointStruct
	for i := range uint64(500) {
		points = append(points, num(i, map[string]any{"text": "some text to fill pages with"}, 1))
	}
	upsert(t, c, points...)
	file := snapshot(t, c, dir)
	stop()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	garbled := append([]byte{}, whole...)
	for i := len(garbled) / 2; i < len(garbled)/2+5000; i++ {
		garbled[i] ^= 0xff
	}
	bare := filepath.Join(t.TempDir(), "bare.snapshot") // without checksum
	for name, damage := range map[string][]byte{"empty": {}, "text": []byte("no snapshot"), "cut": whole[:len(whole)/2], "garbled": garbled} {
		for _, path := range []string{file, bare} {
			if err := os.WriteFile(path, damage, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := qdrantd.Restore(dir, path); !errors.Is(err, qdrantd.ErrSnapshot) {
				t.Errorf("%s: error %v, want ErrSnapshot", name, err)
			}
		}
	}
	if _, err := qdrantd.Restore(dir, filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: error %v", err)
	}
	addr, stop = qdrantdtest.StartDir(t, dir)
	if n := count(t, client(t, addr), nil); n != 500 {
		t.Errorf("%d points after refusals, want 500", n)
	}
	stop()
	files, _ := filepath.Glob(filepath.Join(dir, "c-*.db"))
	if len(files) != 1 {
		t.Fatalf("collection files %v, want one", files)
	}
	if err := errors.Join(os.WriteFile(file, whole, 0o600), os.WriteFile(files[0], []byte("damaged"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := qdrantd.Restore(dir, file); err != nil {
		t.Fatalf("restore over a damaged collection: %v", err)
	}
	addr, _ = qdrantdtest.StartDir(t, dir)
	if n := count(t, client(t, addr), nil); n != 500 {
		t.Errorf("%d points after the restore, want 500", n)
	}
}
