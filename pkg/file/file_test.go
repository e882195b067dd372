package file_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/file"
)

func setup(t *testing.T) (*file.Store, *bus.Bus) {
	t.Helper()
	b, _ := bustest.New(t)
	return file.NewStore(b, time.Now), b
}

func put(t *testing.T, s *file.Store, tenant, name, text string) file.Info {
	t.Helper()
	info, err := s.Put(t.Context(), tenant, file.Info{Name: name, Purpose: "batch"}, file.Limited{R: strings.NewReader(text), Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func read(t *testing.T, s *file.Store, tenant, id string) string {
	t.Helper()
	r, _, err := s.Open(t.Context(), tenant, id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestStore: what is put comes back, to its tenant alone.
func TestStore(t *testing.T) {
	t.Parallel()
	s, _ := setup(t)
	a := put(t, s, "acme", "a.jsonl", "one\ntwo\n")
	empty := put(t, s, "acme", "b.jsonl", "")
	other := put(t, s, "other", "c.jsonl", "secret")
	if a.Bytes != 8 || a.SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte("one\ntwo\n"))) {
		t.Errorf("got %+v", a)
	}
	if got := read(t, s, "acme", a.ID); got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
	if got := read(t, s, "acme", empty.ID); got != "" {
		t.Errorf("got %q", got)
	}
	list, err := s.List(t.Context(), "acme")
	if err != nil || len(list) != 2 || list[0].ID != empty.ID || list[1].ID != a.ID {
		t.Errorf("got %+v, %v", list, err)
	}
	for _, id := range []string{other.ID, "file-none", "*", ">", "a.b", ""} {
		if _, err := s.Get(t.Context(), "acme", id); !errors.Is(err, file.ErrNotFound) {
			t.Errorf("%q: got %v", id, err)
		}
		if _, _, err := s.Open(t.Context(), "acme", id); !errors.Is(err, file.ErrNotFound) {
			t.Errorf("opening %q: got %v", id, err)
		}
		if err := s.Delete(t.Context(), "acme", id); !errors.Is(err, file.ErrNotFound) {
			t.Errorf("removing %q: got %v", id, err)
		}
	}
	if err := s.Delete(t.Context(), "acme", a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "acme", a.ID); !errors.Is(err, file.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if got := read(t, s, "other", other.ID); got != "secret" {
		t.Errorf("got %q", got)
	}
}

// TestPutAgain: under an id that is there a new file takes the old one's place.
func TestPutAgain(t *testing.T) {
	t.Parallel()
	s, _ := setup(t)
	id := file.BatchID("acme", "b1", "output")
	for _, text := range []string{"first", "second"} {
		if _, err := s.Put(t.Context(), "acme", file.Info{ID: id}, file.Limited{R: strings.NewReader(text), Limit: 100}); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, s, "acme", id); got != "second" {
		t.Errorf("got %q", got)
	}
	if list, err := s.List(t.Context(), "acme"); err != nil || len(list) != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
	if id == file.BatchID("acme", "b1", "errors") || id == file.BatchID("other", "b1", "output") {
		t.Error("two files of one id")
	}
}

// TestPutRefused: too large a file, and one that breaks off, leave nothing behind.
func TestPutRefused(t *testing.T) {
	t.Parallel()
	s, b := setup(t)
	broken := errors.New("broken off")
	for name, c := range map[string]struct {
		r     io.Reader
		limit int64
		check func(error) bool
	}{
		"too large": {bytes.NewReader(make([]byte, 1<<20)), 1<<20 - 1, func(err error) bool { return event.AsError(err).Class == event.ClassTooLarge }},
		"broken": {io.MultiReader(bytes.NewReader(make([]byte, 300<<10)), iotest.ErrReader(broken)), 1 << 20,
			func(err error) bool { return errors.Is(err, broken) }},
		"too short": {io.MultiReader(strings.NewReader("x"), iotest.ErrReader(io.ErrUnexpectedEOF)), 1 << 20,
			func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
	} {
		if _, err := s.Put(t.Context(), "acme", file.Info{Name: name}, file.Limited{R: c.r, Limit: c.limit}); !c.check(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if list, err := s.List(t.Context(), "acme"); err != nil || len(list) != 0 {
		t.Errorf("got %+v, %v", list, err)
	}
	store, err := b.JetStream().ObjectStore(t.Context(), bus.FileBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.List(t.Context()); !errors.Is(err, jetstream.ErrNoObjectsFound) {
		t.Errorf("got %v", err)
	}
}

// TestChunks: small reads become large chunks, and the content stays the same.
func TestChunks(t *testing.T) {
	t.Parallel()
	s, b := setup(t)
	data := make([]byte, 1<<20+17)
	for i := range data {
		data[i] = byte(rand.Int()) //nolint:gosec // any bytes do
	}
	info, err := s.Put(t.Context(), "acme", file.Info{}, file.Limited{R: iotest.HalfReader(bytes.NewReader(data)), Limit: int64(len(data))})
	if err != nil || info.Bytes != int64(len(data)) {
		t.Fatalf("got %+v, %v", info, err)
	}
	if got := read(t, s, "acme", info.ID); got != string(data) {
		t.Error("other content")
	}
	store, err := b.JetStream().ObjectStore(t.Context(), bus.FileBucket)
	if err != nil {
		t.Fatal(err)
	}
	if object, err := store.GetInfo(t.Context(), event.JobKey("acme", info.ID)); err != nil || object.Chunks != 9 {
		t.Errorf("got %+v, %v", object, err)
	}
}
