package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/vector"
)

// Query asks what retrieval finds for a text in a tenant's collection, and why,
// without asking a model for an answer. It waits until ctx ends.
func (c *Client) Query(ctx context.Context, tenant string, q event.QueryRequest) (event.QueryReply, error) {
	var none event.QueryReply
	if err := event.CheckName("tenant", tenant); err != nil {
		return none, err
	}
	q.V = event.Version
	data, err := json.Marshal(q)
	if err != nil {
		return none, fmt.Errorf("encoding query: %w", err)
	}
	msg, err := c.bus.Conn().RequestWithContext(ctx, event.QueryRPC(tenant), data)
	if err != nil {
		e := event.Errorf(event.ClassUnavailable, "asking a router: %w", err)
		if errors.Is(err, nats.ErrNoResponders) {
			e.Hint = "start a router"
		}
		return none, e
	}
	reply, err := event.Decode[event.QueryReply](msg.Data)
	if err == nil {
		err = reply.Err()
	}
	return reply, err
}

// Document returns what is known of a document; its Version is 0 when nothing is.
func (c *Client) Document(ctx context.Context, tenant, collection, id string) (manifest.Row, error) {
	err := errors.Join(event.CheckName("tenant", tenant), event.CheckName("collection", collection), event.CheckName("document", id))
	if err != nil {
		return manifest.Row{}, err
	}
	return c.rows.Get(ctx, vector.Document{Scope: vector.Scope{Tenant: tenant, Collection: collection}, ID: id})
}

// Documents walks over a tenant's documents, those of one collection unless it is
// "", in no order. It ends at the first error.
func (c *Client) Documents(ctx context.Context, tenant, collection string) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		err := event.CheckName("tenant", tenant) // a wildcard would list everybody's
		if err == nil && collection != "" {
			err = event.CheckName("collection", collection)
		}
		if err != nil {
			yield(manifest.Entry{}, err)
			return
		}
		c.rows.All(ctx, vector.Scope{Tenant: tenant, Collection: collection})(yield)
	}
}

// DocumentFilter says which documents to list.
type DocumentFilter struct {
	// Collection is one of the tenant's, or "" for all.
	Collection string
	// Deleted lists what was removed, too.
	Deleted bool
	// Limit bounds the documents, 1 to MaxDocuments; 0 is 20.
	Limit int
	// Cursor is where the page before ended; "" is the start.
	Cursor string
}

// MaxDocuments bounds the documents of one page.
const MaxDocuments = 100

// DocumentPage lists documents of a tenant, those that changed last last, and returns
// the cursor of the next page: "" when there is none. A page may be short, or empty,
// and not be the last. What changes meanwhile may come twice, and is never left out.
func (c *Client) DocumentPage(ctx context.Context, tenant string, f DocumentFilter) (found []manifest.Entry, next string, err error) {
	if err := event.CheckName("tenant", tenant); err != nil {
		return nil, "", err
	}
	if f.Collection != "" {
		if err := event.CheckName("collection", f.Collection); err != nil {
			return nil, "", err
		}
	}
	if f.Limit < 0 || f.Limit > MaxDocuments {
		return nil, "", event.Invalid("limit", fmt.Sprintf("use 1 to %d", MaxDocuments), "got %d", f.Limit)
	}
	since, after, err := decodeCursor(f.Cursor)
	if err != nil {
		return nil, "", err
	}
	limit := cmp.Or(f.Limit, defaultJobs) + 1 // the one that the page before ended with comes again
	entries, err := c.rows.Page(ctx, vector.Scope{Tenant: tenant, Collection: f.Collection}, since, limit)
	if err != nil {
		return nil, "", err
	}
	if len(entries) > 0 && entries[0].At.Equal(since) && documentPlace(entries[0]) == after {
		entries = entries[1:]
	}
	if len(entries) == 0 {
		return nil, "", nil
	}
	entries = entries[:min(len(entries), limit-1)]
	for _, e := range entries {
		if !e.Row.Deleted || f.Deleted {
			found = append(found, e)
		}
	}
	last := entries[len(entries)-1]
	return found, encodeCursor(last.At, documentPlace(last)), nil
}

// documentPlace names a document in a cursor.
func documentPlace(e manifest.Entry) string {
	return event.ChunkHash(e.Document.Scope.Collection + "." + e.Document.ID)
}
