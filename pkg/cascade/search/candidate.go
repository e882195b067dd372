package search

import (
	"cmp"
	"slices"

	"github.com/weir-dev/weir/pkg/cascade"
)

// How many thresholds are tried per tier: quantiles of the calibrated
// probability.
const (
	pairSteps   = 16
	tripleSteps = 8
)

// tier is one step of a candidate. The last one has no signals.
type tier struct {
	model   *model
	signals *signals
	tau     float64
}

// candidate is a chain with its thresholds, and its sums over each fold.
type candidate struct {
	tiers []tier
	fold  [folds]sums
}

// sums are of the weighted rows of a fold.
type sums struct {
	weight  float64
	change  float64 // label less the reference's
	change2 float64 // of the squares of weight times that, for the standard error
	cost    float64
	refCost float64
}

func (s *sums) add(o sums) {
	s.weight += o.weight
	s.change += o.change
	s.change2 += o.change2
	s.cost += o.cost
	s.refCost += o.refCost
}

// without sums up all folds but one; folds leaves none out.
func (c *candidate) without(fold int) sums {
	var total sums
	for f := range c.fold {
		if f != fold {
			total.add(c.fold[f])
		}
	}
	return total
}

// enumerate measures single models, pairs and triples with rising price.
func (t *task) enumerate(o Options) {
	t.single(t.ref)
	if len(t.rows) < o.MinLabels {
		return
	}
	for _, a := range t.models {
		if a != t.ref && a.known >= o.MinLabels {
			t.single(a)
		}
		for _, sa := range a.signals {
			for _, b := range t.models {
				if b.known < o.MinLabels || b.price < a.price*o.PriceStep {
					continue
				}
				t.chains([]tier{{model: a, signals: sa}, {model: b}}, pairSteps)
				for _, sb := range b.signals {
					t.triples(tier{model: a, signals: sa}, tier{model: b, signals: sb}, o)
				}
			}
		}
	}
}

func (t *task) triples(a, b tier, o Options) {
	if o.MaxTiers < 3 {
		return
	}
	for _, c := range t.models {
		if c.known >= o.MinLabels && c.price >= b.model.price*o.PriceStep {
			t.chains([]tier{a, b, {model: c}}, tripleSteps)
		}
	}
}

func (t *task) single(m *model) { t.chains([]tier{{model: m}}, 0) }

// chains adds a candidate for each combination of thresholds of a chain. Rows are
// counted once, in cells by how many thresholds each of their probabilities
// reaches; a candidate is a sum of cells.
func (t *task) chains(tiers []tier, steps int) {
	grid := t.thresholds(tiers, steps)
	cells := t.cells(tiers, grid)
	choice := make([]int, len(grid))
	for {
		t.candidates = append(t.candidates, pick(tiers, grid, cells, choice))
		i := len(choice) - 1
		for ; i >= 0 && choice[i] == len(grid[i])-1; i-- {
			choice[i] = 0
		}
		if i < 0 {
			return
		}
		choice[i]++
	}
}

// thresholds are quantiles of the probabilities of each tier but the last: of all
// rows for the first, of those that the first is less sure of for the second.
func (t *task) thresholds(tiers []tier, steps int) [][]float64 {
	var grid [][]float64
	for k := range len(tiers) - 1 {
		var ps []float64
		middle := 2.0
		if k > 0 {
			first := slices.Clone(tiers[0].signals.p)
			slices.Sort(first)
			middle = first[len(first)/2]
		}
		for i, p := range tiers[k].signals.p {
			if t.complete(tiers, i) && tiers[0].signals.p[i] <= middle {
				ps = append(ps, p)
			}
		}
		grid = append(grid, quantiles(ps, steps))
	}
	return grid
}

func quantiles(values []float64, steps int) []float64 {
	slices.Sort(values)
	var found []float64
	for k := range steps {
		if len(values) > 0 {
			found = append(found, min(0.9999, max(1e-6, values[len(values)*(2*k+1)/(2*steps)])))
		}
	}
	if len(found) == 0 {
		return []float64{0.5}
	}
	return slices.Compact(found)
}

// complete reports whether all labels of a row are known.
func (t *task) complete(tiers []tier, row int) bool {
	for _, tier := range tiers {
		if tier.model.ok[row] < 0 {
			return false
		}
	}
	return t.ref.ok[row] >= 0
}

// cell is the sums of the rows that reach equally many thresholds of each tier,
// if the answer of tier k is taken.
type cell struct {
	taken [3][folds]sums
}

// cells counts the rows. A cell's index is mixed of the counts of each tier.
func (t *task) cells(tiers []tier, grid [][]float64) []cell {
	size := 1
	for _, taus := range grid {
		size *= len(taus) + 1
	}
	cells := make([]cell, size)
	for i := range t.rows {
		if !t.complete(tiers, i) {
			continue
		}
		at := 0
		for k, taus := range grid {
			at = at*(len(taus)+1) + reached(taus, tiers[k].signals.p[i])
		}
		cost := 0.0
		for k, tier := range tiers {
			cost += tier.model.cost[i]
			if tier.signals != nil {
				cost += tier.signals.cost[i]
			}
			w, change := t.weight[i], tier.model.ok[i]-t.ref.ok[i]
			cells[at].taken[k][t.fold[i]].add(sums{w, w * change, w * w * change * change, w * cost, w * t.ref.cost[i]})
		}
	}
	return cells
}

// reached is how many of the rising thresholds p is not below.
func reached(taus []float64, p float64) int {
	n := 0
	for n < len(taus) && p >= taus[n] {
		n++
	}
	return n
}

// pick sums the cells up for one choice of thresholds.
func pick(tiers []tier, grid [][]float64, cells []cell, choice []int) candidate {
	c := candidate{tiers: slices.Clone(tiers)}
	for k := range grid {
		c.tiers[k].tau = grid[k][choice[k]]
	}
	for at := range cells {
		rest, taken := at, len(tiers)-1
		for k := len(grid) - 1; k >= 0; k-- {
			n := len(grid[k]) + 1
			if rest%n > choice[k] {
				taken = k
			}
			rest /= n
		}
		for f := range c.fold {
			c.fold[f].add(cells[at].taken[taken][f])
		}
	}
	return c
}

// point is a candidate's quality change, less its margin, and cost on some folds.
// The margin is what keeps candidates that differ much from the reference, whose
// estimates are the least sure, from being chosen for their luck.
type point struct {
	at     int // in candidates
	change float64
	cost   float64
}

// pareto lists, without each fold and on all rows, the candidates that no other
// one beats in both quality and cost, by rising cost.
func (t *task) pareto(marginSE float64, allowed func(*candidate) bool) (found fronts) {
	for f := range found {
		var all []point
		for i := range t.candidates {
			c := &t.candidates[i]
			if !allowed(c) {
				continue
			}
			total := c.without(f)
			switch {
			case total.weight > 0:
				mean, se := total.estimate()
				all = append(all, point{i, mean - marginSE*se, t.scaled(total)})
			case i == 0: // nothing is known without the fold: the reference is what it is
				all = append(all, point{cost: t.refCost})
			}
		}
		found[f] = front(all)
	}
	return found
}

// scaled is the mean cost, as if the rows were all of the task's: a chain whose
// labels are known of some rows only is compared with the reference on those.
func (t *task) scaled(s sums) float64 {
	if s.refCost <= 0 {
		return s.cost / s.weight
	}
	return s.cost / s.refCost * t.refCost
}

// frontier is points by rising cost and quality. The hull is the indices of those
// that are the best ones for some price of quality.
type frontier struct {
	points []point
	hull   []int
}

func front(points []point) frontier {
	slices.SortFunc(points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(b.change, a.change), cmp.Compare(a.at, b.at))
	})
	var f frontier
	for _, p := range points {
		if len(f.points) == 0 || p.change > f.points[len(f.points)-1].change {
			f.points = append(f.points, p)
		}
	}
	for i, p := range f.points {
		for n := len(f.hull); n > 1; n = len(f.hull) {
			a, b := f.points[f.hull[n-2]], f.points[f.hull[n-1]]
			if (b.change-a.change)*(p.cost-a.cost) > (p.change-a.change)*(b.cost-a.cost) {
				break
			}
			f.hull = f.hull[:n-1]
		}
		f.hull = append(f.hull, i)
	}
	return f
}

// chain makes the table's form of a candidate.
func (c *candidate) chain() []cascade.Tier {
	var chain []cascade.Tier
	for _, tier := range c.tiers {
		step := cascade.Tier{Model: tier.model.name, Tau: tier.tau}
		if tier.signals != nil {
			step.Calibration, step.Paid = tier.signals.fit, tier.signals.paid
		}
		chain = append(chain, step)
	}
	return chain
}
