package bus_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
)

var consumer = bus.JobConsumer("test", event.KindGenerate, event.LaneBatch, 1000)

const subject = "weir.jobs.generate.batch.acme"

// numbered makes the messages from up to, not including, to.
func numbered(from, to int) []bus.Out {
	outs := make([]bus.Out, 0, to-from)
	for i := from; i < to; i++ {
		outs = append(outs, bus.Out{Subject: subject, ID: strconv.Itoa(i), Data: []byte(`{"v":1}`)})
	}
	return outs
}

// publish stores n messages.
func publish(t *testing.T, b *bus.Bus, n int) {
	t.Helper()
	if err := b.Publish(t.Context(), numbered(0, n)...); err != nil {
		t.Fatal(err)
	}
}

// pull starts a puller; stop ends it and waits.
func pull(t *testing.T, b *bus.Bus, c bus.Consumer, slots int) (p *bus.Puller, stop func()) {
	t.Helper()
	if err := b.EnsureConsumer(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p = bus.NewPuller(b.Conn(), c.Stream, c.Durable, slots)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return p, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// receive takes the next message or fails the test.
func receive(t *testing.T, p *bus.Puller) *bus.Message {
	t.Helper()
	select {
	case m := <-p.Messages():
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("no message came")
		return nil
	}
}

// TestPullerNeverStalls is the guard against the lost wake-up of nats.go's
// Consume: with one slot and handlers that take no time, no two messages are
// more than a second apart. WEIR_TEST_STALL sets the number of messages; CI
// sends 200,000.
func TestPullerNeverStalls(t *testing.T) {
	n := 20_000
	if v := os.Getenv("WEIR_TEST_STALL"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatalf("WEIR_TEST_STALL: %v", err)
		}
	}
	b, _ := bustest.New(t)
	// The queue runs full and empty by turns, so that both ends are seen.
	const ahead = 1000
	room := make(chan struct{}, 4*ahead)
	go func() {
		for start := 0; start < n; start += ahead {
			for range min(ahead, n-start) {
				room <- struct{}{}
			}
			if err := b.Publish(context.Background(), numbered(start, min(n, start+ahead))...); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	p, stop := pull(t, b, consumer, 1)
	defer stop()
	last, worst := time.Now(), time.Duration(0)
	for i := range n {
		m := receive(t, p)
		if gap := time.Since(last); i > 0 { // the first waits for the consumer
			worst = max(worst, gap)
		}
		last = time.Now()
		if err := m.Ack(); err != nil {
			t.Fatal(err)
		}
		p.Done()
		<-room
	}
	t.Logf("%d messages, longest gap %s", n, worst)
	if worst > time.Second {
		t.Errorf("longest gap %s, want at most 1s", worst)
	}
}

// TestPullerHoldsNoMoreThanItsSlots: without Done nothing more comes, however
// much waits.
func TestPullerHoldsNoMoreThanItsSlots(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	publish(t, b, 50)
	p, stop := pull(t, b, consumer, 4)
	defer stop()
	for range 4 {
		receive(t, p)
	}
	info, err := b.ConsumerInfo(t.Context(), consumer)
	if err != nil {
		t.Fatal(err)
	}
	if info.NumAckPending != 4 || info.NumWaiting != 0 {
		t.Errorf("in flight %d, open pulls %d; want 4 and 0", info.NumAckPending, info.NumWaiting)
	}
	p.Done()
	receive(t, p)
}

// TestPullerSurvivesServerRestart: pull requests die with the server; the
// puller asks again.
func TestPullerSurvivesServerRestart(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	p, stop := pull(t, b, consumer, 8)
	defer stop()
	publish(t, b, 1)
	receive(t, p).Ack() //nolint:errcheck // the count below tells
	p.Done()
	server.Restart()
	for i := range 20 { // more than the slots: credits must not leak
		retry(t, func() error {
			return b.Publish(t.Context(), bus.Out{Subject: subject, ID: fmt.Sprint("after", i), Data: []byte(`{"v":1}`)})
		})
		receive(t, p).Ack() //nolint:errcheck // the next receive tells
		p.Done()
	}
}

// TestPullerSharesTheQueue: what one worker does not hold, another gets.
func TestPullerSharesTheQueue(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	publish(t, b, 6)
	first, stopFirst := pull(t, b, consumer, 2)
	defer stopFirst()
	second, stopSecond := pull(t, server.Bus(), consumer, 4)
	defer stopSecond()
	seen := map[uint64]bool{}
	for _, p := range []*bus.Puller{first, first, second, second, second, second} {
		seen[receive(t, p).Sequence] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d different messages, want 6", len(seen))
	}
}

func retry(t *testing.T, f func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatal(err)
}
