package online

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weir-dev/weir/pkg/cascade"
)

// Replayed is what a task did with recorded questions that came one after the
// other, from a cold start.
type Replayed struct {
	// Saving is the share of the reference's cost that was saved, QualityChange the
	// mean of gold labels less the reference's: of the last third of the questions,
	// and without the price of audits.
	Saving, QualityChange float64
	// AuditCost is the price of audits as a share of the reference's cost.
	AuditCost float64
	Moves     int
	Reverts   int
}

// refitQuestions is how many questions come between two refits of a replay.
const refitQuestions = 25

// Replay plays outcomes in a random order: the first ColdLabels questions go to
// both models, then the task decides. Labels are agreement of the recorded
// answers; gold labels only measure.
func Replay(outcomes []cascade.Outcome, small, reference string, c Config, rng *rand.Rand) (Replayed, error) {
	t, err := NewCold("replay", small, reference, c)
	if err != nil {
		return Replayed{}, err
	}
	var r Replayed
	var cost, refCost, audits, change, n float64
	for i, at := range rng.Perm(len(outcomes)) {
		o := &outcomes[at]
		a, b := o.Models[small], o.Models[reference]
		if a.OK == nil || b.OK == nil {
			continue
		}
		now := time.Unix(0, 0).Add(time.Duration(i) * c.RefitEvery / refitQuestions)
		paid, taken, audited, err := t.play(o, small, reference, now, rng.Float64())
		if err != nil {
			return r, err
		}
		if i < len(outcomes)*2/3 {
			continue
		}
		n++
		cost += paid
		refCost += float64(b.CostNanoUSD)
		change += taken - *b.OK
		audits += audited
	}
	r.Saving, r.QualityChange, r.AuditCost, r.Moves, r.Reverts = 1-cost/refCost, change/n, audits/refCost, t.Moves, t.Reverts
	return r, nil
}

// play answers one question: what was paid, how good the answer was, what an audit
// cost.
func (t *Task) play(o *cascade.Outcome, small, reference string, now time.Time, u float64) (paid, taken, audited float64, err error) {
	a, b := o.Models[small], o.Models[reference]
	same, known := o.Label(small, reference, cascade.LabelAgreement)
	if !known {
		return 0, 0, 0, fmt.Errorf("outcome %s: the answers can't be compared", o.ID)
	}
	evidence, price := o.Evidence(small, t.Base[0].Paid)
	answer := Answer{ID: o.ID, At: now, Features: evidence.Features, OK: same, Source: cascade.LabelAgreement}
	paid, taken = float64(a.CostNanoUSD+price+b.CostNanoUSD), *b.OK
	if !t.Warm {
		t.Learn(answer)
		_, err = t.Refit(now)
		return paid, taken, 0, err
	}
	answer.P = t.Chain[0].Calibration.P(evidence)
	answer.Accepted = answer.P >= t.Chain[0].Tau
	t.Decided(answer.Accepted)
	if answer.Accepted {
		paid, taken = float64(a.CostNanoUSD+price), *a.OK
		answer.Source = cascade.LabelAudit
	}
	if audit := t.Audit(u); audit && answer.Accepted {
		audited = float64(b.CostNanoUSD)
		t.Learn(answer)
	} else if !answer.Accepted {
		t.Learn(answer)
	}
	_, err = t.Refit(now)
	return paid, taken, audited, err
}
