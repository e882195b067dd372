package online

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/learn"
)

// heldFolds is how many parts labels are cut into: a threshold that is proposed by
// the others is judged on each.
const heldFolds = 5

// minLabels is how many labels a tier needs for its threshold to move.
const minLabels = 100

// Refit moves the thresholds, at most once per Config.RefitEvery. It reports
// whether any moved.
func (t *Task) Refit(now time.Time) (bool, error) {
	if !t.Warm && len(t.Labels) < t.Config.ColdLabels || !t.RefitAt.IsZero() && now.Sub(t.RefitAt) < t.Config.RefitEvery {
		return false, nil
	}
	t.RefitAt = now
	if t.learnsCalibration() {
		if moved, err := t.calibrate(); err != nil || moved {
			return moved, err
		}
	}
	if !t.Warm {
		return t.resume(), nil
	}
	moved := false
	for k := range t.Chain[:len(t.Chain)-1] {
		moved = t.move(k) || moved
	}
	if moved {
		t.Moves++
	}
	return moved, nil
}

// lowest is the least threshold: with 0 a tier would accept everything.
const lowest = 0.01

// never is the highest threshold that is moved to: above it a chain would be of no
// use.
const never = 0.995

// resume ends a pause of a task whose table failed, once there are enough labels:
// at the threshold that they give, no more than a step below the table's, if the
// parts that were held out say that it is better than to accept nothing.
func (t *Task) resume() bool {
	if t.learnsCalibration() || len(t.Labels) < t.Config.ColdLabels {
		return false
	}
	propose := func(labels []Label) float64 {
		return max(t.best(labels, 0), t.Base[0].Tau-t.Config.MaxStep, lowest)
	}
	tau := propose(t.Labels)
	if tau > never || t.heldOut(0, propose, nothing) <= 0 {
		return false
	}
	t.Warm, t.Chain[0].Tau = true, tau
	t.settle()
	return true
}

// calibrate ends the cold start as soon as there are enough labels. Afterwards it
// renews the calibration as labels come in, at the threshold in force.
func (t *Task) calibrate() (started bool, err error) {
	if len(t.Labels) < t.Config.ColdLabels {
		return false, nil
	}
	rows := make([]learn.Row, len(t.Labels))
	for i, l := range t.Labels {
		rows[i] = learn.Row{ID: l.ID, OK: l.OK, Weight: l.Weight, Evidence: cascade.Evidence{Task: t.Name, Features: l.Features}}
	}
	options := learn.Options{Linear: true}
	fit, err := learn.Fit(rows, options)
	if err != nil {
		return false, fmt.Errorf("calibrating task %s: %w", t.Name, err)
	}
	ps, err := learn.OutOfFold(rows, options, heldFolds)
	if err != nil {
		return false, fmt.Errorf("calibrating task %s: %w", t.Name, err)
	}
	if t.Warm && !better(rows, ps, t.Chain[0].Calibration) {
		return false, nil
	}
	for i := range t.Labels {
		t.Labels[i].P = ps[i]
	}
	t.Chain[0].Calibration = fit
	if t.Warm {
		return false, nil
	}
	tau := max(t.best(t.Labels, 0), lowest)
	if tau > never {
		return false, nil // no threshold keeps what is allowed; go on being cold
	}
	t.Warm, t.Chain[0].Tau = true, tau
	t.settle()
	return true, nil
}

// better reports whether a fit's out-of-fold probabilities have a lower loss than
// those of the calibration in force, which may have seen the labels.
func better(rows []learn.Row, ps []float64, now *cascade.Calibration) bool {
	if now == nil {
		return true
	}
	present, ok, weight := make([]float64, len(rows)), make([]float64, len(rows)), make([]float64, len(rows))
	for i, r := range rows {
		present[i], ok[i], weight[i] = now.P(r.Evidence), r.OK, r.Weight
	}
	return learn.LogLoss(ps, ok, weight) < learn.LogLoss(present, ok, weight)
}

// move changes the threshold of a tier if labels that took no part in the proposal
// say that it is for the better.
func (t *Task) move(tier int) bool {
	labels := 0
	for _, l := range t.Labels {
		if l.Tier == tier {
			labels++
		}
	}
	if labels < minLabels {
		return false
	}
	now := t.Chain[tier].Tau
	propose := func(labels []Label) float64 { return t.step(now, t.best(labels, tier)) }
	next := propose(t.Labels)
	if next == now || t.heldOut(tier, propose, now) <= 0 {
		return false
	}
	t.Chain[tier].Tau = next
	if tier == 0 {
		t.settle() // another share is expected now
	}
	return true
}

// nothing is a threshold that no probability reaches.
const nothing = 2

// heldOut is by how much thresholds that are proposed without a part of the labels
// are worth more on it than the present one.
func (t *Task) heldOut(tier int, propose func([]Label) float64, now float64) (gain float64) {
	for fold := range heldFolds {
		var rest, held []Label
		for _, l := range t.Labels {
			if learn.FoldOf(l.ID, heldFolds, 0) == fold {
				held = append(held, l)
			} else {
				rest = append(rest, l)
			}
		}
		gain += t.worth(held, tier, propose(rest)) - t.worth(held, tier, now)
	}
	return gain
}

// step bounds a move.
func (t *Task) step(from, to float64) float64 {
	return min(max(to, from-t.Config.MaxStep, lowest), from+t.Config.MaxStep, max(never, from))
}

// allowed is what each tier may accept of what differs, as a share of all
// questions: the tiers share what the task may.
func (t *Task) allowed() float64 { return t.Config.Allowed / float64(len(t.Base)-1) }

// questions is how many questions labels stand for: a label of each of several
// tiers is of one question.
func questions(labels []Label) (total float64) {
	weights := make(map[string]float64, len(labels))
	for _, l := range labels {
		total += max(0, l.Weight-weights[l.ID])
		weights[l.ID] = max(weights[l.ID], l.Weight)
	}
	return total
}

// best is a tier's lowest threshold at which the accepted answers that differ from
// the reference's are no more than it is allowed, by the estimate plus a margin
// that pressure takes away; above never if there is none.
func (t *Task) best(labels []Label, tier int) float64 {
	total := questions(labels)
	byP := slices.DeleteFunc(slices.Clone(labels), func(l Label) bool { return l.Tier != tier })
	slices.SortFunc(byP, func(a, b Label) int { return cmp.Compare(b.P, a.P) })
	best := 1.0
	var wrong, squares float64
	for i, l := range byP {
		wrong += l.Weight * (1 - l.OK)
		squares += l.Weight * l.Weight * (1 - l.OK)
		if i+1 < len(byP) && byP[i+1].P == l.P {
			continue
		}
		margin := marginSE * (1 - t.Pressure) * math.Sqrt(squares) / total
		if wrong/total+margin <= t.allowed() {
			best = l.P
		}
	}
	return best
}

// marginSE is how many standard errors best keeps from what is allowed.
const marginSE = 0.5

// kept says what a threshold does.
type kept struct{ kept, wrong float64 } // shares of all questions

// measure estimates by inverse propensity: a label stands for as many questions
// as its weight says (Horvitz and Thompson, 1952).
func measure(labels []Label, tier int, tau float64) kept {
	var k kept
	for _, l := range labels {
		if l.Tier == tier && l.P >= tau {
			k.kept += l.Weight
			k.wrong += l.Weight * (1 - l.OK)
		}
	}
	total := questions(labels)
	if total == 0 {
		return kept{}
	}
	return kept{k.kept / total, k.wrong / total}
}

// excessPrice is what an excess over the allowed disagreement costs, in units of
// what is allowed: twice that is worse than accepting nothing.
const excessPrice = 2

// worth is the share of questions that the tier saves, less the price of an excess
// of disagreement.
func (t *Task) worth(labels []Label, tier int, tau float64) float64 {
	k := measure(labels, tier, tau)
	return k.kept - excessPrice*max(0, k.wrong-t.allowed())/max(t.allowed(), 0.001)
}
