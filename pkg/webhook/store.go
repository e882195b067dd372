package webhook

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// ErrNone says that the tenant has no such delivery.
var ErrNone = errors.New("no such delivery")

// Store keeps the records of deliveries, for as long as the results.
type Store struct {
	bus *bus.Bus
	now func() time.Time
}

// NewStore returns the store of a bus. It does no I/O.
func NewStore(b *bus.Bus, now func() time.Time) *Store { return &Store{bus: b, now: now} }

// value is the record of a delivery.
func (s *Store) value(ctx context.Context, tenant, id string) (bus.Value[Delivery], error) {
	kv, err := s.bus.KeyValue(ctx, bus.BucketDeliveries)
	return bus.Value[Delivery]{KV: kv, Key: event.JobKey(tenant, id), Name: "delivery " + id}, err
}

// Get returns a delivery of a tenant, or ErrNone.
func (s *Store) Get(ctx context.Context, tenant, id string) (Delivery, error) {
	if event.CheckName("tenant", tenant) != nil || event.CheckName("id", id) != nil {
		return Delivery{}, ErrNone
	}
	v, err := s.value(ctx, tenant, id)
	if err != nil {
		return Delivery{}, err
	}
	d, revision, err := v.Get(ctx)
	if err == nil && revision == 0 {
		err = ErrNone
	}
	return d, err
}

// Create keeps d unless it is there already, and returns what is.
func (s *Store) Create(ctx context.Context, d Delivery) (Delivery, error) {
	v, err := s.value(ctx, d.Tenant, d.ID)
	if err != nil {
		return d, err
	}
	return v.Change(ctx, func(stored *Delivery) error {
		if stored.ID != "" {
			return bus.ErrKeep
		}
		*stored = d
		return nil
	})
}

// Change changes a delivery that is there, over all that others change.
func (s *Store) Change(ctx context.Context, tenant, id string, change func(*Delivery) error) (Delivery, error) {
	v, err := s.value(ctx, tenant, id)
	if err != nil {
		return Delivery{}, err
	}
	return v.Change(ctx, func(d *Delivery) error {
		if d.ID == "" {
			return ErrNone
		}
		d.Changed = s.now().UTC()
		return change(d)
	})
}

// Query says which deliveries are wanted.
type Query struct {
	State State  // "" is any
	Job   string // "" is any
	Limit int    // 0 is 100
}

// Bounds of Query.Limit.
const (
	defaultLimit = 100
	MaxLimit     = 1000
)

// Validate names the part that can't be asked for.
func (q Query) Validate() error {
	if q.State != "" && !slices.Contains(States(), q.State) {
		return event.Invalid("state", "use waiting, delivered or dead", "got %q", q.State)
	}
	if q.Limit < 0 || q.Limit > MaxLimit {
		return event.Invalid("limit", fmt.Sprintf("use 1 to %d", MaxLimit), "got %d", q.Limit)
	}
	return nil
}

// List returns deliveries of a tenant, the newest first.
func (s *Store) List(ctx context.Context, tenant string, q Query) ([]Delivery, error) {
	if err := errors.Join(event.CheckName("tenant", tenant), q.Validate()); err != nil {
		return nil, err
	}
	found := []Delivery{}
	limit := cmp.Or(q.Limit, defaultLimit)
	err := s.bus.Each(ctx, bus.BucketDeliveries, event.JobKey(tenant, "*"), func(entry jetstream.KeyValueEntry) error {
		var d Delivery
		if json.Unmarshal(entry.Value(), &d) == nil && q.wants(&d) {
			found = append(found, d)
		}
		if len(found) > 4*MaxLimit {
			found = newest(found, limit)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return newest(found, limit), nil
}

func (q Query) wants(d *Delivery) bool {
	return (q.State == "" || d.State == q.State) && (q.Job == "" || d.Job == q.Job)
}

func newest(found []Delivery, limit int) []Delivery {
	slices.SortFunc(found, func(a, b Delivery) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	return found[:min(len(found), limit)]
}

// Redeliver has a delivery tried again from the beginning, whatever became of it.
func (s *Store) Redeliver(ctx context.Context, tenant, id string) (Delivery, error) {
	d, err := s.Get(ctx, tenant, id)
	if err != nil {
		return d, err
	}
	if d.Job != "" {
		there, err := s.bus.Finished(ctx, tenant, d.Job)
		if err != nil {
			return d, err
		}
		if !there {
			return d, event.Invalid("id", "results are kept for a while only", "the result of job %s is gone", d.Job)
		}
	}
	m := d.Due()
	m.Round, m.Since = d.Round+1, s.now().UTC()
	return d, s.publish(ctx, tenant, m)
}

// Send has a test event sent to a receiver: one of the tenant's endpoints or a URL.
func (s *Store) Send(ctx context.Context, tenant, to string) (Delivery, error) {
	if err := event.CheckName("tenant", tenant); err != nil {
		return Delivery{}, err
	}
	if to == "" || len(to) > event.MaxField {
		return Delivery{}, event.Invalid("to", fmt.Sprintf("name an endpoint, or a URL of at most %d bytes", event.MaxField), "has %d bytes", len(to))
	}
	now := s.now().UTC()
	d, err := s.Create(ctx, Delivery{V: event.Version, ID: "msg_" + event.NewID(now), Tenant: tenant, Type: Test, To: to,
		State: StateWaiting, Created: now, Changed: now, Since: now})
	if err != nil {
		return d, err
	}
	return d, s.publish(ctx, tenant, d.Due())
}

func (s *Store) publish(ctx context.Context, tenant string, m Due) error {
	out, err := m.Out(tenant)
	if err != nil {
		return err
	}
	return s.bus.Publish(ctx, out)
}

// TestBody is the payload of a test.
func TestBody(d *Delivery) ([]byte, error) {
	data, err := json.Marshal(Payload{Type: Test, Timestamp: d.Created, Data: map[string]string{"tenant": d.Tenant, "message": "a test of webhooks, sent because somebody asked for it"}})
	if err != nil {
		return nil, fmt.Errorf("encoding webhook: %w", err)
	}
	return data, nil
}

func unavailable(doing string, err error) error {
	return event.Errorf(event.ClassUnavailable, "%s: %w", doing, err)
}
