package search

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/learn"
	"github.com/weir-dev/weir/pkg/event"
)

// folds is how many parts the outcomes are cut into for what must not be measured
// on the outcomes that it was fitted on. With 10 each choice is made from nearly
// all of the outcomes, so what is measured of it is hardly worse than the truth.
const folds = 10

// choiceSeed makes the folds of the choice differ from those of calibrations.
const choiceSeed = 0xC401CE

// fitFolds is the same for calibrations, which take longer.
const fitFolds = 5

// task is the outcomes of one task and what was fitted to them. Rows are outcomes
// with a label of the reference.
type task struct {
	name      string
	reference string
	rows      []*cascade.Outcome
	fold      []int // of each row
	weight    []float64
	models    []*model // rising price
	ref       *model
	share     float64 // of the weight of all tasks
	refCost   float64 // mean, nano-USD

	candidates []candidate
	fronts     fronts // without one fold each; the last is on all rows
}

// model is the answers of one model to a task's rows.
type model struct {
	name    string
	ok      []float64 // label by row; -1 if unknown
	cost    []float64 // of the answer, nano-USD
	known   int
	price   float64 // mean cost
	signals []*signals
}

// split sorts the outcomes by task.
func split(outcomes []cascade.Outcome, reference string, o Options) ([]*task, error) {
	byName := map[string]*task{}
	for i := range outcomes {
		out := &outcomes[i]
		if _, known := out.Label(reference, reference, o.Labels); !known {
			continue
		}
		name := out.TaskName()
		if byName[name] == nil {
			byName[name] = &task{name: name, reference: reference}
		}
		byName[name].rows = append(byName[name].rows, out)
	}
	if len(byName) == 0 {
		return nil, event.Invalid("labels", "use --labels agreement, or record ok of the reference", "no outcome has a %s label of the reference %q", o.Labels, reference)
	}
	var tasks []*task
	var total float64
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		t := byName[name]
		t.load(o)
		tasks = append(tasks, t)
		total += sum(t.weight)
	}
	for _, t := range tasks {
		t.share = sum(t.weight) / total
	}
	return tasks, nil
}

// load reads labels and costs into columns.
func (t *task) load(o Options) {
	slices.SortFunc(t.rows, func(a, b *cascade.Outcome) int { return cmp.Compare(a.ID, b.ID) })
	names := map[string]bool{}
	t.fold = make([]int, len(t.rows))
	t.weight = make([]float64, len(t.rows))
	for i, row := range t.rows {
		t.fold[i] = learn.FoldOf(row.ID, folds, o.Seed+choiceSeed)
		t.weight[i] = weightOf(row)
		for name := range row.Models {
			names[name] = true
		}
	}
	for _, name := range pool(names, o.Models) {
		t.models = append(t.models, t.column(name, o))
	}
	if !slices.ContainsFunc(t.models, func(m *model) bool { return m.name == t.reference }) {
		t.models = append(t.models, t.column(t.reference, o))
	}
	slices.SortStableFunc(t.models, func(a, b *model) int { return cmp.Compare(a.price, b.price) })
	t.ref = t.models[slices.IndexFunc(t.models, func(m *model) bool { return m.name == t.reference })]
	t.refCost = t.mean(t.ref.cost)
}

func (t *task) column(name string, o Options) *model {
	m := &model{name: name, ok: make([]float64, len(t.rows)), cost: make([]float64, len(t.rows))}
	var paid, weight float64
	for i, row := range t.rows {
		ok, known := row.Label(name, t.reference, o.Labels)
		if !known {
			ok = -1
		} else {
			m.known++
		}
		m.ok[i] = ok
		if answer, there := row.Models[name]; there {
			m.cost[i] = float64(answer.CostNanoUSD)
			paid += t.weight[i] * m.cost[i]
			weight += t.weight[i]
		}
	}
	if weight > 0 {
		m.price = paid / weight
	}
	return m
}

// weightOf is how many outcomes a row stands for: 1 if it was no sample.
func weightOf(o *cascade.Outcome) float64 {
	w := 1.0
	for _, m := range o.Models {
		w = max(w, m.Weight)
	}
	return w
}

// mean is the weighted mean of a column.
func (t *task) mean(column []float64) float64 {
	var total, weight float64
	for i, x := range column {
		total += t.weight[i] * x
		weight += t.weight[i]
	}
	if weight == 0 {
		return 0
	}
	return total / weight
}

// prepare fits the calibrations and measures the candidates. With too few labels
// the reference is the only candidate.
func (t *task) prepare(o Options) error {
	if len(t.rows) >= o.MinLabels {
		for i, m := range t.models {
			if i < len(t.models)-1 && m.known >= o.MinLabels && o.MaxTiers > 1 {
				if err := t.fit(m, o); err != nil {
					return fmt.Errorf("model %s: %w", m.name, err)
				}
			}
		}
	}
	t.enumerate(o)
	t.fronts = t.pareto(o.MarginSE, func(*candidate) bool { return true })
	return nil
}

// signals are a model's answers judged with some of the paid signals.
type signals struct {
	paid []string
	cost []float64 // of the paid signals, by row
	p    []float64 // calibrated out of fold, by row
	fit  *cascade.Calibration
}

// fit calibrates a model's answers, once for each set of paid signals.
func (t *task) fit(m *model, o Options) error {
	for _, paid := range t.paidSets(m) {
		s := &signals{paid: paid, cost: make([]float64, len(t.rows)), p: make([]float64, len(t.rows))}
		var rows []learn.Row
		var at []int
		for i, row := range t.rows {
			if m.ok[i] < 0 {
				continue
			}
			evidence, cost := row.Evidence(m.name, paid)
			s.cost[i] = float64(cost)
			rows = append(rows, learn.Row{ID: row.ID, Evidence: evidence, OK: m.ok[i], Weight: t.weight[i]})
			at = append(at, i)
		}
		if len(paid) == 0 && !anyFeature(rows) {
			continue // nothing is known of the answers
		}
		options := shape(rows, o)
		p, err := learn.OutOfFold(rows, options, fitFolds)
		if err != nil {
			return fmt.Errorf("calibrating with %v: %w", paid, err)
		}
		for j, i := range at {
			s.p[i] = p[j]
		}
		if s.fit, err = learn.Fit(rows, options); err != nil {
			return fmt.Errorf("calibrating with %v: %w", paid, err)
		}
		m.signals = append(m.signals, s)
	}
	return nil
}

// richLabels is the number of labels from which trees and text are tried.
const richLabels = 1000

// shape is what to fit: Platt scaling where there is a confidence, beside which
// neither text nor trees were found to help, and where labels are few; else what
// cross-validation finds best.
func shape(rows []learn.Row, o Options) learn.Options {
	confident := slices.ContainsFunc(rows, func(r learn.Row) bool {
		for name := range r.Evidence.Features {
			if name == cascade.Judge || strings.HasPrefix(name, "logprob") {
				return true
			}
		}
		return false
	})
	if confident || len(rows) < richLabels {
		return learn.Options{Seed: o.Seed, Linear: true}
	}
	return learn.Options{Seed: o.Seed, Question: true}
}

func anyFeature(rows []learn.Row) bool {
	return slices.ContainsFunc(rows, func(r learn.Row) bool { return len(r.Evidence.Features) > 0 || r.Evidence.Question != "" })
}

// paidSets lists the sets of paid signals to try for a model: none, each alone,
// and a call of the model's own with the agreement of another.
func (t *task) paidSets(m *model) [][]string {
	sets := [][]string{nil}
	var own, agree []string
	for _, name := range t.recorded(m) {
		own = append(own, name)
		sets = append(sets, []string{name})
	}
	for _, other := range t.models {
		if other != m && len(agree) < maxHelpers && t.helps(other, m) {
			agree = append(agree, cascade.AgreeWith(other.name))
			sets = append(sets, []string{cascade.AgreeWith(other.name)})
		}
	}
	if len(own) > 0 && len(agree) > 0 {
		sets = append(sets, []string{own[0], agree[0]})
	}
	return sets
}

// maxHelpers is how many second models are tried for agreement.
const maxHelpers = 2

// helps reports whether agreement with another model may pay: it costs a tenth of
// the reference at most, for an extra call eats what a cascade saves.
func (t *task) helps(other, m *model) bool {
	if other == t.ref || other.price > max(t.refCost/10, m.price/4) {
		return false
	}
	both := 0
	for _, row := range t.rows {
		if row.Models[m.name].Answer != "" && row.Models[other.name].Answer != "" {
			both++
		}
	}
	return both*10 >= m.known*9
}

// recorded lists the paid signals that nearly all of a model's answers have.
func (t *task) recorded(m *model) []string {
	counts := map[string]int{}
	for i, row := range t.rows {
		if m.ok[i] >= 0 {
			for name := range row.Models[m.name].Paid {
				counts[name]++
			}
		}
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name]*10 >= m.known*9 {
			names = append(names, name)
		}
	}
	return names[:min(len(names), maxPaid)]
}

// maxPaid is how many paid signals of its own are tried for a model.
const maxPaid = 4
