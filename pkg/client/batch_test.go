package client_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/file"
)

// TestBatch: a batch is one job of the batch lane, however often it is submitted.
func TestBatch(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	info, err := c.Upload(t.Context(), "acme", file.Info{Name: "in.jsonl", Purpose: "batch"}, strings.NewReader("{}\n"))
	if err != nil || info.Bytes != 3 {
		t.Fatalf("got %+v, %v", info, err)
	}
	r, _, err := c.Download(t.Context(), "acme", info.ID)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(r); err != nil || string(data) != "{}\n" || r.Close() != nil {
		t.Errorf("got %q, %v", data, err)
	}
	if _, err := c.File(t.Context(), "other", info.ID); !errors.Is(err, file.ErrNotFound) {
		t.Errorf("another tenant's: %v", err)
	}
	job := event.BatchJob{Envelope: event.Envelope{ID: "b1"}, InputFile: info.ID, Endpoint: "/v1/embeddings"}
	for range 3 {
		if id, err := c.Batch(t.Context(), "acme", job); err != nil || id != "b1" {
			t.Fatalf("got %q, %v", id, err)
		}
	}
	const subject = "weir.jobs.batch.batch.acme"
	data, stored := lastJob(t, b, subject)
	if got, err := event.DecodeBatchJob(subject, data); err != nil || got.InputFile != info.ID || stored != 1 {
		t.Errorf("got %+v, %v, %d jobs", got, err, stored)
	}
}

// TestCancelBatch: a batch that is known is asked to stop, once.
func TestCancelBatch(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	if err := c.CancelBatch(t.Context(), "acme", "b1"); !errors.Is(err, client.ErrNoJob) {
		t.Errorf("an unknown one: %v", err)
	}
	kv, err := b.KeyValue(t.Context(), bus.BucketBatches)
	if err != nil {
		t.Fatal(err)
	}
	record := bus.Value[event.BatchRecord]{KV: kv, Key: event.JobKey("acme", "b1")}
	if _, err := record.Change(t.Context(), func(r *event.BatchRecord) error { r.ID = "b1"; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := c.CancelBatch(t.Context(), "other", "b1"); !errors.Is(err, client.ErrNoJob) {
		t.Errorf("another tenant's: %v", err)
	}
	for range 2 {
		if err := c.CancelBatch(t.Context(), "acme", "b1"); err != nil {
			t.Fatal(err)
		}
	}
	if r, revision, err := record.Get(t.Context()); err != nil || r.CancelingAt.IsZero() || revision != 2 {
		t.Errorf("got %+v at %d, %v", r, revision, err)
	}
	answer(t, b, "b1", "done")
	if err := c.CancelBatch(t.Context(), "acme", "b1"); !errors.Is(err, client.ErrFinished) {
		t.Errorf("a finished one: %v", err)
	}
}
