package notifier

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// enter tries to enter and wants what is said.
func enter(t *testing.T, g *gates, tenant, receiver string, want why) time.Duration {
	t.Helper()
	ok, w, at := g.enter(t.Context(), tenant, receiver, 2)
	if ok != (want == "") || w != want {
		t.Fatalf("%s to %s: admitted %v, why %q, want %q", tenant, receiver, ok, w, want)
	}
	if ok {
		return 0
	}
	return time.Until(at)
}

func TestGateBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.BreakAfter = 2
		g := newGates(cfg, time.Now)
		try := func(v verdict) {
			t.Helper()
			enter(t, g, "acme", "r", "")
			g.leave("acme", "r", time.Millisecond, v)
		}
		try(fails)
		try(works) // in a row is what counts
		try(fails)
		try(unknown)
		try(fails)
		pause := cfg.BreakFor
		for range 8 {
			if wait := enter(t, g, "acme", "r", whyBreaker); wait < pause || wait > 2*pause {
				t.Errorf("sent away for %s, want %s and some more", wait, pause)
			}
			if g.open() != 1 {
				t.Errorf("%d are open", g.open())
			}
			enter(t, g, "acme", "other", "") // nobody else's business
			g.leave("acme", "other", 0, works)
			time.Sleep(pause) //nolint:forbidigo // of the bubble
			enter(t, g, "acme", "r", "")
			if wait := enter(t, g, "acme", "r", whyBreaker); wait > cfg.Timeout+pause {
				t.Errorf("beside the probe sent away for %s", wait)
			}
			g.leave("acme", "r", time.Millisecond, fails)
			pause = min(2*pause, cfg.BreakCap)
		}
		time.Sleep(pause) //nolint:forbidigo // of the bubble
		try(unknown)      // a probe that was none leaves it open for the next
		try(works)
		enter(t, g, "acme", "r", "")
		enter(t, g, "acme", "r", "")
		if g.open() != 0 {
			t.Errorf("%d are open", g.open())
		}
	})
}

func TestGateBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.TenantSlots = 3
		g := newGates(cfg, time.Now)
		enter(t, g, "acme", "r", "")
		enter(t, g, "acme", "r", "")
		start := time.Now()
		if wait := enter(t, g, "acme", "r", whyBusy); wait > maxWait {
			t.Errorf("sent away for %s", wait)
		}
		if waited := time.Since(start); waited != turnWait {
			t.Errorf("waited %s for a turn, want %s", waited, turnWait)
		}
		enter(t, g, "acme", "another", "")
		enter(t, g, "acme", "third", whyBusy) // the tenant has its share
		enter(t, g, "other", "third", "")
		got := make(chan bool)
		go func() {
			ok, _, _ := g.enter(context.Background(), "acme", "r", 2)
			got <- ok
		}()
		synctest.Wait()
		g.leave("acme", "r", time.Millisecond, works)
		if !<-got {
			t.Error("the turn was not given")
		}
	})
}

// TestGateCrowd: what waits for one receiver is bounded, here and in time.
func TestGateCrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGates(DefaultConfig(), time.Now)
		enter(t, g, "acme", "r", "")
		enter(t, g, "acme", "r", "")
		ctx, stop := context.WithCancel(t.Context())
		const crowd = 1000
		ends := make(chan time.Time, crowd)
		for range crowd {
			go func() {
				_, _, at := g.enter(ctx, "acme", "r", 2)
				ends <- at
			}()
		}
		synctest.Wait()
		if n := len(g.gates["r"].waiting); n < 2 || n > DefaultConfig().Slots/2 {
			t.Errorf("%d wait here", n)
		}
		stop()
		for range crowd {
			if at := <-ends; time.Until(at) > maxWait+time.Second {
				t.Errorf("sent away until %s", at)
			}
		}
		g.leave("acme", "r", time.Hour, works) // a slow one: the line moves slowly, but not for ever
		enter(t, g, "acme", "r", "")
		for range crowd {
			if wait := enter(t, g, "acme", "r", whyBusy); wait > maxWait+time.Hour {
				t.Fatalf("sent away for %s", wait)
			}
		}
		for range maxGates + 10 {
			g.gate(time.Now().String(), 2)
			time.Sleep(time.Nanosecond) //nolint:forbidigo // of the bubble
		}
		if n := len(g.gates); n > maxGates {
			t.Errorf("%d receivers are remembered", n)
		}
	})
}

// TestGateManyReceivers: a tenant whose receivers hang, each another one, holds no places
// here and comes again no faster than they answer.
func TestGateManyReceivers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		g := newGates(cfg, time.Now)
		for i := range cfg.TenantSlots {
			enter(t, g, "acme", fmt.Sprint("slow", i), "")
		}
		for i := range cfg.TenantSlots { // they time out, and others take their places
			g.leave("acme", fmt.Sprint("slow", i), cfg.Timeout, fails)
			enter(t, g, "acme", fmt.Sprint("slower", i), "")
		}
		start := time.Now()
		const crowd = 1000
		var last time.Duration
		for i := range crowd {
			last = enter(t, g, "acme", fmt.Sprint("r", i), whyBusy)
		}
		if waited := time.Since(start); waited > 10*turnWait {
			t.Errorf("%d deliveries waited here for %s", crowd, waited)
		}
		if last < time.Minute || last > maxWait+time.Minute {
			t.Errorf("the last one is sent away for %s", last)
		}
		enter(t, g, "other", "r1", "")
	})
}
