package learn

import (
	"math"

	"github.com/weir-dev/weir/pkg/cascade"
)

const (
	// textWeights is the number of weights of a text model.
	textWeights = 1 << 16
	// textRidge pulls them to 0, in rows of second derivative 1.
	textRidge = 2.0
	// cgSteps and newtonText bound the solver.
	cgSteps    = 25
	newtonText = 4
)

// hashed are the texts of the rows as indexes of weights.
type hashed struct {
	rows  [][]uint32
	scale []float64 // 1 over the root of the number of hashes
	any   bool      // there is a text at all
}

func newHashed(all []Row) *hashed {
	h := &hashed{rows: make([][]uint32, len(all)), scale: make([]float64, len(all))}
	for i, r := range all {
		row := cascade.HashText(r.Evidence.Question)
		h.any = h.any || len(row) > 0
		for j := range row {
			row[j] &= textWeights - 1
		}
		h.rows[i] = row
		h.scale[i] = 1 / math.Sqrt(math.Max(float64(len(row)), 1))
	}
	return h
}

// multiply is X v for the rows given.
func (h *hashed) multiply(rows []int, v, out []float64) {
	for i, row := range rows {
		out[i] = h.score(v, row)
	}
}

func (h *hashed) score(v []float64, row int) float64 {
	sum := 0.0
	for _, j := range h.rows[row] {
		sum += v[j]
	}
	return sum * h.scale[row]
}

// transpose adds X' u.
func (h *hashed) transpose(rows []int, u, out []float64) {
	clear(out)
	for i, row := range rows {
		x := u[i] * h.scale[row]
		for _, j := range h.rows[row] {
			out[j] += x
		}
	}
}

// fitText finds the weights of the texts by Newton's method, each step solved by conjugate gradients (as in Lin, Weng and
// Keerthi, JMLR 2008), with a ridge.
func fitText(h *hashed, s *sample, ridge float64) []float64 {
	rows, n := s.rows, len(s.rows)
	beta := make([]float64, textWeights)
	score, g, hess := make([]float64, n), make([]float64, n), make([]float64, n)
	b := make([]float64, textWeights)
	rounds := newtonText
	if s.squared {
		rounds = 1
	}
	for range rounds {
		for i, row := range rows {
			g[i], hess[i] = s.slope(row, score[i])
		}
		h.transpose(rows, g, b)
		for j := range b {
			b[j] -= ridge * beta[j]
		}
		step := conjugate(h, rows, hess, b, ridge)
		for j := range beta {
			beta[j] += step[j]
		}
		h.multiply(rows, beta, score)
	}
	return beta
}

// conjugate solves (X'HX + ridge) x = b approximately.
func conjugate(h *hashed, rows []int, hess, b []float64, ridge float64) []float64 {
	x, r, p := make([]float64, len(b)), append([]float64(nil), b...), append([]float64(nil), b...)
	ap, u := make([]float64, len(b)), make([]float64, len(rows))
	rr := dot(r, r)
	goal := rr * 1e-6
	for step := 0; step < cgSteps && rr > goal; step++ {
		h.multiply(rows, p, u)
		for i := range u {
			u[i] *= hess[i]
		}
		h.transpose(rows, u, ap)
		for j := range ap {
			ap[j] += ridge * p[j]
		}
		a := rr / dot(p, ap)
		for j := range x {
			x[j] += a * p[j]
			r[j] -= a * ap[j]
		}
		next := dot(r, r)
		for j := range p {
			p[j] = r[j] + next/rr*p[j]
		}
		rr = next
	}
	return x
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// textModel packs weights into bytes.
func textModel(beta []float64, share float64) *cascade.TextModel {
	largest := 0.0
	for _, w := range beta {
		largest = math.Max(largest, math.Abs(w))
	}
	if largest == 0 || share == 0 {
		return nil
	}
	m := &cascade.TextModel{Weights: make([]byte, len(beta)), Scale: share * largest / 127}
	for j, w := range beta {
		m.Weights[j] = byte(int8(math.Round(w / largest * 127)))
	}
	return m
}
