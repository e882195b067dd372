package gateway

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// TestTimedAgain: a request with a key and a time limit that is sent again is the same
// job, for embeddings too, and when the gateway died before the job was in its stream.
func TestTimedAgain(t *testing.T) {
	t.Parallel()
	r := setup(t)
	embed := call{method: "POST", path: "/v1/embeddings", body: `{"model":"embed","input":"a","weir":{"timeout_ms":60000}}`, header: []string{"Idempotency-Key", "e1"}}
	for key, again := range map[string]call{"e1": embed, "c1": completion(`,"weir":{"timeout_ms":60000}`, "Idempotency-Key", "c1")} {
		waiting := []<-chan reply{r.later(again)}
		eventually(t, func() string {
			if record, err := r.s.intake.Known(t.Context(), stagetest.Tenant, key); err != nil || record == nil || !record.Stored {
				return key + " is not taken in"
			}
			return ""
		})
		waiting = append(waiting, r.later(again))
		r.unstore(key)
		waiting = append(waiting, r.later(again))
		r.finish(key, event.StatusOK)
		for n, w := range waiting {
			if got := <-w; got.status != http.StatusOK || got.header.Get("Weir-Job") != key {
				t.Errorf("%s, request %d: got %d %s", key, n, got.status, got.body)
			}
		}
	}
	if n := r.stored(bus.StreamJobs); n != 2 {
		t.Errorf("%d jobs, want one of each", n)
	}
}

// unstore has a job's record say what it says before the job is in its stream.
func (r *rig) unstore(id string) {
	r.T.Helper()
	kv, err := r.Bus.KeyValue(r.T.Context(), bus.BucketJobs)
	if err != nil {
		r.T.Fatal(err)
	}
	record, err := r.s.intake.Known(r.T.Context(), stagetest.Tenant, id)
	if err != nil {
		r.T.Fatal(err)
	}
	record.Stored = false
	data, err := json.Marshal(record)
	if err == nil {
		_, err = kv.Put(r.T.Context(), event.JobKey(stagetest.Tenant, id), data)
	}
	if err != nil {
		r.T.Fatal(err)
	}
}
