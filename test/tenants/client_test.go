package tenants

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tenant"
)

// TestATenantsUserWorks: what a tenant's NATS user can do, by the SDK and by hand,
// with the inbox that every client has.
func TestATenantsUserWorks(t *testing.T) {
	t.Parallel()
	r := start(t)
	nc := r.connect(r.victim)
	c := r.client(nc)
	told := make(chan *nats.Msg, 1000)
	for _, view := range []string{"weir.results.", "weir.events.", "weir.tokens.", "weir.live."} {
		if _, err := nc.ChanSubscribe(view+r.victim.id+".>", told); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	job, err := c.Ingest(ctx, r.victim.id, event.IngestJob{Collection: "docs", Document: event.Document{ID: "bridge", Source: "bridge.md",
		Text: "# The old bridge\n\nThe old bridge at Grenoble was built in 1876 by Marie Durand. It has five arches.\n"}})
	if err != nil {
		t.Fatal(err)
	}
	if result := r.await(c, r.victim.id, job); result.Status != event.StatusOK {
		t.Fatalf("ingesting: %+v", result)
	}
	large := r.await(c, r.victim.id, r.ingest(c, strings.Repeat("One line of a large document.\n", 20_000)))
	if large.Status != event.StatusOK {
		t.Fatalf("ingesting 600 KB: %+v, %v", large, large.Error)
	}
	reply, err := c.Query(ctx, r.victim.id, event.QueryRequest{Text: "Who built the old bridge at Grenoble?", RAG: event.RAG{Collection: "docs"}})
	if err != nil || len(reply.Hits) == 0 {
		t.Fatalf("query: %+v, %v", reply, err)
	}
	result := r.generate(c, r.victim.id, event.GenerateJob{Messages: []event.Message{{Role: "user", Content: "Who built the old bridge at Grenoble?"}},
		RAG: &event.RAG{Collection: "docs"}, Stream: true})
	if result.Status != event.StatusOK || !strings.Contains(result.Answer.Text, "Marie Durand") {
		t.Fatalf("result %+v", result)
	}
	seen := map[string]bool{}
	until(t, "all views of the job", func() bool {
		for len(told) > 0 {
			seen[strings.Split((<-told).Subject, ".")[1]] = true
		}
		return seen["results"] && seen["events"] && seen["tokens"] && seen["live"]
	})
	for _, view := range []struct{ stream, subject string }{
		{bus.StreamResults, event.ResultSubject(r.victim.id, result.ID)},
		{bus.StreamEvents, event.LifeSubject(r.victim.id, result.ID)}, {bus.StreamTokens, event.TokenSubject(r.victim.id, result.ID)}} {
		msg, err := nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+view.stream+"."+view.subject, nil)
		if err != nil || msg.Header.Get("Status") != "" || !json.Valid(msg.Data) {
			t.Errorf("reading %s by hand: %+v, %v", view.subject, msg, err)
		}
	}
}

func (r *rig) ingest(c *client.Client, text string) string {
	r.t.Helper()
	id, err := c.Ingest(r.t.Context(), r.victim.id, event.IngestJob{Collection: "large", Document: event.Document{ID: "large", Source: "l.txt", Text: text}})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// TestTenantsComeAndGo while Weir runs: a new one is let in, one that is removed is cut
// off, with its key refused.
func TestTenantsComeAndGo(t *testing.T) {
	t.Parallel()
	r := start(t)
	cut := make(chan struct{})
	old := r.connect(r.victim, nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(cut) }))
	if status, body := r.ask(r.victim, "GET", "/v1/jobs", nil); status != 200 {
		t.Fatalf("before: %d %s", status, body)
	}
	late := r.add("late")
	until(t, "the new tenant is let in over NATS", func() bool {
		nc, err := r.dial(late)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	if result := r.generate(r.client(r.connect(late)), late.id, event.GenerateJob{Messages: []event.Message{{Role: "user", Content: "Hello"}}}); result.Status != event.StatusOK {
		t.Errorf("the new tenant's job: %+v", result)
	}
	if status, body := r.ask(late, "GET", "/v1/jobs", nil); status != 200 {
		t.Errorf("the new tenant over HTTP: %d %s", status, body)
	}
	if old.IsClosed() {
		t.Error("another tenant was cut off by it")
	}
	f, err := tenant.OpenFile(r.file)
	if err == nil {
		err = f.Remove(r.victim.id)
	}
	if err == nil {
		err = f.Write()
	}
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the removed tenant's key is refused", func() bool { status, _ := r.ask(r.victim, "GET", "/v1/jobs", nil); return status == 401 })
	select {
	case <-cut:
	case <-t.Context().Done():
	}
	if _, err := r.dial(r.victim); err == nil {
		t.Error("the removed tenant may connect")
	}
}

// TestNotAllowed: jobs that come over NATS are refused what their tenant may not use.
func TestNotAllowed(t *testing.T) {
	t.Parallel()
	r := start(t)
	f, err := tenant.OpenFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	password, user, err := tenant.NewNATSUser("few")
	if err != nil {
		t.Fatal(err)
	}
	few := member{id: "few", user: "few", password: password}
	err = f.Add(catalog.Tenant{ID: few.id, NATS: []catalog.NATSUser{user}, Lanes: []event.Lane{event.LaneInteractive}, Models: []string{"small"}, Collections: []string{"docs"}})
	if err == nil {
		err = f.Write()
	}
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the tenant is let in", func() bool {
		nc, err := r.dial(few)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	c := r.client(r.connect(few))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	hello := []event.Message{{Role: "user", Content: "Hello"}}
	check := func(name, field string, result event.Result) {
		t.Helper()
		if field == "" && result.Status != event.StatusOK || field != "" && (result.Error == nil || result.Error.Class != event.ClassForbidden || result.Error.Field != field) {
			t.Errorf("%s: %+v, %v", name, result, result.Error)
		}
	}
	check("allowed", "", r.generate(c, few.id, event.GenerateJob{Messages: hello}))
	check("model", "model", r.generate(c, few.id, event.GenerateJob{Messages: hello, Model: "large"}))
	check("collection", "collection", r.generate(c, few.id, event.GenerateJob{Messages: hello, RAG: &event.RAG{Collection: "secret"}}))
	check("lane", "lane", r.generate(c, few.id, event.GenerateJob{Envelope: event.Envelope{Lane: event.LaneBatch}, Messages: hello}))
	for name, submit := range map[string]func() (string, error){
		"ingest": func() (string, error) {
			return c.Ingest(ctx, few.id, event.IngestJob{Collection: "secret", Document: event.Document{ID: "d", Text: "x"}})
		},
		"delete": func() (string, error) {
			return c.Delete(ctx, few.id, event.DeleteJob{Collection: "secret", Document: "d"})
		},
		"verify":  func() (string, error) { return c.Verify(ctx, few.id, event.VerifyJob{Collection: "secret"}) },
		"reindex": func() (string, error) { return c.Reindex(ctx, few.id, event.ReindexJob{Collection: "secret"}) },
	} {
		id, err := submit()
		if err != nil {
			t.Fatal(err)
		}
		check(name, "collection", r.await(c, few.id, id))
	}
	_, err = c.Query(ctx, few.id, event.QueryRequest{Text: "x", RAG: event.RAG{Collection: "secret"}})
	if e := event.AsError(err); err == nil || e.Class != event.ClassForbidden {
		t.Errorf("query: %v", err)
	}
}
