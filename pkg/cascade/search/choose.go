package search

import "math"

// A strategy is carried out in two steps: a choice for a given allowance of
// quality, measured in sample and less a margin for each candidate, and the
// allowance itself, found by cross-validation: what was chosen without a fold is
// measured on it. So the winner's curse, that the best of many candidates looks
// better than it is, is in the estimate that has to keep the allowed loss.

// choose returns the index of the chosen candidate of each task.
func (s *Study) choose(how Strategy, loss float64) []int {
	switch how {
	case AlwaysRef:
		return make([]int, len(s.tasks)) // the first candidate
	case AlwaysLeast:
		return s.cheapest()
	}
	p := s.path(how)
	allowance, cost, ok := s.allowance(p, loss)
	if how == PerTask {
		// Single models are among the candidates, but on the way from strict to lax
		// chains may crowd them out.
		single := s.path(SinglePer)
		if a, c, found := s.allowance(single, loss); found && (!ok || c < cost) {
			p, allowance, ok = single, a, true
		}
	}
	if !ok {
		return make([]int, len(s.tasks))
	}
	return s.declined(p.fronts, s.cheapestWithin(p.fronts, folds, allowance), allowance)
}

// path is the choices of a strategy from strict to lax, with their cross-validated
// means; it is extended as far as an allowed loss needs.
type path struct {
	fronts []fronts
	steps  []validation
}

// path returns the path of a strategy, which serves all allowed losses.
func (s *Study) path(how Strategy) *path {
	if p := s.paths[how]; p != nil {
		return p
	}
	p := &path{fronts: make([]fronts, len(s.tasks))}
	for i, t := range s.tasks {
		p.fronts[i] = t.fronts
		if how == SinglePer || s.options.MaxTaskLoss > 0 {
			p.fronts[i] = t.pareto(s.options.MarginSE, func(c *candidate) bool {
				return (how != SinglePer || len(c.tiers) == 1) && s.withinTask(c)
			})
		}
	}
	s.paths[how] = p
	return p
}

type fronts = [folds + 1]frontier

// withinTask checks the floor of each single task.
func (s *Study) withinTask(c *candidate) bool {
	if s.options.MaxTaskLoss == 0 {
		return true
	}
	total := c.without(folds)
	mean, se := total.estimate()
	return mean-s.options.MarginSE*se >= -s.options.MaxTaskLoss
}

// estimate is the mean quality change and its standard error.
func (s *sums) estimate() (mean, se float64) {
	mean = s.change / s.weight
	// The squares about 0 and not about the mean are a little too large.
	return mean, math.Sqrt(s.change2) / s.weight
}

// cheapest is the cheapest single model of each task.
func (s *Study) cheapest() []int {
	choice := make([]int, len(s.tasks))
	for i, t := range s.tasks {
		for at := range t.candidates {
			c := &t.candidates[at]
			if len(c.tiers) == 1 && c.tiers[0].model.price < t.candidates[choice[i]].tiers[0].model.price {
				choice[i] = at
			}
		}
	}
	return choice
}

// The allowances that are tried: from one that is stricter than asked for to one
// that is laxer, in steps of a twentieth of a point.
const (
	allowanceStep  = 0.0005
	allowanceBelow = 0.03
	allowanceAbove = 0.03
)

// validatedMargin is the part of the margin that the cross-validated estimate of
// all tasks together keeps: each candidate has paid the whole of it already.
const validatedMargin = 0.5

// allowance finds the in-sample allowance with the least cross-validated cost
// whose cross-validated loss keeps the margin from the allowed loss, and that cost.
func (s *Study) allowance(p *path, loss float64) (allowance, least float64, ok bool) {
	least = math.Inf(1)
	for i := range int((allowanceBelow + loss + allowanceAbove) / allowanceStep) {
		if i == len(p.steps) {
			p.steps = append(p.steps, s.validate(p.fronts, allowanceStep*float64(i)-allowanceBelow))
		}
		v := p.steps[i]
		if v.ok && v.change-validatedMargin*s.options.MarginSE*v.se >= -loss && v.cost < least {
			least, allowance, ok = v.cost, v.allowance, true
		}
	}
	return allowance, least, ok
}

// validation is the cross-validated mean quality change with its standard error,
// and the cost, of the choice for an allowance.
type validation struct {
	allowance, change, se, cost float64
	ok                          bool
}

func (s *Study) validate(fronts []fronts, allowance float64) validation {
	v := validation{allowance: allowance, ok: true}
	for i, found := range s.perTask(fronts, allowance) {
		if found.weight <= 0 {
			return validation{}
		}
		share := s.tasks[i].share
		mean, e := found.estimate()
		v.change += share * mean
		v.se += share * share * e * e
		v.cost += share * s.tasks[i].scaled(found)
	}
	v.se = math.Sqrt(v.se)
	return v
}

// perTask sums up, for each task, what was chosen without a fold on that fold.
func (s *Study) perTask(fronts []fronts, allowance float64) []sums {
	found := make([]sums, len(s.tasks))
	for f := range folds {
		for i, at := range s.cheapestWithin(fronts, f, allowance) {
			found[i].add(s.tasks[i].candidates[at].fold[f])
		}
	}
	return found
}

// cheapestWithin chooses the candidates, one per task, that cost least while the
// mean quality change is at least -allowance, from the fronts without a fold. It
// maximises quality - lambda * cost over the tasks, with the largest lambda that
// keeps the allowance, and then uses up what is left of it.
func (s *Study) cheapestWithin(fronts []fronts, fold int, allowance float64) []int {
	low, high := -30.0, 0.0 // powers of e; costs are nano-USD
	choice, change := s.lagrange(fronts, fold, math.Exp(low))
	if change < -allowance {
		return s.result(fronts, fold, choice) // the best there is
	}
	for range 40 {
		middle := (low + high) / 2
		if c, q := s.lagrange(fronts, fold, math.Exp(middle)); q >= -allowance {
			low, choice, change = middle, c, q
		} else {
			high = middle
		}
	}
	for s.improve(fronts, fold, choice, change+allowance) {
		change = s.change(fronts, fold, choice)
	}
	return s.result(fronts, fold, choice)
}

// lagrange chooses each task's best point by quality - lambda * cost.
func (s *Study) lagrange(fronts []fronts, fold int, lambda float64) (choice []int, change float64) {
	choice = make([]int, len(s.tasks))
	for i := range s.tasks {
		best := math.Inf(-1)
		f := &fronts[i][fold]
		for _, at := range f.hull {
			p := f.points[at]
			if value := p.change - lambda*p.cost; value > best {
				best, choice[i] = value, at
			}
		}
	}
	return choice, s.change(fronts, fold, choice)
}

func (s *Study) change(fronts []fronts, fold int, choice []int) (mean float64) {
	for i, at := range choice {
		mean += s.tasks[i].share * fronts[i][fold].points[at].change
	}
	return mean
}

// improve makes the one exchange that saves most within the slack.
func (s *Study) improve(fronts []fronts, fold int, choice []int, slack float64) bool {
	task, to, most := -1, 0, 0.0
	for i, now := range choice {
		points, share := fronts[i][fold].points, s.tasks[i].share
		for at := range now { // cheaper ones
			saved := share * (points[now].cost - points[at].cost)
			if share*(points[now].change-points[at].change) <= slack && saved > most {
				task, to, most = i, at, saved
			}
		}
	}
	if task < 0 {
		return false
	}
	choice[task] = to
	return true
}

// result turns indices of fronts into indices of candidates.
func (s *Study) result(fronts []fronts, fold int, choice []int) []int {
	found := make([]int, len(choice))
	for i, at := range choice {
		found[i] = fronts[i][fold].points[at].at
	}
	return found
}

// declined replaces chains that saved nothing on the folds left out by the
// reference alone.
func (s *Study) declined(fronts []fronts, choice []int, allowance float64) []int {
	for i, found := range s.perTask(fronts, allowance) {
		chosen := &s.tasks[i].candidates[choice[i]]
		if len(chosen.tiers) > 1 && found.cost >= found.refCost {
			choice[i] = 0
		}
	}
	return choice
}
