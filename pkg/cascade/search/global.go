package search

import (
	"math"

	"github.com/weir-dev/weir/pkg/cascade"
)

// globalSteps is how many thresholds are tried for all tasks together.
const globalSteps = 40

// option is the chains of all tasks with their pooled means.
type option struct {
	chains           [][]tier
	change, se, cost float64
}

// global is the simpler strategy that the table is compared with: one pair of
// models, and one threshold on calibrated probabilities, for all tasks. It returns
// the chain of each task.
func (s *Study) global(loss float64) [][]cascade.Tier {
	if s.globals == nil {
		s.globals = s.pairs()
	}
	best := s.globals[0]
	for _, o := range s.globals {
		if o.change-s.options.MarginSE*o.se >= -loss && o.cost < best.cost {
			best = o
		}
	}
	found := make([][]cascade.Tier, len(best.chains))
	for i := range best.chains {
		found[i] = (&candidate{tiers: best.chains[i]}).chain()
	}
	return found
}

// pairs measures all pairs and thresholds; the first is the reference alone.
func (s *Study) pairs() []option {
	found := []option{s.totals(s.alone(s.reference))}
	for _, a := range s.tasks[0].models {
		for _, b := range s.tasks[0].models {
			for step := range globalSteps {
				if chains := s.pair(a.name, b.name, float64(step+1)/(globalSteps+1)); chains != nil {
					found = append(found, s.totals(chains))
				}
			}
		}
	}
	return found
}

func (s *Study) alone(name string) [][]tier {
	chains := make([][]tier, len(s.tasks))
	for i, t := range s.tasks {
		chains[i] = []tier{{model: t.named(name)}}
	}
	return chains
}

// pair is the same two models in each task, judged with a call of their own where
// there is one; nil if a task has no signals of the first.
func (s *Study) pair(a, b string, tau float64) [][]tier {
	chains := s.alone(b)
	for i, t := range s.tasks {
		first, second := t.named(a), chains[i][0].model
		if len(first.signals) == 0 || second.price < first.price*s.options.PriceStep || second.known < len(t.rows) {
			return nil
		}
		chosen := first.signals[0]
		if own := t.signalsOf(first, []string{cascade.Judge}); own != nil {
			chosen = own
		}
		chains[i] = []tier{{first, chosen, tau}, {model: second}}
	}
	return chains
}

// totals measures chains on all rows.
func (s *Study) totals(chains [][]tier) option {
	o := option{chains: chains}
	for i, t := range s.tasks {
		var total sums
		for row := range t.rows {
			total.add(t.outcome(chains[i], row))
		}
		mean, se := total.estimate()
		o.change += t.share * mean
		o.se += t.share * t.share * se * se
		o.cost += t.share * t.scaled(total)
	}
	o.se = math.Sqrt(o.se)
	return o
}

// outcome is what a chain does with a row.
func (t *task) outcome(chain []tier, row int) sums {
	cost := 0.0
	for _, tier := range chain {
		cost += tier.model.cost[row]
		if tier.signals != nil {
			cost += tier.signals.cost[row]
			if tier.signals.p[row] < tier.tau {
				continue
			}
		}
		w, change := t.weight[row], tier.model.ok[row]-t.ref.ok[row]
		return sums{w, w * change, w * w * change * change, w * cost, w * t.ref.cost[row]}
	}
	return sums{}
}

// named finds a model, the reference if it is not there.
func (t *task) named(name string) *model {
	for _, m := range t.models {
		if m.name == name {
			return m
		}
	}
	return t.ref
}
