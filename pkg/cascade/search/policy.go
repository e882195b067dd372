package search

import (
	"fmt"
	"strings"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/learn"
)

// policy makes the table's form of a task's chosen candidate.
func (t *task) policy(chosen int, loss float64) *cascade.TaskPolicy {
	c := &t.candidates[chosen]
	p := &cascade.TaskPolicy{Chain: c.chain(), Labels: len(t.rows)}
	if first := p.Chain[0].Calibration; first != nil {
		p.ECE = first.ECE
	}
	if len(p.Chain) == 1 {
		p.Declined, p.Reason = true, t.reason(c, loss)
	}
	return p
}

// reason says why one model alone was chosen.
func (t *task) reason(chosen *candidate, loss float64) string {
	if len(t.candidates) == 1 {
		return fmt.Sprintf("%d outcomes with labels are too few, or only one model has them", len(t.rows))
	}
	var best *candidate
	most := 0.0
	single := t.scaled(chosen.without(folds))
	for i := range t.candidates {
		c := &t.candidates[i]
		total := c.without(folds)
		if len(c.tiers) == 1 || total.weight <= 0 || total.change/total.weight < -loss {
			continue
		}
		if saved := 1 - t.scaled(total)/single; best == nil || saved > most {
			best, most = c, saved
		}
	}
	if best == nil {
		return "no chain keeps the quality: there is no signal to accept answers by, or no cheaper model"
	}
	if most <= 0 {
		return fmt.Sprintf("no chain that keeps the quality costs less: the best, %s, costs %.0f %% more", best, -100*most)
	}
	return fmt.Sprintf("no chain saves enough to be sure of: the best, %s, would save %.0f %% before the margin", best, 100*most)
}

// String names the models of a candidate.
func (c *candidate) String() string {
	var names []string
	for _, tier := range c.tiers {
		names = append(names, tier.model.name)
	}
	return strings.Join(names, " > ")
}

// A skip has to save this share of a chain's cost, out of fold.
const leastSkipSaving = 0.01

// addSkips lets questions begin with the second tier where that pays: where the
// first answer is accepted so rarely that its price is mostly wasted. Leaving the
// first tier out saves c1 always and costs c2 where its answer would have been
// accepted, so it pays above a probability of 1 - c1/c2.
func (s *Study) addSkips(t *cascade.Table) error {
	errs := make([]error, len(s.tasks))
	each(len(s.tasks), func(i int) {
		p := t.Tasks[s.tasks[i].name]
		if len(p.Chain) > 1 {
			p.Skip, errs[i] = s.tasks[i].skip(p.Chain, s.options)
		}
	})
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("task %s: choosing where to begin: %w", s.tasks[i].name, err)
		}
	}
	return nil
}

func (t *task) skip(chain []cascade.Tier, o Options) (*cascade.Skip, error) {
	first, second := t.named(chain[0].Model), t.named(chain[1].Model)
	cost := t.mean(first.cost)
	if i := t.signalsOf(first, chain[0].Paid); i != nil {
		cost += t.mean(i.cost)
	}
	above := 1 - cost/t.mean(second.cost) // NaN where both are free
	if !(above > 0 && above <= maxSkipAbove) {
		return nil, nil //nolint:nilnil // no skip is the usual result
	}
	signals := t.signalsOf(first, chain[0].Paid)
	var rows []learn.Row
	for i, row := range t.rows {
		if first.ok[i] < 0 || row.Question == "" {
			continue
		}
		r := learn.Row{ID: row.ID, Evidence: cascade.Evidence{Task: t.name, Question: row.Question}, Weight: t.weight[i]}
		if signals.p[i] < chain[0].Tau {
			r.OK = 1
		}
		rows = append(rows, r)
	}
	var escalated, total float64
	for _, r := range rows {
		escalated, total = escalated+r.Weight*r.OK, total+r.Weight
	}
	if len(rows) < o.MinLabels || escalated < total*above/2 {
		return nil, nil //nolint:nilnil // as above
	}
	return t.fitSkip(rows, above, questionOnly(len(rows), o))
}

// questionOnly fits cues of the question's shape, and its words from as many
// labels on as a text model needs.
func questionOnly(labels int, o Options) learn.Options {
	return learn.Options{Seed: o.Seed, Linear: true, Features: cascade.QuestionFeatureNames(), Text: labels >= richLabels}
}

// maxSkipAbove: at a price ratio of 10 and more nothing is escalated so surely
// that leaving the first tier out would pay.
const maxSkipAbove = 0.9

// fitSkip keeps a skip if it saves enough out of fold.
func (t *task) fitSkip(rows []learn.Row, above float64, o learn.Options) (*cascade.Skip, error) {
	ps, err := learn.OutOfFold(rows, o, fitFolds)
	if err != nil {
		return nil, err
	}
	var saved, total float64 // in units of the second tier's price
	for i, p := range ps {
		total += rows[i].Weight * (1 - above + rows[i].OK)
		if p > above {
			saved += rows[i].Weight * (1 - above - (1 - rows[i].OK))
		}
	}
	if saved < leastSkipSaving*total {
		return nil, nil //nolint:nilnil // no skip is the usual result
	}
	fit, err := learn.Fit(rows, o)
	if err != nil {
		return nil, err
	}
	return &cascade.Skip{Calibration: fit, Above: above}, nil
}

// signalsOf finds the fitted signals of a model by the paid ones.
func (t *task) signalsOf(m *model, paid []string) *signals {
	for _, s := range m.signals {
		if strings.Join(s.paid, " ") == strings.Join(paid, " ") {
			return s
		}
	}
	return nil
}
