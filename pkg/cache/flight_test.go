package cache_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/cache"
)

func TestLead(t *testing.T) {
	t.Parallel()
	caches := fleet(t, 3)
	for i, want := range []struct {
		job, leader string
		lead        bool
	}{{"j1", "j1", true}, {"j2", "j1", false}, {"j1", "j1", true}} { // delivered again, elsewhere
		leader, lead, err := caches[i].Lead(t.Context(), "acme", key("a"), want.job, time.Minute)
		if leader != want.leader || lead != want.lead || err != nil {
			t.Errorf("%s: leader %q, %t, %v", want.job, leader, lead, err)
		}
	}
	// Another key and another tenant have leaders of their own.
	for _, place := range [][2]string{{"acme", key("b")}, {"other", key("a")}} {
		if _, lead, err := caches[1].Lead(t.Context(), place[0], place[1], "j2", time.Minute); !lead || err != nil {
			t.Errorf("%v: %t, %v", place, lead, err)
		}
	}
	// Only the leader can give it up.
	if err := caches[1].Release(t.Context(), "acme", key("a"), "j2"); err != nil {
		t.Fatal(err)
	}
	if leader, lead, _ := caches[1].Lead(t.Context(), "acme", key("a"), "j2", time.Minute); lead || leader != "j1" {
		t.Errorf("after another's release: leader %q, %t", leader, lead)
	}
	for range 2 { // and again without harm
		if err := caches[2].Release(t.Context(), "acme", key("a"), "j1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, lead, err := caches[1].Lead(t.Context(), "acme", key("a"), "j2", time.Minute); !lead || err != nil {
		t.Errorf("after the release: %t, %v", lead, err)
	}
	_, _, err := caches[0].Lead(t.Context(), "acme", key("a"), "j.1", time.Minute)
	wantError(t, err, "job")
	_, _, err = caches[0].Lead(t.Context(), "acme", key("a"), "j1", 0)
	wantError(t, err, "ttl")
}

// join leads, or waits while another does, until there is an entry or job leads
// itself: the entry, or nil and the lead.
func join(ctx context.Context, c *cache.Cache, job string) (*cache.Entry, error) {
	for {
		_, lead, err := c.Lead(ctx, "acme", key("a"), job, time.Minute)
		if lead || err != nil {
			return nil, err
		}
		if e, ok, err := c.Await(ctx, "acme", key("a")); ok || err != nil {
			return e, err
		}
	}
}

// TestOneCall: many processes ask the same, one answers, all have its answer.
func TestOneCall(t *testing.T) {
	t.Parallel()
	const each = 8
	caches := fleet(t, 3)
	ctx := within(t, 30*time.Second)
	var calls atomic.Int32
	var wg sync.WaitGroup
	for i := range each * len(caches) {
		wg.Go(func() {
			c, job := caches[i%len(caches)], fmt.Sprint("j", i)
			e, err := join(ctx, c, job)
			if err != nil {
				t.Error(err)
				return
			}
			if e != nil {
				wantText(t, e, "the answer")
				return
			}
			// A leader looks for the entry first: it may have come since.
			if e, err := c.Get(ctx, "acme", key("a")); e != nil || err != nil {
				return
			}
			calls.Add(1)
			if stored, err := c.Put(ctx, key("a"), entry("acme", "the answer"), time.Minute); !stored || err != nil {
				t.Error(stored, err)
			}
			if err := c.Release(ctx, "acme", key("a"), job); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

// TestLeaderEnds: when the leader ends without an entry, by itself or by its
// death, exactly one of those that wait takes over, and the others have its entry.
func TestLeaderEnds(t *testing.T) {
	t.Parallel()
	for name, dies := range map[string]bool{"released": false, "died": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caches := fleet(t, 4)
			ctx := within(t, 30*time.Second)
			ttl := time.Minute
			if dies {
				ttl = time.Second // the server ends it
			}
			if _, lead, err := caches[0].Lead(ctx, "acme", key("a"), "j0", ttl); !lead || err != nil {
				t.Fatal(lead, err)
			}
			var leaders atomic.Int32
			var wg sync.WaitGroup
			for i, c := range caches[1:] {
				wg.Go(func() {
					job := fmt.Sprint("j", i+1)
					e, err := join(ctx, c, job)
					switch {
					case err != nil:
						t.Error(err)
					case e != nil:
						wantText(t, e, "second try")
					default:
						leaders.Add(1)
						if stored, err := c.Put(ctx, key("a"), entry("acme", "second try"), time.Minute); !stored || err != nil {
							t.Error(stored, err)
						}
					}
				})
			}
			if !dies {
				if err := caches[0].Release(ctx, "acme", key("a"), "j0"); err != nil {
					t.Fatal(err)
				}
			}
			wg.Wait()
			if n := leaders.Load(); n != 1 {
				t.Errorf("%d took over, want 1", n)
			}
		})
	}
}

func TestAwait(t *testing.T) {
	t.Parallel()
	c := fleet(t, 1)[0]
	if e, ok, err := c.Await(within(t, 10*time.Second), "acme", key("a")); e != nil || ok || err != nil {
		t.Errorf("nobody leads: %v, %t, %v", e, ok, err)
	}
	put(t, c, key("a"), entry("acme", "x"))
	e, ok, err := c.Await(within(t, 10*time.Second), "acme", key("a"))
	wantText(t, e, "x")
	if !ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
	// A job whose time is over waits no longer.
	if _, _, err := c.Lead(t.Context(), "acme", key("b"), "j1", time.Minute); err != nil {
		t.Fatal(err)
	}
	_, ok, err = c.Await(within(t, 50*time.Millisecond), "acme", key("b"))
	if ok {
		t.Error("an entry of nowhere")
	}
	wantError(t, err, "no end within")
}

// TestLeadLasts: a leader that asks again keeps the lead beyond its first time.
func TestLeadLasts(t *testing.T) {
	t.Parallel()
	c := fleet(t, 1)[0]
	lead := func(ttl time.Duration) {
		if _, lead, err := c.Lead(t.Context(), "acme", key("a"), "j1", ttl); !lead || err != nil {
			t.Fatal(lead, err)
		}
	}
	lead(time.Second)
	lead(time.Minute)
	// Longer than the first time: another leader that ends after it is the clock.
	if _, _, err := c.Lead(t.Context(), "acme", key("clock"), "j1", 2*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := c.Await(within(t, 20*time.Second), "acme", key("clock")); ok || err != nil {
		t.Fatal(ok, err)
	}
	if leader, lead, err := c.Lead(t.Context(), "acme", key("a"), "j2", time.Minute); leader != "j1" || lead || err != nil {
		t.Errorf("leader %q, %t, %v; want j1", leader, lead, err)
	}
}
