package stage_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
)

// wantHeld checks that at least n messages of a tenant wait and none is in work.
func wantHeld(t *testing.T, b *bus.Bus, src stage.Source, tenant string, n uint64) {
	t.Helper()
	eventually(t, func() string {
		info, err := b.ConsumerInfo(t.Context(), src.Consumer.Tenant(tenant))
		if err != nil || info.NumPending < n || info.NumAckPending != 0 {
			return fmt.Sprintf("%+v (%v), want %d messages left in the stream", info, err, n)
		}
		return ""
	})
}

// TestPausedTenantsMessagesStay in the stream, while others' are served, until the
// tenant is no longer paused.
func TestPausedTenantsMessagesStay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var paused atomic.Bool
	paused.Store(true)
	asked := make(chan struct{}, 1)
	src := source(event.LaneBatch, 1)
	cfg := config(src)
	cfg.Paused = func(tenant string) bool {
		if tenant == "acme" {
			select {
			case asked <- struct{}{}:
			default:
			}
		}
		return tenant == "acme" && paused.Load()
	}
	h, tenants := names(t)
	start(t, b, cfg, h)
	want := func(tenant string) {
		t.Helper()
		if got := next(t, tenants); got != tenant {
			t.Fatalf("served %s, want %s", got, tenant)
		}
	}
	submit(t, b, event.LaneBatch, job)
	next(t, asked)
	submitAs(t, b, "other", event.LaneBatch, job)
	want("other")
	wantHeld(t, b, src, "acme", 1)
	paused.Store(false)
	want("acme")

	// Paused again while it is pulled from: of what comes now, one message at most
	// was asked for before.
	paused.Store(true)
	for range 3 { // one may be underway, one full buffer; the third is of now
		next(t, asked)
	}
	for range 4 {
		submit(t, b, event.LaneBatch, `{"v":1}`)
	}
	wantHeld(t, b, src, "acme", 3)
	submitAs(t, b, "other", event.LaneBatch, job)
	for got := next(t, tenants); got != "other"; got = next(t, tenants) {
	}
	wantHeld(t, b, src, "acme", 3)
	paused.Store(false)
	wantIdle(t, b, bus.StreamJobs)
}

// lines sends what is logged.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// TestTakenMessageIsLeftAlone: it is neither acked nor handed back, and nobody is
// told anything: its later delivery does that.
func TestTakenMessageIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	held := make(chan *bus.Message, 1)
	src := source(event.LaneBatch, 4)
	logged := make(lines, 100)
	startOn(t, b, config(src), func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		if in.Deliveries == 1 {
			held <- in
			return nil, fmt.Errorf("calling: %w", stage.ErrTaken)
		}
		return done(t, in), nil
	}, platform.Platform{Logger: slog.New(slog.NewTextHandler(logged, nil))})
	submit(t, b, event.LaneBatch, job)
	for line := next(t, logged); !strings.Contains(line, "later delivery"); line = next(t, logged) {
	}
	info, err := b.ConsumerInfo(t.Context(), src.Consumer.Tenant("acme"))
	if err != nil || info.NumAckPending != 1 || info.NumRedelivered != 0 {
		t.Errorf("consumer %+v (%v), want the message in work", info, err)
	}
	for _, stream := range []string{bus.StreamResults, bus.StreamDead, bus.StreamEvents} {
		if n := count(t, b, stream); n != 0 {
			t.Errorf("%s holds %d messages, want none", stream, n)
		}
	}
	if err := next(t, held).Retry(0); err != nil { // now it is delivered later
		t.Fatal(err)
	}
	wantCounts(t, b, 1, 0)
}

// TestFailedResultShowsTheReceipt that the handler left, else the message's own.
func TestFailedResultShowsTheReceipt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	broken := event.Invalid("x", "mend it", "broken")
	start(t, b, config(), func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		if head, _ := event.Peek(in.Data); head.ID == "own" {
			return nil, broken
		}
		return nil, stage.WithReceipt(fmt.Errorf("calling: %w", broken), event.Receipt{CostNanoUSD: 9})
	})
	results := watch(t, b, bus.StreamResults)
	for id, cost := range map[string]int64{"own": 5, "left": 9} {
		submit(t, b, event.LaneBatch, fmt.Sprintf(`{"v":1,"id":%q,"receipt":{"cost_nano_usd":5}}`, id))
		if r := nextResult(t, results); r.ID != id || r.Receipt.CostNanoUSD != cost || r.Receipt.TotalMS <= 0 || r.Error.Hint != "mend it" {
			t.Errorf("result %+v, want %s's with a cost of %d", r, id, cost)
		}
	}
}
