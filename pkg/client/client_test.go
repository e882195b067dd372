package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

var messages = []event.Message{{Role: "user", Content: "why?"}}

// TestGenerate: what is left out is filled in, and the pipeline can read it.
func TestGenerate(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	id, err := c.Generate(t.Context(), "acme", event.GenerateJob{Messages: messages})
	if err != nil {
		t.Fatal(err)
	}
	const subject = "weir.jobs.generate.interactive.acme"
	data, _ := lastJob(t, b, subject)
	job, err := event.DecodeGenerateJob(subject, data)
	if err != nil || job.ID != id || len(id) != 26 || !reflect.DeepEqual(job.Messages[0], messages[0]) {
		t.Errorf("id %q: got %+v, %v", id, job, err)
	}
	other, err := c.Generate(t.Context(), "acme", event.GenerateJob{Messages: messages})
	if err != nil || other == id {
		t.Errorf("got id %q, %v; want another than %q", other, err, id)
	}
}

func TestIngest(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	id, err := c.Ingest(t.Context(), "acme", event.IngestJob{Envelope: event.Envelope{ID: "j1", Lane: event.LaneBatch},
		Collection: "docs", Document: event.Document{ID: "d1", Data: []byte{0, 255}}})
	if err != nil || id != "j1" {
		t.Fatalf("got %q, %v", id, err)
	}
	const subject = "weir.jobs.ingest.batch.acme"
	data, _ := lastJob(t, b, subject)
	if job, err := event.DecodeIngestJob(subject, data); err != nil || job.ID != "j1" || string(job.Document.Data) != "\x00\xff" {
		t.Errorf("got %+v, %v", job, err)
	}
}

// TestSubmittingAgainDoesNothing: the id is the idempotency key of its tenant.
func TestSubmittingAgainDoesNothing(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	job := event.GenerateJob{Envelope: event.Envelope{ID: "j1"}, Messages: messages}
	for _, tenant := range []string{"acme", "acme", "zeta"} {
		if _, err := c.Generate(t.Context(), tenant, job); err != nil {
			t.Fatal(err)
		}
	}
	if _, n := lastJob(t, b, "weir.jobs.generate.interactive.zeta"); n != 2 {
		t.Errorf("%d jobs, want one of each tenant", n)
	}
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	addr := event.Address{Kind: event.KindGenerate, Lane: event.LaneBatch, Tenant: "acme"}
	const body = `{"v":7,"new":true}` // the pipeline checks it
	if err := c.Submit(t.Context(), addr, "", json.RawMessage(body)); err != nil {
		t.Fatal(err)
	}
	if data, _ := lastJob(t, b, addr.Subject()); string(data) != body {
		t.Errorf("got %s", data)
	}
	if err := c.Submit(t.Context(), addr, "", json.RawMessage(`{`)); err == nil {
		t.Error("broken JSON was taken")
	}
}

// TestBadNamesAreRefusedHere: before they become part of a subject.
func TestBadNamesAreRefusedHere(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	job := func(id string, lane event.Lane) event.GenerateJob {
		return event.GenerateJob{Envelope: event.Envelope{ID: id, Lane: lane}, Messages: messages}
	}
	for _, c := range []struct {
		field string
		call  func() error
	}{
		{"tenant", func() error { _, err := c.Generate(t.Context(), "*", job("", "")); return err }},
		{"tenant", func() error { _, err := c.Ingest(t.Context(), "", event.IngestJob{}); return err }},
		{"lane", func() error { _, err := c.Generate(t.Context(), "acme", job("", "express")); return err }},
		{"id", func() error { _, err := c.Generate(t.Context(), "acme", job("a.b", "")); return err }},
		{"kind", func() error { return c.Submit(t.Context(), event.Address{Kind: "x"}, "", nil) }},
		{"tenant", func() error { _, err := c.Result(t.Context(), "*", "j1"); return err }},
		{"job", func() error { _, err := c.Result(t.Context(), "acme", ">"); return err }},
		{"tenant", func() error { _, err := c.Await(t.Context(), "", "j1"); return err }},
		{"job", func() error { _, err := c.Await(t.Context(), "acme", "*"); return err }},
		{"tenant", func() error { _, err := c.Follow(t.Context(), "*", "j1", client.Follower{}); return err }},
		{"job", func() error { _, err := c.Follow(t.Context(), "acme", "", client.Follower{}); return err }},
	} {
		var e *event.Error
		if err := c.call(); !errors.As(err, &e) || e.Class != event.ClassInvalid || e.Field != c.field || e.Hint == "" {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 0 {
		t.Errorf("%d jobs were stored", n)
	}
}

func TestNoWeirHere(t *testing.T) {
	t.Parallel()
	c, err := client.New(bustest.Start(t).Connect())
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Generate(t.Context(), "acme", event.GenerateJob{Messages: messages})
	if e := event.AsError(err); e == nil || e.Class != event.ClassUnavailable || !strings.Contains(e.Hint, "a Weir service has started once") {
		t.Errorf("got %v", err)
	}
}

func TestResult(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	if _, err := c.Result(t.Context(), "acme", "j1"); !errors.Is(err, client.ErrNoResult) || !strings.Contains(err.Error(), "j1") {
		t.Errorf("got %v, want ErrNoResult", err)
	}
	answer(t, b, "j1", "because")
	r, err := c.Result(t.Context(), "acme", "j1")
	if err != nil || r.Answer == nil || r.Answer.Text != "because" {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := c.Result(t.Context(), "zeta", "j1"); !errors.Is(err, client.ErrNoResult) {
		t.Errorf("another tenant: got %v", err)
	}
	long := strings.Repeat("because ", bus.ClaimOver/4)
	answer(t, b, "j2", long)
	if r, err := c.Result(t.Context(), "acme", "j2"); err != nil || r.Answer.Text != long {
		t.Errorf("a long answer: got %v", err)
	}
}

// ending is what Await or Follow returned.
type ending struct {
	result event.Result
	err    error
}

func await(ctx context.Context, c *client.Client, job string) <-chan ending {
	ended := make(chan ending, 1)
	go func() {
		r, err := c.Await(ctx, "acme", job)
		ended <- ending{r, err}
	}()
	return ended
}

func TestAwait(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	answer(t, b, "before", "a")
	if end := next(t, await(t.Context(), c, "before")); end.err != nil || end.result.Answer.Text != "a" {
		t.Errorf("got %+v", end)
	}
	later := await(t.Context(), c, "later")
	answer(t, b, "later", "b")
	if end := next(t, later); end.err != nil || end.result.Answer.Text != "b" {
		t.Errorf("got %+v", end)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	never := await(ctx, c, "never")
	cancel(cause)
	if end := next(t, never); !errors.Is(end.err, cause) || !strings.Contains(end.err.Error(), "never") {
		t.Errorf("got %v", end.err)
	}
}

// TestAwaitSurvivesARestart: of the server, before the result is there.
func TestAwaitSurvivesARestart(t *testing.T) {
	t.Parallel()
	c, b, server := setup(t)
	ended := await(t.Context(), c, "j1")
	server.Restart()
	up(t, b)
	answer(t, b, "j1", "because")
	if end := next(t, ended); end.err != nil || end.result.Answer.Text != "because" {
		t.Errorf("got %+v", end)
	}
}

// TestAwaitLooksItself: a result that was stored while the connection was away
// is found without a notice.
func TestAwaitLooksItself(t *testing.T) {
	t.Parallel()
	c, b, server := setup(t)
	ended := await(t.Context(), c, "j1")
	answer(t, b, "j1", "because")
	server.Restart()
	if end := next(t, ended); end.err != nil || end.result.Answer.Text != "because" {
		t.Errorf("got %+v", end)
	}
}

// TestResultOfALaterVersion is refused, not misread.
func TestResultOfALaterVersion(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	store(t, b, event.StoreSubject("acme", "j1"), map[string]any{"v": 2, "answer": []string{"x"}})
	if end := next(t, await(t.Context(), c, "j1")); event.AsError(end.err) == nil || event.AsError(end.err).Class != event.ClassUnsupported {
		t.Errorf("got %v", end.err)
	}
}
