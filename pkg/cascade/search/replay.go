package search

import (
	"github.com/weir-dev/weir/pkg/cascade"
)

// Run is what a table did with one recorded question.
type Run struct {
	ID, Task string
	Model    string // that gave the answer
	// Escalated is 1 if more than one model answered; a mean in averaged runs.
	Escalated float64
	Weight    float64
	// OK and RefOK are the labels of the answer and of the reference's.
	OK, RefOK float64
	// P is the probability of the first tier's answer, FirstOK its label; P is -1
	// where the first tier accepts everything.
	P, FirstOK float64
	// Costs are in nano-USD; the reference is priced without any paid signal.
	Cost, RefCost float64
	LatencyMS     float64

	times int // runs that this one is the sum of
}

// Replay runs a table over recorded outcomes. Outcomes without an answer that is
// needed, or without its label or the reference's, are left out: their number is
// skipped.
func Replay(t *cascade.Table, outcomes []cascade.Outcome) (runs []Run, skipped int) {
	for i := range outcomes {
		if run, ok := replay(t, &outcomes[i]); ok {
			runs = append(runs, run)
		} else {
			skipped++
		}
	}
	return runs, skipped
}

func replay(t *cascade.Table, o *cascade.Outcome) (Run, bool) {
	run := Run{ID: o.ID, Task: o.TaskName(), Weight: weightOf(o), P: -1}
	ref, there := o.Models[t.Reference]
	var known bool
	if run.RefOK, known = o.Label(t.Reference, t.Reference, t.Objective.Labels); !there || !known {
		return run, false
	}
	run.RefCost = float64(ref.CostNanoUSD)
	chain := []cascade.Tier{{Model: t.Reference}}
	policy := t.Policy(run.Task)
	if policy != nil {
		chain = policy.Chain
		if policy.Skip != nil && policy.Skip.Begins(o.TaskName(), o.Question) {
			chain = chain[1:]
		}
	}
	for i, tier := range chain {
		answer, there := o.Models[tier.Model]
		ok, known := o.Label(tier.Model, t.Reference, t.Objective.Labels)
		if !there || !known {
			return run, false
		}
		evidence, paid := o.Evidence(tier.Model, tier.Paid)
		if i > 0 {
			run.Escalated = 1
		}
		run.Cost += float64(answer.CostNanoUSD + paid)
		run.LatencyMS += answer.LatencyMS
		run.Model, run.OK = tier.Model, ok
		p := 1.0
		if tier.Tau > 0 {
			p = tier.Calibration.P(evidence)
		}
		if i == 0 && tier.Tau > 0 {
			run.P, run.FirstOK = p, ok
		}
		if p >= tier.Tau {
			break
		}
	}
	return run, true
}
