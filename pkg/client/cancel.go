package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// ErrFinished says that a job can't be canceled any more.
var ErrFinished = errors.New("the job is finished")

// Cancel stops a job, which need not be known yet, wherever it is: in its queue, at
// work, or waiting for its time. It returns the job's result: that it was canceled,
// by this call or an earlier one; with ErrFinished the one that it had before. The
// result is stored first, so no other can follow; the work stops soon after.
func (c *Client) Cancel(ctx context.Context, tenant, id string) (event.Result, error) {
	if err := checkJob(tenant, id); err != nil {
		return event.Result{}, err
	}
	record, err := c.record(ctx, tenant, id)
	if err != nil {
		return event.Result{}, err
	}
	if err := c.storeCanceled(ctx, tenant, id, record); err != nil {
		return event.Result{}, err
	}
	result, err := c.Result(ctx, tenant, id)
	if err != nil {
		return event.Result{}, err
	}
	if StateOf(result) != StateCanceled {
		return result, fmt.Errorf("job %s of tenant %s: %w", id, tenant, ErrFinished)
	}
	return result, c.mark(ctx, tenant, id)
}

// storeCanceled stores the result of a canceled job, unless it has one.
func (c *Client) storeCanceled(ctx context.Context, tenant, id string, record *event.Submission) error {
	now := c.now()
	env := event.Envelope{ID: id, Tenant: tenant}
	kind, since := event.KindGenerate, now
	if record != nil {
		env.Metadata, env.Webhook, kind, since = record.Metadata, record.Webhook, record.Kind, record.At
	}
	result := env.ResultOf(kind, now)
	result.Status = event.StatusFailed
	result.Error = &event.Error{Class: event.ClassCanceled, Message: "somebody asked for the job to stop"}
	result.Receipt.TotalMS = event.Milliseconds(now.Sub(since))
	data, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encoding the result of a canceled job: %w", err)
	}
	return c.bus.Publish(ctx, bus.Out{Subject: event.StoreSubject(tenant, id), Data: data})
}

// mark tells the stages to stop the job, and removes it where it waits for its time.
// The result is stored: a caller that sees an error here may call again.
func (c *Client) mark(ctx context.Context, tenant, id string) error {
	kv, err := c.bus.KeyValue(ctx, bus.BucketCancels)
	if err != nil {
		return err
	}
	if _, err := kv.Put(ctx, event.JobKey(tenant, id), []byte(c.now().UTC().Format(time.RFC3339))); err != nil {
		return event.Errorf(event.ClassUnavailable, "marking a job as canceled: %w", err)
	}
	stream, err := c.bus.JetStream().Stream(ctx, bus.StreamDelay)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(event.DelaySubject("jobs", tenant, id)))
	}
	if err != nil {
		return event.Errorf(event.ClassUnavailable, "removing a scheduled job: %w", err)
	}
	return nil
}
