package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm"
)

var errKilled = errors.New("killed")

// killer ends a projector at a step picked at random.
type killer struct{ oneIn int }

func (k killer) before(string) error {
	if rand.IntN(k.oneIn) == 0 {
		return errKilled
	}
	return nil
}

func projector(t testing.TB, b *bus.Bus, worker string) *Projector {
	t.Helper()
	p, err := NewProjector(ProjectorConfig{Bus: b, Worker: worker})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// spend publishes n lines of some tenants and models and returns their sums.
func spend(t testing.TB, b *bus.Bus, from, n int) map[string]Sum {
	t.Helper()
	want := map[string]Sum{}
	outs := make([]bus.Out, 0, n)
	for i := from; i < from+n; i++ {
		line := Line{
			Tenant: fmt.Sprint("t", i%5), Job: fmt.Sprint("j", i), Step: "s", Epoch: 1, Call: 1, Model: fmt.Sprint("m", i%3), Provider: "sim",
			Usage: llm.Usage{PromptTokens: i, CachedTokens: i / 2, CompletionTokens: 3}, CostNanoUSD: int64(7*i + 1),
		}
		if i%7 == 0 {
			line.MaybeBilled, line.Error = true, event.ClassUnavailable
		}
		out, err := LineOut(line)
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, out)
		key := line.Tenant + "." + line.Model
		sum := want[key]
		sum.Add(line.sums().sum())
		want[key] = sum
	}
	if err := b.Publish(t.Context(), outs...); err != nil {
		t.Fatal(err)
	}
	return want
}

// totals reads all days' totals, by tenant and model.
func totals(t testing.TB, b *bus.Bus) map[string]Sum {
	t.Helper()
	kv, err := b.KeyValue(t.Context(), bus.BucketSpend)
	if err != nil {
		return nil
	}
	keys, err := kv.Keys(t.Context())
	if err != nil {
		return nil
	}
	got := map[string]Sum{}
	for _, key := range keys {
		_, tenant, model, ok := parseTotalKey(key)
		if !ok {
			continue
		}
		entry, err := kv.Get(t.Context(), key)
		if err != nil {
			return nil
		}
		total, err := decodeTotal(key, entry.Value())
		if err != nil {
			t.Fatal(err)
		}
		sum := got[tenant+"."+model]
		sum.Add(total.Sum)
		got[tenant+"."+model] = sum
	}
	return got
}

func equal(got, want map[string]Sum) bool {
	for key := range want {
		if got[key] != want[key] {
			return false
		}
	}
	return len(got) == len(want)
}

// project works until the checkpoint is at the stream's end; a projector that
// was killed starts anew.
func project(ctx context.Context, t testing.TB, p *Projector, end uint64) {
	t.Helper()
	kv, err := p.cfg.Bus.KeyValue(ctx, bus.BucketSpend)
	if err != nil {
		t.Error(err)
		return
	}
	for ctx.Err() == nil {
		working, stop := context.WithCancel(ctx)
		go func() {
			defer stop()
			for lifecycle.Sleep(working, 10*time.Millisecond) == nil {
				if at, err := readMark(working, kv, keyCheckpoint); err == nil && at >= end {
					return
				}
			}
		}()
		err := p.work(working)
		stop()
		if err == nil || ctx.Err() != nil {
			return
		}
		if !errors.Is(err, errKilled) && !errors.Is(err, context.Canceled) {
			t.Errorf("working: %v", err)
			return
		}
	}
}

// TestTotalsAreExact: two projectors at once, without a lease between them, each
// killed again and again between two writes.
func TestTotalsAreExact(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	const n = 3000
	want := spend(t, b, 0, n)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 2 {
		p := projector(t, server.Bus(), fmt.Sprint("p", i))
		p.steps = killer{oneIn: 20}
		wg.Go(func() { project(ctx, t, p, n) })
	}
	wg.Wait()
	if got := totals(t, b); !equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	// Reading everything again adds nothing.
	kv, err := b.KeyValue(t.Context(), bus.BucketSpend)
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Delete(t.Context(), keyCheckpoint); err != nil {
		t.Fatal(err)
	}
	project(ctx, t, projector(t, b, "again"), n)
	if got := totals(t, b); !equal(got, want) {
		t.Errorf("after reading again: got  %v\nwant %v", got, want)
	}
}

// TestAddersRace: many add the same lines to one total, each in steps of its own.
func TestAddersRace(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	kv, err := b.KeyValue(t.Context(), bus.BucketSpend)
	if err != nil {
		t.Fatal(err)
	}
	const key, n = "2026-11-25.acme.small", 300
	heads := make([]head, n)
	var want Sum
	for i := range heads {
		heads[i] = head{sequence: uint64(i + 1), sums: sums{Cost: int64(i), Prompt: 1}} //nolint:gosec // a small number
		want.Add(heads[i].sum())
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for left := heads; len(left) > 0; {
				step := min(1+rand.IntN(20), len(left))
				if err := addTo(t.Context(), kv, key, left[:step]); err != nil {
					t.Error(err)
					return
				}
				left = left[step:]
			}
		})
	}
	wg.Wait()
	entry, err := kv.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if total, err := decodeTotal(key, entry.Value()); err != nil || total.Sum != want || total.Sequence != n {
		t.Errorf("got %+v, %v; want %+v", total, err, want)
	}
}

// TestProjectorsTakeTurns: one works while the other stands by, over a restart
// of the server; when the first stops the other one takes over at once.
func TestProjectorsTakeTurns(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	holder := func() string {
		kv, err := b.KeyValue(t.Context(), bus.BucketSpend)
		if err != nil {
			return ""
		}
		entry, err := kv.Get(t.Context(), keyLease)
		if err != nil {
			return ""
		}
		return string(entry.Value())
	}
	stop := run(t, projector(t, b, "first"))
	eventually(t, "the first has the lease", func() bool { return holder() == "first" })
	run(t, projector(t, server.Bus(), "second"))
	want := spend(t, b, 0, 200)
	eventually(t, "the totals are complete", func() bool { return equal(totals(t, b), want) })
	server.Restart()
	eventually(t, "the server is back", func() bool { _, err := b.KeyValue(t.Context(), bus.BucketSpend); return err == nil })
	for key, sum := range spend(t, b, 200, 300) {
		all := want[key]
		all.Add(sum)
		want[key] = all
	}
	eventually(t, "the totals are complete after the restart", func() bool { return equal(totals(t, b), want) })
	stop()
	eventually(t, "the second has the lease", func() bool { return holder() == "second" })
	for key, sum := range spend(t, b, 500, 100) {
		all := want[key]
		all.Add(sum)
		want[key] = all
	}
	eventually(t, "the second's totals are complete", func() bool { return equal(totals(t, b), want) })
}

// TestLostLease: a process that finds its lease taken stops working.
func TestLostLease(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	p := projector(t, b, "p")
	kv, err := b.KeyValue(t.Context(), bus.BucketSpend)
	if err != nil {
		t.Fatal(err)
	}
	err = p.cfg.holdLease(t.Context(), func(ctx context.Context) error {
		if _, err := kv.Put(ctx, keyLease, []byte("another")); err != nil {
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
	if !bus.IsConflict(err) {
		t.Errorf("got %v, want the lost lease", err)
	}
	entry, err := kv.Get(t.Context(), keyLease)
	if err != nil || string(entry.Value()) != "another" {
		t.Errorf("lease %v, %v; want the other's left alone", entry, err)
	}
}

// TestSweep: a call without a line whose step nobody takes up again is counted
// an hour later, once; younger ones, and those with a line, are left.
func TestSweep(t *testing.T) {
	t.Parallel()
	l, b, _ := setup(t)
	begin(t, l, intent(1))
	done := intent(1)
	done.Job = "j2"
	record(t, l, answered(begin(t, l, done), "Yes."))
	kv, err := b.KeyValue(t.Context(), bus.BucketSpend)
	if err != nil {
		t.Fatal(err)
	}
	ledgerKV, err := b.KeyValue(t.Context(), bus.BucketLedger)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledgerKV.Put(t.Context(), "foreign", []byte("not JSON")); err != nil {
		t.Fatal(err)
	}
	p := projector(t, b, "p")
	sweep := func(want ...string) {
		t.Helper()
		if err := p.sweep(t.Context(), kv); err != nil {
			t.Fatal(err)
		}
		wantLines(t, b, want...)
	}
	sweep("1-1 70")
	p.cfg.Now = func() time.Time { return time.Now().Add(sweepAfter + time.Minute) }
	sweep("1-1 70", "1-1 900 maybe")
	sweep("1-1 70", "1-1 900 maybe")
	// The delivery that comes after all finds it counted.
	begin(t, l, intent(2))
	wantLines(t, b, "1-1 70", "1-1 900 maybe")
}

// TestForeignLines have no place in any total and stop nothing.
func TestForeignLines(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	for _, subject := range []string{"weir.ledger.acme.j1.s.1-1", "weir.ledger.acme.j1.s.x"} {
		if err := b.Publish(t.Context(), bus.Out{Subject: subject, Data: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	want := spend(t, b, 0, 10)
	project(t.Context(), t, projector(t, b, "p"), 12)
	if got := totals(t, b); !equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestReaderSeesAGap: a message that got lost on its way is noticed.
func TestReaderSeesAGap(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	spend(t, b, 0, 5)
	r, err := openReader(t.Context(), b, bus.StreamLedger, jetstream.ConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.consumer.Next(); err != nil { // and nobody counts it
		t.Fatal(err)
	}
	if _, err := r.next(t.Context(), 10, time.Second); !errors.Is(err, errGap) {
		t.Errorf("got %v, want %v", err, errGap)
	}
}

func TestConfigs(t *testing.T) {
	t.Parallel()
	if _, err := NewProjector(ProjectorConfig{}); err == nil {
		t.Error("a projector without a bus")
	}
	if _, err := NewSpend(SpendConfig{}); err == nil {
		t.Error("a spend without a bus")
	}
}
