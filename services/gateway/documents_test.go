package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/vector"
)

func TestIngest(t *testing.T) {
	t.Parallel()
	r := setup(t)
	type answer struct {
		Documents []ingested `json:"documents"`
		Accepted  int        `json:"accepted"`
	}
	several := call{method: "POST", path: "/v1/documents", header: []string{"Idempotency-Key", "load 1"},
		body: `{"collection":"docs","lane":"batch","documents":[{"id":"a","text":"A"},{"source":"b.md","text":"B"}]}`}
	first := ask[answer](r, http.StatusAccepted, several)
	again := ask[answer](r, http.StatusAccepted, several)
	if first.Accepted != 2 || first.Documents[0].Document != "a" || first.Documents[1].Document != event.DocumentID("b.md") ||
		!slices.Equal(first.Documents, again.Documents) || r.stored(bus.StreamJobs) != 2 {
		t.Errorf("got %+v, then %+v, and %d jobs", first, again, r.stored(bus.StreamJobs))
	}
	one := ask[answer](r, http.StatusAccepted, call{method: "POST", path: "/v1/documents", body: `{"id":"j1","collection":"docs","document":{"id":"c","text":"C"}}`})
	if one.Documents[0].Job != "j1" {
		t.Errorf("got %+v", one)
	}
	gone := ask[job](r, http.StatusAccepted, call{method: "DELETE", path: "/v1/documents/docs/c"})
	if shown := ask[job](r, http.StatusOK, call{method: "GET", path: "/v1/jobs/" + gone.ID}); shown.Kind != event.KindDelete || shown.Collection != "docs" {
		t.Errorf("got %+v", shown)
	}
}

// row makes a document known.
func (r *rig) row(tenant, collection, id string, version int64) {
	r.T.Helper()
	doc := vector.Document{Scope: vector.Scope{Tenant: tenant, Collection: collection}, ID: id}
	_, err := manifest.NewRows(r.Bus).Change(r.T.Context(), doc, func(row *manifest.Row) error {
		row.State = manifest.State{Version: version, Job: "j", Meta: vector.Meta{Title: "The " + id}, Created: time.Now(), Updated: time.Now()}
		return nil
	})
	if err != nil {
		r.T.Fatal(err)
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	r := setup(t)
	var want []string
	for n := range 9 {
		id := fmt.Sprint("d", n)
		want = append(want, id)
		r.row("acme", "docs", id, 1)
		r.row("bmce", "docs", "secret-"+id, 1)
	}
	r.row("acme", "other", "o1", 1)
	list := func(query string) (ids []string) {
		for cursor := ""; ; {
			page := ask[struct {
				Documents []document `json:"documents"`
				Next      string     `json:"next_cursor"`
			}](r, http.StatusOK, call{method: "GET", path: "/v1/documents?" + query + "&cursor=" + cursor})
			for _, d := range page.Documents {
				ids = append(ids, d.ID)
			}
			if cursor = page.Next; cursor == "" {
				return ids
			}
		}
	}
	if got := list("collection=docs&limit=2"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := list(""); !slices.Equal(got, append(want, "o1")) {
		t.Errorf("got %v", got)
	}
	d := ask[document](r, http.StatusOK, call{method: "GET", path: "/v1/documents/docs/d3"})
	if d.Title != "The d3" || d.Version != 1 {
		t.Errorf("got %+v", d)
	}
	for _, path := range []string{"/v1/documents/docs/secret-d3", "/v1/documents/docs/none"} {
		ask[refused](r, http.StatusNotFound, call{method: "GET", path: path})
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	r := setup(t)
	asked := call{method: "POST", path: "/v1/query", body: `{"text":"What?","collection":"docs","top_k":3}`}
	if e := ask[refused](r, http.StatusServiceUnavailable, asked); e.Hint != "start a router" {
		t.Errorf("got %+v", e)
	}
	sub, err := r.Bus.Conn().Subscribe(event.QueryRPC("*"), func(msg *nats.Msg) {
		q, err := event.Decode[event.QueryRequest](msg.Data)
		reply := event.QueryReply{V: 1, Hits: []event.QueryHit{{Source: event.Source{Document: "d", Text: q.Text + " " + event.TenantOf(msg.Subject)}}}}
		if err != nil {
			reply = event.QueryReply{V: 1, Failure: event.FailureOf(err)}
		}
		data, _ := json.Marshal(reply) // plain fields only
		msg.Respond(data)              //nolint:errcheck // the asker tells
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection is closed as well
	reply := ask[event.QueryReply](r, http.StatusOK, asked)
	if len(reply.Hits) != 1 || reply.Hits[0].Text != "What? acme" {
		t.Errorf("got %+v", reply)
	}
}
