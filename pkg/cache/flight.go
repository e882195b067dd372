package cache

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// leaderSuffix follows an entry's key in the key of its leader: the job that is
// at work on it.
const leaderSuffix = ".leader"

// watchFor is how long one watch of a key lasts before it is set up anew. The
// server shows for a minute that a key is gone (its marker), so a watch that was
// cut off for longer could miss it.
const watchFor = 30 * time.Second

// Lead makes job the one that answers for all identical requests in flight, for
// ttl, unless another is it. leader is the job that leads; lead says that it is
// this one. A job that leads already still does, for another ttl: it was
// delivered again, or needs longer. With an error nobody is known to lead: the
// caller goes on by itself.
func (c *Cache) Lead(ctx context.Context, tenant, key, job string, ttl time.Duration) (leader string, lead bool, err error) {
	name, err := leaderKey(tenant, key, job)
	if err != nil {
		return "", false, err
	}
	if ttl <= 0 {
		return "", false, event.Invalid("ttl", "use a positive time", "is %s", ttl)
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	kv, err := c.bus.KeyValue(ctx, bus.BucketCache)
	if err != nil {
		return "", false, err
	}
	for {
		_, err := kv.Create(ctx, name, []byte(job), jetstream.KeyTTL(seconds(ttl)))
		if err == nil {
			return job, true, nil
		}
		if !bus.IsConflict(err) {
			return "", false, unavailable("taking the lead", err)
		}
		held, err := kv.Get(ctx, name)
		switch {
		case absent(err):
			continue // it has just ended
		case err != nil:
			return "", false, unavailable("reading who leads", err)
		case string(held.Value()) != job:
			return string(held.Value()), false, nil
		}
		err = c.publish(ctx, name, []byte(job), jetstream.WithMsgTTL(seconds(ttl)), jetstream.WithExpectLastSequencePerSubject(held.Revision()))
		switch {
		case err == nil:
			return job, true, nil
		case !bus.IsConflict(err):
			return "", false, unavailable("keeping the lead", err)
		}
	}
}

// Release ends the lead of job, with or without an entry; those that wait take it
// up. It does nothing when another job leads.
func (c *Cache) Release(ctx context.Context, tenant, key, job string) error {
	name, err := leaderKey(tenant, key, job)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	kv, err := c.bus.KeyValue(ctx, bus.BucketCache)
	if err != nil {
		return err
	}
	held, err := kv.Get(ctx, name)
	switch {
	case absent(err):
		return nil
	case err != nil:
		return unavailable("reading who leads", err)
	case string(held.Value()) != job:
		return nil
	}
	err = kv.Purge(ctx, name, jetstream.LastRevision(held.Revision()), jetstream.PurgeTTL(time.Minute))
	if err != nil && !bus.IsConflict(err) {
		return unavailable("giving up the lead", err)
	}
	return nil
}

// Await waits for the entry of a key while a job leads. It returns the entry and
// true; or nil and false as soon as nobody leads and there is none: then call
// [Cache.Lead]. It waits as long as ctx lasts.
func (c *Cache) Await(ctx context.Context, tenant, key string) (*Entry, bool, error) {
	name, err := subject(tenant, key)
	if err != nil {
		return nil, false, err
	}
	for {
		e, state, err := c.watch(ctx, name, tenant)
		switch {
		case err != nil:
			return nil, false, err
		case state != flightOn:
			return e, state == flightDone, nil
		}
	}
}

// leaderKey is the key of the leader in the bucket.
func leaderKey(tenant, key, job string) (string, error) {
	name, err := subject(tenant, key)
	if err != nil {
		return "", err
	}
	return name + leaderSuffix, event.CheckName("job", job)
}

// flight is what a watch of a key has come to.
type flight int

const (
	flightOn   flight = iota // a job leads
	flightDone               // there is an entry
	flightFree               // nobody leads
)

// watch follows a key and its leader until there is an entry or no leader, or the
// watch has lasted long enough.
func (c *Cache) watch(ctx context.Context, name, tenant string) (*Entry, flight, error) {
	within, cancel := context.WithTimeout(ctx, watchFor)
	defer cancel()
	kv, err := c.bus.KeyValue(within, bus.BucketCache)
	if err != nil {
		return nil, flightFree, err
	}
	watcher, err := kv.WatchFiltered(within, []string{name, name + leaderSuffix})
	if err != nil {
		return nil, flightFree, watchError(ctx, err)
	}
	defer watcher.Stop() //nolint:errcheck // the watch is over
	known, leads := false, false
	for {
		select {
		case <-within.Done():
			return nil, flightOn, context.Cause(ctx) // nil when only the watch is over
		case update, open := <-watcher.Updates():
			switch {
			case !open && within.Err() == nil:
				return nil, flightFree, unavailable("watching the cache", jetstream.ErrConsumerDeleted)
			case !open:
				return nil, flightOn, context.Cause(ctx)
			case update == nil:
				known = true // what was there before the watch has been shown
			case update.Key() == name:
				if e, ok := shown(update, tenant); ok {
					return e, flightDone, nil
				}
			default:
				leads = update.Operation() == jetstream.KeyValuePut
			}
			if known && !leads {
				return nil, flightFree, nil
			}
		}
	}
}

// shown is the entry that an update brings.
func shown(update jetstream.KeyValueEntry, tenant string) (*Entry, bool) {
	if update.Operation() != jetstream.KeyValuePut {
		return nil, false
	}
	return decode(update.Value(), tenant)
}

func watchError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
		return cause
	}
	return unavailable("watching the cache", err)
}
