package learn

import (
	"math"
	"math/rand/v2"

	"github.com/weir-dev/weir/pkg/cascade"
)

// plan is which parts to fit and what share each has in the score: base is the
// task's mean and the linear part, which trees and text both build on.
type plan struct {
	task              bool
	columns           int // of the linear part: the first ones
	base, trees, text float64
	bias              float64 // added to the shares
}

// parts are what a plan fitted.
type parts struct {
	mean   float64 // on the scale of scores
	tasks  map[string]float64
	linear []float64
	trees  *cascade.Forest
	text   []float64
}

// plan chooses the parts and their shares by cross-fitting within the rows.
func (d *data) plan(rows []int) plan {
	if !d.bothKinds(rows) {
		return plan{base: 1}
	}
	if d.auto() {
		return d.choose(rows)
	}
	p := plan{task: d.opt.TaskMean, base: 1}
	if d.opt.Linear {
		p.columns = len(d.linear.terms)
	}
	if d.opt.Trees {
		p.trees = 1
	}
	if d.opt.Text {
		p.text = 1
	}
	return d.weigh(rows, p)
}

// choose begins with the linear part of the features alone, and takes the cues of
// the question, then all parts, if that is better by more than a standard error.
func (d *data) choose(rows []int) plan {
	best := plan{base: 1, columns: d.linear.plain()}
	if len(rows) < minParts {
		return best
	}
	if all := len(d.linear.terms); all > best.columns {
		cues := best
		cues.columns = all
		best = d.prefer(rows, best, cues)
	}
	rich := best
	rich.task = d.many
	if len(d.trees.names) > 0 {
		rich.trees = 0.5
	}
	if d.texts.any {
		rich.text = 0.5
	}
	if rich == best {
		return best
	}
	return d.prefer(rows, best, rich)
}

// prefer is the plan b if it is better than a. One fold is looked at first: most
// often it says no.
func (d *data) prefer(rows []int, a, b plan) plan {
	train, test := d.split(rows, 0, innerFolds, innerSeed(d.opt.Seed))
	if gain, _ := d.better(d.outOf(train, test, a), d.outOf(train, test, b), test); gain <= 0 {
		return a
	}
	b = d.weigh(rows, b)
	if gain, se := d.better(d.cross(rows, a), d.cross(rows, b), rows); gain <= se {
		return a
	}
	return b
}

// bothKinds reports whether the rows have different labels.
func (d *data) bothKinds(rows []int) bool {
	for _, i := range rows {
		if d.y[i] != d.y[rows[0]] {
			return true
		}
	}
	return false
}

// innerSeed makes inner folds differ from outer ones.
func innerSeed(seed uint64) uint64 { return seed ^ 0x9E3779B97F4A7C15 }

func (d *data) outOf(train, test []int, p plan) []float64 {
	out := make([]float64, len(d.y))
	d.predict(d.fit(train, p), p, test, out)
	return out
}

// cross are scores of rows by fits on the other inner folds.
func (d *data) cross(rows []int, p plan) []float64 {
	out := make([]float64, len(d.y))
	for fold := range innerFolds {
		train, test := d.split(rows, fold, innerFolds, innerSeed(d.opt.Seed))
		d.predict(d.fit(train, p), p, test, out)
	}
	return out
}

// better is by how much scores b have a lower loss than scores a, with its
// standard error.
func (d *data) better(a, b []float64, rows []int) (gain, se float64) {
	var n, n2, sum, squares float64
	for _, i := range rows {
		x, w := d.loss(i, a[i])-d.loss(i, b[i]), d.w[i]
		n, n2, sum, squares = n+w, n2+w*w, sum+w*x, squares+w*x*x
	}
	if n == 0 {
		return 0, 0
	}
	mean := sum / n
	// n2/n^2 is one over the number of rows that the weights are worth (Kish).
	return mean, math.Sqrt(math.Max(squares/n-mean*mean, 0) * n2 / (n * n))
}

func (d *data) loss(i int, score float64) float64 {
	if d.opt.Squared {
		return (d.y[i] - score) * (d.y[i] - score)
	}
	return logLoss(sigmoid(score), d.y[i])
}

// weigh finds the shares of several parts from scores that they give to rows they
// were not fitted on (stacking, Wolpert, 1992). A share is not negative.
func (d *data) weigh(rows []int, p plan) plan {
	if p.trees == 0 && p.text == 0 || len(rows) < 2*innerFolds {
		return p
	}
	shares := d.nonNegative(rows, d.crossParts(rows, p))
	if shares != nil {
		p.base, p.trees, p.text, p.bias = shares[0], shares[1], shares[2], shares[3]
	}
	return p
}

// nonNegative are the shares of scores, and the bias, without those that would be
// negative.
func (d *data) nonNegative(rows []int, scores [3][]float64) []float64 {
	for {
		shares := d.stack(rows, scores)
		if shares == nil {
			return nil
		}
		worst := -1
		for j := range scores {
			if shares[j] < 0 && (worst < 0 || shares[j] < shares[worst]) {
				worst = j
			}
		}
		if worst < 0 {
			return shares
		}
		scores[worst] = nil
	}
}

// crossParts are the scores of base, trees and text, each fitted on the other
// inner folds; nil for what is not used.
func (d *data) crossParts(rows []int, p plan) [3][]float64 {
	var out [3][]float64
	used := [3]bool{p.task || p.columns > 0, p.trees > 0, p.text > 0}
	for j := range out {
		if used[j] {
			out[j] = make([]float64, len(d.y))
		}
	}
	for fold := range innerFolds {
		train, test := d.split(rows, fold, innerFolds, innerSeed(d.opt.Seed))
		f := d.fit(train, p)
		for _, i := range test {
			values := d.values(f, i)
			for j := range out {
				if used[j] {
					out[j][i] = values[j]
				}
			}
		}
	}
	return out
}

// stack fits the shares; that of scores that are nil is 0. The last is the bias.
func (d *data) stack(rows []int, scores [3][]float64) []float64 {
	var c columns
	for _, column := range scores {
		if column != nil {
			c.values = append(c.values, column)
		}
	}
	if len(c.values) == 0 {
		return nil
	}
	mean := d.mean(rows)
	found := fitLinear(c, d.sample(rows, func(int) float64 { return mean }))
	beta := make([]float64, len(scores)+1)
	at := 0
	for j, column := range scores {
		if column != nil {
			beta[j] = found[at]
			at++
		}
	}
	beta[len(scores)] = found[at]
	return beta
}

func (d *data) sample(rows []int, offset func(i int) float64) *sample {
	s := &sample{rows: rows, y: d.y, w: d.w, offset: make([]float64, len(d.y)), squared: d.opt.Squared}
	for _, i := range rows {
		s.offset[i] = offset(i)
	}
	return s
}

// mean is the mean of the rows on the scale of scores; that of probabilities is
// shrunk by one label towards one half.
func (d *data) mean(rows []int) float64 {
	var sum, n float64
	for _, i := range rows {
		sum, n = sum+d.w[i]*d.y[i], n+d.w[i]
	}
	if d.opt.Squared {
		return sum / math.Max(n, 1e-12)
	}
	return logit((sum + 0.5) / (n + 1))
}

// fit fits the parts of a plan on rows: task means first, the linear part on what
// they leave, trees and text each on what both leave.
func (d *data) fit(rows []int, p plan) *parts {
	f := &parts{mean: d.mean(rows)}
	if !d.bothKinds(rows) {
		return f
	}
	offset := func(int) float64 { return f.mean }
	if p.task {
		var without func(i int) float64
		f.tasks, without = d.fitTasks(rows, f.mean)
		offset = func(i int) float64 { return f.mean + without(i) }
	}
	s := d.sample(rows, offset)
	if p.columns > 0 {
		used := d.linear.first(p.columns)
		f.linear = fitLinear(used, s)
		score := make([]float64, len(rows))
		used.score(f.linear, rows, score)
		for j, i := range rows {
			s.offset[i] += score[j]
		}
	}
	if p.trees > 0 {
		f.trees = fitTrees(d.trees, s, defaultBoosting(), rand.New(rand.NewPCG(d.opt.Seed, uint64(len(rows)))))
	}
	if p.text > 0 {
		f.text = fitText(d.texts, s, textRidge)
	}
	return f
}

// taskPrior is how many labels the overall mean is worth against a task's own.
const taskPrior = 25

// fitTasks finds how far the mean of each task is from the overall one, shrunk,
// and the same without a row's own label: what later parts build on must not have
// seen it.
func (d *data) fitTasks(rows []int, mean float64) (map[string]float64, func(i int) float64) {
	type total struct{ sum, n float64 }
	totals := map[string]total{}
	for _, i := range rows {
		t := totals[d.tasks[i]]
		totals[d.tasks[i]] = total{t.sum + d.w[i]*d.y[i], t.n + d.w[i]}
	}
	prior := mean
	if !d.opt.Squared {
		prior = sigmoid(mean)
	}
	distance := func(t total) float64 {
		m := (t.sum + taskPrior*prior) / (t.n + taskPrior)
		if d.opt.Squared {
			return m - mean
		}
		return logit(m) - mean
	}
	tasks := make(map[string]float64, len(totals))
	for name, t := range totals {
		tasks[name] = distance(t)
	}
	return tasks, func(i int) float64 {
		t := totals[d.tasks[i]]
		return distance(total{t.sum - d.w[i]*d.y[i], t.n - d.w[i]})
	}
}

// values are what base (less the mean), trees and text give to a row.
func (d *data) values(f *parts, i int) [3]float64 {
	var v [3]float64
	v[0] = f.tasks[d.tasks[i]]
	if f.linear != nil {
		var score [1]float64
		d.linear.first(len(f.linear)-1).score(f.linear, []int{i}, score[:])
		v[0] += score[0]
	}
	if f.trees != nil {
		v[1] = d.trees.score(f.trees, i)
	}
	if f.text != nil {
		v[2] = d.texts.score(f.text, i)
	}
	return v
}

// predict fills in the scores of rows.
func (d *data) predict(f *parts, p plan, rows []int, out []float64) {
	for _, i := range rows {
		v := d.values(f, i)
		out[i] = f.mean + p.bias + p.base*v[0] + p.trees*v[1] + p.text*v[2]
	}
}

// calibration makes the parts into one model, shares multiplied in.
func (f *parts) calibration(d *data, p plan) *cascade.Calibration {
	c := &cascade.Calibration{Identity: d.opt.Squared, Bias: f.mean + p.bias}
	if f.linear != nil {
		c.Linear = d.linear.first(p.columns).weigh(f.linear, p.base)
		c.Bias += p.base * f.linear[len(f.linear)-1]
	}
	if f.tasks != nil && p.base != 0 {
		c.Tasks = f.tasks
		for name := range c.Tasks {
			c.Tasks[name] *= p.base
		}
	}
	if f.text != nil && p.text != 0 {
		c.Text = textModel(f.text, p.text)
	}
	if f.trees == nil || p.trees == 0 {
		return c
	}
	c.Trees = f.trees
	for _, t := range c.Trees.Trees {
		for j := range t {
			t[j].Value *= p.trees
		}
	}
	return c
}
