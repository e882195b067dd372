package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/embedded/natsd"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/openai"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
)

// rig is a queue and a provider, with a record of the results.
type rig struct {
	l      load
	server *natsd.Server
	sim    *llmsim.Server
	bus    *bus.Bus
	stop   func()
	began  time.Time     // after spend
	before llmsim.Ledger // what was asked until then

	mu      sync.Mutex
	results []settled
}

// settled is a finished job.
type settled struct {
	at     time.Time
	tenant string
	tokens int
	waited float64 // ms, for admission
	start  float64 // ms, from its storing to its call
	lane   string
}

// newRig starts an embedded NATS and a simulator that limits like OpenAI and is as
// slow as a small hosted model.
func newRig(ctx context.Context, l load) (*rig, error) {
	dir, err := os.MkdirTemp("", "weir-limits-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary directory: %w", err)
	}
	r := &rig{l: l}
	if r.server, err = natsd.New(natsd.Config{Dir: dir, Addr: "127.0.0.1:0"}); err != nil {
		return nil, err
	}
	cfg := llmsim.DefaultConfig()
	cfg.Profile, cfg.MaxChunks = llmsim.ProfileOpenAI, 4
	cfg.Limits = []llmsim.Limit{{Dim: llmsim.DimTPM, Cap: l.tpm}, {Dim: llmsim.DimRPM, Cap: l.tpm / 500}}
	cfg.Latency = map[string]llmsim.Latency{"sim-small": {TTFT: 300 * time.Millisecond, TTFTSigma: 0.4}}
	if r.sim, err = llmsim.New(cfg); err != nil {
		return nil, err
	}
	end, err := background(ctx, lifecycle.Member{Name: "natsd", Service: r.server}, lifecycle.Member{Name: "llmsim", Service: r.sim})
	if err != nil {
		return nil, err
	}
	r.stop = func() {
		end()
		os.RemoveAll(dir) //nolint:errcheck // temporary
	}
	return r, r.listen(ctx)
}

// listen makes the streams and records the results.
func (r *rig) listen(ctx context.Context) error {
	nc, err := r.server.Conn(platform.ConnOptions("limits")...)
	if err != nil {
		return err
	}
	if r.bus, err = bus.New(nc); err != nil {
		return err
	}
	if err := r.bus.Ensure(ctx, bus.DefaultLimits()); err != nil {
		return err
	}
	_, err = nc.Subscribe("weir.results.>", func(msg *nats.Msg) {
		var result event.Result
		if json.Unmarshal(msg.Data, &result) != nil || result.Status != event.StatusOK {
			return
		}
		s := settled{at: time.Now(), tenant: result.Tenant, tokens: result.Receipt.PromptTokens + result.Receipt.CompletionTokens,
			start: result.Receipt.WaitingMS, lane: "batch"}
		if strings.HasPrefix(result.ID, "interactive") {
			s.lane = "interactive"
		}
		for _, a := range result.Receipt.Attempts {
			s.waited += a.WaitedMS
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.results = append(r.results, s)
	})
	if err != nil {
		return fmt.Errorf("listening for results: %w", err)
	}
	return nil
}

func (r *rig) finished() []settled {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.results)
}

// background runs services until stop.
func background(ctx context.Context, members ...lifecycle.Member) (stop func(), err error) {
	running, cancel := context.WithCancel(ctx)
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- lifecycle.Run(running, func(on bool) {
			if on {
				close(ready)
			}
		}, func(context.Context) ([]lifecycle.Member, error) { return members, nil })
	}()
	select {
	case <-ready:
		return func() { cancel(); <-done }, nil
	case err := <-done:
		cancel()
		if err == nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
}

// spend takes a part of the provider's bucket, which is full at first: a fleet that
// calls too much would be refused only after more than a run. What is refused of it
// does not matter.
func (r *rig) spend(ctx context.Context) error {
	client, err := openai.New(openai.Config{BaseURL: r.sim.URL(), MaxConnsPerHost: 128})
	if err != nil {
		return err
	}
	defer client.Close()
	ask := llm.ChatRequest{Model: "sim-small", MaxTokens: int(r.l.tpm / 100), Messages: []llm.Message{{Role: "user", Content: "Hi"}}}
	var all sync.WaitGroup
	for range int(r.l.spent * 100) {
		all.Go(func() { client.Chat(ctx, ask) }) //nolint:errcheck // see above
	}
	all.Wait()
	r.began, r.before = time.Now(), r.sim.Ledger()
	return ctx.Err()
}

// words is text of some length that is cheap to count.
var words = strings.Repeat("the quick brown fox jumps over the lazy dog and ", 400) //nolint:gochecknoglobals // a constant

// meanTokens is the mean of what task gives, as the provider estimates it.
const meanTokens = 1000

// task is a job of heavy-tailed size: log-normal, at most 20 times the median.
func task(id, tenant string, lane event.Lane, r *rand.Rand) event.GenerateTask {
	const sigma = 0.8
	total := min(int(meanTokens*math.Exp(r.NormFloat64()*sigma-sigma*sigma/2)), 12*meanTokens)
	answer := max(16, total/2)
	chars := max(8, 4*(total-answer-2))
	return event.GenerateTask{
		Envelope: event.Envelope{V: event.Version, ID: id, Tenant: tenant, Lane: lane, SubmittedAt: time.Now().UTC()},
		Model:    "small", MaxTokens: answer, MaxAttempts: 50,
		Messages: []event.Message{{Role: "user", Content: words[:min(chars, len(words))]}},
	}
}

// publish stores tasks in the generators' queue.
func (r *rig) publish(ctx context.Context, tasks ...event.GenerateTask) error {
	outs := make([]bus.Out, 0, len(tasks))
	for _, t := range tasks {
		out, err := stage.StepOut(event.GenerateSubject(t.Model, t.Lane, t.Tenant), "generate-0", t.Envelope, t)
		if err != nil {
			return err
		}
		out.Header.Set(stage.HeaderTokens, fmt.Sprint(len(t.Messages[0].Content)/4+t.MaxTokens))
		outs = append(outs, out)
	}
	return r.bus.Publish(ctx, outs...)
}

// offer publishes the offered load of two tenants in bursts, each second some
// number from none to twice the mean, until ctx ends.
func (r *rig) offer(ctx context.Context) error {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible
	mean := float64(r.l.tpm) / 60 / meanTokens * r.l.offered
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	n := 0
	for {
		// The first burst is large, so that the fleet is loaded from the start.
		burst := int(mean * 2 * random.Float64())
		if n == 0 {
			burst = int(2 * mean)
		}
		var tasks []event.GenerateTask
		for range burst {
			tasks = append(tasks, task(fmt.Sprint("job-", n), []string{"red", "blue"}[n%2], event.LaneBatch, random))
			n++
		}
		if err := r.publish(ctx, tasks...); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// measure takes the provider's record of the time from begin to end.
func (r *rig) measure(found figures, name string, begin, end time.Time) error {
	seconds, err := r.sim.Windows(time.Second)
	if err != nil {
		return err
	}
	var estimated, most int64
	for _, g := range seconds { // one key, one group
		for i, w := range g.List {
			if !w.Start.Before(begin) && w.Start.Add(time.Second).Before(end) {
				estimated += w.Estimated
			}
			if w.Start.After(r.began) {
				most = max(most, minuteFrom(g.List[i:]))
			}
		}
	}
	length := end.Truncate(time.Second).Sub(begin.Truncate(time.Second)) - time.Second
	found[name+".utilisation"] = float64(estimated) / (float64(r.l.tpm) / 60 * length.Seconds())
	found[name+".max_window_utilisation"] = float64(most) / float64(r.l.tpm)
	record := r.sim.Ledger()
	calls := record.Requests - r.before.Requests
	found[name+".calls"] = float64(calls)
	found[name+".per_10k_429"] = float64(record.Statuses[429]-r.before.Statuses[429]) / float64(max(1, calls)) * 1e4
	r.measureJobs(found, name, begin, end)
	return nil
}

// minuteFrom is what was let in within 60 s from the first of these seconds on.
func minuteFrom(seconds []llmsim.Window) (estimated int64) {
	for _, w := range seconds {
		if w.Start.Sub(seconds[0].Start) >= time.Minute {
			break
		}
		estimated += w.Estimated
	}
	return estimated
}

// measureJobs takes what the results of a span say.
func (r *rig) measureJobs(found figures, name string, begin, end time.Time) {
	var waits []float64
	tokens := map[string]float64{}
	for _, s := range r.finished() {
		if s.at.Before(begin) || s.at.After(end) {
			continue
		}
		waits = append(waits, s.waited)
		tokens[s.tenant] += float64(s.tokens)
	}
	slices.Sort(waits)
	found[name+".goodput_per_s"] = float64(len(waits)) / end.Sub(begin).Seconds()
	found[name+".wait_p50_ms"] = quantile(waits, 0.5)
	found[name+".wait_p95_ms"] = quantile(waits, 0.95)
	found[name+".wait_p99_ms"] = quantile(waits, 0.99)
	var shares []float64
	for _, n := range tokens {
		shares = append(shares, n)
	}
	found[name+".jain_tenants"] = jain(shares)
}

func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// jain is Jain's index of fairness: 1 when all are equal, 1/n when one has all.
func jain(shares []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, x := range shares {
		sum, squares = sum+x, squares+x*x
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(shares)) * squares)
}
