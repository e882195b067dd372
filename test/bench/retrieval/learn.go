package main

import (
	"math"
	"slices"
)

// example is one question: the features of each thing to be ranked, and which
// are right.
type example struct {
	rows  [][]float64
	right []bool
}

// useful reports whether something can be learnt from it.
func (e example) useful() bool {
	return slices.Contains(e.right, true) && slices.Contains(e.right, false)
}

const (
	trainingRounds = 400
	// decay pulls the weights (of standardised features) to zero.
	decay = 0.01
	// stepSize and inertia of the descent.
	stepSize = 0.5
	inertia  = 0.9
)

// learn finds the weights that give the right rows of every example the largest
// share of exp(score), by gradient descent from zero: there is no chance in it.
// It returns weights of raw features.
func learn(examples []example) []float64 {
	examples = slices.DeleteFunc(slices.Clone(examples), func(e example) bool { return !e.useful() })
	scale := deviations(examples)
	weights, speed := make([]float64, len(scale)), make([]float64, len(scale))
	for range trainingRounds {
		slope := make([]float64, len(scale))
		for _, e := range examples {
			descend(e, weights, scale, slope)
		}
		for f := range weights {
			step := slope[f]/float64(len(examples)) - decay*weights[f]
			speed[f] = inertia*speed[f] + stepSize*step
			weights[f] += speed[f]
		}
	}
	for f := range weights {
		weights[f] /= scale[f]
	}
	return weights
}

// descend adds one example's slope: the mean of the right rows, by their share
// of the right ones, less the mean of all.
func descend(e example, weights, scale, slope []float64) {
	shares := make([]float64, len(e.rows))
	highest := math.Inf(-1)
	for i, row := range e.rows {
		for f, w := range weights {
			shares[i] += w * row[f] / scale[f]
		}
		highest = max(highest, shares[i])
	}
	var all, right float64
	for i := range shares {
		shares[i] = math.Exp(shares[i] - highest)
		all += shares[i]
		if e.right[i] {
			right += shares[i]
		}
	}
	for i, row := range e.rows {
		pull := -shares[i] / all
		if e.right[i] {
			pull += shares[i] / right
		}
		for f := range slope {
			slope[f] += pull * row[f] / scale[f]
		}
	}
}

// deviations are the features' standard deviations within their examples: how
// they differ between questions does not matter.
func deviations(examples []example) []float64 {
	var sums []float64
	n := 0.0
	for _, e := range examples {
		if sums == nil {
			sums = make([]float64, len(e.rows[0]))
		}
		for f := range sums {
			mean := 0.0
			for _, row := range e.rows {
				mean += row[f] / float64(len(e.rows))
			}
			for _, row := range e.rows {
				sums[f] += (row[f] - mean) * (row[f] - mean)
			}
		}
		n += float64(len(e.rows))
	}
	for f := range sums {
		sums[f] = math.Sqrt(sums[f] / n)
		if sums[f] < 1e-6 { // never differs: any scale will do
			sums[f] = 1
		}
	}
	return sums
}
