package client

import (
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
