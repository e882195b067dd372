package why_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/why"
)

// TestSituations: in each, the cause and its name are those that hold the job.
func TestSituations(t *testing.T) {
	t.Parallel()
	soon := func(d time.Duration) time.Time { return time.Now().Add(d).UTC() }
	for _, tc := range []struct {
		name  string
		stage func(r *rig) (tenant string)
		cause event.WaitCause
		of    string
	}{
		{"requests a minute", func(r *rig) string {
			r.workers()
			r.saturate("small", 10)
			r.accepted("acme", "q", event.Submission{Model: "small"})
			return "acme"
		}, event.WaitLimit, "sim.small rpm"},
		{"tokens a minute", func(r *rig) string {
			r.workers()
			r.saturate("wordy", 500)
			r.accepted("acme", "q", event.Submission{Model: "wordy"})
			return "acme"
		}, event.WaitLimit, "sim.wordy tpm"},
		{"breaker open", func(r *rig) string {
			r.workers()
			r.calls("plain", event.Errorf(event.ClassUnavailable, "503"))
			r.accepted("acme", "q", event.Submission{Model: "plain"})
			return "acme"
		}, event.WaitBreaker, "sim/plain"},
		{"key parked", func(r *rig) string {
			r.workers()
			r.calls("plain", event.Errorf(event.ClassAuth, "the key is refused"))
			r.accepted("acme", "q", event.Submission{Model: "plain"})
			return "acme"
		}, event.WaitBreaker, "sim"},
		{"no quota left", func(r *rig) string {
			r.workers()
			r.calls("plain", event.Errorf(event.ClassQuota, "no credit"))
			r.accepted("acme", "q", event.Submission{Model: "plain"})
			return "acme"
		}, event.WaitBreaker, "sim/plain"},
		{"budget used up", func(r *rig) string {
			r.workers()
			r.spent("poor", 1_000_000)
			r.accepted("poor", "q", event.Submission{Model: "plain"})
			return "poor"
		}, event.WaitBudget, "poor"},
		{"another tenant's share", func(r *rig) string {
			r.workers()
			for range 20 {
				r.publish(event.GenerateSubject("plain", event.LaneInteractive, "globex"))
			}
			r.publish(event.GenerateSubject("plain", event.LaneInteractive, "acme"))
			r.accepted("acme", "q", event.Submission{Model: "plain"})
			return "acme"
		}, event.WaitShare, "others"},
		{"own backlog", func(r *rig) string {
			r.workers()
			for range 20 {
				r.publish(event.GenerateSubject("plain", event.LaneInteractive, "acme"))
			}
			r.publish(event.GenerateSubject("plain", event.LaneInteractive, "globex"))
			r.accepted("acme", "q", event.Submission{Model: "plain"})
			return "acme"
		}, event.WaitShare, "acme"},
		{"not yet", func(r *rig) string {
			r.accepted("acme", "q", event.Submission{Model: "plain", NotBefore: soon(time.Hour)})
			return "acme"
		}, event.WaitSchedule, "not_before"},
		{"no workers of the first stage", func(r *rig) string {
			r.accepted("acme", "q", event.Submission{Model: "plain"})
			return "acme"
		}, event.WaitWorkers, "router"},
		{"no workers of the model", func(r *rig) string {
			r.accepted("acme", "q", event.Submission{Model: "plain"})
			r.publish(event.GenerateSubject("plain", event.LaneInteractive, "acme"))
			r.life("acme", "q", event.Life{Type: event.LifePlanned, Stage: "router"})
			return "acme"
		}, event.WaitWorkers, "generator-plain"},
		{"an identical job", func(r *rig) string {
			r.accepted("acme", "q", event.Submission{Model: "plain"})
			r.life("acme", "q", event.Life{Type: event.LifeWaiting, Stage: "router", Detail: "job q0 asks the same", Wait: &event.Wait{Cause: event.WaitFlight, Name: "q0"}})
			return "acme"
		}, event.WaitFlight, "q0"},
		{"another try", func(r *rig) string {
			r.accepted("acme", "q", event.Submission{Model: "plain"})
			r.life("acme", "q", event.Life{Type: event.LifeRetrying, Stage: "generator", RetryMS: 60_000, Error: event.Errorf(event.ClassUnavailable, "503")})
			return "acme"
		}, event.WaitRetry, "generator"},
		{"the deadline is too near", func(r *rig) string {
			r.workers()
			r.calls("plain", event.Errorf(event.ClassQuota, "no credit"))
			r.accepted("acme", "q", event.Submission{Model: "plain", Deadline: soon(time.Minute)})
			return "acme"
		}, event.WaitDeadline, "sim/plain"},
		{"its turn, in the router's words; the limit, in truth", func(r *rig) string {
			r.workers()
			r.saturate("small", 10)
			r.accepted("acme", "q", event.Submission{Model: "small"})
			r.life("acme", "q", event.Life{Type: event.LifeWaiting, Stage: "router", Wait: &event.Wait{Cause: event.WaitShare, Name: "acme"}})
			return "acme"
		}, event.WaitLimit, "sim.small rpm"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := setup(t)
			tenant := tc.stage(r)
			t.Log(r.wants(tenant, "q", tc.cause, tc.of).Text)
		})
	}
}

// TestNothing: a job that nothing holds, or that is done, is held by nothing.
func TestNothing(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.workers()
	r.accepted("acme", "q", event.Submission{Model: "plain"})
	if got := r.why("acme", "q"); got != nil {
		t.Errorf("got %+v, want nothing", got)
	}
	if _, err := r.client.Cancel(r.ctx, "acme", "q"); err != nil {
		t.Fatal(err)
	}
	if got := r.why("acme", "q"); got != nil {
		t.Errorf("a job with a result: got %+v, want nothing", got)
	}
}

// TestOld: what was told too long ago, and is over, is believed no more.
func TestOld(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.workers()
	r.accepted("acme", "q", event.Submission{Model: "plain"})
	out := event.Life{Type: event.LifeRetrying, Stage: "generator", RetryMS: 1, Wait: &event.Wait{Cause: event.WaitRetry, Name: "generator"}}
	job, err := r.client.Job(r.ctx, "acme", "q")
	if err != nil {
		t.Fatal(err)
	}
	out.At = time.Now().Add(-time.Hour)
	job.Last = &out
	reason, err := r.forecast.Explain(r.ctx, "acme", job)
	if err != nil || reason != nil {
		t.Errorf("got %+v, %v, want nothing", reason, err)
	}
}

// TestPosition: where a job stands is told by when it came.
func TestPosition(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.workers()
	for i := range 20 {
		r.accepted("acme", fmt.Sprint("q", i), event.Submission{Model: "plain"})
	}
	stream, err := r.bus.JetStream().Stream(r.ctx, bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	first, err1 := stream.GetMsg(r.ctx, 1)
	last, err2 := stream.GetMsg(r.ctx, 20)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for share, want := range map[float64]int{0.25: 6, 0.75: 15, 1: 20, 7: 20} {
		at := first.Time.Add(time.Duration(share * float64(last.Time.Sub(first.Time))))
		got, err := r.forecast.Explain(r.ctx, "acme", client.Job{ID: "q", State: client.StateQueued, Kind: event.KindGenerate,
			Record: &event.Submission{Model: "plain", Lane: event.LaneInteractive, At: at}})
		if err != nil || got == nil || got.Cause != event.WaitShare || got.Name != "acme" || got.Position != want {
			t.Errorf("at %g of the time: %+v (%v), want number %d of the tenant's", share, got, err, want)
		}
	}
}

// TestOutlook: what is to be submitted starts after what is before it, by the limits.
func TestOutlook(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.workers()
	now := time.Now()
	got := r.outlook(why.Work{Tenant: "acme", Kind: event.KindGenerate, Lane: event.LaneInteractive, Models: []string{"plain"}})
	if got.Reason != nil || got.Expected.Before(now) || got.Expected.After(time.Now()) {
		t.Errorf("with nothing there: %+v, want a start now", got)
	}
	for range 30 {
		r.publish(event.GenerateSubject("small", event.LaneInteractive, "acme"))
	}
	got = r.outlook(why.Work{Tenant: "acme", Kind: event.KindGenerate, Lane: event.LaneInteractive, Models: []string{"small"}})
	if wait := got.Expected.Sub(now); got.Ahead != 30 || wait < 25*time.Second || wait > 40*time.Second || got.Reason == nil || got.Reason.Name != "sim.small rpm" {
		t.Errorf("behind 30 at one a second: %+v in %s", got, wait)
	}
	r.calls("small", event.Errorf(event.ClassQuota, "no credit"))
	got = r.outlook(why.Work{Tenant: "acme", Kind: event.KindGenerate, Lane: event.LaneInteractive, Models: []string{"small", "plain"}})
	if got.Model != "plain" || got.Reason != nil {
		t.Errorf("with another model: %+v, want that", got)
	}
	r.spent("poor", 999_000)
	for cost, held := range map[int64]bool{500: false, 5000: true} {
		got = r.outlook(why.Work{Tenant: "poor", Kind: event.KindGenerate, Lane: event.LaneInteractive, Models: []string{"plain"}, CostNanoUSD: cost})
		if (got.Reason != nil) != held || held && got.Reason.Cause != event.WaitBudget {
			t.Errorf("a job of %d nano-USD with 1000 left: %+v", cost, got.Reason)
		}
	}
}

func (r *rig) outlook(w why.Work) why.Outlook {
	r.t.Helper()
	got, err := r.forecast.Outlook(r.ctx, w)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

// TestNames: only operators are told who the others are.
func TestNames(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.workers()
	for range 20 {
		r.publish(event.GenerateSubject("plain", event.LaneInteractive, "globex"))
	}
	r.accepted("acme", "q", event.Submission{Model: "plain"})
	r.wants("acme", "q", event.WaitShare, "others")
	var err error
	r.forecast, err = why.New(why.Config{Bus: r.bus, Catalog: func() *catalog.Catalog { return r.catalog }, Names: true,
		Status: func(catalog.Model) guard.Status { return guard.Status{} }})
	if err != nil {
		t.Fatal(err)
	}
	r.wants("acme", "q", event.WaitShare, "globex")
}
