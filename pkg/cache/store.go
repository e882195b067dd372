package cache

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// opTimeout bounds one read or write of the bucket: a slow cache is none.
const opTimeout = 2 * time.Second

// Get returns the entry of a key, nil when there is none for the tenant. With an
// error, which is of the store, it is a miss too.
func (c *Cache) Get(ctx context.Context, tenant, key string) (*Entry, error) {
	name, err := subject(tenant, key)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	kv, err := c.bus.KeyValue(ctx, bus.BucketCache)
	if err != nil {
		return nil, err
	}
	found, err := kv.Get(ctx, name)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable("reading the cache", err)
	}
	e, _ := decode(found.Value(), tenant)
	return e, nil
}

// Put stores an entry for ttl, rounded up to whole seconds. It reports false when
// the entry is too large or its answer is not [Cacheable]: then nothing is
// stored. An entry that is there is replaced.
func (c *Cache) Put(ctx context.Context, key string, e Entry, ttl time.Duration) (stored bool, err error) {
	name, err := subject(e.Tenant, key)
	if err != nil {
		return false, err
	}
	if ttl <= 0 {
		return false, event.Invalid("ttl", "use a positive time", "is %s", ttl)
	}
	if !Cacheable(e.Answer) {
		return false, nil
	}
	e.V = EntryVersion
	if e.CreatedAt.IsZero() {
		e.CreatedAt = c.now().UTC()
	}
	data, err := json.Marshal(e)
	if err != nil {
		return false, event.Errorf(event.ClassInternal, "encoding an entry of the cache: %w", err)
	}
	if len(data) > c.maxBytes {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	if err := c.publish(ctx, name, data, jetstream.WithMsgTTL(seconds(ttl))); err != nil {
		return false, unavailable("storing in the cache", err)
	}
	return true, nil
}

// publish writes a key. KeyValue.Put and Update take no time to live.
func (c *Cache) publish(ctx context.Context, name string, data []byte, opts ...jetstream.PublishOpt) error {
	msg := &nats.Msg{Subject: "$KV." + bus.BucketCache + "." + name, Data: data}
	_, err := c.bus.JetStream().PublishMsg(ctx, msg, opts...)
	return err
}

// seconds rounds a time to live up to what the server counts in.
func seconds(ttl time.Duration) time.Duration {
	return (ttl + time.Second - 1).Truncate(time.Second)
}
