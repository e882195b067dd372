package gateway

import (
	"net/http"
	"testing"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.submitted("queued")
	r.life("running", event.Life{Type: event.LifePlanned, Stage: "router"})
	for _, id := range []string{"queued", "running"} {
		first := ask[job](r, http.StatusOK, call{method: "DELETE", path: "/v1/jobs/" + id})
		again := ask[job](r, http.StatusOK, call{method: "DELETE", path: "/v1/jobs/" + id})
		shown := ask[job](r, http.StatusOK, call{method: "GET", path: "/v1/jobs/" + id})
		for _, j := range []job{first, again, shown} {
			if j.Status != client.StateCanceled || j.Result == nil || j.Error == nil || j.Error.Class != event.ClassCanceled || !j.FinishedAt.Equal(first.FinishedAt) {
				t.Errorf("%s: got %+v", id, j)
			}
		}
	}
	if got := r.list("status=canceled"); len(got) != 1 || got[0] != "queued" {
		t.Errorf("listed %v", got)
	}
	r.finish("done", event.StatusOK)
	if e := ask[refused](r, http.StatusConflict, call{method: "DELETE", path: "/v1/jobs/done"}); e.Hint == "" {
		t.Errorf("got %+v", e)
	}
	ask[refused](r, http.StatusNotFound, call{method: "DELETE", path: "/v1/jobs/none"})
	if n := r.stored(bus.StreamResults); n != 3 {
		t.Errorf("%d results, want 3: an unknown job must not get one", n)
	}
	marks := r.stored("KV_" + bus.BucketCancels)
	if marks != 2 {
		t.Errorf("%d marks, want 2", marks)
	}
}

// TestCancelKeepsTheJobs: the result has what the job wants told of it.
func TestCancelKeepsTheJobs(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ask[job](r, http.StatusAccepted, call{method: "POST", path: "/v1/jobs", body: `{"id":"j1","kind":"embed","inputs":["a"],"webhook":"https://example.com/hook","metadata":{"a":"b"}}`})
	j := ask[job](r, http.StatusOK, call{method: "DELETE", path: "/v1/jobs/j1"})
	if j.Kind != event.KindEmbed || j.Result.Webhook != "https://example.com/hook" || j.Result.Metadata["a"] != "b" {
		t.Errorf("got %+v", j.Result)
	}
}

func TestCancelBatch(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ask[job](r, http.StatusAccepted, call{method: "POST", path: "/v1/jobs", body: `{"id":"b1","kind":"batch","lane":"batch","input_file":"f","endpoint":"/v1/jobs"}`})
	ask[refused](r, http.StatusConflict, call{method: "DELETE", path: "/v1/jobs/b1"})
	if r.stored(bus.StreamResults) != 0 {
		t.Error("the batch has a result")
	}
}
