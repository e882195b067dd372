package guard

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/event"
)

// noKV and noJetStream are out of reach: what is tested with them works alone.
type (
	noKV        struct{ jetstream.KeyValue }
	noJetStream struct{ jetstream.JetStream }
)

// chatTarget is what most tests call.
func chatTarget() Target { return Target{Provider: "openai", Group: "gpt-4.1"} }

// alone returns a Health that does not run, in virtual time.
func alone(t *testing.T, change func(*Settings)) *Health {
	t.Helper()
	s := DefaultSettings()
	if change != nil {
		change(&s)
	}
	h, err := NewHealth(HealthConfig{KV: noKV{}, JetStream: noJetStream{}, Worker: "w", Settings: s})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// allow must be let through.
func allow(t *testing.T, h *Health, to Target) *Permit {
	t.Helper()
	p, err := h.Allow(t.Context(), to, 0)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return p
}

// refused must not, and returns why.
func refused(t *testing.T, h *Health, to Target) *event.Error {
	t.Helper()
	p, err := h.Allow(t.Context(), to, 0)
	if err == nil {
		p.Cancel()
		t.Fatalf("a call was let through, state %+v", h.Check(to))
	}
	var e *event.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is no event.Error", err)
	}
	return e
}

func wantState(t *testing.T, h *Health, to Target, want State) Status {
	t.Helper()
	s := h.Check(to)
	if s.State != want {
		t.Fatalf("state %+v, want %s", s, want)
	}
	return s
}

func unavailable() error { return event.Errorf(event.ClassUnavailable, "the provider answered 503") }

// fail makes n calls that fail at once.
func fail(t *testing.T, h *Health, to Target, n int) {
	t.Helper()
	for range n {
		allow(t, h, to).Done(unavailable(), 0)
	}
}

// due waits until an open target may be probed.
func due(h *Health, to Target) {
	time.Sleep(time.Until(h.Check(to).Until))
}

func TestOpensByRatio(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		for i := range 19 {
			p := allow(t, h, to)
			if i%2 == 0 {
				p.Done(unavailable(), 0)
			} else {
				p.Done(nil, time.Second)
			}
		}
		wantState(t, h, to, Closed)
		fail(t, h, to, 1)
		s := wantState(t, h, to, Open)
		if s.By != "w" || s.Class != event.ClassUnavailable || !strings.Contains(s.Reason, "503") {
			t.Errorf("status %+v", s)
		}
		e := refused(t, h, to)
		if e.Class != event.ClassUnavailable || e.RetryAfter != time.Until(s.Until) || !strings.Contains(e.Message, "openai/gpt-4.1") {
			t.Errorf("refused with %+v", e)
		}
		allow(t, h, Target{Provider: "openai", Group: "other"}).Cancel()
	})
}

func TestOpensByRow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		for range 100 {
			allow(t, h, to).Done(nil, time.Second)
		}
		fail(t, h, to, 7)
		wantState(t, h, to, Closed)
		fail(t, h, to, 1)
		wantState(t, h, to, Open)
	})
}

// TestCallsUnderWay don't make the ratio of failures look small.
func TestCallsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, func(s *Settings) { s.Consecutive, s.MinCalls = 1000, 3 }), chatTarget()
		for range 40 {
			defer allow(t, h, to).Cancel()
		}
		fail(t, h, to, 3)
		wantState(t, h, to, Open)
	})
}

// TestSlowFailures: the failures of calls that take as long as they may are not
// out of the window when they arrive.
func TestSlowFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		for range 8 {
			p := allow(t, h, to)
			time.AfterFunc(DefaultSettings().CallTimeout-time.Second, func() { p.Done(unavailable(), 0) })
		}
		time.Sleep(DefaultSettings().CallTimeout)
		wantState(t, h, to, Open)
	})
}

// TestWindowRolls: failures before and after its end are counted together.
func TestWindowRolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		window := (DefaultSettings().CallTimeout + lostAfter) * 5 / 2
		fail(t, h, to, 1)
		time.Sleep(window - 20*time.Second)
		fail(t, h, to, 4)
		time.Sleep(40 * time.Second)
		fail(t, h, to, 3)
		wantState(t, h, to, Closed) // the first is forgotten
		fail(t, h, to, 1)
		wantState(t, h, to, Open)
	})
}

// TestLongerCalls: the window grows with the longest call.
func TestLongerCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		allow(t, h, to).Done(nil, time.Second)
		for range 8 {
			p, err := h.Allow(t.Context(), to, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Hour-time.Second, func() { p.Done(unavailable(), 0) })
		}
		time.Sleep(time.Hour)
		wantState(t, h, to, Open)
	})
}

func TestWhatCounts(t *testing.T) {
	t.Parallel()
	classed := func(c event.Class) error { return event.Errorf(c, "an answer") }
	for name, test := range map[string]struct {
		err  error
		want State
	}{
		"unavailable":       {unavailable(), Open},
		"truncated":         {classed(event.ClassTruncated), Open},
		"internal":          {classed(event.ClassInternal), Open},
		"unclassified":      {errors.New("what"), Open},
		"throttled":         {classed(event.ClassThrottled), Closed},
		"ramp":              {classed(event.ClassRamp), Closed},
		"too large":         {classed(event.ClassTooLarge), Closed},
		"content":           {classed(event.ClassContent), Closed},
		"invalid":           {classed(event.ClassInvalid), Closed},
		"canceled":          {context.Canceled, Closed},
		"canceled, wrapped": {event.Errorf(event.ClassUnavailable, "reading: %w", context.Canceled), Closed},
		"job's deadline":    {context.DeadlineExceeded, Closed},
		"quota":             {classed(event.ClassQuota), Parked},
		"auth":              {classed(event.ClassAuth), Parked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, to := alone(t, nil), chatTarget()
				var calls []*Permit
				for range 30 {
					calls = append(calls, allow(t, h, to))
				}
				for _, p := range calls {
					p.Done(test.err, 0)
				}
				wantState(t, h, to, test.want)
			})
		})
	}
}

// TestCallDeadline: a call that had all its time and more is the provider's failure.
func TestCallDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		for range 8 {
			p := allow(t, h, to)
			time.AfterFunc(DefaultSettings().CallTimeout, func() { p.Done(context.DeadlineExceeded, 0) })
		}
		time.Sleep(DefaultSettings().CallTimeout + time.Second)
		wantState(t, h, to, Open)
	})
}

// TestFinishedOnce: twice is once, whichever way.
func TestFinishedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		for range 7 {
			p := allow(t, h, to)
			p.Done(unavailable(), 0)
			p.Done(unavailable(), 0)
			p.Cancel()
		}
		wantState(t, h, to, Closed)
		p := allow(t, h, to)
		p.Cancel()
		p.Done(unavailable(), 0)
		wantState(t, h, to, Closed)
		fail(t, h, to, 1)
		wantState(t, h, to, Open)
	})
}

// TestLost calls count as failures, once.
func TestLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, func(s *Settings) { s.Consecutive = 2 }), chatTarget()
		p := allow(t, h, to)
		time.Sleep(DefaultSettings().CallTimeout + lostAfter + time.Second)
		p.Done(unavailable(), 0)
		wantState(t, h, to, Closed)
		fail(t, h, to, 1)
		wantState(t, h, to, Open)
	})
}

// TestLostProbe does not leave a target half open for ever.
func TestLostProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		fail(t, h, to, 8)
		due(h, to)
		for range 3 {
			allow(t, h, to) // never finished
		}
		refused(t, h, to)
		time.Sleep(DefaultSettings().CallTimeout + lostAfter + time.Second)
		wantState(t, h, to, Open)
		due(h, to)
		for range 3 {
			allow(t, h, to).Done(nil, time.Second)
		}
		wantState(t, h, to, Closed)
	})
}

func TestProbing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		fail(t, h, to, 8)
		due(h, to)
		wantState(t, h, to, Probing)
		a, b, c := allow(t, h, to), allow(t, h, to), allow(t, h, to)
		if e := refused(t, h, to); e.RetryAfter <= 0 || e.RetryAfter > 5*time.Second || e.Class != event.ClassUnavailable {
			t.Errorf("refused with %+v", e)
		}
		changed := h.Changed(to)
		a.Done(event.Errorf(event.ClassThrottled, "429"), 0) // no evidence, but a free place
		select {
		case <-changed:
		default:
			t.Error("nobody was told of the free place")
		}
		a = allow(t, h, to)
		refused(t, h, to)
		a.Done(nil, time.Second)
		b.Done(nil, time.Second)
		wantState(t, h, to, Probing)
		c.Done(nil, time.Second)
		wantState(t, h, to, Closed)
	})
}

// TestOpenTime grows by half with each failed probe, to OpenMax, and is spread.
func TestOpenTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		fail(t, h, to, 8)
		seen := map[time.Duration]bool{}
		for n, most := range []time.Duration{15 * time.Second, 22500 * time.Millisecond, 25 * time.Second, 25 * time.Second} {
			left := time.Until(wantState(t, h, to, Open).Until)
			if left > most || left < most*8/10 {
				t.Errorf("opened the %d. time for %v, want at most %v", n, left, most)
			}
			seen[left] = true
			due(h, to)
			fail(t, h, to, 1)
		}
		if len(seen) < 4 {
			t.Errorf("open times %v are not spread", seen)
		}
		due(h, to)
		for range 3 {
			allow(t, h, to).Done(nil, time.Second)
		}
		fail(t, h, to, 8)
		if left := time.Until(wantState(t, h, to, Open).Until); left > 15*time.Second {
			t.Errorf("after a recovery it opened for %v", left)
		}
	})
}

// TestEarlierCalls end in a later phase, where they say nothing.
func TestEarlierCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		var early []*Permit
		for range 8 {
			early = append(early, allow(t, h, to))
		}
		fail(t, h, to, 8)
		due(h, to)
		for _, p := range early[:4] {
			p.Done(nil, time.Second)
		}
		wantState(t, h, to, Probing)
		early[4].Done(unavailable(), 0)
		wantState(t, h, to, Probing)
		for range 3 {
			allow(t, h, to).Done(nil, time.Second)
		}
		fail(t, h, to, 7)
		early[5].Done(unavailable(), 0)
		wantState(t, h, to, Closed)
	})
}

func TestSlowCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		for range 8 { // no idea yet what is usual
			allow(t, h, to).Done(nil, time.Minute)
		}
		wantState(t, h, to, Closed)
		for range 100 {
			allow(t, h, to).Done(nil, 3*time.Second)
		}
		for range 8 { // over four times the median
			allow(t, h, to).Done(nil, 11*time.Second)
		}
		wantState(t, h, to, Closed)
		for range 8 {
			allow(t, h, to).Done(nil, 12100*time.Millisecond)
		}
		if s := wantState(t, h, to, Open); !strings.Contains(s.Reason, "slow: 12.1s, usual are 3s") {
			t.Errorf("reason %q", s.Reason)
		}
		if got := metric(t, h, "weir_breaker_slow_calls_total"); got != 8 {
			t.Errorf("%v slow calls counted", got)
		}
	})
}

// TestSlowFloor: what is fast enough is never slow.
func TestSlowFloor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		for range 100 {
			allow(t, h, to).Done(nil, 100*time.Millisecond)
		}
		for range 30 {
			allow(t, h, to).Done(nil, 9*time.Second)
		}
		wantState(t, h, to, Closed)
	})
}

func TestPark(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		sibling, other := Target{Provider: "openai", Group: "o3"}, Target{Provider: "groq", Group: "llama"}
		allow(t, h, to).Done(&event.Error{Class: event.ClassQuota, Message: "the day's requests are used up", RetryAfter: 3 * time.Hour}, 0)
		s := wantState(t, h, to, Parked)
		if time.Until(s.Until) != 3*time.Hour || s.Class != event.ClassQuota || s.Callable(time.Now()) {
			t.Errorf("status %+v", s)
		}
		if e := refused(t, h, to); e.Class != event.ClassQuota || e.RetryAfter != 3*time.Hour {
			t.Errorf("refused with %+v", e)
		}
		allow(t, h, sibling).Done(event.Errorf(event.ClassAuth, "401: wrong key"), 0)
		for _, of := range []Target{sibling, {Provider: "openai", Group: "never called"}} {
			if e := refused(t, h, of); e.Class != event.ClassAuth || e.RetryAfter != 10*time.Minute {
				t.Errorf("refused with %+v", e)
			}
		}
		allow(t, h, other).Cancel()
		time.Sleep(10 * time.Minute)
		allow(t, h, sibling).Cancel()
		wantState(t, h, to, Parked)
		time.Sleep(3 * time.Hour)
		for range 7 {
			fail(t, h, to, 1)
		}
		wantState(t, h, to, Closed)
	})
}

// TestParkInProbe: a probe that finds the quota used up parks the target.
func TestParkInProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		fail(t, h, to, 8)
		due(h, to)
		p := allow(t, h, to)
		allow(t, h, to).Done(event.Errorf(event.ClassQuota, "no credit"), 0)
		wantState(t, h, to, Parked)
		p.Done(unavailable(), 0)
		wantState(t, h, to, Parked)
	})
}

// TestParkOutlastsBreaker: calls that were under way and fail don't shorten it.
func TestParkOutlastsBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		key := Target{Provider: "openai"}
		var calls []*Permit
		for range 8 {
			calls = append(calls, allow(t, h, key))
		}
		allow(t, h, to).Done(event.Errorf(event.ClassAuth, "401"), 0)
		for _, p := range calls {
			p.Done(unavailable(), 0)
		}
		wantState(t, h, key, Parked)
	})
}

func TestChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		of, other := h.Changed(to), h.Changed(Target{Provider: "groq"})
		fail(t, h, to, 7)
		select {
		case <-of:
			t.Fatal("told of no change")
		default:
		}
		fail(t, h, to, 1)
		<-of
		of = h.Changed(to)
		allow(t, h, Target{Provider: "openai", Group: "o3"}).Done(event.Errorf(event.ClassAuth, "401"), 0)
		<-of // the whole key's
		select {
		case <-other:
			t.Fatal("told of another provider")
		default:
		}
	})
}

// TestRouter: where no call waits a probed target may be tried; where one does only
// with the lease.
func TestRouter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		fail(t, h, to, 8)
		if h.Check(to).Callable(time.Now()) {
			t.Error("an open target is callable")
		}
		due(h, to)
		h.alone.Store(false) // as if there were a fleet
		if !h.Check(to).Callable(time.Now()) {
			t.Error("a router would never send a call to probe with")
		}
		h.Changed(to)
		if h.Check(to).Callable(time.Now()) {
			t.Error("a worker may call without the lease")
		}
		refused(t, h, to)
	})
}

// TestAbandoned: without calls nobody probes, and the state is forgotten.
func TestAbandoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		fail(t, h, to, 8)
		due(h, to)
		p := allow(t, h, to)
		time.Sleep(abandonAfter + time.Second)
		wantState(t, h, to, Probing) // a probe is under way
		p.Cancel()
		wantState(t, h, to, Closed)
		fail(t, h, to, 7)
		h.heard(entry{key: probePrefix + to.key()}) // a late prober reopens nothing
		wantState(t, h, to, Closed)
		fail(t, h, to, 1)
		wantState(t, h, to, Open)
	})
}

func TestAllowCanceled(t *testing.T) {
	t.Parallel()
	h := alone(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Allow(ctx, chatTarget(), 0); event.AsError(err).Class != event.ClassCanceled {
		t.Errorf("got %v", err)
	}
}

// TestConcurrent: calls that end while the breaker changes state neither deadlock
// nor race, and in the end it works again.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	h, to := alone(t, func(s *Settings) { s.OpenFor, s.OpenMax = time.Millisecond, time.Millisecond }), chatTarget()
	var calls sync.WaitGroup
	for worker := range 16 {
		calls.Go(func() {
			for i := range 500 {
				p, err := h.Allow(context.Background(), to, 0)
				if err != nil {
					<-time.After(100 * time.Microsecond)
					continue
				}
				if i < 400 && (worker+i)%3 > 0 {
					p.Done(unavailable(), 0)
				} else {
					p.Done(nil, time.Second)
				}
				h.Check(to)
				h.Statuses()
			}
		})
	}
	calls.Wait()
	for range 10_000 {
		if h.Check(to).State == Closed {
			break
		}
		if p, err := h.Allow(t.Context(), to, 0); err == nil {
			p.Done(nil, time.Second)
		}
		<-time.After(100 * time.Microsecond)
	}
	wantState(t, h, to, Closed)
	if metric(t, h, "weir_breaker_transitions_total") < 2 {
		t.Error("the breaker never opened")
	}
}

func TestStatusesAndMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, to := alone(t, nil), chatTarget()
		allow(t, h, Target{Provider: "groq", Group: "llama"}).Cancel()
		fail(t, h, to, 8)
		list := h.Statuses()
		if len(list) != 2 || list[0].State != Closed || list[1].Target != to || list[1].State != Open {
			t.Errorf("statuses %+v", list)
		}
		if got := metric(t, h, "weir_breaker_state"); got != 2 {
			t.Errorf("open: weir_breaker_state is %v", got)
		}
		due(h, to)
		if got := metric(t, h, "weir_breaker_state"); got != 1 {
			t.Errorf("probing: weir_breaker_state is %v", got)
		}
		if got := metric(t, h, "weir_breaker_alone"); got != 1 {
			t.Errorf("weir_breaker_alone is %v", got)
		}
	})
}

// metric sums what a metric says.
func metric(t *testing.T, h *Health, name string) (sum float64) {
	t.Helper()
	reg, ok := h.cfg.Registerer.(*prometheus.Registry)
	if !ok {
		t.Fatal("no registry")
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func TestNewHealthRefuses(t *testing.T) {
	t.Parallel()
	if _, err := NewHealth(HealthConfig{Settings: DefaultSettings()}); err == nil {
		t.Error("no error without a bucket")
	}
	if _, err := NewHealth(HealthConfig{KV: noKV{}, JetStream: noJetStream{}, Worker: "w"}); err == nil {
		t.Error("no error without settings")
	}
}
