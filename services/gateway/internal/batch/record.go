package batch

import (
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

// record is what is noted of a batch while it runs.
type record = event.BatchRecord

// errNoBatch says that a tenant has no such batch.
var errNoBatch = errors.New("no such batch")

func recordOf(job *event.BatchJob, at time.Time) record {
	return record{V: event.Version, ID: job.ID, InputFile: job.InputFile, Endpoint: job.Endpoint, At: at.UTC(), Deadline: job.Deadline, Metadata: job.Metadata}
}

// value is the record of a batch in its bucket.
func (s *Service) value(ctx context.Context, tenant, id string) (bus.Value[record], error) {
	if event.CheckName("tenant", tenant) != nil || event.CheckName("batch", id) != nil {
		return bus.Value[record]{}, fmt.Errorf("batch %q: %w", short(id), errNoBatch)
	}
	kv, err := s.cfg.Bus.KeyValue(ctx, bus.BucketBatches)
	return bus.Value[record]{KV: kv, Key: event.JobKey(tenant, id), Name: "the record of batch " + id}, err
}

// note makes the record of a batch, unless it has one, which is returned.
func (s *Service) note(ctx context.Context, tenant string, r record) (record, error) {
	return s.change(ctx, tenant, r.ID, func(stored *record) error {
		if stored.ID != "" {
			return bus.ErrKeep
		}
		*stored = r
		return nil
	})
}

func (s *Service) change(ctx context.Context, tenant, id string, change func(*record) error) (record, error) {
	value, err := s.value(ctx, tenant, id)
	if err != nil {
		return record{}, err
	}
	return value.Change(ctx, change)
}

// get returns the record of a batch, or errNoBatch.
func (s *Service) get(ctx context.Context, tenant, id string) (record, error) {
	value, err := s.value(ctx, tenant, id)
	if err != nil {
		return record{}, err
	}
	r, revision, err := value.Get(ctx)
	if err == nil && revision == 0 {
		err = fmt.Errorf("batch %s: %w", id, errNoBatch)
	}
	return r, err
}

// records are those of a tenant's batches, the newest first.
func (s *Service) records(ctx context.Context, tenant string) ([]record, error) {
	if err := event.CheckName("tenant", tenant); err != nil {
		return nil, err
	}
	var found []record
	err := s.cfg.Bus.Each(ctx, bus.BucketBatches, event.JobKey(tenant, "*"), func(entry jetstream.KeyValueEntry) error {
		var r record
		if err := json.Unmarshal(entry.Value(), &r); err != nil {
			return fmt.Errorf("reading the record of batch %s: %w", entry.Key(), err)
		}
		found = append(found, r)
		return nil
	})
	slices.SortFunc(found, func(a, b record) int {
		if order := b.At.Compare(a.At); order != 0 {
			return order
		}
		return strings.Compare(b.ID, a.ID)
	})
	return found, err
}
