package llmsim

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

// Latency is how fast a model is. The zero value takes no time.
type Latency struct {
	// TTFT is the median time to the first token and TTFTSigma the spread of
	// its logarithm; Prefill adds to it for each token of the prompt.
	TTFT      time.Duration
	TTFTSigma float64
	Prefill   time.Duration
	// PerToken and PerTokenSigma are the same for each token after the first.
	PerToken      time.Duration
	PerTokenSigma float64
	// Slots is the number of requests at which latency doubles: all is
	// multiplied by 1+(inflight/slots)^2. 0 is the concurrency limit, if any.
	Slots int
}

// SmallLatency and LargeLatency are those of a small and of a large hosted
// model.
func SmallLatency() Latency {
	return Latency{TTFT: 250 * time.Millisecond, TTFTSigma: 0.4, Prefill: 20 * time.Microsecond, PerToken: 8 * time.Millisecond, PerTokenSigma: 0.3}
}

// LargeLatency is that of a large hosted model.
func LargeLatency() Latency {
	return Latency{TTFT: 700 * time.Millisecond, TTFTSigma: 0.5, Prefill: 60 * time.Microsecond, PerToken: 18 * time.Millisecond, PerTokenSigma: 0.3}
}

// validate reports the first field with a wrong value.
func (l Latency) validate(model string) error {
	for _, f := range []struct {
		name string
		got  float64
	}{
		{"TTFT", float64(l.TTFT)}, {"TTFTSigma", l.TTFTSigma}, {"Prefill", float64(l.Prefill)},
		{"PerToken", float64(l.PerToken)}, {"PerTokenSigma", l.PerTokenSigma}, {"Slots", float64(l.Slots)},
	} {
		if f.got < 0 || math.IsNaN(f.got) {
			return fmt.Errorf("llmsim config: Latency[%q].%s is %v, want at least 0", model, f.name, f.got)
		}
	}
	return nil
}

// load is how busy a group is.
type load struct{ running, slots int64 }

// latency is that of the call's model.
func (c *call) latency() Latency {
	cfg := &c.server.cfg
	if l, ok := cfg.Latency[c.entry.Model]; ok {
		return l
	}
	return Latency{TTFT: cfg.TTFT, PerToken: cfg.PerToken}
}

// times is what multiplies the call's latency under a load.
func (c *call) times(l Latency, busy load) float64 {
	slots := float64(l.Slots)
	if slots == 0 {
		slots = float64(busy.slots)
	}
	x := c.latencyX * c.server.cfg.timeScale()
	if slots > 0 {
		share := float64(busy.running) / slots
		x *= 1 + share*share
	}
	return x
}

// lognormal draws around a median; without a spread it is the median.
func (c *call) lognormal(median time.Duration, sigma float64) float64 {
	if sigma == 0 || median == 0 {
		return float64(median)
	}
	if c.random == nil {
		seed := uint64(chance(c.seed, "latency", c.identity, strconv.Itoa(c.entry.Attempt)) * (1 << 53))
		c.random = rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // latencies are no secret
	}
	return float64(median) * math.Exp(sigma*c.random.NormFloat64())
}

// firstToken is the time until the first token.
func (c *call) firstToken(prompt int, busy load) time.Duration {
	l := c.latency()
	return time.Duration((c.lognormal(l.TTFT, l.TTFTSigma) + float64(l.Prefill)*float64(prompt)) * c.times(l, busy))
}

// produce takes the time of n tokens and returns how many of them were
// produced; false when ctx ended before the last.
func (c *call) produce(ctx context.Context, n int, busy load) (int, bool) {
	if c.server == nil {
		return n, ctx.Err() == nil
	}
	l := c.latency()
	each := c.lognormal(l.PerToken, l.PerTokenSigma) * c.times(l, busy)
	if c.action != nil && c.action.Slow > 0 {
		each *= c.action.Slow
	}
	if each == 0 {
		return n, ctx.Err() == nil
	}
	start := time.Now()
	if wait(ctx, time.Duration(each*float64(n))) == nil {
		return n, true
	}
	return min(n, int(float64(time.Since(start))/each)), false
}
