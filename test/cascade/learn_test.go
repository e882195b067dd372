// Package cascade tests how a task learns while it runs: a whole Weir in this
// process, from the first job to thresholds of its own, over the real queue.
package cascade

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

const (
	tenant = "acme"
	// patience bounds every wait.
	patience = 2 * time.Minute
)

// policies has a task that has to learn, with audits of all that is accepted.
const policies = `version: 1
reference: large
audit: {rate: 1}
tasks:
  - {task: quiz, chain: [small, large], max_quality_loss: 0.02}
`

// rig is a running Weir whose small model errs.
type rig struct {
	t      *testing.T
	ctx    context.Context
	client *client.Client
	bus    *bus.Bus
	gold   map[string]string
	asked  int
}

func start(t *testing.T, difficulty *llmsim.Difficulty) *rig {
	t.Helper()
	r := &rig{t: t, gold: map[string]string{}}
	file := filepath.Join(t.TempDir(), "policies.yaml")
	if err := os.WriteFile(file, []byte(policies), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := up.DefaultConfig(t.TempDir())
	cfg.NatsAddr, cfg.Process.HTTPAddr, cfg.Gateway.Addr, cfg.Process.Policies = "", "", "", file
	cfg.Sim.Answers = llmsim.Answers{Seed: 3, Gold: r.questions(3000), Difficulty: difficulty}
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan up.System, 1), make(chan error, 1)
	go func() {
		done <- up.Run(ctx, cfg, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), func(s up.System) { ready <- s })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the system ended with: %v", err)
		}
	})
	var system up.System
	select {
	case system = <-ready:
	case err := <-done:
		done <- nil
		t.Fatalf("starting: %v", err)
	}
	var cancel context.CancelFunc
	r.ctx, cancel = context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	var err1, err2 error
	r.client, err1 = client.New(system.Conn)
	r.bus, err2 = bus.New(system.Conn)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return r
}

func (r *rig) questions(n int) []llmsim.Gold {
	out := make([]llmsim.Gold, n)
	for i := range out {
		code := func(j int) string { return fmt.Sprintf("The code is %05d.", (i*7919+j*15485863+12345)%100_000) }
		out[i] = llmsim.Gold{Question: fmt.Sprintf("Which code opens locker %05d?", i), Answer: code(0), Wrong: []string{code(1), code(2), code(3)}}
		r.gold[out[i].Question] = out[i].Answer
	}
	return out
}

// ask sends n more questions and returns their results.
func (r *rig) ask(n int) []event.Result {
	r.t.Helper()
	ids := make([]string, n)
	cold := 0.0
	for i := range ids {
		question := fmt.Sprintf("Which code opens locker %05d?", r.asked)
		r.asked++
		var err error
		if ids[i], err = r.client.Generate(r.ctx, tenant, event.GenerateJob{Task: "quiz", Temperature: &cold, Messages: []event.Message{{Role: "user", Content: question}}}); err != nil {
			r.t.Fatal(err)
		}
	}
	out := make([]event.Result, n)
	for i, id := range ids {
		var err error
		if out[i], err = r.client.Await(r.ctx, tenant, id); err != nil || out[i].Answer == nil {
			r.t.Fatalf("job %s: %+v (%v)", id, out[i], err)
		}
	}
	return out
}

// untilLearned asks until answers are given by thresholds, and returns what the
// first round of those gave.
func (r *rig) untilLearned() []event.Result {
	r.t.Helper()
	for r.asked < 2500 {
		results := r.ask(50)
		last := results[len(results)-1].Receipt.Routing
		if last.Table == "learned" {
			return results
		}
		for _, got := range results {
			if got.Receipt.Routing.Table == "" && got.Answer.Model != "large" {
				r.t.Fatalf("before anything is known %s answers", got.Answer.Model)
			}
		}
	}
	r.t.Fatal("2,500 questions taught nothing")
	return nil
}

// TestColdStartToThresholds: at first the reference answers and the small model is
// tried beside it; then the small one answers what it is sure of, at little loss, and
// the outcomes can be calibrated from.
func TestColdStartToThresholds(t *testing.T) {
	t.Parallel()
	r := start(t, &llmsim.Difficulty{Skill: map[string]float64{"sim-small": 0.8}, AUROC: 0.98})
	r.untilLearned()
	right, small, escalated := 0, 0, 0
	results := r.ask(400)
	var cost, reference int64
	for i, got := range results {
		question := fmt.Sprintf("Which code opens locker %05d?", r.asked-len(results)+i)
		if got.Answer.Text == r.gold[question] {
			right++
		}
		if got.Answer.Model == "small" {
			small++
		}
		route := got.Receipt.Routing
		if len(route.Escalated) > 0 {
			if escalated++; got.Answer.Model != "large" || len(got.Receipt.Attempts) != 2 || got.Receipt.Attempts[0].P == nil {
				t.Errorf("escalated: %+v", got.Receipt)
			}
		}
		cost, reference = cost+got.Receipt.CostNanoUSD, reference+route.ReferenceCostNanoUSD
	}
	t.Logf("thresholds after %d questions; of %d, small answers %d, %d are escalated, %d are right; cost %d, the reference's %d",
		r.asked-len(results), len(results), small, escalated, right, cost, reference)
	if small < 100 || escalated == 0 || right < 360 || cost > reference*3/4 {
		t.Error("want a cascade that pays, of answers that are right")
	}
	r.calibrates()
}

// calibrates checks that the recorded outcomes are what weir calibrate reads.
func (r *rig) calibrates() {
	r.t.Helper()
	var lines bytes.Buffer
	err := r.bus.Read(r.ctx, bus.StreamOutcomes, event.OutcomeSubject("*", "*"), 1, func(m *bus.Message) error {
		var o event.Observation
		err := json.Unmarshal(m.Data, &o)
		lines.Write(append(o.Outcome, '\n'))
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	outcomes, err := cascade.ReadOutcomes(&lines)
	if err != nil {
		r.t.Fatal(err)
	}
	labelled := 0
	for i := range outcomes {
		if _, known := outcomes[i].Label("small", "large", cascade.LabelAgreement); known {
			labelled++
		}
	}
	if labelled < 200 {
		r.t.Errorf("%d of %d outcomes have a label of small", labelled, len(outcomes))
	}
}
