package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// held is a record with its revision in the bucket.
type held struct {
	record   event.Submission
	revision uint64
}

// recordOut is the message that puts a job's record into the bucket.
func recordOut(c *Checked) (bus.Out, error) {
	data, err := json.Marshal(c.Record)
	if err != nil {
		return bus.Out{}, fmt.Errorf("encoding the record of a job: %w", err)
	}
	return bus.Out{Subject: "$KV." + bus.BucketJobs + "." + event.JobKey(c.Address.Tenant, c.ID), Data: data}, nil
}

// claim makes the record of a job, or returns the one that is there.
func (i *Intake) claim(ctx context.Context, c *Checked) (h held, known bool, err error) {
	kv, err := i.cfg.Bus.KeyValue(ctx, bus.BucketJobs)
	if err != nil {
		return held{}, false, err
	}
	data, err := json.Marshal(c.Record)
	if err != nil {
		return held{}, false, fmt.Errorf("encoding the record of a job: %w", err)
	}
	key := event.JobKey(c.Address.Tenant, c.ID)
	for {
		revision, err := kv.Create(ctx, key, data)
		if err == nil {
			return held{c.Record, revision}, false, nil
		}
		if !bus.IsConflict(err) {
			return held{}, false, event.Errorf(event.ClassUnavailable, "recording a job: %w", err)
		}
		entry, err := kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // it was taken back meanwhile
		}
		if err != nil {
			return held{}, false, event.Errorf(event.ClassUnavailable, "reading the record of a job: %w", err)
		}
		h := held{revision: entry.Revision()}
		if err := json.Unmarshal(entry.Value(), &h.record); err != nil {
			return held{}, false, fmt.Errorf("reading the record of job %s: %w", c.ID, err)
		}
		return h, true, nil
	}
}

// Known is the record of a job, whether it is in its stream or on its way there; nil
// without one. What a caller adds to a request must be the same in its repetition.
func (i *Intake) Known(ctx context.Context, tenant, id string) (*event.Submission, error) {
	kv, err := i.cfg.Bus.KeyValue(ctx, bus.BucketJobs)
	if err != nil {
		return nil, err
	}
	record, _, err := bus.Value[*event.Submission]{KV: kv, Key: event.JobKey(tenant, id), Name: "the record of job " + id}.Get(ctx)
	return record, err
}

// complete notes that a job is in its stream. Should that fail, a repetition finds
// the job by its dedupe id or result, and notes it.
func (i *Intake) complete(ctx context.Context, c *Checked, h held) {
	h.record.Stored = true
	data, err := json.Marshal(h.record)
	if err == nil {
		err = i.change(ctx, func(kv jetstream.KeyValue) error {
			key := event.JobKey(c.Address.Tenant, c.ID)
			_, err := kv.Update(ctx, key, data, h.revision)
			if bus.IsConflict(err) { // completed by another gateway, or taken back by it
				_, err = kv.Create(ctx, key, data)
			}
			return err
		})
	}
	i.warn(ctx, c, "completing the record of a job", err)
}

// disclaim takes back the record of a job, at revision or at any when that is 0, if
// the job was certainly not stored.
func (i *Intake) disclaim(ctx context.Context, c *Checked, revision uint64, cause error) {
	if !errors.Is(cause, bus.ErrFull) {
		return // it may be stored after all
	}
	i.warn(ctx, c, "taking back the record of a job", i.change(ctx, func(kv jetstream.KeyValue) error {
		var opts []jetstream.KVDeleteOpt
		if revision > 0 {
			opts = append(opts, jetstream.LastRevision(revision))
		}
		return kv.Delete(ctx, event.JobKey(c.Address.Tenant, c.ID), opts...)
	}))
}

// warn logs what went wrong with a record; the job itself is not touched by it.
func (i *Intake) warn(ctx context.Context, c *Checked, doing string, err error) {
	if err != nil && !bus.IsConflict(err) {
		i.cfg.Logger.WarnContext(ctx, "the record of a job is left as it is", "doing", doing, "tenant", c.Address.Tenant, "job", c.ID, "error", err)
	}
}

func (i *Intake) change(ctx context.Context, fn func(jetstream.KeyValue) error) error {
	kv, err := i.cfg.Bus.KeyValue(ctx, bus.BucketJobs)
	if err != nil {
		return err
	}
	return fn(kv)
}
