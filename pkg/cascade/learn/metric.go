package learn

import (
	"cmp"
	"math"
	"slices"
)

// AUROC is the probability that a right answer has a higher score than a wrong
// one, ties counting half (Hanley and McNeil, 1982); ok above 0.5 is right. It is
// 0.5 if all are alike. Each counts by its weight, or as one without weights.
func AUROC(score, ok, weight []float64) float64 {
	order := ascending(score)
	var right, wrong, won float64
	for from := 0; from < len(order); {
		to := from
		var tiedRight, tiedWrong float64
		for ; to < len(order) && score[order[to]] == score[order[from]]; to++ {
			if ok[order[to]] > 0.5 {
				tiedRight += weightAt(weight, order[to])
			} else {
				tiedWrong += weightAt(weight, order[to])
			}
		}
		won += tiedRight * (wrong + tiedWrong/2)
		right, wrong, from = right+tiedRight, wrong+tiedWrong, to
	}
	if right == 0 || wrong == 0 {
		return 0.5
	}
	return won / (right * wrong)
}

// ECE is the expected calibration error in 10 bins of equal width (Guo et al.,
// ICML 2017): the mean of |share right - mean p|, weighted by the bins' sizes. Each
// counts by its weight, or as one without weights.
func ECE(p, ok, weight []float64) float64 {
	const bins = 10
	var sumP, sumOK [bins]float64
	all := 0.0
	for i := range p {
		b, w := min(max(int(p[i]*bins), 0), bins-1), weightAt(weight, i)
		sumP[b], sumOK[b], all = sumP[b]+w*p[i], sumOK[b]+w*ok[i], all+w
	}
	total := 0.0
	for b := range bins {
		total += math.Abs(sumOK[b] - sumP[b])
	}
	if all == 0 {
		return 0
	}
	return total / all
}

// LogLoss is the mean of -log of the probability given to what happened, 0 of
// nothing. Each counts by its weight, or as one without weights.
func LogLoss(p, ok, weight []float64) float64 {
	sum, all := 0.0, 0.0
	for i := range p {
		w := weightAt(weight, i)
		sum, all = sum+w*logLoss(p[i], ok[i]), all+w
	}
	if all == 0 {
		return 0
	}
	return sum / all
}

func weightAt(weight []float64, i int) float64 {
	if weight == nil {
		return 1
	}
	return weight[i]
}

func logLoss(p, ok float64) float64 {
	const edge = 1e-9
	p = math.Min(math.Max(p, edge), 1-edge)
	return -ok*math.Log(p) - (1-ok)*math.Log(1-p)
}

// ascending are the indexes of the values in rising order; ties keep theirs.
func ascending(values []float64) []int {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	return order
}
