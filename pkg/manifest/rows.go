package manifest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// Rows reads and changes rows in the bucket bus.BucketDocuments, where a
// document's key is <tenant>.<collection>.<document>. It is safe for concurrent
// use.
type Rows struct{ bus *bus.Bus }

// NewRows returns the rows over b's bucket. It does no I/O.
func NewRows(b *bus.Bus) *Rows { return &Rows{bus: b} }

// Get returns a document's row; a document that was never heard of has an empty
// one.
func (r *Rows) Get(ctx context.Context, doc vector.Document) (Row, error) {
	value, err := r.value(ctx, doc)
	if err != nil {
		return Row{}, err
	}
	row, _, err := value.Get(ctx)
	return row, err
}

// Change changes the row, see [bus.Value.Change].
func (r *Rows) Change(ctx context.Context, doc vector.Document, change func(*Row) error) (Row, error) {
	value, err := r.value(ctx, doc)
	if err != nil {
		return Row{}, err
	}
	return value.Change(ctx, change)
}

func (r *Rows) value(ctx context.Context, doc vector.Document) (bus.Value[Row], error) {
	kv, err := r.bus.KeyValue(ctx, bus.BucketDocuments)
	return bus.Value[Row]{KV: kv, Key: key(doc), Name: "the manifest of document " + doc.ID, Decode: decode, None: Row{V: event.Version}}, err
}

// Forget removes a tombstone; the row of a document that is there is kept.
func (r *Rows) Forget(ctx context.Context, doc vector.Document) error {
	value, err := r.value(ctx, doc)
	if err != nil {
		return err
	}
	row, revision, err := value.Get(ctx)
	if err != nil || revision == 0 || !row.Deleted || row.Pending != nil || row.Unsettled() {
		return err
	}
	err = value.KV.Purge(ctx, value.Key, jetstream.LastRevision(revision))
	if err == nil || bus.IsConflict(err) {
		return nil
	}
	return event.Errorf(event.ClassUnavailable, "forgetting document %s: %w", doc.ID, err)
}

// All walks over the rows of a scope, of which empty fields don't narrow it, in
// no order. It ends at the first error.
func (r *Rows) All(ctx context.Context, scope vector.Scope) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		kv, err := r.bus.KeyValue(ctx, bus.BucketDocuments)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		watcher, err := kv.Watch(ctx, filter(scope), jetstream.IgnoreDeletes())
		if err != nil {
			yield(Entry{}, event.Errorf(event.ClassUnavailable, "listing the manifest: %w", err))
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
					yield(Entry{}, event.Errorf(event.ClassUnavailable, "listing the manifest: the connection was lost"))
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
	// At is when the row changed last.
	At time.Time
}

// pageBytes bounds the rows of a page, which may be large.
const pageBytes = 32 << 20

// Page returns up to limit rows of a tenant, of one collection unless scope's is "",
// that changed at since or later, the one that changed first first. It may be short;
// it is empty only when there are no more.
func (r *Rows) Page(ctx context.Context, scope vector.Scope, since time.Time, limit int) ([]Entry, error) {
	prefix := "$KV." + bus.BucketDocuments + "."
	page := bus.Page{Stream: "KV_" + bus.BucketDocuments, Subject: prefix + filter(scope), Since: since, Limit: limit, MaxBytes: pageBytes}
	messages, err := r.bus.Page(ctx, page)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(messages))
	for _, m := range messages {
		e := Entry{Row: Row{V: event.Version, Deleted: true}}
		if e.Document, err = documentOf(strings.TrimPrefix(m.Subject, prefix)); err != nil {
			return nil, err
		}
		if m.Header.Get("KV-Operation") == "" {
			if e.Row, err = decode(m.Data); err != nil {
				return nil, err
			}
		}
		e.At = m.Stored
		entries = append(entries, e)
	}
	return entries, nil
}

func entry(e jetstream.KeyValueEntry) (Entry, error) {
	doc, err := documentOf(e.Key())
	if err != nil {
		return Entry{}, err
	}
	row, err := decode(e.Value())
	return Entry{Document: doc, Row: row, At: e.Created()}, err
}

// documentOf is the document of a key.
func documentOf(key string) (vector.Document, error) {
	parts := strings.Split(key, ".")
	if len(parts) != 3 {
		return vector.Document{}, fmt.Errorf("the manifest has a key %q, want <tenant>.<collection>.<document>", key)
	}
	return vector.Document{Scope: vector.Scope{Tenant: parts[0], Collection: parts[1]}, ID: parts[2]}, nil
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
	return cmp.Or(scope.Tenant, "*") + "." + cmp.Or(scope.Collection, "*") + ".*"
}
