package faults

import (
	"testing"

	"github.com/weir-dev/weir/embedded/llmsim"
)

// apart are the presets with a test of their own.
const apart = "blackout-60s"

// TestPresets: whatever the weather, each job has its whole answer, nothing is
// called again that must not be, and what is paid twice is counted.
func TestPresets(t *testing.T) {
	t.Parallel()
	for _, preset := range llmsim.FaultPresets() {
		if preset == apart {
			continue
		}
		t.Run(preset, func(t *testing.T) {
			t.Parallel()
			r := start(t, options{faults: llmsim.Faults{Preset: preset}})
			results := r.await(r.submit(preset, 100))
			r.whole(results)
			r.bounded(results)
			r.accounted(results)
			switch n := r.primary.Requests(); {
			case preset == "quota-out" && n > 20:
				t.Errorf("%d calls of a key without quota: it was not parked", n)
			case preset == "calm" && n != len(results):
				t.Errorf("%d calls for %d jobs", n, len(results))
			}
		})
	}
}

// TestLostResponse is the way to pay twice: it is counted, in the receipt and in
// the ledger.
func TestLostResponse(t *testing.T) {
	t.Parallel()
	r := start(t, options{faults: llmsim.Faults{Rules: []llmsim.Fault{
		{Name: "lost", Match: llmsim.Match{Prob: 0.3, FirstAttempts: 1}, Do: llmsim.Action{LostResponse: true}}}}})
	results := r.await(r.submit("q", 60))
	r.whole(results)
	r.bounded(results)
	if maybe, record := r.accounted(results), r.primary.Ledger(); record.Lost == 0 || maybe != record.Lost {
		t.Errorf("%d answers were lost, the receipts count %d", record.Lost, maybe)
	}
}
