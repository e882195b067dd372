package faults

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
)

var long = flag.Bool("long", false, "run the blackout for 60 s and the outage for 30 s")

// TestPresets: whatever the weather, each job has its whole answer, nothing is
// called again that must not be, and nothing is paid twice without a reason.
func TestPresets(t *testing.T) {
	t.Parallel()
	for _, preset := range []string{"calm", "bursty-429", "brownout", "flaky-stream", "bad-json", "quota-out", "slow-provider", "chaos"} {
		t.Run(preset, func(t *testing.T) {
			t.Parallel()
			r := start(t, options{faults: llmsim.Faults{Preset: preset}})
			results := r.await(r.submit(preset, 60))
			if preset != "bad-json" { // spoils the text inside of a whole answer, which only a schema could tell
				r.whole(results)
			}
			r.holds(llmsim.AssertSpec{MaxTruncatedAccepted: at(60), MaxForbiddenRetries: at(0), MaxDuplicateUnexplained: at(0), MaxAttempts: at(12)})
			if record := r.primary.Ledger(); preset == "quota-out" && record.Requests > 20 {
				t.Errorf("%d calls of a key without quota: it was not parked", record.Requests)
			} else if preset == "calm" && (record.Requests != 60 || record.DuplicatesPaid != 0) {
				t.Errorf("%d calls for 60 jobs, %d paid twice", record.Requests, record.DuplicatesPaid)
			}
		})
	}
}

// TestErrorsOfProviders: those that may pass are tried again, those that won't go
// to the fallback or end at once.
func TestErrorsOfProviders(t *testing.T) {
	t.Parallel()
	for preset, calls := range map[string]int{
		"openai.rate_limit": 2, "openai.server_error": 2, "openai.slow_down": 2, "html.502": 2, "anthropic.overloaded": 2, "tei.overloaded": 2,
		"openai.context_length": 1, "openai.too_large": 1,
	} {
		t.Run(preset, func(t *testing.T) {
			t.Parallel()
			r := start(t, options{faults: llmsim.Faults{Rules: []llmsim.Fault{
				{Name: "once", Match: llmsim.Match{FirstAttempts: 1}, Do: llmsim.Action{Preset: preset, RetryAfter: "none"}}}}})
			r.whole(r.await(r.submit("q", 3)))
			if n := r.primary.Requests(); n != 3*calls {
				t.Errorf("%d calls for 3 jobs, want %d each", n, calls)
			}
			r.holds(llmsim.AssertSpec{MaxForbiddenRetries: at(0)})
		})
	}
}

// TestLostResponse is the one way to pay twice: it is counted, in the receipt and
// in the ledger.
func TestLostResponse(t *testing.T) {
	t.Parallel()
	r := start(t, options{faults: llmsim.Faults{Rules: []llmsim.Fault{
		{Name: "lost", Match: llmsim.Match{Prob: 0.3, FirstAttempts: 1}, Do: llmsim.Action{LostResponse: true}}}}})
	results := r.await(r.submit("q", 40))
	r.whole(results)
	maybe := 0
	for _, got := range results {
		for _, a := range got.Receipt.Attempts {
			if a.MaybeBilled {
				maybe++
			}
		}
	}
	record := r.primary.Ledger()
	if record.Lost == 0 || maybe != record.Lost || record.DuplicatesUnexplained != 0 {
		t.Errorf("%d answers were lost, receipts count %d, unexplained payments %d", record.Lost, maybe, record.DuplicatesUnexplained)
	}
	rows, err := ledger.Ask(t.Context(), r.bus, ledger.Query{By: ledger.ByJob, Since: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	counted := 0
	for _, row := range rows {
		counted += int(row.Maybe)
	}
	if counted != record.Lost {
		t.Errorf("the ledger counts %d calls that may be billed, want %d", counted, record.Lost)
	}
}

// TestBlackout: the fallback answers soon after the breaker has opened, no job
// fails, and the traffic is back soon after the end.
func TestBlackout(t *testing.T) {
	t.Parallel()
	blackout := 6 * time.Second
	if *long {
		blackout = time.Minute
	}
	r := start(t, options{})
	life, err := r.bus.Conn().SubscribeSync("weir.events.acme.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.primary.SetFaults(llmsim.Faults{Rules: []llmsim.Fault{{Name: "down", Do: llmsim.Action{Preset: "html.502"}}}}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var ids []string
	submit := func(until time.Time, stop func() bool) {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for time.Now().Before(until) && !stop() {
			ids = append(ids, r.submit(fmt.Sprint("at-", time.Now().UnixNano()), 1)...)
			<-tick.C
		}
	}
	submit(began.Add(blackout), func() bool { return false })
	if err := r.primary.SetFaults(llmsim.Faults{}); err != nil {
		t.Fatal(err)
	}
	recovered := time.Now()
	calls := r.primary.Requests()
	submit(recovered.Add(45*time.Second), func() bool { return r.primary.Requests() > calls+10 })
	back := time.Since(recovered)
	results := r.await(ids)
	r.whole(results)
	if n := r.other.Requests(); n == 0 {
		t.Error("the fallback was never called")
	}
	first := time.Duration(0)
	for _, got := range results {
		if got.Status == event.StatusOK && got.Answer.Model == "large" {
			if after := got.FinishedAt.Sub(began); first == 0 || after < first {
				first = after
			}
		}
	}
	t.Logf("blackout of %s: first answer of the fallback after %s, traffic back %s after its end, %d jobs", blackout, first, back, len(ids))
	if first == 0 || first > 5*time.Second {
		t.Errorf("the fallback's first answer came after %s", first)
	}
	if back > 30*time.Second {
		t.Errorf("the traffic was back after %s", back)
	}
	if n, _, err := life.Pending(); n == 0 || err != nil {
		t.Errorf("nobody told why jobs waited: %v", err)
	}
}

// TestSharedStateOutOfReach: without it no call leaves, but those that had their
// place already; with it again the traffic resumes.
func TestSharedStateOutOfReach(t *testing.T) {
	t.Parallel()
	outage := 3 * time.Second
	if *long {
		outage = 30 * time.Second
	}
	r := start(t, options{sim: func(c *llmsim.Config) { c.TTFT = 20 * time.Millisecond },
		catalog: func(s string) string { return strings.Replace(s, "rpm: 60000", "rpm: 1200", 1) }})
	ids := r.submit("q", 100)
	for r.primary.Requests() < 10 {
		<-time.After(10 * time.Millisecond)
	}
	r.nats.Stop()
	<-time.After(time.Second) // places are reserved at most this far ahead here
	before := r.primary.Requests()
	<-time.After(outage)
	if n := r.primary.Requests() - before; n > 0 {
		t.Errorf("%d calls left without the shared state", n)
	}
	r.nats.Restart()
	r.whole(r.await(ids))
}

// TestClockOffsets: workers whose clocks differ by 3 s keep a limit of ten calls in
// each second together.
func TestClockOffsets(t *testing.T) {
	t.Parallel()
	r := start(t, options{
		offsets: [3]time.Duration{1500 * time.Millisecond, -1500 * time.Millisecond, 0},
		sim: func(c *llmsim.Config) {
			c.Limits = []llmsim.Limit{{Dim: llmsim.DimRPM, Cap: 600, Law: "sub", Sub: llmsim.Duration(time.Second)}}
		},
		catalog: func(s string) string {
			s = strings.Replace(s, "dialect: sim}", "dialect: sim, override: {limiter: {law: sub, sub: 1s}}}", 1)
			return strings.Replace(s, "limits: {rpm: 60000, tpm: 60000000}", "limits: {rpm: 600}", 1)
		}})
	began := time.Now()
	r.whole(r.await(r.submit("q", 60)))
	if record := r.primary.Ledger(); record.Statuses[429] > 1 { // one may slip into its neighbour on a busy machine
		t.Errorf("answers %v, want no 429", record.Statuses)
	}
	if took := time.Since(began); took < 5*time.Second {
		t.Errorf("60 calls took %s at 10 in a second", took)
	}
}

// TestCatalogEdits: a wrong one is refused and the old one stays, a right one is
// taken while jobs run.
func TestCatalogEdits(t *testing.T) {
	t.Parallel()
	r := start(t, options{})
	good, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	r.edit(strings.Replace(string(good), "fallback: [large]", "fallback: [nobody]", 1))
	for r.models.Err() == nil {
		<-time.After(10 * time.Millisecond)
	}
	r.whole(r.await(r.submit("old", 5)))
	changed := r.models.Changed()
	r.edit(strings.Replace(string(good), "input: 150, output: 600", "input: 300, output: 1200", 1))
	<-changed
	before, after := r.await([]string{"old-0"})[0].Receipt, r.await(r.submit("new", 1))[0].Receipt
	if before.CostNanoUSD == 0 || after.CostNanoUSD < 3*before.CostNanoUSD/2 || before.Attempts[0].Catalog == after.Attempts[0].Catalog {
		t.Errorf("receipts %+v and %+v, want the prices and the revision to differ", before, after)
	}
}

// TestTenantBudgets: a hard one fails jobs or holds them until it is raised.
func TestTenantBudgets(t *testing.T) {
	t.Parallel()
	with := func(policy string) func(string) string {
		return func(s string) string {
			return s + "tenants: [{id: acme, budget: {usd: \"0.000000001\", period: day, policy: " + policy + "}}]\n"
		}
	}
	t.Run("fail", func(t *testing.T) {
		t.Parallel()
		r := start(t, options{catalog: with("fail")})
		got := r.await(r.submit("q", 1))[0]
		if got.Status != event.StatusFailed || got.Error.Class != event.ClassQuota || r.primary.Requests() != 0 {
			t.Errorf("%d calls, result %+v", r.primary.Requests(), got.Error)
		}
	})
	t.Run("wait", func(t *testing.T) {
		t.Parallel()
		r := start(t, options{catalog: func(s string) string {
			return s + "tenants: [{id: acme, budget: {usd: \"0.001\", period: day, policy: wait}}]\n"
		}})
		// About 0.65 thousandths of a dollar may be taken by each call.
		ids := r.submit("q", 30)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		<-ctx.Done()
		n := r.primary.Requests()
		if n >= 30 {
			t.Fatal("the budget held nobody")
		}
		changed := r.models.Changed()
		text, err := os.ReadFile(r.file)
		if err != nil {
			t.Fatal(err)
		}
		r.edit(strings.Replace(string(text), `"0.001"`, `"10"`, 1))
		<-changed
		r.whole(r.await(ids))
	})
}
