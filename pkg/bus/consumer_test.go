package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
)

// TestTenantsConsumers: each takes its tenant's messages alone, and no two have
// the same name, whatever the tenants are called.
func TestTenantsConsumers(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	all := bus.GenerateConsumer("m", event.LaneBatch, 10)
	other := bus.GenerateConsumer("m-batch-x", event.LaneBatch, 10)
	acme := all.Tenant("acme")
	if acme.Durable != "generator-m-batch@acme" || acme.Filter != "weir.steps.generate.m.batch.acme" || acme.MaxAckPending != 10 {
		t.Errorf("got %+v", acme)
	}
	names := map[string]bool{}
	for _, c := range []bus.Consumer{acme, all.Tenant("x-batch-acme"), other.Tenant("acme"), all.Tenant("a/b"), all.Tenant("a@b"), all.Tenant("")} {
		if names[c.Durable] {
			t.Errorf("two are named %s", c.Durable)
		}
		names[c.Durable] = true
		if c.Filter[len(c.Filter)-1] == '.' {
			continue // no message can have that subject
		}
		if err := b.EnsureConsumer(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	info, err := b.ConsumerInfo(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	if info.Config.InactiveThreshold != time.Hour {
		t.Errorf("removed after %s, want 1h: an idle tenant's must not stay for ever", info.Config.InactiveThreshold)
	}
}

// TestRefusedConsumerSaysWhatToDo: one that overlaps, and one too many.
func TestRefusedConsumerSaysWhatToDo(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	if err := b.EnsureConsumer(t.Context(), consumer); err != nil {
		t.Fatal(err)
	}
	wantError(t, b.EnsureConsumer(t.Context(), consumer.Tenant("acme")), "invalid", "test-batch@acme", "consumer ls WEIR_JOBS")
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxConsumers = 1
	if _, err := b.JetStream().UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	other := bus.JobConsumer("test", event.KindIngest, event.LaneBatch, 10)
	other.Durable = "other"
	wantError(t, b.EnsureConsumer(t.Context(), other), "unavailable", "other", "MaxConsumers")
}

// TestBacklog counts what waits, of tenants with a durable and without.
func TestBacklog(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	publish(t, b, 5)
	p, stop := pull(t, b, consumer.Tenant("acme"), 2)
	defer stop()
	receive(t, p)
	receive(t, p)
	for _, s := range []string{"weir.jobs.generate.batch.other", "weir.jobs.generate.interactive.acme"} {
		if err := b.Publish(t.Context(), bus.Out{Subject: s, ID: s, Data: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := b.Backlog(t.Context(), consumer)
	if err != nil || got != 4 {
		t.Errorf("backlog %d, %v; want 3 of acme and 1 of the other tenant", got, err)
	}
	nowhere := consumer
	nowhere.Stream = "NOWHERE"
	_, err = b.Backlog(t.Context(), nowhere)
	wantError(t, err, "unavailable", "NOWHERE", "")
}

// TestPullerChangesItsSlots: fewer are in force when what was asked for is used
// up, more at once.
func TestPullerChangesItsSlots(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	publish(t, b, 50)
	if err := b.EnsureConsumer(t.Context(), consumer); err != nil {
		t.Fatal(err)
	}
	p := bus.NewPuller(b.Conn(), consumer.Stream, consumer.Durable, 8)
	p.SetSlots(1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	holds := func(want int) {
		t.Helper()
		info, err := b.ConsumerInfo(t.Context(), consumer)
		if err != nil {
			t.Fatal(err)
		}
		if info.NumAckPending != want || info.NumWaiting != 0 {
			t.Errorf("in flight %d, open pulls %d; want %d and 0", info.NumAckPending, info.NumWaiting, want)
		}
	}
	receive(t, p)
	holds(1)
	p.SetSlots(8)
	for range 7 {
		receive(t, p)
	}
	holds(8)
	p.SetSlots(2)
	for range 6 {
		p.Done()
	}
	holds(8) // two of them still fill the slots
	p.Done()
	receive(t, p)
	holds(9)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestPullerEndsWithItsConsumer, when it is removed and when there was none.
func TestPullerEndsWithItsConsumer(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	for _, made := range []bool{false, true} {
		if made {
			if err := b.EnsureConsumer(t.Context(), consumer); err != nil {
				t.Fatal(err)
			}
		}
		p := bus.NewPuller(b.Conn(), consumer.Stream, consumer.Durable, 2)
		ended := make(chan error, 1)
		go func() { ended <- p.Run(t.Context()) }()
		for made {
			info, err := b.ConsumerInfo(t.Context(), consumer)
			if err != nil {
				t.Fatal(err)
			}
			if info.NumWaiting > 0 {
				break
			}
		}
		if made {
			if err := b.JetStream().DeleteConsumer(t.Context(), consumer.Stream, consumer.Durable); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case err := <-ended:
			if !errors.Is(err, bus.ErrNoConsumer) {
				t.Errorf("ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("still pulling from nothing")
		}
	}
}
