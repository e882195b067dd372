package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// sse is one server-sent event.
type sse struct{ name, id, data string }

// source is an open stream; what it sends comes on events, which is closed at its end.
type source struct {
	status int
	header http.Header
	events chan sse
	close  context.CancelFunc
}

// open makes a call that is answered with a stream.
func (r *rig) open(url string, c call) source {
	r.T.Helper()
	ctx, cancel := context.WithCancel(r.T.Context())
	r.T.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, c.method, url+c.path, strings.NewReader(c.body))
	if err != nil {
		r.T.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Weir-Tenant", stagetest.Tenant)
	for i := 0; i+1 < len(c.header); i += 2 {
		req.Header.Set(c.header[i], c.header[i+1])
	}
	res, err := http.DefaultClient.Do(req) //nolint:bodyclose // by the goroutine that reads it
	if err != nil {
		r.T.Fatal(err)
	}
	s := source{res.StatusCode, res.Header, make(chan sse, 1000), cancel}
	go func() {
		defer close(s.events)
		defer res.Body.Close() //nolint:errcheck // read only
		var e sse
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				e.name = value
			case "id":
				e.id = value
			case "data":
				e.data = value
			case "":
				if e != (sse{}) && !strings.HasPrefix(lines.Text(), ":") {
					s.events <- e
					e = sse{}
				}
			}
		}
	}()
	return s
}

// next is the next event, which must be of a name.
func (s source) next(t *testing.T, name string) sse {
	t.Helper()
	select {
	case e, ok := <-s.events:
		if !ok || e.name != name {
			t.Fatalf("got %+v (open: %v), want %s", e, ok, name)
		}
		return e
	case <-time.After(stagetest.Patience):
		t.Fatalf("no %s came", name)
	}
	return sse{}
}

func (s source) delta(t *testing.T, text string) string {
	t.Helper()
	e := s.next(t, "delta")
	if want, err := json.Marshal(map[string]string{"text": text}); err != nil || e.data != string(want) {
		t.Fatalf("got %+v, want %q", e, text)
	}
	return e.id
}

func (s source) ended(t *testing.T) {
	t.Helper()
	select {
	case e, ok := <-s.events:
		if ok {
			t.Fatalf("got %+v behind the end", e)
		}
	case <-time.After(stagetest.Patience):
		t.Fatal("the stream did not end")
	}
}

func (r *rig) token(id string, epoch int64, offset int, text string) {
	r.T.Helper()
	data, err := json.Marshal(event.Token{V: 1, ID: id, Type: event.TokenDelta, Epoch: epoch, Offset: offset, Text: text})
	if err != nil {
		r.T.Fatal(err)
	}
	r.publish(bus.Out{Subject: event.TokenSubject(stagetest.Tenant, id), Data: data})
}

func get(path string, header ...string) call { return call{method: "GET", path: path, header: header} }

// TestStream: from the beginning, from where another gateway stopped, and late.
func TestStream(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.submitted("q1")
	s := r.open(r.url, get("/v1/jobs/q1/stream?life=true"))
	if s.status != http.StatusOK || s.header.Get("Content-Type") != "text/event-stream" || s.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("got %d %v", s.status, s.header)
	}
	r.life("q1", event.Life{Type: event.LifePlanned})
	if e := s.next(t, "life"); !strings.Contains(e.data, `"planned"`) {
		t.Errorf("got %s", e.data)
	}
	r.token("q1", 1, 0, "A ")
	id := s.delta(t, "A ")
	r.token("q1", 2, 0, "A fun")
	s.next(t, "restart")
	again := s.delta(t, "A fun")

	other, url := r.gateway()
	behind := r.open(url, get("/v1/jobs/q1/stream", "Last-Event-ID", again))
	before := r.open(url, get("/v1/jobs/q1/stream?after="+id))
	before.next(t, "restart")
	before.delta(t, "A fun")
	lost := r.open(url, get("/v1/jobs/q1/stream", "Last-Event-ID", "77-1"))
	lost.next(t, "restart")
	lost.delta(t, "A fun")
	r.finish("q1", event.StatusOK)
	for _, s := range []source{s, behind, before, lost} {
		if id := s.delta(t, "ction."); id != client.PlaceEnd {
			t.Errorf("the end is at %q", id)
		}
		var result event.Result
		if err := json.Unmarshal([]byte(s.next(t, "done").data), &result); err != nil || result.Answer == nil || result.Answer.Text != "A function." {
			t.Errorf("got %+v, %v", result, err)
		}
		s.ended(t)
	}
	late := r.open("http://"+other.Addr(), get("/v1/jobs/q1/stream"))
	late.delta(t, "A function.")
	late.next(t, "done")
}

func TestStreamOfAFailedJob(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.submitted("q1")
	s := r.open(r.url, get("/v1/jobs/q1/stream"))
	r.finish("q1", event.StatusFailed)
	var problem struct {
		Status int
		Code   string
		Result event.Result
	}
	if err := json.Unmarshal([]byte(s.next(t, "error").data), &problem); err != nil || problem.Status != 400 || problem.Result.ID != "q1" {
		t.Errorf("got %+v, %v", problem, err)
	}
	s.ended(t)
}

// TestStreamRefuses: before the first byte, with a problem; a job of another tenant is
// one that does not exist.
func TestStreamRefuses(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.submitted("q1")
	for _, c := range []struct {
		call
		status int
		field  string
	}{
		{call{method: "GET", path: "/v1/jobs/none/stream"}, 404, "job"},
		{call{method: "GET", path: "/v1/jobs/q1/stream", tenant: "zeta"}, 404, "job"},
		{call{method: "GET", path: "/v1/jobs/*/stream"}, 400, "id"},
		{call{method: "GET", path: "/v1/jobs/%3E/stream"}, 400, "id"},
		{call{method: "GET", path: "/v1/jobs/q1/stream?after=x"}, 400, "after"},
		{call{method: "GET", path: "/v1/jobs/q1/stream?life=maybe"}, 400, "life"},
	} {
		if got := ask[refused](r, c.status, c.call); got.Field != c.field {
			t.Errorf("%s: got %+v", c.path, got)
		}
	}
}

// TestStreamLeft: a reader that goes away leaves the job, unless it asked otherwise.
func TestStreamLeft(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.submitted("stays")
	r.submitted("goes")
	stays, goes := r.open(r.url, get("/v1/jobs/stays/stream")), r.open(r.url, get("/v1/jobs/goes/stream?cancel_on_disconnect=true"))
	stays.close()
	goes.close()
	eventually(t, func() string {
		if known, err := r.s.client.Job(t.Context(), stagetest.Tenant, "goes"); err != nil || known.State != client.StateCanceled {
			return "the job was not canceled: " + string(known.State)
		}
		return ""
	})
	if known, err := r.s.client.Job(t.Context(), stagetest.Tenant, "stays"); err != nil || known.State != client.StateQueued {
		t.Errorf("got %+v, %v", known, err)
	}
}

// TestStreamEndsWithTheGateway: soon, so that readers find another one, and without
// canceling.
func TestStreamEndsWithTheGateway(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.submitted("q1")
	s := r.open(r.url, get("/v1/jobs/q1/stream?cancel_on_disconnect=true"))
	r.s.stop()
	s.ended(t)
	if known, err := r.s.client.Job(t.Context(), stagetest.Tenant, "q1"); err != nil || known.State != client.StateQueued {
		t.Errorf("got %+v, %v", known, err)
	}
}

// TestStreamBreaksBehindTheGateway: a stream that ends because the server of tokens is
// away is no reader that left.
func TestStreamBreaksBehindTheGateway(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.submitted("q1")
	if err := r.Bus.JetStream().DeleteStream(t.Context(), bus.StreamTokens); err != nil {
		t.Fatal(err)
	}
	r.open(r.url, get("/v1/jobs/q1/stream?cancel_on_disconnect=true", "Last-Event-ID", "5-1")).ended(t)
	if known, err := r.s.client.Job(t.Context(), stagetest.Tenant, "q1"); err != nil || known.State != client.StateQueued {
		t.Errorf("got %+v, %v", known, err)
	}
}
