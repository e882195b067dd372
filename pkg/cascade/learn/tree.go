package learn

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/weir-dev/weir/pkg/cascade"
)

// boosting are the settings of gradient boosted trees (Friedman, 2001; histograms
// as in Chen and Guestrin, KDD 2016).
type boosting struct {
	trees     int
	depth     int
	rate      float64 // shrinkage
	leaf      float64 // least weight of rows in a leaf
	ridge     float64 // rows that pull a leaf to 0
	rows      float64 // share of rows a tree sees
	columns   float64 // share of features a tree sees
	maxBins   int
	minToGain float64
}

func defaultBoosting() boosting {
	return boosting{trees: 150, depth: 3, rate: 0.06, leaf: 20, ridge: 5, rows: 0.7, columns: 0.5, maxBins: 48}
}

// binned are features cut into bins, by column, then row. Bin 0 is missing.
type binned struct {
	names []string
	cuts  [][]float64 // by feature: bin b holds values below cuts[b-1]
	bins  [][]uint8
}

// newBinned cuts features into bins of about equal size.
func newBinned(names []string, raw [][]float64, maxBins int) *binned {
	b := &binned{names: names}
	for f := range names {
		cuts := binCuts(raw, f, maxBins)
		column := make([]uint8, len(raw))
		for i, row := range raw {
			column[i] = binOf(cuts, row[f])
		}
		b.cuts, b.bins = append(b.cuts, cuts), append(b.bins, column)
	}
	return b
}

// binCuts are at most maxBins-1 values between which the bins lie.
func binCuts(raw [][]float64, f, maxBins int) []float64 {
	var values []float64
	for _, row := range raw {
		if !math.IsNaN(row[f]) {
			values = append(values, row[f])
		}
	}
	slices.Sort(values)
	var cuts []float64
	last := 0
	for i := 1; i < len(values); i++ {
		if values[i] == values[i-1] {
			continue
		}
		if i-last < len(values)/maxBins && len(values) > maxBins {
			continue
		}
		cuts, last = append(cuts, values[i-1]+(values[i]-values[i-1])/2), i
	}
	return cuts[:min(len(cuts), maxBins-1)]
}

func binOf(cuts []float64, x float64) uint8 {
	if math.IsNaN(x) {
		return 0
	}
	at, _ := slices.BinarySearchFunc(cuts, x, func(c, x float64) int {
		if c <= x {
			return -1
		}
		return 1
	})
	return uint8(at + 1) //nolint:gosec // at most maxBins
}

// booster grows trees.
type booster struct {
	set    boosting
	data   *binned
	sample *sample
	g, h   []float64
	node   []int32 // of each of the sample's rows, -1 if the tree does not see it
	random *rand.Rand
}

// fitTrees boosts trees.
func fitTrees(data *binned, s *sample, set boosting, random *rand.Rand) *cascade.Forest {
	n := len(s.rows)
	b := &booster{set: set, data: data, sample: s, g: make([]float64, n), h: make([]float64, n), node: make([]int32, n), random: random}
	forest := &cascade.Forest{Features: data.names}
	score := make([]float64, n)
	for range set.trees {
		tree := b.grow(score)
		for i, row := range s.rows {
			score[i] += b.data.value(tree, row)
		}
		forest.Trees = append(forest.Trees, tree)
	}
	return forest
}

// score is the sum of trees for a row.
func (b *binned) score(f *cascade.Forest, row int) float64 {
	sum := 0.0
	for _, t := range f.Trees {
		sum += b.value(t, row)
	}
	return sum
}

// value is a tree's value for a row.
func (b *binned) value(t cascade.Tree, row int) float64 {
	at := 0
	for t[at].Left != 0 {
		n := &t[at]
		bin := b.bins[n.Feature][row]
		left := n.MissingLeft
		if bin > 0 {
			left = int(bin) <= b.cut(n)
		}
		at = n.Right
		if left {
			at = n.Left
		}
	}
	return t[at].Value
}

// cut is the number of the bin left of a node's split.
func (b *binned) cut(n *cascade.Node) int {
	at, _ := slices.BinarySearch(b.cuts[n.Feature], n.Split)
	return at + 1
}

// sums of a set of rows.
type sums struct{ g, h, n float64 }

func (s sums) plus(o sums) sums  { return sums{s.g + o.g, s.h + o.h, s.n + o.n} }
func (s sums) minus(o sums) sums { return sums{s.g - o.g, s.h - o.h, s.n - o.n} }

// gain is what the loss falls by if these rows have a leaf of their own.
func (s sums) gain(ridge float64) float64 { return s.g * s.g / (s.h + ridge) }

// split is the best way found to cut a node in two.
type split struct {
	gain        float64
	feature     int
	bin         int // the last one that goes left
	missingLeft bool
}

func (b *booster) grow(score []float64) cascade.Tree {
	total := b.begin(score)
	features := b.choose()
	tree := cascade.Tree{{}}
	level, all := []int{0}, []sums{total}
	for depth := 0; depth < b.set.depth && len(level) > 0; depth++ {
		var next []int
		for _, at := range level {
			best := b.best(int32(at), all[at], features) //nolint:gosec // few nodes
			if best.gain <= b.set.minToGain {
				continue
			}
			left := len(tree)
			tree = append(tree, cascade.Node{}, cascade.Node{})
			tree[at] = cascade.Node{Feature: best.feature, Split: b.data.cuts[best.feature][best.bin-1], Left: left, Right: left + 1, MissingLeft: best.missingLeft}
			l := b.divide(int32(at), best, left) //nolint:gosec // few nodes
			all = append(all, l, all[at].minus(l))
			next = append(next, left, left+1)
		}
		level = next
	}
	for at := range tree {
		if tree[at].Left == 0 {
			tree[at].Value = b.set.rate * all[at].g / math.Max(all[at].h+b.set.ridge*meanH(total), 1e-12) // no row, no value
		}
	}
	return tree
}

func meanH(s sums) float64 { return s.h / math.Max(s.n, 1) }

// begin draws the rows of a tree and works out their slopes.
func (b *booster) begin(score []float64) sums {
	var total sums
	for i := range score {
		b.node[i] = -1
		if b.set.rows < 1 && b.random.Float64() >= b.set.rows {
			continue
		}
		b.node[i] = 0
		b.g[i], b.h[i] = b.sample.slope(b.sample.rows[i], score[i])
		total = total.plus(sums{b.g[i], b.h[i], 1})
	}
	return total
}

// choose draws the features of a tree.
func (b *booster) choose() []int {
	order := b.random.Perm(len(b.data.names))
	return order[:min(len(order), max(3, int(math.Ceil(b.set.columns*float64(len(order))))))]
}

// best finds the best split of a node.
func (b *booster) best(node int32, total sums, features []int) split {
	var best split
	rows := make([]int, 0, int(total.n))
	for i, n := range b.node {
		if n == node {
			rows = append(rows, i)
		}
	}
	var histogram [256]sums
	ridge := b.set.ridge * meanH(total)
	for _, f := range features {
		cuts := len(b.data.cuts[f])
		if cuts == 0 {
			continue
		}
		clear(histogram[:cuts+2])
		column := b.data.bins[f]
		for _, i := range rows {
			s := &histogram[column[b.sample.rows[i]]]
			s.g += b.g[i]
			s.h += b.h[i]
			s.n++
		}
		b.scan(f, histogram[:cuts+2], total, ridge, &best)
	}
	return best
}

// scan tries every cut of a feature, with the missing values on either side.
func (b *booster) scan(f int, histogram []sums, total sums, ridge float64, best *split) {
	missing := histogram[0]
	whole := total.gain(ridge)
	var left sums
	for bin := 1; bin < len(histogram)-1; bin++ {
		left = left.plus(histogram[bin])
		for _, missingLeft := range []bool{false, true} {
			l := left
			if missingLeft {
				if missing.n == 0 {
					continue
				}
				l = l.plus(missing)
			}
			r := total.minus(l)
			if l.n < b.set.leaf || r.n < b.set.leaf {
				continue
			}
			if gain := l.gain(ridge) + r.gain(ridge) - whole; gain > best.gain+1e-12 {
				*best = split{gain: gain, feature: f, bin: bin, missingLeft: missingLeft}
			}
		}
	}
}

// divide moves the rows of a node to its children and sums the left ones up.
func (b *booster) divide(node int32, by split, left int) sums {
	column := b.data.bins[by.feature]
	var l sums
	for i, n := range b.node {
		if n != node {
			continue
		}
		goesLeft := by.missingLeft
		if bin := column[b.sample.rows[i]]; bin > 0 {
			goesLeft = int(bin) <= by.bin
		}
		b.node[i] = int32(left) //nolint:gosec // few nodes
		if !goesLeft {
			b.node[i]++
			continue
		}
		l = l.plus(sums{b.g[i], b.h[i], 1})
	}
	return l
}
