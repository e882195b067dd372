package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm"
)

// measured is a case: what runs and what it found.
type measured struct {
	name string
	run  func(ctx context.Context, l load, found figures) error
}

func cases() []measured {
	out := []measured{
		{"w1", func(ctx context.Context, l load, f figures) error {
			l.slots = 512
			return saturated(ctx, l, f, "w1", inProcess(1, nil))
		}},
		{"w4", func(ctx context.Context, l load, f figures) error {
			return saturated(ctx, l, f, "w4", inProcess(4, nil))
		}},
		{"w16", func(ctx context.Context, l load, f figures) error {
			return saturated(ctx, l, f, "w16", processes(16, 0))
		}},
		{"w64", func(ctx context.Context, l load, f figures) error {
			l.slots = 32
			return saturated(ctx, l, f, "w64", inProcess(64, nil))
		}},
		{"noise", func(ctx context.Context, l load, f figures) error {
			return saturated(ctx, l, f, "noise", inProcess(16, dialNoisy()))
		}},
		{"crash", func(ctx context.Context, l load, f figures) error {
			return saturated(ctx, l, f, "crash", processes(16, 20*time.Second))
		}},
	}
	for _, name := range []string{"naive", "static", "local"} {
		out = append(out, measured{name, func(ctx context.Context, l load, f figures) error {
			l.spent = 1.2 // they keep it empty
			return saturated(ctx, l, f, name, rivals(name, 16))
		}})
	}
	return append(out, measured{"half", halved}, measured{"interactive", interactive}, measured{"tenants", tenants})
}

// fleet starts workers. What it returns stops them and says what each did.
type fleet func(ctx context.Context, r *rig) (stop func() []stats, err error)

// saturated measures a fleet under the offered load.
func saturated(ctx context.Context, l load, found figures, name string, start fleet) error {
	r, err := newRig(ctx, l)
	if err != nil {
		return err
	}
	defer r.stop()
	stop, err := start(ctx, r)
	if err != nil {
		return err
	}
	if err := r.spend(ctx); err != nil {
		return err
	}
	offering, cancel := context.WithCancel(ctx)
	defer cancel()
	offered := make(chan error, 1)
	go func() { offered <- r.offer(offering) }()
	begin := time.Now().Add(l.warmUp)
	if err := wait(ctx, l.seconds); err != nil {
		return err
	}
	end := time.Now()
	if err := r.measure(found, name, begin, end); err != nil {
		return err
	}
	cancel()
	if err := <-offered; err != nil {
		return err
	}
	did := stop()
	var calls []float64
	operations := 0.0
	for _, s := range did {
		calls, operations = append(calls, s.Calls), operations+s.Operations
	}
	found[name+".jain_workers"] = jain(calls)
	found[name+".kv_ops_per_s"] = operations / l.seconds.Seconds()
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inProcess is a fleet of n generators in this process, each with its own
// connection over TCP.
func inProcess(n int, dial func(catalog.Provider, catalog.Model) (llm.Endpoint, error)) fleet {
	return func(ctx context.Context, r *rig) (func() []stats, error) {
		var workers []*worker
		var members []lifecycle.Member
		for i := range n {
			w, err := newWorker(r.l, r.server.URL(), r.sim.URL(), dial)
			if err != nil {
				return nil, err
			}
			workers = append(workers, w)
			members = append(members, lifecycle.Member{Name: fmt.Sprint("worker ", i), Service: w})
		}
		end, err := background(ctx, members...)
		return func() (did []stats) {
			for _, w := range workers {
				did = append(did, w.stats())
			}
			end()
			for _, w := range workers {
				w.nc.Close()
			}
			return did
		}, err
	}
}

// halved kills half of the worker processes at once and measures from 3 s later on.
func halved(ctx context.Context, l load, found figures) error {
	r, err := newRig(ctx, l)
	if err != nil {
		return err
	}
	defer r.stop()
	var workers []*process
	defer func() { endAll(workers) }()
	for range 16 {
		p, err := startProcess(ctx, r)
		if err != nil {
			return err
		}
		workers = append(workers, p)
	}
	if err := r.spend(ctx); err != nil {
		return err
	}
	offering, cancel := context.WithCancel(ctx)
	defer cancel()
	offered := make(chan error, 1)
	go func() { offered <- r.offer(offering) }()
	if err := wait(ctx, 12*time.Second); err != nil {
		return err
	}
	for _, p := range workers[:8] {
		p.cmd.Process.Kill() //nolint:errcheck // then it is dead already
	}
	begin := time.Now().Add(3 * time.Second)
	if err := wait(ctx, 18*time.Second); err != nil {
		return err
	}
	err = r.measure(found, "half", begin, time.Now())
	cancel()
	return errors.Join(err, <-offered)
}

// interactive submits interactive jobs while 5,000 and more batch jobs wait.
func interactive(ctx context.Context, l load, found figures) error {
	r, err := newRig(ctx, l)
	if err != nil {
		return err
	}
	defer r.stop()
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // reproducible
	var backlog []event.GenerateTask
	for i := range 15_000 {
		backlog = append(backlog, task(fmt.Sprint("job-", i), []string{"red", "blue"}[i%2], event.LaneBatch, random))
	}
	if err := r.publish(ctx, backlog...); err != nil {
		return err
	}
	stop, err := inProcess(16, nil)(ctx, r)
	if err != nil {
		return err
	}
	defer stop()
	begin := time.Now().Add(l.warmUp)
	if err := wait(ctx, l.warmUp); err != nil {
		return err
	}
	const samples = 30
	for i := range samples {
		if err := r.publish(ctx, task(fmt.Sprint("interactive-", i), "green", event.LaneInteractive, random)); err != nil {
			return err
		}
		if err := wait(ctx, time.Second); err != nil {
			return err
		}
	}
	end := time.Now()
	if err := wait(ctx, 3*time.Second); err != nil { // for the last answers
		return err
	}
	if err := r.measure(found, "interactive", begin, end); err != nil {
		return err
	}
	n, longest, sum := 0, 0.0, 0.0
	for _, s := range r.finished() {
		if s.lane == "interactive" {
			n, longest, sum = n+1, max(longest, s.start), sum+s.start
		}
	}
	found["interactive.answered"] = float64(n)
	found["interactive.start_mean_s"], found["interactive.start_max_s"] = sum/1000/float64(max(1, n)), longest/1000
	found["interactive.batch_waiting_at_end"] = float64(len(backlog) - (len(r.finished()) - n))
	return nil
}

// tenants gives one of two equal tenants ten times the backlog of the other.
func tenants(ctx context.Context, l load, found figures) error {
	r, err := newRig(ctx, l)
	if err != nil {
		return err
	}
	defer r.stop()
	random := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // reproducible
	const light, heavy = 3_000, 30_000
	var tasks []event.GenerateTask
	for i := range heavy {
		tasks = append(tasks, task(fmt.Sprint("heavy-", i), "heavy", event.LaneBatch, random))
	}
	for i := range light {
		tasks = append(tasks, task(fmt.Sprint("light-", i), "light", event.LaneBatch, random))
	}
	if err := r.publish(ctx, tasks...); err != nil {
		return err
	}
	stop, err := inProcess(16, nil)(ctx, r)
	if err != nil {
		return err
	}
	defer stop()
	if err := wait(ctx, 25*time.Second); err != nil { // the light one needs about 30
		return err
	}
	tokens := map[string]float64{}
	done := 0
	for _, s := range r.finished() {
		tokens[s.tenant] += float64(s.tokens)
		if s.tenant == "light" {
			done++
		}
	}
	if done >= light {
		return fmt.Errorf("the light tenant was done after 25 s: %d jobs", done)
	}
	both := tokens["light"] + tokens["heavy"]
	found["tenants.light_tokens"], found["tenants.heavy_tokens"] = tokens["light"], tokens["heavy"]
	found["tenants.share_error"] = math.Abs(2*tokens["light"]/both - 1)
	return nil
}
