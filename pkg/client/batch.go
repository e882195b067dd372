package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/file"
)

// MaxFileBytes bounds a file that is uploaded over NATS.
const MaxFileBytes = 1 << 30

// Upload stores a file of tenant, under the id of info or a new one. It needs a
// connection that may write to the bucket of files, which a tenant's own may not.
func (c *Client) Upload(ctx context.Context, tenant string, info file.Info, r io.Reader) (file.Info, error) {
	return c.files().Put(ctx, tenant, info, file.Limited{R: r, Limit: MaxFileBytes})
}

// Download returns a file's content, to be closed, and what is known of it, or
// file.ErrNotFound.
func (c *Client) Download(ctx context.Context, tenant, id string) (io.ReadCloser, file.Info, error) {
	return c.files().Open(ctx, tenant, id)
}

// File returns what is known of a file, or file.ErrNotFound.
func (c *Client) File(ctx context.Context, tenant, id string) (file.Info, error) {
	return c.files().Get(ctx, tenant, id)
}

func (c *Client) files() *file.Store { return file.NewStore(c.bus, c.now) }

// Batch submits a batch of tenant and returns its id. It runs in the batch lane unless
// the job says otherwise. Submitting an id again does nothing. Follow tells how far
// it is; its result names the files with what came of its lines.
func (c *Client) Batch(ctx context.Context, tenant string, job event.BatchJob) (string, error) {
	job.Lane = cmp.Or(job.Lane, event.LaneBatch)
	addr, err := c.address(event.KindBatch, tenant, &job.Envelope)
	if err != nil {
		return "", err
	}
	if known, err := c.told(ctx, tenant, job.ID); err != nil || known {
		return job.ID, err
	}
	if err := c.submit(ctx, addr, job.ID, &job); err != nil {
		return "", err
	}
	// A batch may wait for longer than its id is known to the queue.
	return job.ID, c.accepted(ctx, tenant, job.ID)
}

// accepted tells that a job is in its queue.
func (c *Client) accepted(ctx context.Context, tenant, job string) error {
	data, err := json.Marshal(event.Life{V: event.Version, ID: job, Type: event.LifeAccepted, At: c.now().UTC(), Stage: "client"})
	if err == nil {
		err = c.bus.Publish(ctx, bus.Out{Subject: event.LifeSubject(tenant, job), Data: data})
	}
	if err != nil {
		return fmt.Errorf("telling of job %s, which is submitted: %w", job, err)
	}
	return nil
}

// told reports whether anything was told of a job.
func (c *Client) told(ctx context.Context, tenant, job string) (bool, error) {
	_, err := c.Result(ctx, tenant, job)
	if !errors.Is(err, ErrNoResult) {
		return err == nil, err
	}
	life, err := c.bus.Last(ctx, bus.StreamEvents, event.LifeSubject(tenant, job))
	return life != nil, err
}

// CancelBatch asks for a batch to stop. It ends soon, with the files of what was done;
// a batch that nobody has taken up yet ends as soon as it is. With ErrFinished it has
// ended already, with ErrNoJob there is none.
func (c *Client) CancelBatch(ctx context.Context, tenant, id string) error {
	if err := checkJob(tenant, id); err != nil {
		return err
	}
	if _, err := c.Result(ctx, tenant, id); err == nil {
		return fmt.Errorf("batch %s of tenant %s: %w", id, tenant, ErrFinished)
	} else if !errors.Is(err, ErrNoResult) {
		return err
	}
	kv, err := c.bus.KeyValue(ctx, bus.BucketBatches)
	if err != nil {
		return err
	}
	record := bus.Value[event.BatchRecord]{KV: kv, Key: event.JobKey(tenant, id), Name: "the record of batch " + id}
	_, err = record.Change(ctx, func(r *event.BatchRecord) error {
		switch {
		case r.ID == "":
			return fmt.Errorf("batch %s of tenant %s: %w", id, tenant, ErrNoJob)
		case !r.CancelingAt.IsZero():
			return bus.ErrKeep
		}
		r.CancelingAt = c.now().UTC().Truncate(time.Millisecond)
		return nil
	})
	return err
}
