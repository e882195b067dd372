package learn

import (
	"math"

	"github.com/weir-dev/weir/pkg/cascade"
)

// sample is what every part is fitted on: some rows with their targets, weights
// and what the parts before have explained.
type sample struct {
	rows         []int // those to fit on, as indexes of the others
	y, w, offset []float64
	squared      bool
}

// slope returns the negative first and the second derivative of a row's loss by
// its score.
func (s *sample) slope(i int, score float64) (g, h float64) {
	score += s.offset[i]
	if s.squared {
		return s.w[i] * (s.y[i] - score), s.w[i]
	}
	p := sigmoid(score)
	return s.w[i] * (s.y[i] - p), s.w[i] * math.Max(p*(1-p), 1e-6)
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func logit(p float64) float64 {
	const edge = 1e-6
	p = math.Min(math.Max(p, edge), 1-edge)
	return math.Log(p / (1 - p))
}

// columns are standardised dense features: by column, then row. Missing values
// are 0, the mean.
type columns struct {
	terms  []cascade.Term // Weight is 1/deviation
	values [][]float64
}

// newColumns makes the columns of the terms from rows of raw features; a column
// without variation is left out.
func newColumns(terms []cascade.Term, raw [][]float64, feature []int) columns {
	var c columns
	for t, term := range terms {
		column := make([]float64, len(raw))
		var n, sum, squares float64
		for i, row := range raw {
			x := term.Form.Of(row[feature[t]])
			column[i] = x
			if !math.IsNaN(x) {
				n, sum, squares = n+1, sum+x, squares+x*x
			}
		}
		if n == 0 {
			continue
		}
		mean := sum / n
		deviation := math.Sqrt(math.Max(squares/n-mean*mean, 0))
		if deviation < 1e-9*(1+math.Abs(mean)) {
			continue
		}
		for i, x := range column {
			if math.IsNaN(x) {
				column[i] = 0
			} else {
				column[i] = (x - mean) / deviation
			}
		}
		term.Center, term.Weight = mean, 1/deviation
		c.terms, c.values = append(c.terms, term), append(c.values, column)
	}
	return c
}

// plain is the number of columns before those of the question's cues.
func (c columns) plain() int {
	for j, t := range c.terms {
		if isCue(t.Feature) {
			return j
		}
	}
	return len(c.terms)
}

// first are the first n columns.
func (c columns) first(n int) columns { return columns{c.terms[:n], c.values[:n]} }

const (
	maxNewton = 25
	// ridgeShare is how many rows the ridge, which pulls the weights of standardised
	// features to 0, is worth for each feature: the more there are, the harder.
	ridgeShare = 0.5
)

// fitLinear finds the weights of the columns, then the bias, by Newton's method
// (iteratively reweighted least squares) with a ridge.
func fitLinear(c columns, s *sample) []float64 {
	k := len(c.values)
	beta := make([]float64, k+1) // the last is the bias
	score := make([]float64, len(s.rows))
	for range maxNewton {
		step := newtonStep(c, s, beta, score)
		if step == nil {
			break
		}
		largest := 0.0
		for j := range beta {
			d := math.Max(math.Min(step[j], 4), -4) // a long first step overshoots
			beta[j] += d
			largest = math.Max(largest, math.Abs(d))
		}
		c.score(beta, s.rows, score)
		if largest < 1e-6 {
			break
		}
	}
	return beta
}

// weigh returns the terms with the weights found, times share.
func (c columns) weigh(beta []float64, share float64) []cascade.Term {
	var terms []cascade.Term
	for j, t := range c.terms {
		t.Weight *= beta[j] * share
		if t.Weight != 0 {
			terms = append(terms, t)
		}
	}
	return terms
}

// score fills in the scores of rows.
func (c columns) score(beta []float64, rows []int, score []float64) {
	k := len(c.values)
	for i := range score {
		score[i] = beta[k]
	}
	for j, column := range c.values {
		for i, row := range rows {
			score[i] += beta[j] * column[row]
		}
	}
}

// newtonStep solves (X'HX + ridge) step = X'g - ridge*beta.
func newtonStep(c columns, s *sample, beta, score []float64) []float64 {
	k := len(c.values)
	g, h := make([]float64, len(score)), make([]float64, len(score))
	for i, row := range s.rows {
		g[i], h[i] = s.slope(row, score[i])
	}
	ridge := 0.0
	for i := range h {
		ridge += ridgeShare * float64(k) * h[i] / float64(len(h))
	}
	a := make([][]float64, k+1)
	b := make([]float64, k+1)
	column := func(j, i int) float64 {
		if j == k {
			return 1
		}
		return c.values[j][s.rows[i]]
	}
	for j := range a {
		a[j] = make([]float64, j+1)
		for l := range j + 1 {
			sum := 0.0
			for i := range h {
				sum += h[i] * column(j, i) * column(l, i)
			}
			a[j][l] = sum
		}
		for i := range g {
			b[j] += g[i] * column(j, i)
		}
		if j < k {
			a[j][j] += ridge
			b[j] -= ridge * beta[j]
		}
	}
	return solve(a, b)
}

// solve solves a x = b for a positive definite a, given by its lower half, by
// Cholesky's decomposition. It is nil if a is not positive definite.
func solve(a [][]float64, b []float64) []float64 {
	n := len(b)
	for j := range n {
		for l := range j + 1 {
			sum := a[j][l]
			for m := range l {
				sum -= a[j][m] * a[l][m]
			}
			switch {
			case l < j:
				a[j][l] = sum / a[l][l]
			case sum <= 1e-12:
				return nil
			default:
				a[j][j] = math.Sqrt(sum)
			}
		}
	}
	x := make([]float64, n)
	for j := range n {
		sum := b[j]
		for m := range j {
			sum -= a[j][m] * x[m]
		}
		x[j] = sum / a[j][j]
	}
	for j := n - 1; j >= 0; j-- {
		for m := j + 1; m < n; m++ {
			x[j] -= a[m][j] * x[m]
		}
		x[j] /= a[j][j]
	}
	return x
}
