package ledger

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// Row is one line of an answer to a Query.
type Row struct {
	Key string `json:"key"`
	Sum
}

// By is what a query adds up by.
type By string

// What a query can add up by.
const (
	ByTenant By = "tenant"
	ByModel  By = "model"
	ByJob    By = "job"
)

// Query asks what was spent.
type Query struct {
	By By
	// Since: by tenant or model from the beginning of its UTC day, by job from
	// that moment, and no longer back than lines are kept.
	Since time.Time
	// Tenant limits the answer to one; "" is all. Jobs are then named <tenant>/<job>.
	Tenant string
}

// Ask adds up what was spent, the most expensive row first.
func Ask(ctx context.Context, b *bus.Bus, q Query) ([]Row, error) {
	sums := map[string]*Sum{}
	add := func(key string, s Sum) {
		if sums[key] == nil {
			sums[key] = &Sum{}
		}
		sums[key].Add(s)
	}
	var err error
	switch q.By {
	case ByTenant, ByModel:
		err = q.totals(ctx, b, add)
	case ByJob:
		err = q.lines(ctx, b, add)
	default:
		err = event.Invalid("by", "use tenant, model or job", "unknown %q", q.By)
	}
	if err != nil {
		return nil, err
	}
	rows := make([]Row, 0, len(sums))
	for key, sum := range sums {
		rows = append(rows, Row{key, *sum})
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.CostNanoUSD, a.CostNanoUSD), cmp.Compare(a.Key, b.Key))
	})
	return rows, nil
}

// totals reads the totals of the query's days and tenants.
func (q Query) totals(ctx context.Context, b *bus.Bus, add func(string, Sum)) error {
	kv, err := b.KeyValue(ctx, bus.BucketSpend)
	if err != nil {
		return err
	}
	watcher, err := kv.Watch(ctx, "*."+cmp.Or(q.Tenant, "*")+".*", jetstream.IgnoreDeletes())
	if err != nil {
		return unavailable("reading totals", err)
	}
	defer watcher.Stop() //nolint:errcheck // read to the end
	for {
		select {
		case <-ctx.Done():
			return unavailable("reading totals", context.Cause(ctx))
		case entry, ok := <-watcher.Updates():
			if !ok || entry == nil {
				return nil
			}
			d, tenant, model, ok := parseTotalKey(entry.Key())
			if !ok || d < day(q.Since) {
				continue
			}
			total, err := decodeTotal(entry.Key(), entry.Value())
			if err != nil {
				return err
			}
			if q.By == ByModel {
				tenant = model
			}
			add(tenant, total.Sum)
		}
	}
}

// lines reads the query's lines, without their bodies.
func (q Query) lines(ctx context.Context, b *bus.Bus, add func(string, Sum)) error {
	since := q.Since
	r, err := openReader(ctx, b, bus.StreamLedger, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since, HeadersOnly: true,
		FilterSubject: "weir.ledger." + cmp.Or(q.Tenant, "*") + ".>",
	})
	if err != nil {
		return err
	}
	return r.each(ctx, func(msg message) (bool, error) {
		h, err := readHead(msg.Subject(), msg.Headers())
		if err != nil {
			return true, nil //nolint:nilerr // a foreign client's: it has no place in any sum
		}
		key := h.job
		if q.Tenant == "" {
			key = h.tenant + "/" + h.job
		}
		add(key, h.sum())
		return true, nil
	})
}
