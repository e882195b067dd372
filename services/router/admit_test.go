package router

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// fleet is routers and generators on one NATS server. The generators of a model
// serve so many tasks a second together, as a provider's limit lets them.
type fleet struct {
	*stagetest.Kit
	server *bustest.Server
	shares map[string]float64

	mu     sync.Mutex
	served []served
	limit  int
	full   chan struct{}
}

// served is a task that a generator began.
type served struct {
	tenant, id string
	lane       event.Lane
	late       bool
	tokens     float64
}

func newFleet(t *testing.T, routers int, change func(*Config)) *fleet {
	t.Helper()
	b, server := bustest.New(t)
	f := &fleet{Kit: stagetest.On(t, b), server: server}
	for range routers {
		cfg := DefaultConfig()
		if change != nil {
			change(&cfg)
		}
		s, err := New(platform.Platform{NATS: server.Connect()}, cfg, Ports{Store: &fakeStore{}, Catalog: models(t, text)})
		if err != nil {
			t.Fatal(err)
		}
		f.Start(s)
	}
	return f
}

// generators start n generators of a model that serve perSecond tasks together.
func (f *fleet) generators(n int, model string, perSecond int) {
	f.T.Helper()
	permits := make(chan struct{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.T.Context())) // the generators end first
	f.T.Cleanup(cancel)
	for range n {
		cfg := stage.DefaultWorkers(4).Stage("generator-"+model, func(lane event.Lane, fleet int) bus.Consumer {
			return bus.GenerateConsumer(model, lane, fleet)
		})
		cfg.Share = func(tenant string) float64 { return f.shares[tenant] }
		r, err := stage.New(cfg, f.server.Bus(), stage.HandlerFunc(func(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
			select {
			case <-permits:
				return f.serve(in)
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}), platform.Platform{})
		if err != nil {
			f.T.Fatal(err)
		}
		f.Start(r)
	}
	go f.pace(ctx, permits, perSecond)
}

// pace gives permits until ctx ends. What a busy machine was late for is made up for,
// within bounds: a burst is no limit.
func (f *fleet) pace(ctx context.Context, permits chan<- struct{}, perSecond int) {
	const most = 250 * time.Millisecond
	for due := time.Now(); ; due = due.Add(time.Second / time.Duration(perSecond)) {
		if late := time.Since(due); late > most {
			due = due.Add(late - most)
		}
		if lifecycle.Sleep(ctx, time.Until(due)) != nil {
			return
		}
		select {
		case permits <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// serve notes a task and ends its job.
func (f *fleet) serve(in *bus.Message) ([]bus.Out, error) {
	task, err := event.Decode[event.GenerateTask](in.Data)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.served = append(f.served, served{tenant: task.Tenant, id: task.ID, lane: task.Lane, tokens: float64(weight(&task)),
		late: !task.Deadline.IsZero() && time.Now().After(task.Deadline)})
	if len(f.served) == f.limit {
		close(f.full)
	}
	f.mu.Unlock()
	result, err := stage.ResultOut(event.Result{V: event.Version, ID: task.ID, Tenant: task.Tenant, Kind: event.KindGenerate,
		Status: event.StatusOK, Answer: &event.Answer{Text: "Hi."}})
	return []bus.Out{result}, err
}

// until waits until n tasks were served, and returns them.
func (f *fleet) until(n int) []served {
	f.T.Helper()
	f.mu.Lock()
	f.limit, f.full = n, make(chan struct{})
	full := f.full
	if len(f.served) >= n {
		close(full)
	}
	f.mu.Unlock()
	stagetest.Wait(f.T, full, fmt.Sprint(n, " served tasks"))
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.served[:n]
}

// submit stores n jobs of a tenant, named after it.
func (f *fleet) submit(tenant string, lane event.Lane, n int, change func(i int, job *event.GenerateJob)) {
	f.T.Helper()
	outs := make([]bus.Out, n)
	for i := range outs {
		job := event.GenerateJob{Envelope: event.Envelope{V: 1, ID: fmt.Sprint(tenant, "-", lane, i)}, Messages: []event.Message{{Role: "user", Content: "Hi"}}}
		if change != nil {
			change(i, &job)
		}
		var err error
		if outs[i], err = stage.JSONOut(event.Address{Kind: event.KindGenerate, Lane: lane, Tenant: tenant}.Subject(), job.ID, job); err != nil {
			f.T.Fatal(err)
		}
	}
	if err := f.Bus.Publish(f.T.Context(), outs...); err != nil {
		f.T.Fatal(err)
	}
}

// queued is how many tasks are stored for the generators of a model, in work or not.
func (f *fleet) queued(model string) uint64 {
	f.T.Helper()
	s, err := f.Bus.JetStream().Stream(f.T.Context(), bus.StreamSteps)
	if err != nil {
		f.T.Fatal(err)
	}
	n := uint64(0)
	for _, lane := range event.Lanes() {
		tenants, err := bus.GenerateConsumer(model, lane, 1).Tenants(f.T.Context(), s)
		if err != nil {
			f.T.Fatal(err)
		}
		for _, count := range tenants {
			n += count
		}
	}
	return n
}

// TestFleet has what needs the machine to itself, as far as that goes, one after the
// other.
func TestFleet(t *testing.T) {
	t.Parallel()
	t.Run("shares hold", sharesHoldOverAFleet)
	t.Run("an interactive job passes the backlog", interactivePassesTheBacklog)
	t.Run("the earliest deadline is first", earliestDeadlineFirst)
}

// sharesHoldOverAFleet: two tenants of shares 3 and 1 with more jobs than the
// window, three routers and three generators of a model with a limit.
func sharesHoldOverAFleet(t *testing.T) {
	t.Helper()
	f := newFleet(t, 3, nil)
	f.shares = map[string]float64{"big": 3, "small": 1}
	f.submit("big", event.LaneBatch, 1500, nil)
	f.submit("small", event.LaneBatch, 900, nil)
	f.generators(3, "small", 60)
	tokens := map[string]float64{}
	for _, s := range f.until(340)[40:] {
		tokens[s.tenant] += s.tokens
	}
	ratio := tokens["big"] / tokens["small"]
	t.Logf("shares 3 to 1, served %.3f to 1", ratio)
	if math.Abs(ratio-3) > 0.3 {
		t.Errorf("served %v, ratio %.2f; want 3 within 10 %%", tokens, ratio)
	}
}

// interactivePassesTheBacklog: one job behind 10,000 of its own tenant in the
// other lane, and a backlog that stays in the intake.
func interactivePassesTheBacklog(t *testing.T) {
	t.Helper()
	f := newFleet(t, 1, nil)
	f.generators(1, "small", 500)
	f.submit("acme", event.LaneBatch, 10_000, nil)
	f.until(200)
	if n := f.queued("small"); n > 300 {
		t.Errorf("%d tasks are queued, want about 256", n)
	}
	f.mu.Lock()
	before := len(f.served)
	f.mu.Unlock()
	f.submit("acme", event.LaneInteractive, 1, nil)
	f.OK(event.KindGenerate, "acme-interactive0")
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, s := range f.served[before:] {
		if s.lane == event.LaneInteractive {
			t.Logf("%d batch jobs were served before it", i)
			if i > 500 { // a router looks for new tenants four times a second
				t.Errorf("%d of 10,000 batch jobs were served before it", i)
			}
		}
	}
}

// missed serves 500 jobs with deadlines in random order, which a generator can just
// meet one after the other, and counts those that it did not.
func missed(t *testing.T, depth int) int {
	t.Helper()
	const jobs, perSecond, slack = 500, 100, 1500 * time.Millisecond
	f := newFleet(t, 3, func(c *Config) { c.BatchDepth = depth })
	order := rand.New(rand.NewPCG(1, 2)).Perm(jobs) //nolint:gosec // of a test
	began := time.Now().Add(time.Second)            // routers and generators are at work by then
	f.submit("acme", event.LaneBatch, jobs, func(i int, job *event.GenerateJob) {
		job.Deadline = began.Add(slack + time.Duration(order[i]+1)*time.Second/perSecond).UTC()
	})
	select {
	case <-time.After(time.Until(began)): // the capacity is counted from then
	case <-t.Context().Done():
	}
	f.generators(3, "small", perSecond)
	for i := range jobs {
		f.Result(fmt.Sprint("acme-batch", i))
	}
	inTime := 0
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.served {
		if !s.late {
			inTime++
		}
	}
	return jobs - inTime
}

// earliestDeadlineFirst: with a capacity that can just meet 500 deadlines nearly
// none are missed; in the order of arrival many are.
func earliestDeadlineFirst(t *testing.T) {
	t.Helper()
	if n := missed(t, 8); n > 25 {
		t.Errorf("%d of 500 deadlines were missed", n)
	} else {
		t.Logf("%d of 500 deadlines were missed", n)
	}
	if n := missed(t, 10_000); n < 60 {
		t.Errorf("%d of 500 deadlines were missed in the order of arrival: the test shows nothing", n)
	} else {
		t.Logf("%d in the order of arrival", n)
	}
}

// TestABlockedModelHoldsNobodyElse: another model of the tenant, and another tenant,
// go on beside a model that nobody serves; the lives of its jobs say so.
func TestABlockedModelHoldsNobodyElse(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, func(c *Config) { c.InteractiveDepth, c.Window, c.InteractiveSlots = 8, 40, 4 })
	named := func(model string) func(int, *event.GenerateJob) {
		return func(_ int, job *event.GenerateJob) { job.Model, job.ID = model, fmt.Sprint(job.ID, model) }
	}
	f.generators(1, "medium", 1000)
	f.submit("acme", event.LaneInteractive, 30, named("small"))
	f.submit("acme", event.LaneInteractive, 20, named("medium"))
	f.submit("other", event.LaneInteractive, 200, named("small"))
	f.submit("third", event.LaneInteractive, 1, named("medium"))
	f.until(21)
	life := f.Life(event.LifeWaiting)
	if life.Wait == nil || life.Wait.Cause != event.WaitWorkers || life.Wait.Name != "small" || life.Stage != "router" {
		t.Errorf("life %+v, want that nobody takes tasks of small", life)
	}
	f.generators(1, "small", 1000)
	f.until(251)
}

// TestExpiredWhileWaiting: a job whose deadline passes before its turn ends at once,
// and says so.
func TestExpiredWhileWaiting(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, func(c *Config) { c.InteractiveDepth = 1 })
	f.submit("acme", event.LaneInteractive, 1, nil)
	f.Life(event.LifePlanned) // nobody takes it: the others wait
	f.submit("acme", event.LaneInteractive, 20, func(i int, job *event.GenerateJob) {
		if i > 0 { // the first one again
			job.Deadline = time.Now().Add(500 * time.Millisecond).UTC()
		}
	})
	if got := f.Failure(event.KindGenerate, "acme-interactive19"); got.Class != event.ClassDeadline || got.Field != "deadline" {
		t.Errorf("got %v", got)
	}
}

// BenchmarkAdmission is jobs from the intake to the end of a task that takes no time,
// through queues of the usual depth and of one without bounds.
func BenchmarkAdmission(b *testing.B) {
	for name, depth := range map[string]int{"depth=256": 256, "depth=none": 1 << 30} {
		b.Run(name, func(b *testing.B) { benchmarkAdmission(b, depth) })
	}
}

func benchmarkAdmission(b *testing.B, depth int) {
	server := bustest.Start(b)
	weir := server.Bus()
	cfg := DefaultConfig()
	cfg.BatchDepth = depth
	s, err := New(platform.Platform{NATS: server.Connect()}, cfg, Ports{Store: &fakeStore{}, Catalog: models(b, text)})
	if err != nil {
		b.Fatal(err)
	}
	left := make(chan struct{}, b.N)
	generate := stage.DefaultWorkers(64).Stage("generator", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.GenerateConsumer("small", lane, fleet)
	})
	g, err := stage.New(generate, server.Bus(), stage.HandlerFunc(func(context.Context, *bus.Message) ([]bus.Out, error) {
		left <- struct{}{}
		return nil, nil
	}), platform.Platform{})
	if err != nil {
		b.Fatal(err)
	}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(b.Context())
	defer running.Wait()
	defer cancel()
	running.Go(func() { s.Run(ctx) }) //nolint:errcheck // of a benchmark
	running.Go(func() { g.Run(ctx) }) //nolint:errcheck // of a benchmark
	<-s.Ready()
	outs := make([]bus.Out, b.N)
	for i := range outs {
		outs[i] = bus.Out{Subject: "weir.jobs.generate.batch.acme", ID: fmt.Sprint(i), Data: fmt.Appendf(nil, `{"v":1,"id":"j%d","messages":[{"role":"user","content":"Hi"}]}`, i)}
	}
	b.ResetTimer()
	if err := weir.Publish(ctx, outs...); err != nil {
		b.Fatal(err)
	}
	for range b.N {
		<-left
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
