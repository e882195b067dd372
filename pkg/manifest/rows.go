package manifest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// Rows reads and changes rows in the bucket bus.BucketDocuments, where a
// document's key is <tenant>.<collection>.<document>. It is safe for concurrent
// use.
type Rows struct {
	bus *bus.Bus
	mu  sync.Mutex
	kv  jetstream.KeyValue // opened once
}

// NewRows returns the rows over b's bucket. It does no I/O.
func NewRows(b *bus.Bus) *Rows { return &Rows{bus: b} }

// ErrKeep is returned by a change that leaves the row as it is.
var ErrKeep = errors.New("row is kept")

// Get returns a document's row; a document that was never heard of has an empty
// one.
func (r *Rows) Get(ctx context.Context, doc vector.Document) (Row, error) {
	row, _, err := r.get(ctx, doc)
	return row, err
}

func (r *Rows) get(ctx context.Context, doc vector.Document) (row Row, revision uint64, err error) {
	kv, err := r.bucket(ctx)
	if err != nil {
		return row, 0, err
	}
	entry, err := kv.Get(ctx, key(doc))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Row{V: event.Version}, 0, nil
	}
	if err != nil {
		return row, 0, unavailable(fmt.Errorf("reading the manifest of document %s: %w", doc.ID, err))
	}
	row, err = decode(entry.Value())
	return row, entry.Revision(), err
}

// Change applies change to the row by compare-and-set, again on a newer row when
// another process was faster, and returns the row as it is then. With ErrKeep
// nothing is written; another error of change is returned.
func (r *Rows) Change(ctx context.Context, doc vector.Document, change func(*Row) error) (Row, error) {
	for {
		row, revision, err := r.get(ctx, doc)
		if err != nil {
			return row, err
		}
		switch err := change(&row); {
		case errors.Is(err, ErrKeep):
			return row, nil
		case err != nil:
			return row, err
		}
		err = r.put(ctx, doc, row, revision)
		if err == nil || !bus.IsConflict(err) {
			return row, err
		}
	}
}

func (r *Rows) put(ctx context.Context, doc vector.Document, row Row, revision uint64) error {
	data, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("encoding the manifest of document %s: %w", doc.ID, err)
	}
	kv, err := r.bucket(ctx)
	if err != nil {
		return err
	}
	if revision == 0 {
		_, err = kv.Create(ctx, key(doc), data)
	} else {
		_, err = kv.Update(ctx, key(doc), data, revision)
	}
	if err == nil || bus.IsConflict(err) {
		return err
	}
	return unavailable(fmt.Errorf("writing the manifest of document %s: %w", doc.ID, err))
}

// Forget removes a tombstone; the row of a document that is there is kept.
func (r *Rows) Forget(ctx context.Context, doc vector.Document) error {
	row, revision, err := r.get(ctx, doc)
	if err != nil || revision == 0 || !row.Deleted || row.Pending != nil || row.Unsettled() {
		return err
	}
	kv, err := r.bucket(ctx)
	if err != nil {
		return err
	}
	err = kv.Purge(ctx, key(doc), jetstream.LastRevision(revision))
	if err == nil || bus.IsConflict(err) {
		return nil
	}
	return unavailable(fmt.Errorf("forgetting document %s: %w", doc.ID, err))
}

// All walks over the rows of a scope, of which empty fields don't narrow it, in
// no order. It ends at the first error.
func (r *Rows) All(ctx context.Context, scope vector.Scope) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		kv, err := r.bucket(ctx)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		watcher, err := kv.Watch(ctx, filter(scope), jetstream.IgnoreDeletes())
		if err != nil {
			yield(Entry{}, unavailable(fmt.Errorf("listing the manifest: %w", err)))
			return
		}
		defer func() {
			watcher.Stop() //nolint:errcheck // the connection may be gone
			go func() {    // the watcher ends when it is rid of what it holds
				for range watcher.Updates() {
				}
			}()
		}()
		for {
			select {
			case <-ctx.Done():
				yield(Entry{}, fmt.Errorf("listing the manifest: %w", context.Cause(ctx)))
				return
			case kvEntry, open := <-watcher.Updates():
				if !open {
					yield(Entry{}, unavailable(errors.New("listing the manifest: the connection was lost")))
					return
				}
				if kvEntry == nil { // all that was there
					return
				}
				e, err := entry(kvEntry)
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// Entry is a row and its document.
type Entry struct {
	Document vector.Document
	Row      Row
}

func entry(e jetstream.KeyValueEntry) (Entry, error) {
	parts := strings.Split(e.Key(), ".")
	if len(parts) != 3 {
		return Entry{}, fmt.Errorf("the manifest has a key %q, want <tenant>.<collection>.<document>", e.Key())
	}
	row, err := decode(e.Value())
	return Entry{
		Document: vector.Document{Scope: vector.Scope{Tenant: parts[0], Collection: parts[1]}, ID: parts[2]}, Row: row,
	}, err
}

func decode(data []byte) (Row, error) {
	var row Row
	if err := json.Unmarshal(data, &row); err != nil {
		return row, fmt.Errorf("decoding a row of the manifest: %w", err)
	}
	if row.V != event.Version {
		return row, event.Errorf(event.ClassUnsupported, "the manifest has version %d, this Weir reads %d", row.V, event.Version)
	}
	return row, nil
}

func key(doc vector.Document) string {
	return doc.Scope.Tenant + "." + doc.Scope.Collection + "." + doc.ID
}

func filter(scope vector.Scope) string {
	part := func(s string) string {
		if s == "" {
			return "*"
		}
		return s
	}
	return part(scope.Tenant) + "." + part(scope.Collection) + ".*"
}

func (r *Rows) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kv != nil {
		return r.kv, nil
	}
	kv, err := r.bus.KeyValue(ctx, bus.BucketDocuments)
	if err == nil {
		r.kv = kv
	}
	return kv, err
}

func unavailable(err error) error {
	return &event.Error{Class: event.ClassUnavailable, Message: err.Error(), Err: err}
}
