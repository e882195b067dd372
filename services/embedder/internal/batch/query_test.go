package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
)

// TestLoneQuery goes at once, as an interactive call with the model's prefix.
func TestLoneQuery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{usage: 5}
		b := batching(t, p, func(c *Config) { c.QueryLinger = neverLinger })
		start := time.Now()
		got, err := b.Query(t.Context(), "e5", []string{"why?", "how?"})
		if err != nil || got.Tokens != 5 || got.CostNanoUSD != 100 || len(got.Vectors) != 2 || !slices.Equal(got.Vectors[1], llmtest.Vector("query: how?", 4)) {
			t.Errorf("got %+v, error %v", got, err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %s", took)
		}
		if calls := p.sent(); len(calls) != 1 || calls[0].call.Lane != event.LaneInteractive || calls[0].call.Attempts == 0 {
			t.Errorf("calls %+v", calls)
		}
	})
}

// TestQueriesShareCalls: those that come while a call is under way wait QueryLinger
// for each other, pay by size, and get their own vectors.
func TestQueriesShareCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{embed: slow, usage: 100}
		b := batching(t, p, nil)
		start := time.Now()
		var queries sync.WaitGroup
		var mu sync.Mutex
		tokens, cost := 0, int64(0)
		for i := range 10 {
			queries.Go(func() {
				text := fmt.Sprint("question ", i)
				got, err := b.Query(t.Context(), "embed", []string{text})
				if err != nil || len(got.Vectors) != 1 || !slices.Equal(got.Vectors[0], llmtest.Vector(text, 4)) {
					t.Errorf("%s: %+v, error %v", text, got, err)
				}
				mu.Lock()
				defer mu.Unlock()
				tokens, cost = tokens+got.Tokens, cost+got.CostNanoUSD
			})
		}
		queries.Wait()
		if calls := p.sent(); len(calls) != 2 || len(calls[0].inputs) != 1 || len(calls[1].inputs) != 9 || tokens != 200 || cost != 4000 {
			t.Errorf("calls %q for %d tokens and %d nano-USD; want two, of 1 and 9, for 200 and 4000", p.inputs(), tokens, cost)
		}
		if took := time.Since(start); took != time.Second+2*time.Millisecond {
			t.Errorf("they took %s, want a second and QueryLinger", took)
		}
	})
}

// TestQueryCallsAreBounded: those over it fill the next call, which goes as soon as
// one has ended.
func TestQueryCallsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{embed: slow}
		b := batching(t, p, func(c *Config) { c.QueryCalls = 1 })
		start := time.Now()
		var queries sync.WaitGroup
		for i := range 50 {
			queries.Go(func() {
				if _, err := b.Query(t.Context(), "embed", []string{fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
			})
		}
		queries.Wait()
		if took := time.Since(start); took != 2*time.Second || p.most != 1 || len(p.sent()) != 2 {
			t.Errorf("%d calls, %d at once, in %s; want two, one after the other", len(p.sent()), p.most, took)
		}
	})
}

// TestBadQueryFailsAlone.
func TestBadQueryFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := &provider{embed: func(ctx context.Context, inputs []string) error {
			if inputs[0] == "first" {
				<-release
			}
			return poisoned(ctx, inputs)
		}}
		b := batching(t, p, func(c *Config) { c.QueryCalls = 1 })
		var queries sync.WaitGroup
		for _, text := range []string{"first", "a", "poison", "b"} {
			queries.Go(func() {
				_, err := b.Query(t.Context(), "embed", []string{text})
				if e := event.AsError(err); (text == "poison") != (e != nil) || e != nil && (e.Class != event.ClassInvalid || e.Message != "text 1 of 1: input too long") {
					t.Errorf("%s: error %v", text, err)
				}
			})
			synctest.Wait()
		}
		close(release)
		queries.Wait()
	})
}

// TestQueryEndsWithItsContext: at once, whoever else waits for the call.
func TestQueryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{embed: slow}
		b := batching(t, p, func(c *Config) { c.QueryCalls = 1 })
		start := time.Now()
		var queries sync.WaitGroup
		ask := func(limit time.Duration) {
			queries.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				_, err := b.Query(ctx, "embed", []string{limit.String()})
				if took := time.Since(start); took > limit || errors.Is(err, context.DeadlineExceeded) != (limit < 2*time.Second) {
					t.Errorf("limit %s: error %v after %s", limit, err, took)
				}
			})
			synctest.Wait()
		}
		ask(time.Hour)               // goes at once, a second
		ask(500 * time.Millisecond)  // waits for a call in vain
		ask(1500 * time.Millisecond) // is under way with the next one when it ends
		ask(3 * time.Second)         // in the same call
		queries.Wait()
	})
}
