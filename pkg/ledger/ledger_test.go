package ledger

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
)

// TestOneWriteBeforeTheCall: what a step usually takes.
func TestOneWriteBeforeTheCall(t *testing.T) {
	t.Parallel()
	l, b, _ := setup(t)
	out := b.Conn().Stats().OutMsgs
	e := begin(t, l, intent(1))
	if sent := b.Conn().Stats().OutMsgs - out; sent != 1 {
		t.Errorf("%d messages sent before the call, want 1", sent)
	}
	if e.Reuse != nil {
		t.Errorf("reuse %+v, want a call", e.Reuse)
	}
	line, err := LineOut(answered(e, "Yes."))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // one that is there is no error
		if err := b.Publish(t.Context(), line); err != nil {
			t.Fatal(err)
		}
	}
	wantLines(t, b, "1-1 70")
}

// TestFrozenWorkerIsFenced: a worker that wakes up after its step was delivered
// again makes no call, neither its first nor a further one.
func TestFrozenWorkerIsFenced(t *testing.T) {
	t.Parallel()
	l, b, _ := setup(t)
	first := begin(t, l, intent(1))
	second := begin(t, l, intent(2))
	wantFenced(t, first.Next(t.Context(), 1))
	_, err := l.Begin(t.Context(), intent(1))
	wantFenced(t, err)
	if err := second.Next(t.Context(), 1); err != nil {
		t.Errorf("the holder's next call: %v", err)
	}
	// What it was doing when it froze is counted by its estimate, once: its own
	// line comes too late.
	record(t, l, answered(first, "late"))
	wantLines(t, b, "1-1 900 maybe")
	// An epoch has one worker.
	other := intent(2)
	other.Worker = "another"
	_, err = l.Begin(t.Context(), other)
	wantFenced(t, err)
}

// TestRedeliveryReusesTheAnswer: without a call, however often, and over a
// restart of the server.
func TestRedeliveryReusesTheAnswer(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"small": "Yes.", "by claim-check": strings.Repeat("Yes. ", bus.ClaimOver/4)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, b, server := setup(t)
			record(t, l, answered(begin(t, l, intent(1)), text))
			for epoch := int64(2); epoch < 5; epoch++ {
				e := begin(t, l, intent(epoch))
				if e.Reuse == nil || e.Reuse.Answer == nil || e.Reuse.Answer.Text != text || e.Reuse.CostNanoUSD != 70 || e.Reuse.Epoch != 1 {
					t.Fatalf("epoch %d: reuse %+v, want the first call's", epoch, e.Reuse)
				}
				wantClass(t, e.Next(t.Context(), 1), event.ClassInternal, "has its answer")
				if epoch == 2 {
					server.Restart()
					eventually(t, "the server is back", func() bool { _, err := l.Begin(t.Context(), intent(2)); return err == nil })
				}
			}
			wantLines(t, b, "1-1 70")
		})
	}
}

// TestCrashIsCountedOnce: a worker died in its call; three later deliveries end
// without one, with a restart of the server in between.
func TestCrashIsCountedOnce(t *testing.T) {
	t.Parallel()
	l, b, server := setup(t)
	begin(t, l, intent(1)) // and dies
	for epoch := int64(2); epoch < 5; epoch++ {
		var e *Entry
		eventually(t, "begun", func() (ok bool) {
			var err error
			e, err = l.Begin(t.Context(), intent(epoch))
			return err == nil
		})
		line := e.Line()
		line.Error = event.ClassThrottled // refused without charge
		record(t, l, line)
		server.Restart()
		eventually(t, "the server is back", func() bool { _, err := b.KeyValue(t.Context(), bus.BucketLedger); return err == nil })
	}
	wantLines(t, b, "1-1 900 maybe", "2-1 0", "3-1 0", "4-1 0")
}

// TestEachCrashIsCounted: every worker that died in a call may have paid.
func TestEachCrashIsCounted(t *testing.T) {
	t.Parallel()
	l, b, _ := setup(t)
	for epoch := int64(1); epoch < 4; epoch++ {
		begin(t, l, intent(epoch))
	}
	wantLines(t, b, "1-1 900 maybe", "2-1 900 maybe")
}

// TestCrashAfterTheFirstCall: the second of a delivery is the one in doubt.
func TestCrashAfterTheFirstCall(t *testing.T) {
	t.Parallel()
	l, b, _ := setup(t)
	e := begin(t, l, intent(1))
	line := e.Line()
	line.CostNanoUSD, line.Error = 20, event.ClassTruncated
	record(t, l, line)
	if err := e.Next(t.Context(), 500); err != nil {
		t.Fatal(err)
	}
	if got := e.Line(); got.Call != 2 || got.Epoch != 1 {
		t.Errorf("line of call %d, epoch %d; want 2 of 1", got.Call, got.Epoch)
	}
	begin(t, l, intent(2))
	wantLines(t, b, "1-1 20", "1-2 500 maybe")
}

// TestFailedCallIsNoAnswer: a call that was paid and failed is not reused.
func TestFailedCallIsNoAnswer(t *testing.T) {
	t.Parallel()
	l, b, _ := setup(t)
	line := answered(begin(t, l, intent(1)), "half an ans")
	line.Error = event.ClassTruncated
	record(t, l, line)
	if e := begin(t, l, intent(2)); e.Reuse != nil || e.Line().Again {
		t.Errorf("reuse %+v, again %t; want a new call", e.Reuse, e.Line().Again)
	}
	wantLines(t, b, "1-1 70")
}

// TestPaidAgain: an answer that could not be kept is paid for again, and the
// line says so.
func TestPaidAgain(t *testing.T) {
	t.Parallel()
	l, b, _ := setup(t)
	record(t, l, answered(begin(t, l, intent(1)), strings.Repeat("x", MaxAnswer+1)))
	e := begin(t, l, intent(2))
	if e.Reuse != nil || !e.Line().Again {
		t.Fatalf("reuse %v, again %t; want a call that is marked", e.Reuse, e.Line().Again)
	}
	// The same when the payload is gone.
	record(t, l, answered(e, strings.Repeat("x", bus.ClaimOver+1)))
	msg, err := b.Last(t.Context(), bus.StreamLedger, event.LedgerSubject("acme", "j1", "generate-0", 2, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Release(t.Context(), msg.Header.Get(bus.HeaderPayload)); err != nil {
		t.Fatal(err)
	}
	e = begin(t, l, intent(3))
	if e.Reuse != nil || !e.Line().Again {
		t.Fatalf("reuse %v, again %t; want a call that is marked", e.Reuse, e.Line().Again)
	}
	record(t, l, answered(e, "Yes."))
	wantLines(t, b, "1-1 70", "2-1 70", "3-1 70")
}

// TestLostAnswers: the server took the write and its answer was lost. The same
// delivery asks again and nothing is counted.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	l, b, _ := setup(t)
	begin(t, l, intent(1))
	e := begin(t, l, intent(1))
	if got := e.Line().Call; got != 1 {
		t.Errorf("call %d, want 1", got)
	}
	stale := *e
	if err := e.Next(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if err := stale.Next(t.Context(), 5); err != nil || stale.Line().Call != 2 {
		t.Errorf("call %d, %v; want 2, as it was stored", stale.Line().Call, err)
	}
	wantLines(t, b)
	// Begun once more after a line of its own: that call is over.
	line := stale.Line()
	line.Error = event.ClassUnavailable
	record(t, l, line)
	if got := begin(t, l, intent(1)).Line().Call; got != 3 {
		t.Errorf("call %d, want 3", got)
	}
}

// TestExpiredIntent: a key whose time is over is as one that never was.
func TestExpiredIntent(t *testing.T) {
	t.Parallel()
	l, b, _ := setup(t)
	e := begin(t, l, intent(7))
	stream, err := b.JetStream().Stream(t.Context(), "KV_"+bus.BucketLedger)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantFenced(t, e.Next(t.Context(), 1)) // a week late
	if got := begin(t, l, intent(8)).Line().Call; got != 1 {
		t.Errorf("call %d, want 1", got)
	}
}

// TestDeliveriesRace: whatever the order, the highest epoch has the step in the
// end and nobody else may call again.
func TestDeliveriesRace(t *testing.T) {
	t.Parallel()
	l, b, _ := setup(t)
	const n = 12
	entries, errs := make([]*Entry, n+1), make([]error, n+1)
	var wg sync.WaitGroup
	for epoch := 1; epoch <= n; epoch++ {
		wg.Go(func() { entries[epoch], errs[epoch] = l.Begin(t.Context(), intent(int64(epoch))) })
	}
	wg.Wait()
	begun := 0
	for epoch := 1; epoch <= n; epoch++ {
		if errs[epoch] != nil {
			wantFenced(t, errs[epoch])
			continue
		}
		begun++
		if err := entries[epoch].Next(t.Context(), 1); (err == nil) != (epoch == n) || err != nil && !errors.Is(err, ErrFenced) {
			t.Errorf("epoch %d of %d: next call: %v", epoch, n, err)
		}
	}
	if entries[n] == nil {
		t.Fatal("the highest epoch was fenced")
	}
	if got := len(lines(t, b)); got != begun-1 {
		t.Errorf("%d lines, want one for each of the %d that began and was overtaken", got, begun-1)
	}
}

func TestBadIntents(t *testing.T) {
	t.Parallel()
	l := New(nil, nil) // nothing is asked
	for field, change := range map[string]func(*Intent){
		"tenant":            func(in *Intent) { in.Tenant = "a.b" },
		"job":               func(in *Intent) { in.Job = "" },
		"step":              func(in *Intent) { in.Step = ">" },
		"model":             func(in *Intent) { in.Model = "*" },
		"worker":            func(in *Intent) { in.Worker = "" },
		"epoch":             func(in *Intent) { in.Epoch = 0 },
		"estimate_nano_usd": func(in *Intent) { in.Estimate = -1 },
	} {
		in := intent(1)
		change(&in)
		_, err := l.Begin(t.Context(), in)
		wantClass(t, err, event.ClassInvalid, field+":")
	}
}

// TestOutOfReach: without the ledger no call is allowed.
func TestOutOfReach(t *testing.T) {
	t.Parallel()
	b, err := bus.New(bustest.Start(t).Connect()) // no streams
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(b, nil).Begin(t.Context(), intent(1))
	wantClass(t, err, event.ClassUnavailable, "storing the intent of job j1")
	if bus.IsConflict(err) || errors.Is(err, ErrFenced) || !errors.Is(err, jetstream.ErrNoStreamResponse) {
		t.Errorf("got %v, want no stream", err)
	}

	l, b, server := setup(t)
	e := begin(t, l, intent(1))
	server.Stop()
	b.Conn().Close()
	wantClass(t, e.Next(t.Context(), 1), event.ClassUnavailable)
	if got := e.Line().Call; got != 1 {
		t.Errorf("call %d after a refusal, want 1", got)
	}
}
