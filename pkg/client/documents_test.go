package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/vector"
)

// TestMaintenanceJobs: deletes, verifications and reindexes are stored as jobs
// that the pipeline can read, once per id.
func TestMaintenanceJobs(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	batch := event.Envelope{ID: "j1", Lane: event.LaneBatch}
	for kind, submit := range map[event.Kind]func(event.Envelope) (string, error){
		event.KindDelete: func(e event.Envelope) (string, error) {
			return c.Delete(t.Context(), "acme", event.DeleteJob{Envelope: e, Collection: "docs", Document: "d1", Version: 7})
		},
		event.KindVerify: func(e event.Envelope) (string, error) {
			return c.Verify(t.Context(), "acme", event.VerifyJob{Envelope: e, Collection: "docs", Fix: true})
		},
		event.KindReindex: func(e event.Envelope) (string, error) {
			return c.Reindex(t.Context(), "acme", event.ReindexJob{Envelope: e, Collection: "docs", Document: "d1"})
		},
	} {
		given := batch
		given.ID = string(kind)
		for range 2 {
			if id, err := submit(given); err != nil || id != string(kind) {
				t.Fatalf("%s: id %q, %v", kind, id, err)
			}
		}
		subject := event.Address{Kind: kind, Lane: event.LaneBatch, Tenant: "acme"}.Subject()
		data, _ := lastJob(t, b, subject)
		if got := read(t, kind, subject, data); got != string(kind)+" of docs" {
			t.Errorf("%s: the pipeline reads %q of %s", kind, got, data)
		}
		id, err := submit(event.Envelope{})
		if err != nil || len(id) != 26 {
			t.Errorf("%s without an id has the id %q, %v", kind, id, err)
		}
		if _, err := submit(event.Envelope{ID: "a.b"}); event.AsError(err) == nil || event.AsError(err).Field != "id" {
			t.Errorf("%s with a wrong id: %v", kind, err)
		}
	}
	if _, stored := lastJob(t, b, "weir.jobs.delete.interactive.acme"); stored != 6 {
		t.Errorf("%d jobs, want two of each kind", stored)
	}
}

// read is what the pipeline makes of a job.
func read(t *testing.T, kind event.Kind, subject string, data []byte) string {
	t.Helper()
	switch kind {
	case event.KindDelete:
		job, err := event.DecodeDeleteJob(subject, data)
		if err != nil || job.Document != "d1" || job.Version != 7 {
			return fmt.Sprintf("%+v, %v", job, err)
		}
		return job.ID + " of " + job.Collection
	case event.KindVerify:
		job, err := event.DecodeVerifyJob(subject, data)
		if err != nil || !job.Fix {
			return fmt.Sprintf("%+v, %v", job, err)
		}
		return job.ID + " of " + job.Collection
	default:
		job, err := event.DecodeReindexJob(subject, data)
		if err != nil || job.Document != "d1" {
			return fmt.Sprintf("%+v, %v", job, err)
		}
		return job.ID + " of " + job.Collection
	}
}

// router answers queries with one reply and returns what it is asked.
func router(t *testing.T, b *bus.Bus, answer any) <-chan *nats.Msg {
	t.Helper()
	data, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan *nats.Msg, 10)
	_, err = b.Conn().Subscribe(event.QueryRPC("*"), func(msg *nats.Msg) {
		asked <- msg
		if err := msg.Respond(data); err != nil {
			t.Error(err)
		}
	})
	if err == nil {
		err = b.Conn().Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return asked
}

func TestQuery(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	asked := router(t, b, event.QueryReply{V: 1, Hits: []event.QueryHit{{Source: event.Source{Number: 1, Document: "d1", Text: "Herons wait."}}}, Coverage: 0.5})
	reply, err := c.Query(t.Context(), "acme", event.QueryRequest{Text: "who waits?", RAG: event.RAG{Collection: "docs", TopK: 3, Readers: []string{"ann"}}})
	if err != nil || len(reply.Hits) != 1 || reply.Hits[0].Text != "Herons wait." || reply.Coverage != 0.5 {
		t.Errorf("got %+v, %v", reply, err)
	}
	msg := next(t, asked)
	request, err := event.Decode[event.QueryRequest](msg.Data)
	if err != nil || event.TenantOf(msg.Subject) != "acme" || request.Text != "who waits?" || request.Collection != "docs" || request.TopK != 3 ||
		!slices.Equal(request.Readers, []string{"ann"}) {
		t.Errorf("the router was asked %s on %s (%v)", msg.Data, msg.Subject, err)
	}
}

// TestQueryFails: the router's own error comes through with its class and wait; a
// reply that can't be read is no empty answer.
func TestQueryFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer any
		class  event.Class
		wait   time.Duration
	}{
		"its error":     {event.QueryReply{V: 1, Failure: event.Failure{Error: event.Errorf(event.ClassThrottled, "slow down"), RetryAfterMS: 1500}}, event.ClassThrottled, 1500 * time.Millisecond},
		"a later Weir":  {map[string]any{"v": 2, "hits": "none"}, event.ClassUnsupported, 0},
		"no object":     {"hello", event.ClassInvalid, 0},
		"of no version": {map[string]any{}, event.ClassUnsupported, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			weir, b, _ := setup(t)
			router(t, b, c.answer)
			_, err := weir.Query(t.Context(), "acme", event.QueryRequest{Text: "?"})
			if e := event.AsError(err); e == nil || e.Class != c.class || e.RetryAfter != c.wait {
				t.Errorf("got %v (wait %v), want %s after %s", err, e, c.class, c.wait)
			}
		})
	}
}

// TestQueryWithoutARouter: nobody there is said at once, with what to do; silence
// lasts as long as the context.
func TestQueryWithoutARouter(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	_, err := c.Query(t.Context(), "acme", event.QueryRequest{Text: "?"})
	if e := event.AsError(err); e == nil || e.Class != event.ClassUnavailable || e.Hint != "start a router" || !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := b.Conn().Subscribe(event.QueryRPC("*"), func(*nats.Msg) { cancel() }); err != nil {
		t.Fatal(err)
	}
	if err := b.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	_, err = c.Query(ctx, "acme", event.QueryRequest{Text: "?"})
	if e := event.AsError(err); !errors.Is(err, context.Canceled) || e.Class != event.ClassUnavailable || e.Hint != "" {
		t.Errorf("got %v", err)
	}
}

// keep stores a row of the manifest.
func keep(t *testing.T, b *bus.Bus, tenant, collection, id string, version int64) {
	t.Helper()
	doc := vector.Document{Scope: vector.Scope{Tenant: tenant, Collection: collection}, ID: id}
	_, err := manifest.NewRows(b).Change(t.Context(), doc, func(r *manifest.Row) error {
		r.Version = version
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	keep(t, b, "acme", "docs", "d1", 7)
	for id, want := range map[string]int64{"d1": 7, "d2": 0} {
		if row, err := c.Document(t.Context(), "acme", "docs", id); err != nil || row.Version != want {
			t.Errorf("%s: got %+v, %v; want version %d", id, row, err, want)
		}
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	keep(t, b, "acme", "docs", "d1", 1)
	keep(t, b, "acme", "docs", "d2", 2)
	keep(t, b, "acme", "wiki", "d3", 3)
	keep(t, b, "zeta", "docs", "d4", 4)
	for collection, want := range map[string]string{"docs": "d1 d2", "": "d1 d2 d3", "none": ""} {
		var got []string
		for e, err := range c.Documents(t.Context(), "acme", collection) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Document.ID)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("collection %q has %q, want %q", collection, got, want)
		}
	}
}

// TestWildcardsReadNothing: a name with one would read what is others'.
func TestWildcardsReadNothing(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	keep(t, b, "zeta", "docs", "d1", 1)
	router(t, b, event.QueryReply{V: 1})
	documents := func(c *client.Client, tenant, collection string) error {
		for e, err := range c.Documents(t.Context(), tenant, collection) {
			if err == nil {
				t.Errorf("tenant %q, collection %q: read %+v", tenant, collection, e.Document)
			}
			return err
		}
		return nil
	}
	for field, calls := range map[string][]func() error{
		"tenant": {
			func() error { _, err := c.Document(t.Context(), "*", "docs", "d1"); return err },
			func() error { return documents(c, "*", "docs") },
			func() error { return documents(c, "", "") },
			func() error { return documents(c, ">", "") },
			func() error { _, err := c.Query(t.Context(), "*", event.QueryRequest{Text: "?"}); return err },
			func() error { _, err := c.Delete(t.Context(), "", event.DeleteJob{}); return err },
			func() error { _, err := c.Verify(t.Context(), "*", event.VerifyJob{}); return err },
			func() error { _, err := c.Reindex(t.Context(), "a.b", event.ReindexJob{}); return err },
		},
		"collection": {
			func() error { _, err := c.Document(t.Context(), "zeta", "", "d1"); return err },
			func() error { return documents(c, "zeta", "*") },
		},
		"document": {
			func() error { _, err := c.Document(t.Context(), "zeta", "docs", ">"); return err },
		},
	} {
		for n, call := range calls {
			if e := event.AsError(call()); e == nil || e.Class != event.ClassInvalid || e.Field != field {
				t.Errorf("%s, call %d: got %v", field, n, e)
			}
		}
	}
}
