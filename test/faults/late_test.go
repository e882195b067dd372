package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/bus"
)

// TestLateAnswers: calls take longer than their workers give a sign of life, so
// others take the jobs over. The late answers change nothing: each job has one
// result, and its other calls are in the ledger as maybe billed.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	r := start(t, options{})
	r.whole(r.await(r.submit("before", 1))) // makes the tenant's consumers
	r.ackWithin(2 * time.Second)
	r.primary.Reset()
	if err := r.primary.SetFaults(llmsim.Faults{Rules: []llmsim.Fault{
		{Name: "late", Match: llmsim.Match{FirstAttempts: 1}, Do: llmsim.Action{Delay: llmsim.Duration(4 * time.Second)}}}}); err != nil {
		t.Fatal(err)
	}
	results, err := r.bus.Conn().SubscribeSync("weir.results." + tenant + ".*")
	if err != nil {
		t.Fatal(err)
	}
	const jobs = 20
	first := r.await(r.submit("q", jobs))
	r.whole(first)
	r.until("the late answers are there", func() bool { return r.primary.Ledger().InFlight == 0 })
	r.whole(r.await(r.submit("after", 1))) // by when they have been read
	if n, _, err := results.Pending(); n != jobs+1 || err != nil {
		t.Errorf("%d results (%v) of %d jobs", n, err, jobs+1)
	}
	for i, got := range r.await(r.submit("q", jobs)) {
		if got.FinishedAt != first[i].FinishedAt {
			t.Errorf("job %s has another result than before", got.ID)
		}
	}
	booked, calls := r.booked(), r.calls()
	for _, got := range first {
		n := int64(calls[got.ID]) // two, more on a busy machine
		if sum := booked[got.ID]; n < 2 || sum.Calls != n || sum.Maybe != n-1 {
			t.Errorf("job %s: the ledger has %+v, want %d calls, all but one of them maybe billed", got.ID, sum, n)
		}
	}
	if n := len(r.primary.Duplicates()); n != jobs {
		t.Errorf("%d jobs were paid twice, want %d", n, jobs)
	}
}

// ackWithin has the server deliver a generator's task again after d without a sign
// of life, which generators give for the usual time.
func (r *rig) ackWithin(d time.Duration) {
	r.t.Helper()
	ctx, js := r.t.Context(), r.bus.JetStream()
	stream, err := js.Stream(ctx, bus.StreamSteps)
	if err != nil {
		r.t.Fatal(err)
	}
	list, changed := stream.ListConsumers(ctx), 0
	for info := range list.Info() {
		if !strings.HasPrefix(info.Name, "generator-") {
			continue
		}
		info.Config.AckWait = d
		if _, err := stream.UpdateConsumer(ctx, info.Config); err != nil {
			r.t.Fatal(err)
		}
		changed++
	}
	if list.Err() != nil || changed == 0 {
		r.t.Fatalf("%d consumers changed, %v", changed, list.Err())
	}
}
