package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-dev/weir/test/internal/figures"
)

// benchLatency times completions one by one, directly and through Weir in turn, so
// that both see the same machine.
func benchLatency(ctx context.Context, r *rig, found figures.Figures, n int) error {
	times := map[string][]float64{}
	for i := range n + n/10 {
		for _, base := range []string{r.direct, r.weir} {
			begun := time.Now()
			if err := r.chat(ctx, base, fmt.Sprintf("What is %d times two?", i)); err != nil {
				return err
			}
			if i >= n/10 { // the first warm up
				times[base] = append(times[base], float64(time.Since(begun).Microseconds())/1000)
			}
		}
	}
	for _, t := range times {
		slices.Sort(t)
	}
	direct, weir := times[r.direct], times[r.weir]
	found["direct_p50_ms"], found["direct_p99_ms"] = figures.Quantile(direct, 0.5), figures.Quantile(direct, 0.99)
	found["added_p50_ms"] = figures.Quantile(weir, 0.5) - figures.Quantile(direct, 0.5)
	found["added_p99_ms"] = figures.Quantile(weir, 0.99) - figures.Quantile(direct, 0.99)
	return nil
}

// clients ask at once under load.
const clients = 64

// rounds of load; the median counts.
const rounds = 3

// benchLoad measures completions per second at 64 clients, round by round of each.
func benchLoad(ctx context.Context, r *rig, found figures.Figures, n int) error {
	rates := map[string][]float64{}
	for round := range rounds + 1 {
		for _, base := range []string{r.direct, r.weir} {
			rate, err := rate(ctx, clients, n/rounds, func(ctx context.Context, i int) error {
				return r.chat(ctx, base, fmt.Sprintf("What is %d plus %d?", round, i))
			})
			if err != nil {
				return err
			}
			if round > 0 {
				rates[base] = append(rates[base], rate)
			}
		}
	}
	found["requests_per_s"], found["direct_requests_per_s"] = figures.Median(rates[r.weir]), figures.Median(rates[r.direct])
	found["ratio"] = found["requests_per_s"] / found["direct_requests_per_s"]
	return nil
}

// rate runs n requests, so many at once, and returns requests per second.
func rate(ctx context.Context, atOnce, n int, ask func(context.Context, int) error) (float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var work sync.WaitGroup
	begun := time.Now()
	for range atOnce {
		work.Go(func() {
			for i := int(next.Add(1)); i <= n && ctx.Err() == nil; i = int(next.Add(1)) {
				if err := ask(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	work.Wait()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return float64(n) / time.Since(begun).Seconds(), nil
}
