// Package file keeps the files of tenants: what they upload, and what batches end
// with. The content is an object in the bucket bus.FileBucket, what is known of it
// an entry in bus.BucketFiles. Both are gone after 30 days.
package file

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// ErrNotFound says that the tenant has no such file.
var ErrNotFound = errors.New("no such file")

// Info is what is known of a file.
type Info struct {
	V  int    `json:"v"`
	ID string `json:"id"`
	// Name is what its sender calls it.
	Name string `json:"name"`
	// Purpose is what it is for: batch, batch_output, user_data and so on.
	Purpose string    `json:"purpose"`
	Bytes   int64     `json:"bytes"`
	SHA256  string    `json:"sha256"` // in hex
	At      time.Time `json:"at"`
	// Batch is the batch that wrote it; "" when it was uploaded.
	Batch string `json:"batch,omitempty"`
}

// Store keeps files. It is safe for concurrent use.
type Store struct {
	bus *bus.Bus
	now func() time.Time
}

// NewStore returns a store. It does no I/O.
func NewStore(b *bus.Bus, now func() time.Time) *Store { return &Store{bus: b, now: now} }

// NewID returns the id of a new file.
func NewID(now time.Time) string { return "file-" + event.NewID(now) }

// BatchID is the id of the file that a batch writes for a part (output, errors): the
// same one however often it is written.
func BatchID(tenant, batch, part string) string {
	sum := sha256.Sum256([]byte(tenant + "\x00" + batch + "\x00" + part))
	return fmt.Sprintf("file-%x", sum[:16])
}

// Bounds of a name, of the time a file may be read, and of a question to the server.
const (
	maxName    = 1024 // bytes
	maxReading = time.Hour
	askTimeout = 10 * time.Second
)

// Put stores what r has, at most limit bytes, as a file of tenant, and returns what
// is known of it then. An id that is "" is made; under the id of a file that is there
// the new one takes its place. When Put fails there is no new file.
func (s *Store) Put(ctx context.Context, tenant string, info Info, r Limited) (Info, error) {
	info, err := s.Write(ctx, tenant, info, r)
	if err != nil {
		return info, err
	}
	return info, s.Record(ctx, tenant, info)
}

// Write stores a file's content as Put does; it is no file before Record.
func (s *Store) Write(ctx context.Context, tenant string, info Info, r Limited) (Info, error) {
	info.V, info.At = event.Version, s.now().UTC()
	if info.ID == "" {
		info.ID = NewID(s.now())
	}
	if err := check(tenant, info.ID); err != nil {
		return info, err
	}
	objects, err := s.objects(ctx)
	if err != nil {
		return info, err
	}
	sum := sha256.New()
	source := &chunked{r: r, sum: sum}
	// A caller that goes away ends r; what was stored of it must be removed then.
	object, err := objects.Put(context.WithoutCancel(ctx), jetstream.ObjectMeta{Name: event.JobKey(tenant, info.ID)}, source)
	if err != nil {
		return info, putError(source, err)
	}
	info.Bytes, info.SHA256 = int64(object.Size), fmt.Sprintf("%x", sum.Sum(nil)) //nolint:gosec // bounded by Limit
	return info, nil
}

// putError tells the reader's errors from the store's.
func putError(source *chunked, err error) error {
	if source.err != nil {
		return source.err
	}
	e := event.Errorf(event.ClassUnavailable, "storing a file: %w", err)
	e.Hint = "the bucket " + bus.FileBucket + " may be full: see WEIR_STREAM_FILE_BYTES"
	return e
}

// Limited is a source of at most Limit bytes; more are an error of ClassTooLarge.
type Limited struct {
	R     io.Reader
	Limit int64
}

// chunked reads as much as there is room for, so that objects have chunks of full
// size, and sums it up.
type chunked struct {
	r    Limited
	read int64
	sum  hash.Hash
	err  error // of the source
}

// Read implements io.Reader.
func (c *chunked) Read(p []byte) (int, error) {
	// Not io.ReadFull: a source that broke off says io.ErrUnexpectedEOF, too.
	n, err := 0, error(nil)
	for n < len(p) && err == nil {
		var more int
		more, err = c.r.R.Read(p[n:])
		n += more
	}
	c.read += int64(n)
	if c.read > c.r.Limit {
		err = &event.Error{Class: event.ClassTooLarge, Field: "file", Message: fmt.Sprintf("the file has more than %d bytes", c.r.Limit), Hint: "split it"}
	}
	c.sum.Write(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// Record stores what is known of a file that was written.
func (s *Store) Record(ctx context.Context, tenant string, info Info) error {
	if err := check(tenant, info.ID); err != nil {
		return err
	}
	if n := len(info.Name); n > maxName {
		return event.Invalid("filename", fmt.Sprintf("use at most %d bytes", maxName), "has %d bytes", n)
	}
	kv, err := s.bus.KeyValue(ctx, bus.BucketFiles)
	if err != nil {
		return err
	}
	data, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("encoding what is known of a file: %w", err)
	}
	if _, err := kv.Put(ctx, event.JobKey(tenant, info.ID), data); err != nil {
		return event.Errorf(event.ClassUnavailable, "recording a file: %w", err)
	}
	return nil
}

// Get returns what is known of a file, or ErrNotFound.
func (s *Store) Get(ctx context.Context, tenant, id string) (Info, error) {
	var info Info
	if check(tenant, id) != nil {
		return info, fmt.Errorf("file %q: %w", id, ErrNotFound)
	}
	kv, err := s.bus.KeyValue(ctx, bus.BucketFiles)
	if err != nil {
		return info, err
	}
	entry, err := kv.Get(ctx, event.JobKey(tenant, id))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return info, fmt.Errorf("file %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return info, event.Errorf(event.ClassUnavailable, "reading what is known of a file: %w", err)
	}
	if err := json.Unmarshal(entry.Value(), &info); err != nil {
		return info, fmt.Errorf("reading what is known of file %s: %w", id, err)
	}
	return info, nil
}

// Open returns a file's content, to be closed, and what is known of it, or
// ErrNotFound. Its end is only told when all of it was right.
func (s *Store) Open(ctx context.Context, tenant, id string) (io.ReadCloser, Info, error) {
	info, err := s.Get(ctx, tenant, id)
	if err != nil {
		return nil, info, err
	}
	objects, err := s.objects(ctx)
	if err != nil {
		return nil, info, err
	}
	// The client of NATS would give a context without a deadline a short one.
	reading, stop := context.WithTimeout(ctx, maxReading)
	object, err := objects.Get(reading, event.JobKey(tenant, id))
	if err != nil {
		stop()
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			return nil, info, fmt.Errorf("file %s: %w", id, ErrNotFound)
		}
		return nil, info, event.Errorf(event.ClassUnavailable, "opening a file: %w", err)
	}
	return &content{ReadCloser: object, stop: stop}, info, nil
}

// content is a file that is read.
type content struct {
	io.ReadCloser
	stop context.CancelFunc
}

// Close implements io.Closer.
func (c *content) Close() error {
	c.stop()
	return c.ReadCloser.Close()
}

// List returns what is known of all files of a tenant, the newest first.
func (s *Store) List(ctx context.Context, tenant string) ([]Info, error) {
	if err := event.CheckName("tenant", tenant); err != nil {
		return nil, err
	}
	var infos []Info
	err := s.bus.Each(ctx, bus.BucketFiles, event.JobKey(tenant, "*"), func(entry jetstream.KeyValueEntry) error {
		var info Info
		if err := json.Unmarshal(entry.Value(), &info); err != nil {
			return fmt.Errorf("reading what is known of file %s: %w", entry.Key(), err)
		}
		infos = append(infos, info)
		return nil
	})
	slices.SortFunc(infos, func(a, b Info) int {
		if order := b.At.Compare(a.At); order != 0 {
			return order
		}
		return strings.Compare(b.ID, a.ID)
	})
	return infos, err
}

// Delete removes a file, or says ErrNotFound.
func (s *Store) Delete(ctx context.Context, tenant, id string) error {
	if _, err := s.Get(ctx, tenant, id); err != nil {
		return err
	}
	if err := s.Discard(ctx, tenant, id); err != nil {
		return err
	}
	kv, err := s.bus.KeyValue(ctx, bus.BucketFiles)
	if err != nil {
		return err
	}
	if err := kv.Delete(ctx, event.JobKey(tenant, id)); err != nil {
		return event.Errorf(event.ClassUnavailable, "removing what is known of a file: %w", err)
	}
	return nil
}

// Discard removes what was written of a file, recorded or not.
func (s *Store) Discard(ctx context.Context, tenant, id string) error {
	if err := check(tenant, id); err != nil {
		return err
	}
	objects, err := s.objects(ctx)
	if err != nil {
		return err
	}
	if err := objects.Delete(ctx, event.JobKey(tenant, id)); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		return event.Errorf(event.ClassUnavailable, "removing a file: %w", err)
	}
	return nil
}

func (s *Store) objects(ctx context.Context) (jetstream.ObjectStore, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	store, err := s.bus.JetStream().ObjectStore(ctx, bus.FileBucket)
	if err != nil {
		return nil, event.Errorf(event.ClassUnavailable, "opening bucket %s: %w", bus.FileBucket, err)
	}
	return store, nil
}

// check keeps names out of subjects that are no names.
func check(tenant, id string) error {
	return errors.Join(event.CheckName("tenant", tenant), event.CheckName("file", id))
}
