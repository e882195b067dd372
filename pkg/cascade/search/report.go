package search

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/learn"
)

// Report sums runs up: one task, or all of them.
type Report struct {
	Task               string
	N                  int
	Quality, Reference float64 // mean labels
	// QualityChange is Quality less Reference, Saving the share of the
	// reference's cost that was not spent; with 95 % intervals by bootstrap over
	// the questions.
	QualityChange, Saving cascade.Estimate
	Escalated             float64 // share that more than one model answered
	// CostPer1K and ReferencePer1K are nano-USD per thousand questions.
	CostPer1K, ReferencePer1K float64
	// AUROC and ECE are of the first tier's probabilities, where it has them.
	AUROC, ECE float64
	// Latencies are sums over the models asked, one after the other.
	P50MS, P95MS float64
}

// All is the name of the report on all tasks.
const All = "(all)"

// resamples is how many bootstrap samples an interval is made of.
const resamples = 1000

// Reports sums runs up by task, and over all as the last one.
func Reports(runs []Run, seed uint64) []Report {
	byTask := map[string][]Run{}
	for _, run := range runs {
		byTask[run.Task] = append(byTask[run.Task], run)
	}
	var reports []Report
	for _, task := range slices.Sorted(maps.Keys(byTask)) {
		reports = append(reports, report(task, byTask[task], seed))
	}
	return append(reports, report(All, runs, seed))
}

func report(task string, runs []Run, seed uint64) Report {
	r := Report{Task: task, N: len(runs)}
	if len(runs) == 0 {
		return r
	}
	var total tally
	var several float64
	for _, run := range runs {
		total.add(run)
		several += run.Weight * run.Escalated
	}
	r.Quality, r.Reference = total.ok/total.weight, total.refOK/total.weight
	r.Escalated = several / total.weight
	r.CostPer1K, r.ReferencePer1K = 1000*total.cost/total.weight, 1000*total.refCost/total.weight
	r.QualityChange, r.Saving = total.intervals(runs, seed)
	r.AUROC, r.ECE = calibrated(runs)
	r.P50MS, r.P95MS = latency(runs, 0.5), latency(runs, 0.95)
	return r
}

// tally is weighted sums of runs.
type tally struct{ weight, ok, refOK, cost, refCost float64 }

func (t *tally) add(r Run) {
	t.weight += r.Weight
	t.ok += r.Weight * r.OK
	t.refOK += r.Weight * r.RefOK
	t.cost += r.Weight * r.Cost
	t.refCost += r.Weight * r.RefCost
}

func (t *tally) change() float64 { return (t.ok - t.refOK) / t.weight }

func (t *tally) saving() float64 {
	if t.refCost == 0 {
		return 0
	}
	return 1 - t.cost/t.refCost
}

// intervals resamples the questions, each with its own reference: a paired
// bootstrap.
func (t *tally) intervals(runs []Run, seed uint64) (change, saving cascade.Estimate) {
	rng := rand.New(rand.NewPCG(seed, uint64(len(runs)))) //nolint:gosec // resampling is no secret
	changes, savings := make([]float64, resamples), make([]float64, resamples)
	for i := range resamples {
		var sample tally
		for range runs {
			sample.add(runs[rng.IntN(len(runs))])
		}
		changes[i], savings[i] = sample.change(), sample.saving()
	}
	return interval(t.change(), changes), interval(t.saving(), savings)
}

func interval(mean float64, samples []float64) cascade.Estimate {
	slices.Sort(samples)
	return cascade.Estimate{Mean: mean, Low: samples[len(samples)*25/1000], High: samples[len(samples)*975/1000-1]}
}

func calibrated(runs []Run) (auroc, ece float64) {
	var p, ok, weight []float64
	for _, run := range runs {
		if run.P >= 0 {
			p, ok, weight = append(p, run.P), append(ok, run.FirstOK), append(weight, run.Weight)
		}
	}
	if len(p) == 0 {
		return 0, 0
	}
	return learn.AUROC(p, ok, weight), learn.ECE(p, ok, weight)
}

// latency is what a share of the questions does not exceed, in milliseconds.
func latency(runs []Run, share float64) float64 {
	byLatency := slices.SortedFunc(slices.Values(runs), func(a, b Run) int { return cmp.Compare(a.LatencyMS, b.LatencyMS) })
	var total, below float64
	for _, run := range byLatency {
		total += run.Weight
	}
	for _, run := range byLatency {
		if below += run.Weight; below > share*total {
			return run.LatencyMS
		}
	}
	return byLatency[len(byLatency)-1].LatencyMS
}
