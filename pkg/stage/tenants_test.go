package stage_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
)

// names sends the tenants of the messages it handles.
func names(t *testing.T) (stage.HandlerFunc, <-chan string) {
	t.Helper()
	ch := make(chan string, 1000)
	return func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		ch <- event.TenantOf(in.Subject)
		return nil, nil
	}, ch
}

// wantTenants waits until the runner pulls from n tenants.
func wantTenants(t *testing.T, reg *prometheus.Registry, n float64) {
	t.Helper()
	eventually(t, func() string {
		if got := metric(t, reg, "weir_stage_tenants"); got != n {
			return fmt.Sprintf("pulling from %g tenants, want %g", got, n)
		}
		return ""
	})
}

// TestNewTenantIsServedSoon: jobs come from clients that send no hint.
func TestNewTenantIsServedSoon(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h, tenants := names(t)
	start(t, b, config(), h)
	for i := range 5 {
		want := fmt.Sprint("new", i)
		sent := time.Now()
		submitAs(t, b, want, event.LaneBatch, `{"v":1}`)
		if got := next(t, tenants); got != want {
			t.Errorf("got %s's, want %s's", got, want)
		}
		if d := time.Since(sent); d > time.Second {
			t.Errorf("%s waited %s", want, d)
		}
	}
}

// TestHintedTenantIsPulledFromAtOnce: even before it has a message.
func TestHintedTenantIsPulledFromAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reg := prometheus.NewRegistry()
	startOn(t, b, steps(), mustNotRun(t), platform.Platform{Registerer: reg})
	// The first hint may come before the runner listens.
	eventually(t, func() string {
		if err := b.Conn().Publish("weir.hints.steps.generate.m.batch.new", nil); err != nil {
			return err.Error()
		}
		if n := metric(t, reg, "weir_stage_tenants"); n != 1 {
			return fmt.Sprintf("pulling from %g tenants", n)
		}
		return ""
	})
}

// TestStepsAreHintedAt once a minute.
func TestStepsAreHintedAt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hints := make(chan *nats.Msg, 10)
	if _, err := b.Conn().ChanSubscribe("weir.hints.>", hints); err != nil {
		t.Fatal(err)
	}
	var ahead atomic.Int64
	handled := make(chan struct{}, 10)
	startOn(t, b, config(source(event.LaneBatch, 1)), func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		handled <- struct{}{}
		return []bus.Out{{Subject: event.GenerateSubject("m", event.LaneBatch, event.TenantOf(in.Subject)), ID: string(in.Data), Data: []byte(job)}}, nil
	}, platform.Platform{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	step := func(id, tenant string) {
		t.Helper()
		submitAs(t, b, tenant, event.LaneBatch, fmt.Sprintf(`{"v":1,"id":%q}`, id))
		next(t, handled)
		wantIdle(t, b, bus.StreamJobs)
	}
	step("1", "acme")
	step("2", "acme")
	step("3", "other")
	ahead.Store(int64(2 * time.Minute))
	step("4", "acme")
	for _, want := range []string{"acme", "other", "acme"} {
		if got := next(t, hints).Subject; got != "weir.hints.steps.generate.m.batch."+want {
			t.Errorf("hint %s, want one at %s", got, want)
		}
	}
}

// TestIdleTenantIsLetGo: nothing is asked for it any more, and its next job is
// served all the same.
func TestIdleTenantIsLetGo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reg := prometheus.NewRegistry()
	var ahead atomic.Int64
	h, tenants := names(t)
	startOn(t, b, config(), h, platform.Platform{Registerer: reg, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	submit(t, b, event.LaneBatch, job)
	next(t, tenants)
	wantTenants(t, reg, 1)
	wantIdle(t, b, bus.StreamJobs)
	ahead.Store(int64(6 * time.Minute))
	wantTenants(t, reg, 0)
	eventually(t, func() string {
		info, err := b.ConsumerInfo(t.Context(), source(event.LaneBatch, 1).Consumer.Tenant("acme"))
		if err != nil || info.NumWaiting != 0 {
			return fmt.Sprintf("%d open pulls (%v)", info.NumWaiting, err)
		}
		return ""
	})
	submit(t, b, event.LaneBatch, job)
	next(t, tenants)
}

// TestMoreTenantsThanArePulledFrom take turns.
func TestMoreTenantsThanArePulledFrom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const tenants = 300
	outs := make([]bus.Out, 0, 2*tenants)
	for i := range cap(outs) {
		outs = append(outs, bus.Out{Subject: event.GenerateSubject("m", event.LaneBatch, fmt.Sprint("t", i%tenants)), ID: fmt.Sprint(i), Data: []byte(job)})
	}
	if err := b.Publish(t.Context(), outs...); err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	h, handled := names(t)
	startOn(t, b, steps(), h, platform.Platform{Registerer: reg})
	seen := map[string]int{}
	for range cap(outs) {
		seen[next(t, handled)]++
		if len(seen)%100 == 0 {
			if n := metric(t, reg, "weir_stage_tenants"); n > 256 {
				t.Errorf("pulling from %g tenants at once", n)
			}
		}
	}
	if len(seen) != tenants {
		t.Errorf("%d tenants were served, want %d", len(seen), tenants)
	}
	wantIdle(t, b, bus.StreamSteps)
}

// TestForeignTenantNamesEndToo: what is no tenant's name is handled, and so ends
// in the dead letters; it does not stay in the queue.
func TestForeignTenantNamesEndToo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h, tenants := names(t)
	start(t, b, config(), h)
	for _, name := range []string{"a/b", "x@y", "Ünal", "acme-batch@x"} {
		submitAs(t, b, name, event.LaneBatch, `{"v":1}`)
		if got := next(t, tenants); got != name {
			t.Errorf("got %q's, want %q's", got, name)
		}
	}
	wantIdle(t, b, bus.StreamJobs)
}

// TestRemovedDurableIsMadeAgain, with what waited in it.
func TestRemovedDurableIsMadeAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h, tenants := names(t)
	start(t, b, config(), h)
	submit(t, b, event.LaneBatch, job)
	next(t, tenants)
	wantIdle(t, b, bus.StreamJobs)
	if err := b.JetStream().DeleteConsumer(t.Context(), bus.StreamJobs, "test-batch@acme"); err != nil {
		t.Fatal(err)
	}
	submit(t, b, event.LaneBatch, `{"v":1,"id":"j2"}`)
	next(t, tenants)
	wantIdle(t, b, bus.StreamJobs)
}

// TestFullStreamOfConsumers: tenants for whom there is no durable wait until
// there is room, and the others are served meanwhile.
func TestFullStreamOfConsumers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxConsumers = 1
	if _, err := b.JetStream().UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	h, tenants := names(t)
	start(t, b, config(), h)
	submitAs(t, b, "first", event.LaneBatch, `{"v":1}`)
	next(t, tenants)
	submitAs(t, b, "second", event.LaneBatch, `{"v":1}`)
	submitAs(t, b, "first", event.LaneBatch, `{"v":1}`)
	if got := next(t, tenants); got != "first" {
		t.Errorf("got %s's", got)
	}
	cfg.MaxConsumers = 2
	if _, err := b.JetStream().UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if got := next(t, tenants); got != "second" {
		t.Errorf("got %s's", got)
	}
}

// TestTenantsSurviveServerRestart: with three workers and five tenants nothing
// is lost and nothing is left.
func TestTenantsSurviveServerRestart(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	src := quick(2 * time.Second) // for what the restart takes from its worker
	handled := make(chan string, 10_000)
	for range 3 {
		start(t, server.Bus(), config(src), func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
			head, _ := event.Peek(in.Data)
			handled <- head.ID
			call(ctx)
			return nil, nil
		})
	}
	want := map[string]bool{}
	for i := range 200 {
		id := fmt.Sprint("j", i)
		want[id] = true
		submitAs(t, b, fmt.Sprint("t", i%5), event.LaneBatch, fmt.Sprintf(`{"v":1,"id":%q}`, id))
	}
	for range 50 {
		delete(want, next(t, handled))
	}
	server.Restart()
	for len(want) > 0 {
		delete(want, next(t, handled))
	}
	wantIdle(t, b, bus.StreamJobs)
}

// TestStopHandsBackWhatIsInHand: at once, while the stopping worker still waits
// for the message in work.
func TestStopHandsBackWhatIsInHand(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	started, release := make(chan struct{}, 10), make(chan struct{})
	stop := start(t, server.Bus(), config(source(event.LaneBatch, 1)), func(context.Context, *bus.Message) ([]bus.Out, error) {
		started <- struct{}{}
		<-release
		return nil, nil
	})
	for _, tenant := range []string{"a", "b", "a", "b", "a", "b"} {
		submitAs(t, b, tenant, event.LaneBatch, `{"v":1}`)
	}
	next(t, started)
	eventually(t, func() string { // one in work, one of each tenant in hand
		held := 0
		for _, tenant := range []string{"a", "b"} {
			if info, err := b.ConsumerInfo(t.Context(), source(event.LaneBatch, 1).Consumer.Tenant(tenant)); err == nil {
				held += info.NumAckPending
			}
		}
		if held != 3 {
			return fmt.Sprintf("%d held, want 3", held)
		}
		return ""
	})
	var stopped sync.WaitGroup
	stopped.Go(stop)
	h, tenants := names(t)
	start(t, b, config(), h)
	for range 5 {
		next(t, tenants)
	}
	close(release)
	stopped.Wait()
	wantIdle(t, b, bus.StreamJobs)
	if n := len(started); n != 0 {
		t.Errorf("%d more were started after the stop", n)
	}
}

// TestAbandonedMessagesComeAgain: a worker that loses its connection for good
// loses what it had in work and in hand to the others.
func TestAbandonedMessagesComeAgain(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	cfg := config(quick(300 * time.Millisecond))
	cfg.DrainTimeout = time.Second
	dying := server.Bus()
	started := make(chan struct{}, 10)
	dead, err := stage.New(cfg, dying, stage.HandlerFunc(func(ctx context.Context, _ *bus.Message) ([]bus.Out, error) {
		started <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}), platform.Platform{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- dead.Run(t.Context()) }()
	for i := range 8 {
		submitAs(t, b, fmt.Sprint("t", i%2), event.LaneBatch, `{"v":1}`)
	}
	next(t, started)
	dying.Conn().Close()
	h, tenants := names(t)
	start(t, b, cfg, h)
	for range 8 {
		next(t, tenants)
	}
	wantIdle(t, b, bus.StreamJobs)
	if err := next(t, ended); err == nil {
		t.Error("no error")
	}
}
