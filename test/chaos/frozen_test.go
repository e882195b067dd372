package chaos

import (
	"context"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/test/internal/proc"
	"github.com/weir-dev/weir/test/internal/system"
)

// TestFrozenWorkerChangesNothing: a generator is stopped in the middle of its call
// for longer than AckWait. Another takes the job over; the late one's answer
// changes neither the result nor the ledger, which counts its call as maybe billed.
func TestFrozenWorkerChangesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("FROZEN WORKER NOT RUN: -short skips the tests that stop processes at work")
	}
	sys := system.Start(t, system.Options{Mode: system.Separate, SimArgs: []string{"--ttft", "4s"}})
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	nc, c := sys.Connect(t), sys.Client(t)
	b, err := bus.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	results, err := nc.SubscribeSync("weir.results." + tenant + ".frozen")
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.Generate(ctx, tenant, event.GenerateJob{Envelope: event.Envelope{ID: "frozen"},
		Messages: []event.Message{{Role: "user", Content: "Are you there?"}}})
	if err != nil {
		t.Fatal(err)
	}
	awaitIntent(ctx, t, b, id)
	frozen := sys.Processes["generator"]
	frozen.Freeze()

	http := proc.FreeAddr(t)
	second := proc.Start(t, proc.Command{Name: "generator", Label: "second generator", Env: map[string]string{
		"WEIR_NATS_URL": sys.NatsURL, "WEIR_HTTP_ADDR": http, "WEIR_SIM_URL": sys.SimURL}})
	second.AwaitStatus("http://"+http+"/readyz", 200)
	result, err := c.Await(ctx, tenant, id)
	if err != nil || result.Status != event.StatusOK {
		t.Fatalf("result %+v, %v", result, err)
	}
	frozen.Thaw()
	frozen.AwaitStatus(sys.Health["generator"]+"/readyz", 200)
	// The late answer has been read when its worker answers another job.
	second.Kill()
	if again, err := c.Generate(ctx, tenant, event.GenerateJob{Messages: []event.Message{{Role: "user", Content: "And now?"}}}); err != nil {
		t.Fatal(err)
	} else if _, err := c.Await(ctx, tenant, again); err != nil {
		t.Fatal(err)
	}
	if n, _, err := results.Pending(); n != 1 || err != nil {
		t.Errorf("%d results (%v), want one", n, err)
	}
	same, err := c.Result(ctx, tenant, id)
	if err != nil || same.FinishedAt != result.FinishedAt {
		t.Errorf("the result is now %+v (%v), want the first one", same, err)
	}
	rows, err := ledger.Ask(ctx, b, ledger.Query{By: ledger.ByJob, Since: time.Now().Add(-time.Hour), Tenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row.Key == tenant+"/"+id && (row.Calls != 2 || row.Maybe != 1) {
			t.Errorf("the ledger has %+v, want two calls, one of them maybe billed", row)
		}
	}
}

// awaitIntent waits until a worker has said that it calls for the job.
func awaitIntent(ctx context.Context, t *testing.T, b *bus.Bus, id string) {
	t.Helper()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		msg, err := b.Last(ctx, "KV_"+bus.BucketLedger, "$KV."+bus.BucketLedger+"."+tenant+"."+id+".generate-0")
		if err != nil {
			t.Fatal(err)
		}
		if msg != nil {
			return
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatal("nobody calls for the job")
		}
	}
}
