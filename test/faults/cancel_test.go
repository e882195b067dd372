package faults

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/services/gateway"
)

// TestCancel: of the calls under way one is given up when its job is canceled over
// HTTP, and the provider sees its client go. What that may have cost is in the ledger,
// and the other calls go on.
func TestCancel(t *testing.T) {
	t.Parallel()
	r := start(t, options{sim: func(c *llmsim.Config) { c.TTFT = 10 * time.Second }, catalog: patient})
	cfg := gateway.DefaultConfig()
	cfg.Addr = "127.0.0.1:0"
	api, err := gateway.New(platform.Platform{NATS: r.nats.Connect()}, cfg, gateway.Ports{Catalog: r.models})
	if err != nil {
		t.Fatal(err)
	}
	run(t, api)
	jobs := r.submit("slow", 3)
	r.until("the calls are under way", func() bool { return r.primary.Ledger().InFlight == len(jobs) })

	begun := time.Now()
	r.cancel(api.Addr(), jobs[1], http.StatusOK)
	r.until("the provider sees the client go", func() bool { return r.primary.Ledger().ClientGone == 1 })
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("that took %s", took)
	}
	result := r.await(jobs[1:2])[0]
	if client.StateOf(result) != client.StateCanceled {
		t.Errorf("got %+v", result)
	}
	r.until("its call is booked", func() bool { sum := r.booked()[jobs[1]]; return sum.Calls == 1 && sum.Maybe == 1 })
	r.until("its messages are gone", func() bool {
		s, err := r.bus.JetStream().Stream(t.Context(), bus.StreamSteps)
		return err == nil && s.CachedInfo().State.Msgs == uint64(len(jobs)-1)
	})
	if record := r.primary.Ledger(); record.Requests != len(jobs) || record.InFlight != len(jobs)-1 {
		t.Errorf("the provider has %+v", record)
	}
	r.whole(r.await([]string{jobs[0], jobs[2]}))
	if gone := r.primary.Ledger().ClientGone; gone != 1 {
		t.Errorf("%d calls were given up, want 1", gone)
	}
	r.cancel(api.Addr(), jobs[0], http.StatusConflict)
	if health := r.await(jobs[:1])[0]; health.Status != event.StatusOK {
		t.Errorf("a finished job became %+v", health)
	}
}

// patient is a catalog whose calls may take as long as those of TestCancel.
func patient(text string) string {
	return strings.Replace(text, "timeouts: {ttft: 5s, idle: 5s, total: 20s}", "timeouts: {ttft: 1m, idle: 1m, total: 1m}", 1)
}

// cancel asks a gateway to stop a job.
func (r *rig) cancel(addr, job string, want int) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodDelete, fmt.Sprintf("http://%s/v1/jobs/%s", addr, job), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Weir-Tenant", tenant)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if res.StatusCode != want {
		r.t.Errorf("canceling %s: got %d, want %d", job, res.StatusCode, want)
	}
}
