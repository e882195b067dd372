package router

import (
	"context"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/lifecycle"
)

// sweepEvery is how often the questions of the semantic cache whose answers are gone
// are removed.
const sweepEvery = time.Hour

// sweep removes old questions, in one of the routers each hour.
func (l *learner) sweep(ctx context.Context) error {
	if err := lifecycle.Sleep(ctx, sweepEvery/4); err != nil || l.s.similar == nil {
		return err
	}
	longest := time.Duration(0)
	c := l.s.ports.Catalog.Current()
	for _, task := range c.Tasks() {
		if p, _ := c.Policy(task); p.Cache.Semantic {
			longest = max(longest, p.Cache.Exact.Std())
		}
	}
	if longest == 0 {
		return nil
	}
	kv, err := l.s.bus.KeyValue(ctx, bus.BucketCascade)
	if err != nil {
		return err
	}
	now, mine := l.s.p.Now(), false
	value := bus.Value[time.Time]{KV: kv, Key: "swept", Name: "the last sweep"}
	_, err = value.Change(ctx, func(at *time.Time) error {
		if mine = now.Sub(*at) >= sweepEvery; !mine {
			return bus.ErrKeep
		}
		*at = now
		return nil
	})
	if err != nil || !mine {
		return err
	}
	place, _, err := l.s.place(ctx)
	if err != nil {
		return err
	}
	_, err = l.s.similar.Sweep(ctx, place.Model, place.Dimension, now.Add(-longest))
	return err
}
