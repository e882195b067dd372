package stage_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// callTime is that of a call in these tests: long beside a round trip to NATS,
// as a model's are.
const callTime = 10 * time.Millisecond

// call takes the time of a call.
func call(ctx context.Context) {
	select {
	case <-time.After(callTime):
	case <-ctx.Done():
	}
}

// served counts what the tenants were served, up to a number of messages.
type served struct {
	mu       sync.Mutex
	limit    int
	messages int
	tokens   map[string]float64
	full     chan struct{}
}

func newServed(limit int) *served {
	return &served{limit: limit, tokens: map[string]float64{}, full: make(chan struct{})}
}

// handle is a call that counts.
func (s *served) handle(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	s.add(in)
	call(ctx)
	return nil, nil
}

func (s *served) add(in *bus.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.messages == s.limit {
		return
	}
	tokens, _ := strconv.ParseFloat(in.Header.Get(stage.HeaderTokens), 64)
	s.tokens[event.TenantOf(in.Subject)] += tokens
	if s.messages++; s.messages == s.limit {
		close(s.full)
	}
}

// publishSteps stores n steps of a tenant, the i-th of size(i) tokens.
func publishSteps(t *testing.T, b *bus.Bus, tenant string, n int, size func(i int) int) {
	t.Helper()
	outs := make([]bus.Out, n)
	for i := range outs {
		outs[i] = bus.Out{Subject: event.GenerateSubject("m", event.LaneBatch, tenant), ID: fmt.Sprint(tenant, i), Data: []byte(job),
			Header: nats.Header{stage.HeaderTokens: {strconv.Itoa(size(i))}, stage.HeaderJob: {"j1"}}}
	}
	if err := b.Publish(t.Context(), outs...); err != nil {
		t.Fatal(err)
	}
}

// fleet runs n workers of steps, each on a connection of its own.
func fleet(t *testing.T, server *bustest.Server, n int, share func(string) float64, h stage.HandlerFunc) {
	t.Helper()
	cfg := config(stage.Source{Consumer: bus.GenerateConsumer("m", event.LaneBatch, 100), Slots: 4})
	cfg.Share = share
	for range n {
		start(t, server.Bus(), cfg, h)
	}
}

// TestLightTenantIsNotHeldUp: 20 jobs behind 1,000 of another tenant are done
// within 60.
func TestLightTenantIsNotHeldUp(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	publishSteps(t, b, "heavy", 1000, func(int) int { return 1000 })
	publishSteps(t, b, "light", 20, func(int) int { return 1000 })
	s := newServed(60)
	fleet(t, server, 1, nil, s.handle)
	next(t, s.full)
	if got := s.tokens["light"] / 1000; got != 20 {
		t.Errorf("%g of the first 60 were the light tenant's, want all its 20", got)
	}
}

// TestTenantsAreServedByShares: four workers, two tenants of shares 3 and 1
// whose messages differ in size.
func TestTenantsAreServedByShares(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	publishSteps(t, b, "big", 2300, func(i int) int { return 300 + i%5*100 })
	publishSteps(t, b, "small", 700, func(i int) int { return 200 + i%9*200 })
	s := newServed(2000)
	fleet(t, server, 4, func(tenant string) float64 { return map[string]float64{"big": 3, "small": math.NaN()}[tenant] }, s.handle)
	next(t, s.full)
	ratio := s.tokens["big"] / s.tokens["small"]
	t.Logf("shares 3 to 1, served %.3f to 1", ratio)
	if math.Abs(ratio-3) > 0.3 {
		t.Errorf("served %v, ratio %.2f; want 3 within 10 %%", s.tokens, ratio)
	}
}

// TestEqualTenantsAreServedTheSame: six of them with messages of six sizes.
func TestEqualTenantsAreServedTheSame(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	for i := range 6 {
		publishSteps(t, b, fmt.Sprint("t", i), 900/(i+1), func(int) int { return 250 * (i + 1) })
	}
	s := newServed(1000)
	fleet(t, server, 4, nil, s.handle)
	next(t, s.full)
	sum, squares := 0.0, 0.0
	for _, tokens := range s.tokens {
		sum, squares = sum+tokens, squares+tokens*tokens
	}
	jain := sum * sum / (6 * squares)
	t.Logf("Jain index %.4f", jain)
	if jain < 0.97 {
		t.Errorf("served %v, Jain index %.3f; want at least 0.97", s.tokens, jain)
	}
}

// TestChargeCorrectsTheEstimate: of two tenants with equal estimates, the one
// whose calls turn out four times as large is served a quarter of the messages.
func TestChargeCorrectsTheEstimate(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	for _, tenant := range []string{"wordy", "terse"} {
		publishSteps(t, b, tenant, 600, func(int) int { return 100 })
	}
	s := newServed(500)
	fleet(t, server, 1, nil, func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
		outs, err := s.handle(ctx, in)
		if event.TenantOf(in.Subject) == "wordy" {
			stage.Charge(ctx, 250)
			stage.Charge(ctx, 400) // in place of the earlier one
		}
		return outs, err
	})
	next(t, s.full)
	if ratio := s.tokens["terse"] / s.tokens["wordy"]; math.Abs(ratio-4) > 0.4 {
		t.Errorf("served %v messages, ratio %.2f; want 4 within 10 %%", s.tokens, ratio)
	}
}

// TestEstimateOfWhatDoesNotSay: a job counts 1000, or a quarter of its bytes;
// its own header, which a user wrote, does not count.
func TestEstimateOfWhatDoesNotSay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	long := fmt.Sprintf(`{"v":1,"pad":"%016000d"}`, 0) // about 4,000 tokens
	for i := range 100 {
		for tenant, body := range map[string]string{"short": `{"v":1}`, "long": long} {
			err := b.Publish(t.Context(), bus.Out{Subject: event.Address{Kind: event.KindGenerate, Lane: event.LaneBatch, Tenant: tenant}.Subject(),
				ID: fmt.Sprint(tenant, i), Data: []byte(body), Header: nats.Header{stage.HeaderTokens: {"1"}}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	s := newServed(100)
	start(t, b, config(), s.handle)
	next(t, s.full)
	long1, short := s.tokens["long"], s.tokens["short"] // 1 a message
	if math.Abs(short/long1-4) > 1.6 {                  // 1 to 1 if they counted alike; a busy machine is late with some
		t.Errorf("%g short and %g long messages, want about 4 to 1", short, long1)
	}
}

// waiting is a source of jobs that lets n wait.
func waiting(slots, n int) stage.Source {
	src := source(event.LaneBatch, slots)
	src.Waiting = n
	return src
}

// TestWaitingBoundsTheNotAdmitted: however many slots are free, two handlers
// wait; one that is admitted, or returns, makes way for the next.
func TestWaitingBoundsTheNotAdmitted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	started := make(chan struct{}, 100)
	admit, finish := make(chan struct{}), make(chan struct{})
	start(t, b, config(waiting(8, 2)), func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
		started <- struct{}{}
		select {
		case <-admit:
			stage.Admitted(ctx)
			stage.Admitted(ctx) // counts once
			<-finish
		case <-finish:
		}
		return done(t, in), nil
	})
	for i := range 12 {
		submit(t, b, event.LaneBatch, fmt.Sprintf(`{"v":1,"id":"j%d"}`, i))
	}
	next(t, started)
	next(t, started)
	wantHeld := func(want int) {
		t.Helper()
		eventually(t, func() string {
			info, err := b.ConsumerInfo(t.Context(), source(event.LaneBatch, 1).Consumer.Tenant("acme"))
			if err != nil || info.NumAckPending != want || info.NumWaiting != 0 {
				return fmt.Sprintf("held %d with %d open pulls (%v), want %d and none", info.NumAckPending, info.NumWaiting, err, want)
			}
			return ""
		})
		if n := len(started); n != 0 {
			t.Errorf("%d more were started", n)
		}
	}
	wantHeld(2)
	for i := range 6 { // up to the slots
		admit <- struct{}{}
		next(t, started)
		wantHeld(3 + i)
	}
	admit <- struct{}{} // no slot is free now
	wantHeld(8)
	close(finish)
	wantCounts(t, b, 12, 0)
}

// TestOutsideARunnerNothingIsAdmitted: a handler may be called by a test alone.
func TestOutsideARunnerNothingIsAdmitted(t *testing.T) {
	t.Parallel()
	stage.Admitted(t.Context())
	stage.Charge(t.Context(), 1)
}
