package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
)

// fleet is a server with the bucket, and workers on it.
type fleet struct {
	t      *testing.T
	server *bustest.Server
	kv     jetstream.KeyValue
}

// worker is one process of the fleet.
type worker struct {
	*Health
	conn *nats.Conn
	stop func() // ends Run and waits for it
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, server: bustest.Start(t)}
	js, err := jetstream.New(f.server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	f.kv, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{
		Bucket: "weir_breakers", History: 1, Storage: jetstream.FileStorage, LimitMarkerTTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// quick opens for a fifth of a second and has the shortest lease.
func quick() Settings {
	s := DefaultSettings()
	s.OpenFor, s.OpenMax, s.ProbeTTL = 200*time.Millisecond, 200*time.Millisecond, time.Second
	return s
}

// worker starts one and waits until it knows the fleet's state.
func (f *fleet) worker(name string) *worker {
	f.t.Helper()
	conn := f.server.Connect()
	js, err := jetstream.New(conn)
	if err != nil {
		f.t.Fatal(err)
	}
	kv, err := js.KeyValue(f.t.Context(), "weir_breakers")
	if err != nil {
		f.t.Fatal(err)
	}
	h, err := NewHealth(HealthConfig{KV: kv, JetStream: js, Worker: name, Settings: quick()})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	w := &worker{Health: h, conn: conn, stop: func() {
		cancel()
		if err := <-ended; err != nil {
			f.t.Errorf("running %s: %v", name, err)
		}
		ended <- nil
	}}
	f.t.Cleanup(w.stop)
	select {
	case <-h.Ready():
	case <-time.After(10 * time.Second):
		f.t.Fatalf("%s is not ready", name)
	}
	return w
}

func (f *fleet) workers(n int) []*worker {
	f.t.Helper()
	list := make([]*worker, n)
	for i := range list {
		list[i] = f.worker(fmt.Sprint("w", i))
	}
	return list
}

// within fails the test when what does not become true in time.
func within(t *testing.T, limit time.Duration, what string, is func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Since(begin) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		<-tick.C
	}
	return time.Since(begin)
}

func (w *worker) is(s State) func() bool {
	return func() bool { return w.Check(chatTarget()).State == s }
}

// callable asks as a call does that waits.
func (w *worker) callable() bool {
	w.Changed(chatTarget())
	return w.Check(chatTarget()).Callable(time.Now())
}

// prober is the one worker that may probe.
func prober(t *testing.T, list []*worker) (it int) {
	t.Helper()
	for _, w := range list {
		within(t, 2*time.Second, "it is probed", w.is(Probing))
	}
	within(t, 5*time.Second, "one of the workers may probe", func() bool {
		for i, w := range list {
			if w.callable() {
				it = i
				return true
			}
		}
		return false
	})
	return it
}

func without(list []*worker, i int) []*worker {
	return append(append([]*worker(nil), list[:i]...), list[i+1:]...)
}

// lease is the revision of the lease.
func (f *fleet) lease() uint64 {
	f.t.Helper()
	e, err := f.kv.Get(f.t.Context(), probePrefix+chatTarget().key())
	if err != nil {
		f.t.Fatalf("reading the lease: %v", err)
	}
	return e.Revision()
}

// TestOneOpensAllRefuse: what a worker finds out, the others know within a second,
// and so does one that joins later.
func TestOneOpensAllRefuse(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	list := f.workers(2)
	for _, w := range list {
		w.cfg.Settings.OpenFor, w.cfg.Settings.OpenMax = time.Minute, time.Minute
	}
	fail(t, list[0].Health, chatTarget(), 8)
	took := within(t, time.Second, "the other refuses", list[1].is(Open))
	t.Logf("the other refuses after %v", took)
	late := f.worker("late")
	for _, w := range []*worker{list[1], late} {
		if s := wantState(t, w.Health, chatTarget(), Open); s.By != "w0" || s.Until.Sub(list[0].Check(chatTarget()).Until).Abs() > time.Millisecond {
			t.Errorf("status %+v", s)
		}
		if e := refused(t, w.Health, chatTarget()); e.RetryAfter < 30*time.Second {
			t.Errorf("refused with %+v", e)
		}
	}
}

// TestOneProbesAllRecover: of three workers one probes, and its success closes the
// breaker of all.
func TestOneProbesAllRecover(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	list := f.workers(3)
	fail(t, list[2].Health, chatTarget(), 8)
	i := prober(t, list)
	held := time.Now()
	probe := allow(t, list[i].Health, chatTarget())
	for time.Since(held) < 2*quick().ProbeTTL { // the lease is renewed
		for _, w := range without(list, i) {
			if e := refused(t, w.Health, chatTarget()); e.RetryAfter <= 0 {
				t.Fatalf("refused with %+v", e)
			}
			w.Changed(chatTarget())
		}
		<-time.After(20 * time.Millisecond)
	}
	probe.Done(nil, time.Millisecond)
	for range 2 {
		allow(t, list[i].Health, chatTarget()).Done(nil, time.Millisecond)
	}
	for _, w := range list {
		within(t, time.Second, "it works again", w.is(Closed))
		allow(t, w.Health, chatTarget()).Cancel()
	}
	within(t, time.Second, "the lease is given back", func() bool {
		_, err := f.kv.Get(t.Context(), probePrefix+chatTarget().key())
		return err != nil
	})
}

// TestProbeFails: the fleet stays away for another while.
func TestProbeFails(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	list := f.workers(2)
	fail(t, list[0].Health, chatTarget(), 8)
	i := prober(t, list)
	other := without(list, i)[0]
	other.cfg.Settings.OpenFor = time.Hour // would show if it opened by itself
	before := other.Check(chatTarget()).Until
	allow(t, list[i].Health, chatTarget()).Done(unavailable(), 0)
	within(t, time.Second, "the other knows", func() bool { return other.Check(chatTarget()).Until.After(before) })
	if s := other.Check(chatTarget()); time.Until(s.Until) > time.Minute || s.By != list[i].cfg.Worker {
		t.Errorf("status %+v", s)
	}
	prober(t, list)
}

// TestHolderKilled: the lease of a worker that is gone runs out, and another probes.
func TestHolderKilled(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	list := f.workers(3)
	fail(t, list[0].Health, chatTarget(), 8)
	i := prober(t, list)
	allow(t, list[i].Health, chatTarget())
	first := f.lease()
	within(t, 2*time.Second, "the lease is renewed", func() bool { return f.lease() > first })
	list[i].conn.Close()
	left := without(list, i)
	begin := time.Now()
	next := prober(t, left)
	t.Logf("another probes after %v", time.Since(begin))
	for range 3 {
		allow(t, left[next].Health, chatTarget()).Done(nil, time.Millisecond)
	}
	for _, w := range left {
		within(t, time.Second, "it works again", w.is(Closed))
	}
}

// TestIdleHolder: a worker without calls to probe with lets another probe.
func TestIdleHolder(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	list := f.workers(2)
	fail(t, list[0].Health, chatTarget(), 8)
	i := prober(t, list)
	next := without(list, i)[0]
	within(t, probeIdle+3*time.Second, "the other probes", next.callable)
}

// TestHolderStops: it gives its lease back.
func TestHolderStops(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	list := f.workers(2)
	for _, w := range list {
		w.cfg.Settings.ProbeTTL = time.Minute
	}
	fail(t, list[0].Health, chatTarget(), 8)
	i := prober(t, list)
	list[i].stop()
	next := without(list, i)[0]
	within(t, 2*time.Second, "the other probes", next.callable)
}

// TestStaleRecord: what a fleet that is gone has left does not block for ever.
func TestStaleRecord(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	put := func(key string, r any) {
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.kv.Put(t.Context(), key, data); err != nil {
			t.Fatal(err)
		}
	}
	long, parked := Target{"openai", "long ago"}, Target{"openai", "parked"}
	put(statePrefix+long.key(), record{V: 1, State: Open, Until: time.Now().Add(-time.Hour), By: "gone"})
	put(statePrefix+parked.key(), record{V: 1, State: Parked, Until: time.Now().Add(-time.Second), By: "gone"})
	put(statePrefix+chatTarget().key(), record{V: 1, State: Open, Until: time.Now().Add(-time.Second), By: "gone", Class: event.ClassUnavailable})
	put(statePrefix+"openai.future", record{V: 2, State: Open, Until: time.Now().Add(time.Hour), By: "future"})
	put(statePrefix+"openai.broken", "what")
	put("state.=ZZ", "what")
	w := f.worker("w")
	for _, to := range []Target{long, parked, {"openai", "future"}, {"openai", "broken"}} {
		allow(t, w.Health, to).Done(nil, time.Millisecond)
	}
	within(t, 2*time.Second, "it may probe", w.callable)
	for range 3 {
		allow(t, w.Health, chatTarget()).Done(nil, time.Millisecond)
	}
	wantState(t, w.Health, chatTarget(), Closed)
}

// TestParkIsShared, and lifted by deleting its key.
func TestParkIsShared(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	list := f.workers(2)
	allow(t, list[0].Health, chatTarget()).Done(event.Errorf(event.ClassAuth, "401"), 0)
	within(t, time.Second, "the other refuses", list[1].is(Parked))
	if e := refused(t, list[1].Health, Target{"openai", "other"}); e.Class != event.ClassAuth {
		t.Errorf("refused with %+v", e)
	}
	if err := f.kv.Delete(t.Context(), "state.openai"); err != nil {
		t.Fatal(err)
	}
	for _, w := range list {
		within(t, time.Second, "it is called again", w.is(Closed))
	}
}

// TestOutOfReach: without the shared state each worker's breaker works by itself
// and says so, and what it found out is shared when that is back.
func TestOutOfReach(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	list := f.workers(2)
	a, b := list[0], list[1]
	f.server.Stop()
	fail(t, a.Health, chatTarget(), 8)
	wantState(t, a.Health, chatTarget(), Open)
	wantState(t, b.Health, chatTarget(), Closed)
	within(t, 10*time.Second, "it says that it is alone", func() bool { return metric(t, a.Health, "weir_breaker_alone") == 1 })
	within(t, 5*time.Second, "it probes by itself", a.callable)
	allow(t, a.Health, chatTarget()).Done(unavailable(), 0)
	wantState(t, a.Health, chatTarget(), Open)
	a.mu.Lock()
	a.targets[chatTarget()].record.Until = time.Now().Add(time.Minute)
	a.mu.Unlock()
	f.server.Restart()
	within(t, 15*time.Second, "the other hears of it", b.is(Open))
	within(t, 5*time.Second, "it is not alone", func() bool { return metric(t, a.Health, "weir_breaker_alone") == 0 })
}

// TestRestart: the state outlives the server, and the workers go on hearing of each
// other.
func TestRestart(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	list := f.workers(2)
	other := Target{"groq", "llama"}
	allow(t, list[0].Health, chatTarget()).Done(event.Errorf(event.ClassQuota, "no credit"), 0)
	within(t, time.Second, "the other refuses", list[1].is(Parked))
	f.server.Restart()
	wantState(t, f.worker("late").Health, chatTarget(), Parked)
	allow(t, list[1].Health, other).Done(event.Errorf(event.ClassQuota, "no credit"), 0)
	took := within(t, 5*time.Second, "the other hears of it", func() bool { return list[0].Check(other).State == Parked })
	t.Logf("heard of %v after the restart", took)
}

// entry is one as the watch brings it.
type entry struct {
	jetstream.KeyValueEntry
	key      string
	value    string
	revision uint64
}

func (e entry) Key() string                     { return e.key }
func (e entry) Value() []byte                   { return []byte(e.value) }
func (e entry) Revision() uint64                { return e.revision }
func (e entry) Operation() jetstream.KeyValueOp { return jetstream.KeyValuePut }

// TestOldNews: what the bucket held before our own change undoes it neither while
// that is on its way nor later.
func TestOldNews(t *testing.T) {
	t.Parallel()
	h, to := alone(t, nil), chatTarget()
	news := func(revision uint64) {
		h.heard(entry{key: statePrefix + to.key(), revision: revision, value: `{"v":1,"state":"closed","by":"other"}`})
	}
	fail(t, h, to, 8)
	news(7)
	wantState(t, h, to, Open)
	h.mu.Lock() // as publish leaves it
	h.targets[to].dirty, h.targets[to].revision = false, 9
	h.mu.Unlock()
	news(8)
	news(9)
	wantState(t, h, to, Open)
	news(10)
	wantState(t, h, to, Closed)
}

// FuzzKey: any name is a valid key, and reads back; any other key is refused.
func FuzzKey(f *testing.F) {
	f.Add("openai", "gpt-4.1")
	f.Add("a=41", "")
	f.Fuzz(func(t *testing.T, provider, group string) {
		to := Target{provider, group}
		if got, ok := parseKey(to.key()); provider != "" && (!ok || got != to) {
			t.Errorf("key %q of %+v reads as %+v, %v", to.key(), to, got, ok)
		}
		if got, ok := parseKey(provider); ok && got.key() != provider {
			t.Errorf("key %q reads as %+v", provider, got)
		}
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, to := range []Target{chatTarget(), {"openai", ""}, {"a", "b/c:d=e f"}, {"ü", "x.y"}, {"_", "-"}} {
		got, ok := parseKey(to.key())
		if !ok || got != to {
			t.Errorf("key %q of %+v reads as %+v, %v", to.key(), to, got, ok)
		}
	}
	for _, key := range []string{"", ".", "a.", ".a", "a.b.c", "a=", "a=1", "a=zz", "a=41", "=2"} {
		if got, ok := parseKey(key); ok {
			t.Errorf("key %q reads as %+v", key, got)
		}
	}
}
