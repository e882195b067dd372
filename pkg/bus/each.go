package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// errEnded says that a watch ended before all keys were told.
var errEnded = errors.New("the connection was lost")

// Each calls fn with the entries of a bucket whose keys match a pattern, as they are
// now, until it returns an error.
func (b *Bus) Each(ctx context.Context, bucket, keys string, fn func(jetstream.KeyValueEntry) error) error {
	kv, err := b.KeyValue(ctx, bucket)
	if err != nil {
		return err
	}
	watcher, err := kv.Watch(ctx, keys, jetstream.IgnoreDeletes())
	if err != nil {
		return unavailable(fmt.Errorf("reading bucket %s: %w", bucket, err))
	}
	defer endWatch(watcher)
	for {
		select {
		case entry, open := <-watcher.Updates():
			switch {
			case !open:
				return unavailable(fmt.Errorf("reading bucket %s: %w", bucket, errEnded))
			case entry == nil: // that was all there is
				return nil
			}
			if err := fn(entry); err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("reading bucket %s: %w", bucket, context.Cause(ctx))
		}
	}
}

// endWatch stops a watcher, which ends when it is rid of what it holds.
func endWatch(watcher jetstream.KeyWatcher) {
	watcher.Stop() //nolint:errcheck // the connection may be gone
	go func() {
		for range watcher.Updates() {
		}
	}()
}
