package delay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/delay"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
)

const patience = 15 * time.Second

func eventually(t *testing.T, f func() string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	missing := f()
	for deadline := time.Now().Add(patience); missing != ""; missing = f() {
		if time.Now().After(deadline) {
			t.Fatal(missing)
		}
		<-tick.C
	}
}

func count(t *testing.T, b *bus.Bus, stream string) int {
	t.Helper()
	s, err := b.JetStream().Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return int(s.CachedInfo().State.Msgs) //nolint:gosec // a count
}

func wantCount(t *testing.T, b *bus.Bus, stream string, want int) {
	t.Helper()
	eventually(t, func() string {
		if n := count(t, b, stream); n != want {
			return fmt.Sprintf("%s holds %d, want %d", stream, n, want)
		}
		return ""
	})
}

func run(t *testing.T, b *bus.Bus) (stop func()) {
	t.Helper()
	m := delay.NewMover(platform.Platform{NATS: b.Conn()}, b)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	<-m.Ready()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("mover: %v", err)
		}
	}
}

func job(tenant, id string) bus.Out {
	return bus.Out{Subject: event.Address{Kind: event.KindGenerate, Lane: event.LaneBatch, Tenant: tenant}.Subject(), ID: tenant + "." + id + ".due",
		Data: json.RawMessage(`{"v":1,"id":"` + id + `"}`), Header: nats.Header{bus.HeaderJob: {id}}}
}

func publish(t *testing.T, b *bus.Bus, outs ...bus.Out) {
	t.Helper()
	if err := b.Publish(t.Context(), outs...); err != nil {
		t.Fatal(err)
	}
}

// TestMove: a message comes as it was given, at its time, once however often it was
// scheduled, over restarts of the server.
func TestMove(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	at := time.Now().Add(time.Second)
	for range 3 { // a redelivery of who schedules it
		publish(t, b, delay.Moved(at, "acme", "j1", job("acme", "j1")))
	}
	publish(t, b, delay.Moved(at, "acme", "j2", job("acme", "j2")))
	server.Restart()
	defer run(t, b)()
	wantCount(t, b, bus.StreamJobs, 2)
	wantCount(t, b, bus.StreamDelay, 0)
	if early := time.Until(at); early > 0 {
		t.Errorf("came %s early", early)
	}
	s, err := b.JetStream().Stream(t.Context(), bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := s.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if msg.Subject != "weir.jobs.generate.batch.acme" || len(msg.Data) == 0 || msg.Header.Get(bus.HeaderJob) == "" ||
		msg.Header.Get(delay.HeaderDue) == "" || msg.Header.Get("Nats-Scheduler") != "" || msg.Header.Get(delay.HeaderSubject) != "" {
		t.Errorf("moved %s %s %v", msg.Subject, msg.Data, msg.Header)
	}
}

// TestCancel: purging the subject of a message that waits removes it.
func TestCancel(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	publish(t, b, delay.Moved(time.Now().Add(300*time.Millisecond), "acme", "j1", job("acme", "j1")))
	s, err := b.JetStream().Stream(t.Context(), bus.StreamDelay)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), jetstream.WithPurgeSubject(event.DelaySubject(delay.KindJobs, "acme", "j1"))); err != nil {
		t.Fatal(err)
	}
	// What is scheduled later has come: the one before would have, too.
	publish(t, b, delay.Moved(time.Now().Add(900*time.Millisecond), "acme", "j2", job("acme", "j2")))
	defer run(t, b)()
	wantCount(t, b, bus.StreamDelay, 0)
	wantCount(t, b, bus.StreamJobs, 1)
}

// TestFull: what a full stream refuses waits again, and holds up nobody.
func TestFull(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	limits := bus.DefaultLimits()
	limits.TenantJobs = 1
	if err := b.Ensure(t.Context(), limits); err != nil {
		t.Fatal(err)
	}
	defer run(t, b)()
	publish(t, b, job("acme", "first"))
	now := time.Now()
	publish(t, b, delay.Moved(now, "acme", "j1", job("acme", "j1")), delay.Moved(now, "other", "j1", job("other", "j1")))
	wantCount(t, b, bus.StreamJobs, 2)
	s, err := b.JetStream().Stream(t.Context(), bus.StreamDelay)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		info, err := s.Info(t.Context(), jetstream.WithSubjectFilter("weir.d*.>"))
		if err != nil {
			return err.Error()
		}
		msg, err := s.GetLastMsgForSubject(t.Context(), event.DelaySubject(delay.KindJobs, "acme", "j1"))
		if err != nil || info.State.Msgs != 1 {
			return fmt.Sprintf("%d wait, %v", info.State.Msgs, err)
		}
		if msg.Header.Get(delay.HeaderSubject) == "" || msg.Header.Get(delay.HeaderID) == "" {
			return fmt.Sprintf("waits without its way: %v", msg.Header)
		}
		return ""
	})
}

// TestNowhere: a message that may not go where it wants is a dead letter.
func TestNowhere(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	defer run(t, b)()
	publish(t, b, delay.Moved(time.Now(), "acme", "j1", bus.Out{Subject: "weir.steps.route.batch.acme", Data: []byte(`{}`)}),
		delay.Moved(time.Now(), "acme", "j2", job("other", "j2")))
	wantCount(t, b, bus.StreamDead, 2)
	wantCount(t, b, bus.StreamDelay, 0)
	wantCount(t, b, bus.StreamJobs, 0)
}
