// Package search chooses a policy table from recorded outcomes: for each task the
// chain of models, the thresholds and the paid signals that cost least while the
// mean quality over all tasks keeps within the allowed loss against a reference
// model. It measures what it chose on outcomes that were held out, and says where
// one model is as good as any chain. It is pure and deterministic.
package search

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/event"
)

// Options say what to look for.
type Options struct {
	// MaxQualityLoss is the allowed loss of mean quality against the reference
	// over all tasks: 0.01 is one point in a hundred.
	MaxQualityLoss float64
	// MarginSE is how many standard errors the estimate keeps from it: 1 by
	// DefaultOptions, 0 aims at the loss itself.
	MarginSE float64
	// MaxTaskLoss is the loss that is allowed in each single task; 0 is no limit.
	MaxTaskLoss float64
	// MinLabels is how many labels a task needs for a policy of its own.
	MinLabels int
	// PriceStep is how much more the next model of a chain costs at least.
	PriceStep float64
	// MaxTiers is how many models a chain has at most: 1 to 3.
	MaxTiers int
	// Reference is the model to compare with; "" is the one that the outcomes
	// name, else the best.
	Reference string
	// Labels is LabelGold or LabelAgreement.
	Labels cascade.Label
	// Models are those to choose from; none are all.
	Models []string
	// Seed decides the folds.
	Seed uint64
}

// DefaultOptions are the options of `weir calibrate`, for a loss of one point.
func DefaultOptions() Options {
	return Options{MaxQualityLoss: 0.01, MarginSE: 1, MinLabels: 100, PriceStep: 1.2, MaxTiers: 3, Labels: cascade.LabelGold, Seed: 1}
}

// validate checks the options; its error names the field.
func (o *Options) validate() error {
	switch {
	case !(o.MaxQualityLoss >= 0 && o.MaxQualityLoss <= 1):
		return event.Invalid("max_quality_loss", "0.01 is one point in a hundred", "is %v, want 0 to 1", o.MaxQualityLoss)
	case !(o.MarginSE >= 0 && o.MarginSE <= 10):
		return event.Invalid("margin_se", "1 is usual", "is %v, want 0 to 10", o.MarginSE)
	case !(o.MaxTaskLoss >= 0 && o.MaxTaskLoss <= 1):
		return event.Invalid("max_task_loss", "0 is no limit", "is %v, want 0 to 1", o.MaxTaskLoss)
	case o.MinLabels < 0:
		return event.Invalid("min_labels", "100 is usual", "is %d, want at least 0", o.MinLabels)
	case o.MaxTiers < 1 || o.MaxTiers > 3:
		return event.Invalid("max_tiers", "use 1, 2 or 3", "is %d", o.MaxTiers)
	case !(o.PriceStep >= 1 && o.PriceStep <= 1000):
		return event.Invalid("price_step", "1.2 is usual", "is %v, want 1 to 1000", o.PriceStep)
	case o.Labels != cascade.LabelGold && o.Labels != cascade.LabelAgreement:
		return event.Invalid("labels", "use gold or agreement", "is %q", o.Labels)
	}
	return nil
}

// Search makes the policy table for the outcomes. Its figures of quality and cost
// are left empty; CrossFit measures them.
func Search(outcomes []cascade.Outcome, o Options) (*cascade.Table, error) {
	s, err := Prepare(outcomes, o)
	if err != nil {
		return nil, err
	}
	return s.Table(PerTask, o.MaxQualityLoss)
}

// Strategy is how models are chosen: the product's, or a simpler one to compare
// it with.
type Strategy string

// The strategies.
const (
	PerTask     Strategy = "table"  // a chain per task
	SinglePer   Strategy = "single" // the best single model per task
	OneForAll   Strategy = "global" // one pair of models and one threshold for all tasks
	AlwaysRef   Strategy = "large"  // the reference model
	AlwaysLeast Strategy = "small"  // the cheapest model
)

// Study is what is fitted once and serves tables of any allowed loss: calibrated
// models and the candidates of each task with their quality and cost. It is not
// safe for concurrent use.
type Study struct {
	options   Options
	reference string
	newest    time.Time
	tasks     []*task
	paths     map[Strategy]*path
	globals   []option // of OneForAll
}

// Prepare fits the calibrations and measures all candidates.
func Prepare(outcomes []cascade.Outcome, o Options) (*Study, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	reference, err := referenceOf(outcomes, o)
	if err != nil {
		return nil, err
	}
	s := &Study{options: o, reference: reference, paths: map[Strategy]*path{}}
	for i := range outcomes {
		if outcomes[i].At.After(s.newest) {
			s.newest = outcomes[i].At
		}
	}
	if s.tasks, err = split(outcomes, reference, o); err != nil {
		return nil, err
	}
	errs := make([]error, len(s.tasks))
	each(len(s.tasks), func(i int) { errs[i] = s.tasks[i].prepare(o) })
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("task %s: %w", s.tasks[i].name, err)
		}
	}
	return s, nil
}

// Table chooses for an allowed loss.
func (s *Study) Table(how Strategy, loss float64) (*cascade.Table, error) {
	t := &cascade.Table{V: cascade.TableVersion, CreatedAt: s.newest, Reference: s.reference, Tasks: map[string]*cascade.TaskPolicy{},
		Objective: cascade.Objective{MaxQualityLoss: loss, MarginSE: s.options.MarginSE, Labels: s.options.Labels}}
	if err := s.fill(t, how, loss); err != nil {
		return nil, err
	}
	var err error
	t.Version, err = t.Hash()
	return t, err
}

// fill adds the policies.
func (s *Study) fill(t *cascade.Table, how Strategy, loss float64) error {
	if how == OneForAll {
		for i, chain := range s.global(loss) {
			t.Tasks[s.tasks[i].name] = &cascade.TaskPolicy{Chain: chain, Labels: len(s.tasks[i].rows)}
		}
		return nil
	}
	choice := s.choose(how, loss)
	for i, task := range s.tasks {
		t.Tasks[task.name] = task.policy(choice[i], loss)
	}
	if how == PerTask {
		return s.addSkips(t)
	}
	return nil
}

// referenceOf returns the model that the rest is compared with.
func referenceOf(outcomes []cascade.Outcome, o Options) (string, error) {
	if len(outcomes) == 0 {
		return "", event.Invalid("outcomes", "record some: a JSON object a line, see docs/cascade.md", "there are none")
	}
	named, models := o.Reference, map[string][2]float64{} // sum of labels, of weights
	total := 0.0
	for i := range outcomes {
		out := &outcomes[i]
		total += weightOf(out)
		if named == "" {
			named = out.Reference
		}
		for name := range out.Models {
			sums := models[name]
			if ok, known := out.Label(name, "", cascade.LabelGold); known {
				w := weightOf(out)
				sums[0] += w * ok
				sums[1] += w
			}
			models[name] = sums
		}
	}
	if named != "" {
		if _, there := models[named]; !there {
			return "", event.Invalid("reference", "name a model of the outcomes", "no outcome has an answer of %q", named)
		}
		return named, nil
	}
	if o.Labels == cascade.LabelAgreement {
		return "", event.Invalid("reference", "name the model to agree with", "labels by agreement need one, and the outcomes name none")
	}
	best, most := "", -1.0
	for _, name := range pool(models, o.Models) {
		if sums := models[name]; sums[1] >= total/2 && sums[0]/sums[1] > most {
			best, most = name, sums[0]/sums[1]
		}
	}
	if best == "" {
		return "", event.Invalid("reference", "name the model to compare with", "no model has labels for half of the outcomes")
	}
	return best, nil
}

// each calls f for 0 to n-1, on all processors.
func each(n int, f func(i int)) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}
