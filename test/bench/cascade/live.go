package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/search"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/test/internal/figures"
)

// The live run: questions whose answers are known go through the queue, at first to
// each model by itself, from which a table is calibrated, then by that table.
const (
	liveTaught = 6000 // questions that the table is made from
	liveAsked  = 2000 // that are measured
	liveLoss   = 0.01 // that the table may lose
	liveMargin = 2    // standard errors that the table keeps from it
	liveTenant = "bench"
)

// liveModels err as the simulator's difficulty model says.
func liveModels() *llmsim.Difficulty {
	return &llmsim.Difficulty{Skill: map[string]float64{"sim-small": 0.75, "sim-large": 0.95}, AUROC: 0.99}
}

// livePolicies are the policies file; table is a line that names the table, or "".
const livePolicies = `version: 1
reference: large
%s
audit: {rate: 0}
tasks:
  - {task: small, chain: [small]}
  - {task: large, chain: [large]}
  - {task: quiz, chain: [small, large]}
`

// liveRun is a whole Weir in this process.
type liveRun struct {
	ctx    context.Context //nolint:containedctx // of the one run
	dir    string
	gold   []llmsim.Gold
	client *client.Client
	bus    *bus.Bus
}

// live measures the cascade through the real queue.
func live(ctx context.Context) (figures.Figures, string, error) {
	dir, err := os.MkdirTemp("", "weir-live-")
	if err != nil {
		return nil, "", fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	r := &liveRun{dir: dir, gold: liveGold(liveTaught + liveAsked)}
	if err := r.policies(""); err != nil {
		return nil, "", err
	}
	cfg := up.DefaultConfig(dir)
	cfg.Process.HTTPAddr, cfg.NatsAddr, cfg.Gateway.Addr, cfg.Process.Policies = "", "", "", filepath.Join(dir, "policies.yaml")
	cfg.Sim.Answers = llmsim.Answers{Seed: 1, Gold: r.gold, Difficulty: liveModels()}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ready, ended := make(chan *nats.Conn, 1), make(chan error, 1)
	go func() {
		ended <- up.Run(ctx, cfg, slog.New(slog.DiscardHandler), func(s up.System) { ready <- s.Conn })
	}()
	select {
	case nc := <-ready:
		if err := r.connect(ctx, nc); err != nil {
			return nil, "", err
		}
	case err := <-ended:
		return nil, "", fmt.Errorf("starting Weir: %w", err)
	}
	found, text, err := r.measure()
	stop()
	return found, text, errors.Join(err, <-ended)
}

func (r *liveRun) connect(ctx context.Context, nc *nats.Conn) (err error) {
	r.ctx = ctx
	if r.client, err = client.New(nc); err != nil {
		return err
	}
	r.bus, err = bus.New(nc)
	return err
}

// liveGold are questions with one right and three wrong answers, which the question
// does not give away.
func liveGold(n int) []llmsim.Gold {
	rnd := rand.New(rand.NewPCG(7, 11)) //nolint:gosec // codes of no meaning
	code := func() string { return fmt.Sprintf("The code is %05d.", rnd.IntN(100_000)) }
	out := make([]llmsim.Gold, n)
	for i := range out {
		out[i] = llmsim.Gold{Question: fmt.Sprintf("Which code opens locker %05d in hall %c?", i, 'A'+i%26), Answer: code()}
		for len(out[i].Wrong) < 3 {
			if wrong := code(); wrong != out[i].Answer {
				out[i].Wrong = append(out[i].Wrong, wrong)
			}
		}
	}
	return out
}

// policies writes the policies file.
func (r *liveRun) policies(table string) error {
	if err := os.WriteFile(filepath.Join(r.dir, "policies.yaml"), fmt.Appendf(nil, livePolicies, table), 0o600); err != nil {
		return fmt.Errorf("writing policies: %w", err)
	}
	return nil
}

// measure teaches, calibrates and asks.
func (r *liveRun) measure() (figures.Figures, string, error) {
	taught := r.gold[:liveTaught]
	if err := r.calibrate(taught); err != nil {
		return nil, "", err
	}
	asked := r.gold[liveTaught:]
	started := time.Now()
	cascaded, err := r.ask("quiz", asked)
	if err != nil {
		return nil, "", err
	}
	rate := float64(len(asked)) / time.Since(started).Seconds()
	large, err := r.ask("large", asked)
	if err != nil {
		return nil, "", err
	}
	saving, dq := 1-float64(cascaded.cost)/float64(large.cost), 100*(cascaded.right-large.right)
	small := float64(r.price(taught, "small")) / float64(r.price(taught, "large"))
	possible := possibleSaving(liveModels(), small)
	var b strings.Builder
	fmt.Fprintf(&b, "live: %d questions through the queue (%.0f jobs/s), table from %d others, loss allowed %.1f pt, margin %d s.e.\n", len(asked), rate, len(taught), 100*liveLoss, liveMargin)
	fmt.Fprintf(&b, "  always large  right %.2f %%\n  cascade       right %.2f %% (%+.2f pt), escalated %.1f %%, saved %.2f %%\n", 100*large.right, 100*cascaded.right, dq, 100*cascaded.escalated, 100*saving)
	fmt.Fprintf(&b, "  possible at a loss of %.1f pt, in closed form: %.2f %% saved; reached %.1f %% of it\n", 100*liveLoss, 100*possible, 100*saving/possible)
	return figures.Figures{"live.saving": saving, "live.possible": possible, "live.saving_of_possible": saving / possible, "live.dq": dq,
		"live.escalated": cascaded.escalated}, b.String(), nil
}

// possibleSaving is the most that can be saved at an accuracy liveLoss below the
// large model's, in closed form. A question that the small model knows the large
// one knows as well, so the loss is (A_large - A_small) * P(accepted | small wrong).
// The signal is the mean log probability, normal with mean m and deviation 0.1 for
// right answers, m - shift and 0.25 for wrong ones (llmsim.Difficulty), bent
// monotonically; the best rule by one signal accepts above a threshold t with
// P(wrong > t) = loss/(A_large - A_small). Saved is what is accepted, less the small
// model's price for all: 1 - small/large - P(not accepted).
func possibleSaving(d *llmsim.Difficulty, priceRatio float64) float64 {
	const rightSigma, wrongSigma = 0.1, 0.25
	right, large := d.Accuracy("sim-small"), d.Accuracy("sim-large")
	accepted := liveLoss / (large - right)                                      // of the wrong ones
	t := -d.Shift() + wrongSigma*math.Sqrt2*math.Erfinv(2*(1-accepted)-1)       // above m
	kept := right*0.5*math.Erfc(t/(rightSigma*math.Sqrt2)) + (1-right)*accepted // of all
	return kept - priceRatio
}

// answers are what a run of questions gave.
type answers struct {
	right     float64 // share
	escalated float64 // share
	cost      int64
	byIndex   []bool
}

// ask sends each question as a job of a task and reads the results.
func (r *liveRun) ask(task string, questions []llmsim.Gold) (answers, error) {
	out := answers{byIndex: make([]bool, len(questions))}
	cold := 0.0
	ids := make([]string, len(questions))
	for i, q := range questions {
		job := event.GenerateJob{Task: task, Messages: []event.Message{{Role: "user", Content: q.Question}}, Temperature: &cold, MaxTokens: 64}
		job.Lane = event.LaneBatch
		var err error
		if ids[i], err = r.client.Generate(r.ctx, liveTenant, job); err != nil {
			return out, fmt.Errorf("submitting: %w", err)
		}
	}
	right, escalated := 0, 0
	for i, id := range ids {
		result, err := r.client.Await(r.ctx, liveTenant, id)
		if err != nil {
			return out, fmt.Errorf("awaiting job %s: %w", id, err)
		}
		if result.Answer == nil {
			return out, fmt.Errorf("job %s failed: %w", id, result.Error)
		}
		out.cost += result.Receipt.CostNanoUSD
		if out.byIndex[i] = result.Answer.Text == questions[i].Answer; out.byIndex[i] {
			right++
		}
		if len(result.Receipt.Routing.Escalated) > 0 {
			escalated++
		}
	}
	n := float64(len(questions))
	out.right, out.escalated = float64(right)/n, float64(escalated)/n
	return out, nil
}

// calibrate makes the table from both models' answers, labelled by the known ones.
func (r *liveRun) calibrate(taught []llmsim.Gold) error {
	gold := map[string]int{}
	for i, q := range taught {
		gold[q.Question] = i
	}
	outcomes := make([]cascade.Outcome, len(taught))
	for i, q := range taught {
		outcomes[i] = cascade.Outcome{ID: fmt.Sprint("t", i), Task: "quiz", Question: q.Question, Reference: "large", Models: map[string]cascade.ModelOutcome{}}
	}
	for _, model := range []string{"small", "large"} {
		got, err := r.ask(model, taught)
		if err != nil {
			return err
		}
		err = r.observed(model, func(o *cascade.Outcome) {
			i, known := gold[o.Question]
			m, made := o.Models[model]
			if !known || !made {
				return
			}
			ok := 0.0
			if got.byIndex[i] {
				ok = 1
			}
			m.OK, m.Source = &ok, cascade.LabelGold
			outcomes[i].Models[model] = m
		})
		if err != nil {
			return err
		}
	}
	options := search.DefaultOptions()
	options.MaxQualityLoss, options.MarginSE, options.Reference = liveLoss, liveMargin, "large"
	table, err := search.Search(outcomes, options)
	if err != nil {
		return fmt.Errorf("calibrating: %w", err)
	}
	return r.use(table)
}

// use puts a table in force and waits until it is.
func (r *liveRun) use(table *cascade.Table) error {
	f, err := os.Create(filepath.Join(r.dir, "table.json"))
	if err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	if err := errors.Join(table.Write(f), f.Close(), r.policies("table: table.json")); err != nil {
		return err
	}
	for {
		id, err := r.client.Generate(r.ctx, liveTenant, event.GenerateJob{Task: "quiz", Messages: []event.Message{{Role: "user", Content: "Ready?"}}})
		if err != nil {
			return err
		}
		result, err := r.client.Await(r.ctx, liveTenant, id)
		if err != nil {
			return err
		}
		if result.Receipt.Routing != nil && result.Receipt.Routing.Table == table.Version {
			return nil
		}
		select {
		case <-r.ctx.Done():
			return r.ctx.Err()
		case <-time.After(100 * time.Millisecond): // a file is looked at every two seconds
		}
	}
}

// observed calls do with each outcome of a task that was recorded.
func (r *liveRun) observed(task string, do func(*cascade.Outcome)) error {
	return r.bus.Read(r.ctx, bus.StreamOutcomes, event.OutcomeSubject(liveTenant, "*"), 1, func(m *bus.Message) error {
		var seen event.Observation
		var o cascade.Outcome
		if err := errors.Join(json.Unmarshal(m.Data, &seen), json.Unmarshal(seen.Outcome, &o)); err != nil {
			return fmt.Errorf("decoding an outcome: %w", err)
		}
		if seen.Task == task {
			do(&o)
		}
		return nil
	})
}

// price is what a model takes for the questions.
func (r *liveRun) price(questions []llmsim.Gold, model string) int64 {
	prices := map[string][2]int64{"small": {150, 600}, "large": {2500, 10_000}} // of the default catalog
	return prices[model][0]*int64(len(questions)) + prices[model][1]*int64(len(questions))
}
