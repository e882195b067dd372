package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// watchPause is the wait before a watch that has ended begins anew.
const watchPause = time.Second

// Watch follows the keys of a bucket that match a pattern until ctx ends, over all
// outages of the server. It calls each with every value that is there, then known,
// and from then on each with every change; after an outage it does so again from the
// start. Both are called from one goroutine. An entry whose value is gone is not told.
func (b *Bus) Watch(ctx context.Context, bucket, keys string, each func(jetstream.KeyValueEntry), known func()) {
	for ctx.Err() == nil {
		if b.watch(ctx, bucket, keys, each, known) == nil {
			continue
		}
		timer := time.NewTimer(watchPause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// watch follows the keys until the connection was lost: the watch's own consumer is
// gone after a restart of the server, which the library notices only after some
// missed heartbeats.
func (b *Bus) watch(ctx context.Context, bucket, keys string, each func(jetstream.KeyValueEntry), known func()) error {
	reconnected := b.nc.StatusChanged(nats.CONNECTED)
	defer b.nc.RemoveStatusListener(reconnected)
	kv, err := b.KeyValue(ctx, bucket)
	if err != nil {
		return err
	}
	watcher, err := kv.Watch(ctx, keys, jetstream.IgnoreDeletes())
	if err != nil {
		return unavailable(fmt.Errorf("watching bucket %s: %w", bucket, err))
	}
	defer endWatch(watcher)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-reconnected:
			return nil
		case entry, ok := <-watcher.Updates():
			switch {
			case !ok:
				return errors.New("the watch has ended")
			case entry != nil:
				each(entry)
			case known != nil: // all that was there has come
				known()
			}
		}
	}
}
