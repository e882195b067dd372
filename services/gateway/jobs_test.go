package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

func TestSubmitAndShow(t *testing.T) {
	t.Parallel()
	r := setup(t)
	out := r.do(r.url, call{method: "POST", path: "/v1/jobs", body: `{"kind":"generate","lane":"batch","messages":[{"role":"user","content":"Hello"}],"metadata":{"a":"b"}}`})
	if out.status != http.StatusAccepted || out.header.Get("X-Request-Id") == "" {
		t.Fatalf("got %d %s", out.status, out.body)
	}
	path := out.header.Get("Location")
	shown := ask[job](r, http.StatusOK, call{method: "GET", path: path})
	if shown.Status != client.StateQueued || shown.Kind != event.KindGenerate || shown.Lane != event.LaneBatch || shown.Metadata["a"] != "b" ||
		shown.SubmittedAt.IsZero() || shown.Links.Events != path+"/events" {
		t.Errorf("got %+v", shown)
	}
	msg := r.jobs()[0]
	if msg.Subject != "weir.jobs.generate.batch.acme" || !strings.Contains(string(msg.Data), `"v":1`) || strings.Contains(string(msg.Data), "kind") {
		t.Errorf("published %s to %s", msg.Data, msg.Subject)
	}
	r.life(shown.ID, event.Life{Type: event.LifePlanned, Stage: "router"})
	if shown = ask[job](r, http.StatusOK, call{method: "GET", path: path}); shown.Status != client.StateRunning {
		t.Errorf("got %+v", shown)
	}
	r.finish(shown.ID, event.StatusOK)
	shown = ask[job](r, http.StatusOK, call{method: "GET", path: path})
	if shown.Status != client.StateOK || shown.Result == nil || shown.Result.Answer.Text != "A function." || shown.FinishedAt.IsZero() {
		t.Errorf("got %+v", shown)
	}
	events := ask[struct{ Events []event.Life }](r, http.StatusOK, call{method: "GET", path: path + "/events"})
	if len(events.Events) != 1 || events.Events[0].Type != event.LifePlanned {
		t.Errorf("got %+v", events)
	}
}

// jobs are the messages in the intake.
func (r *rig) jobs() []*bus.Message {
	r.T.Helper()
	var all []*bus.Message
	s, err := r.Bus.JetStream().Stream(r.T.Context(), bus.StreamJobs)
	if err != nil {
		r.T.Fatal(err)
	}
	for n := s.CachedInfo().State.FirstSeq; n <= s.CachedInfo().State.LastSeq && n > 0; n++ {
		if msg, err := s.GetMsg(r.T.Context(), n); err == nil {
			all = append(all, &bus.Message{Subject: msg.Subject, Header: msg.Header, Data: msg.Data})
		}
	}
	return all
}

func TestScheduled(t *testing.T) {
	t.Parallel()
	r := setup(t)
	at := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	j := ask[job](r, http.StatusAccepted, call{method: "POST", path: "/v1/jobs", body: `{"id":"later","not_before":"` + at + `","messages":[{"role":"user","content":"Hello"}]}`})
	if j.Status != client.StateScheduled || j.NotBefore.IsZero() {
		t.Errorf("got %+v", j)
	}
	if j = ask[job](r, http.StatusOK, call{method: "GET", path: "/v1/jobs/later"}); j.Status != client.StateScheduled {
		t.Errorf("got %+v", j)
	}
}

// TestSameKeyAtOnce: three gateways, fifty posts with one key, one job.
func TestSameKeyAtOnce(t *testing.T) {
	t.Parallel()
	r := setup(t)
	urls := []string{r.url}
	for range 2 {
		_, url := r.gateway()
		urls = append(urls, url)
	}
	var mu sync.Mutex
	statuses := map[int]int{}
	var posts sync.WaitGroup
	for n := range 50 {
		posts.Go(func() {
			out, err := send(t.Context(), urls[n%3], call{method: "POST", path: "/v1/jobs", body: question, header: []string{"Idempotency-Key", "once"}})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[out.status]++
		})
	}
	posts.Wait()
	if statuses[http.StatusAccepted] != 1 || statuses[http.StatusOK] != 49 {
		t.Errorf("statuses %v, want 1 accepted and 49 duplicates", statuses)
	}
	if n := r.stored(bus.StreamJobs); n != 1 {
		t.Errorf("%d jobs, want 1", n)
	}
}

func TestSameID(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.submitted("j1")
	other := strings.Replace(question, "stage", "worker", 1)
	for name, c := range map[string]struct {
		status int
		call   call
	}{
		"the same":                  {http.StatusOK, call{body: question, header: []string{"Idempotency-Key", "j1"}}},
		"the same, quoted":          {http.StatusOK, call{body: question, header: []string{"Idempotency-Key", `"j1"`}}},
		"the same, in the body":     {http.StatusOK, call{body: `{"id":"j1","v":1,` + question[1:]}},
		"the same, spaced":          {http.StatusOK, call{body: strings.ReplaceAll(`{"id":"j1",`+question[1:], ",", " ,\n ")}},
		"both":                      {http.StatusOK, call{body: `{"id":"j1",` + question[1:], header: []string{"Idempotency-Key", "j1"}}},
		"both, different":           {http.StatusBadRequest, call{body: `{"id":"j1",` + question[1:], header: []string{"Idempotency-Key", "j2"}}},
		"another body":              {http.StatusConflict, call{body: other, header: []string{"Idempotency-Key", "j1"}}},
		"another kind":              {http.StatusConflict, call{body: `{"kind":"embed","inputs":["a"]}`, header: []string{"Idempotency-Key", "j1"}}},
		"another tenant":            {http.StatusAccepted, call{body: other, tenant: "bmce", header: []string{"Idempotency-Key", "j1"}}},
		"a key that can't be an id": {http.StatusAccepted, call{body: other, header: []string{"Idempotency-Key", "f81d4fae/7dec.*>"}}},
	} {
		c.call.method, c.call.path = "POST", "/v1/jobs"
		if out := r.do(r.url, c.call); out.status != c.status {
			t.Errorf("%s: got %d %s, want %d", name, out.status, out.body, c.status)
		}
	}
	again := ask[job](r, http.StatusOK, call{method: "POST", path: "/v1/jobs", body: other, header: []string{"Idempotency-Key", "f81d4fae/7dec.*>"}})
	if !strings.HasPrefix(again.ID, "key-") || event.CheckName("id", again.ID) != nil {
		t.Errorf("got id %q", again.ID)
	}
}

// TestResultIsADuplicate: the record is gone, the result is not.
func TestResultIsADuplicate(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.finish("old", event.StatusOK)
	j := ask[job](r, http.StatusOK, call{method: "POST", path: "/v1/jobs", body: question, header: []string{"Idempotency-Key", "old"}})
	if j.Status != client.StateOK || r.stored(bus.StreamJobs) != 0 {
		t.Errorf("got %+v, and %d jobs", j, r.stored(bus.StreamJobs))
	}
}

// TestKnownByEvents: a job that came over NATS has no record.
func TestKnownByEvents(t *testing.T) {
	t.Parallel()
	r := setup(t)
	if e := ask[refused](r, http.StatusNotFound, call{method: "GET", path: "/v1/jobs/wild"}); e.Code != "not_found" {
		t.Errorf("got %+v", e)
	}
	r.life("wild", event.Life{Type: event.LifeWaiting, Stage: "generator"})
	if j := ask[job](r, http.StatusOK, call{method: "GET", path: "/v1/jobs/wild"}); j.Status != client.StateRunning {
		t.Errorf("got %+v", j)
	}
	for _, path := range []string{"/v1/jobs/wild", "/v1/jobs/wild/events"} {
		unknown := r.do(r.url, call{method: "GET", path: strings.Replace(path, "wild", "gone", 1), tenant: "bmce"})
		others := r.do(r.url, call{method: "GET", path: path, tenant: "bmce"})
		if others.status != http.StatusNotFound || strings.ReplaceAll(string(others.body), "wild", "gone") != string(unknown.body) {
			t.Errorf("another tenant got %d %s, of none %s", others.status, others.body, unknown.body)
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	r := setup(t)
	var want []string
	for n := range 25 {
		id := fmt.Sprintf("j%02d", n)
		want = append(want, id)
		r.submitted(id)
		r.do(r.url, call{method: "POST", path: "/v1/jobs", body: question, tenant: "bmce", header: []string{"Idempotency-Key", "other-" + id}})
	}
	r.finish("j03", event.StatusOK)
	r.finish("j07", event.StatusFailed)
	r.life("j09", event.Life{Type: event.LifePlanned})
	if got := r.list("limit=7"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for query, want := range map[string][]string{
		"status=ok": {"j03"}, "status=failed": {"j07"}, "status=running&limit=1": {"j09"}, "status=canceled": nil, "kind=embed": nil,
		"since=" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339): nil,
	} {
		if got := r.list(query); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", query, got, want)
		}
	}
	for _, query := range []string{"status=no", "kind=no", "since=yesterday", "limit=0", "limit=101", "limit=x", "cursor=xyz", "cursor=!"} {
		ask[refused](r, http.StatusBadRequest, call{method: "GET", path: "/v1/jobs?" + query})
	}
}

// list are the ids of all pages.
func (r *rig) list(query string) []string {
	r.T.Helper()
	var ids []string
	for cursor := ""; ; {
		page := ask[jobList](r, http.StatusOK, call{method: "GET", path: "/v1/jobs?" + query + "&cursor=" + cursor})
		for _, j := range page.Jobs {
			ids = append(ids, j.ID)
		}
		if cursor = page.Next; cursor == "" {
			return ids
		}
	}
}

// TestFull: what the queue has no room for is refused with a time to come again.
func TestFull(t *testing.T) {
	t.Parallel()
	r := setup(t)
	limits := bus.DefaultLimits()
	limits.TenantJobs = 1
	if err := r.Bus.Ensure(t.Context(), limits); err != nil {
		t.Fatal(err)
	}
	r.submitted("j1")
	for _, tt := range []struct {
		status int
		code   string
		call   call
	}{
		{http.StatusServiceUnavailable, "queue_full", call{body: question}},
		{http.StatusServiceUnavailable, "queue_full", call{body: question, header: []string{"Idempotency-Key", "j2"}}},
		{http.StatusAccepted, "", call{body: question, tenant: "slow", header: []string{"Idempotency-Key", "s1"}}},
		{http.StatusOK, "", call{body: question, tenant: "slow", header: []string{"Idempotency-Key", "s1"}}},
		{http.StatusTooManyRequests, "rate_limited", call{body: question, tenant: "slow", header: []string{"Idempotency-Key", "s1"}}},
	} {
		tt.call.method, tt.call.path = "POST", "/v1/jobs"
		out := r.do(r.url, tt.call)
		if out.status != tt.status || !strings.Contains(string(out.body), tt.code) || tt.code != "" && out.header.Get("Retry-After") == "" {
			t.Errorf("got %d %s with Retry-After %q, want %d %s", out.status, out.body, out.header.Get("Retry-After"), tt.status, tt.code)
		}
	}
	ask[refused](r, http.StatusNotFound, call{method: "GET", path: "/v1/jobs/j2"})
	if got := r.list(""); !slices.Equal(got, []string{"j1"}) {
		t.Errorf("listed %v", got)
	}
}
