package online

import "slices"

// Alarm says that a task is no more what its thresholds were made for.
type Alarm struct {
	What     string  `json:"what"` // AlarmDisagreement, AlarmMore or AlarmFewer
	Expected float64 `json:"expected"`
	Excess   float64 `json:"excess"` // answers beyond that
}

// The kinds of alarm.
const (
	AlarmDisagreement = "audited answers differ from the reference's"
	AlarmMore         = "more answers are escalated than expected"
	AlarmFewer        = "fewer answers are escalated than expected"
)

// cusum sums what is beyond the expected; it is 0 as long as nothing is (Page,
// Biometrika 1954).
type cusum struct {
	Sum float64 `json:"sum,omitempty"`
}

// add takes an observation and reports whether the sum is over the limit. slack is
// what is let pass.
func (c *cusum) add(x, expected, slack, limit float64) bool {
	c.Sum = max(0, c.Sum+x-expected-slack)
	return c.Sum > limit
}

// Slacks: half of the shift that is to be found soon.
const (
	shareSlack        = 0.1
	disagreementSlack = 0.5 // of the expected rate
)

// shareLimit is the limit for escalations, of which there are many more than of
// audits, as a multiple of AlarmAt.
const shareLimit = 4

// settling is how many questions are counted after a move to know the new share
// of escalations.
const settling = 200

// Decided takes whether the first tier's answer to a question was accepted. It
// returns an alarm if the share of escalations is no more what it was; the
// thresholds are then those of the table again.
func (t *Task) Decided(accepted bool) *Alarm {
	if !t.Warm {
		return nil
	}
	x := 1.0
	if accepted {
		x = 0
	}
	if t.Settled < settling && t.Settled >= 0 {
		t.Escalated = (t.Escalated*float64(t.Settled) + x) / float64(t.Settled+1)
		t.Settled++
		return nil
	}
	limit := shareLimit * t.Config.AlarmAt
	if t.More.add(x, t.Escalated, shareSlack, limit) {
		return t.revert(AlarmMore, t.Escalated, t.More.Sum)
	}
	if t.Fewer.add(-x, -t.Escalated, shareSlack, limit) {
		return t.revert(AlarmFewer, t.Escalated, t.Fewer.Sum)
	}
	return nil
}

// settle counts the share of escalations anew, from the first question on.
func (t *Task) settle() { t.Settled, t.More, t.Fewer = 0, cusum{}, cusum{} }

// leastAccepted bounds the rate of disagreement that is expected where little is
// accepted.
const leastAccepted = 0.1

// watchDisagreement follows accepted answers that were compared with the
// reference's: of those the allowed share may differ, over the share accepted.
func (t *Task) watchDisagreement(a Answer) *Alarm {
	expected := min(t.Config.Allowed/max(1-t.Escalated, leastAccepted), 0.5)
	if t.Disagreement.add(1-a.OK, expected, disagreementSlack*expected, t.Config.AlarmAt/2) {
		return t.revert(AlarmDisagreement, expected, t.Disagreement.Sum)
	}
	return nil
}

// revert goes back to the table's thresholds. Where those are in force already,
// and answers differ all the same, or where there is no table, the reference
// answers alone until there are new labels. Those from before are no more to be
// trusted.
func (t *Task) revert(what string, expected, excess float64) *Alarm {
	moved := false
	for k := range t.Base {
		moved = moved || t.Chain[k].Tau != t.Base[k].Tau
	}
	t.Warm = !t.learnsCalibration() && (moved || what != AlarmDisagreement)
	t.Chain = slices.Clone(t.Base)
	t.Labels = nil
	t.Disagreement = cusum{}
	t.settle()
	t.Reverts++
	return &Alarm{What: what, Expected: expected, Excess: excess}
}
