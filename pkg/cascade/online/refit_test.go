package online

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/learn"
)

// triple is a task of three models with two thresholds.
func triple(t *testing.T, tau float64) *Task {
	t.Helper()
	p := pair(tau)
	p.Chain = []cascade.Tier{p.Chain[0], {Model: "middle", Tau: tau, Calibration: p.Chain[0].Calibration}, {Model: "large"}}
	task, err := New("task", "table-1", p, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// TestTiersShareTheAllowed: what both tiers accept together differs no more often
// than is allowed, of all questions.
func TestTiersShareTheAllowed(t *testing.T) {
	t.Parallel()
	task := triple(t, 0.5)
	task.SetPressure(1) // no margin
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 2000 {
		for tier := range 2 {
			l := Label{ID: fmt.Sprint(i), Tier: tier, P: rng.Float64(), Weight: 1}
			if rng.Float64() < honest(l.P) {
				l.OK = 1
			}
			task.Labels = append(task.Labels, l)
		}
	}
	wrong, kept := 0.0, 0.0
	for tier := range 2 {
		tau := task.best(task.Labels, tier)
		wrong += measure(task.Labels, tier, tau).wrong
		kept += measure(task.Labels, tier, tau).kept
	}
	if wrong > task.Config.Allowed+1e-9 || kept < 0.2 {
		t.Errorf("%.3f of the answers differ, %.3f are allowed; %.2f are accepted", wrong, task.Config.Allowed, kept)
	}
}

// TestQuestionsCountOnce: a question has a label of each tier.
func TestQuestionsCountOnce(t *testing.T) {
	t.Parallel()
	labels := []Label{{ID: "a", Weight: 1}, {ID: "a", Tier: 1, Weight: 20}, {ID: "b", Weight: 1}}
	if got := questions(labels); got != 21 {
		t.Errorf("have %v questions, want 21", got)
	}
}

// paused is a task after an alarm at the thresholds of its table.
func paused(t *testing.T, tau float64) *Task {
	t.Helper()
	task := newTask(t, tau, DefaultConfig())
	if task.revert(AlarmDisagreement, 0, 0); task.Warm {
		t.Fatal("the task was not paused")
	}
	return task
}

// TestResumeIsBounded: after a pause no threshold is more than a step below the
// table's, nor 0, however good the labels are.
func TestResumeIsBounded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ tau, p, want float64 }{
		"all good":       {0.9, 0.5, 0.85},
		"no probability": {0.03, 0, 0.01},
		"stricter":       {0.3, 0.7, 0.7},
	} {
		task := paused(t, tc.tau)
		for i := range 200 {
			l := Label{ID: fmt.Sprint(i), P: tc.p, OK: 1, Weight: 1}
			if i%2 == 0 {
				l.P = 0.95
			}
			if tc.p == 0.7 && i%10 == 1 { // below, answers are wrong
				l.P, l.OK = 0.4, 0
			}
			task.Labels = append(task.Labels, l)
		}
		moved, err := task.Refit(time.Unix(1, 0))
		if err != nil || !moved || math.Abs(task.Chain[0].Tau-tc.want) > 1e-9 {
			t.Errorf("%s: moved %t to %v, error %v; want %v", name, moved, task.Chain[0].Tau, err, tc.want)
		}
		if err := task.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestResumeNeedsHeldOutGain: a pause goes on where a part that was held out says
// that the new threshold accepts what is wrong.
func TestResumeNeedsHeldOutGain(t *testing.T) {
	t.Parallel()
	task := paused(t, 0.8)
	wrong := 0
	for i := range 400 {
		l := Label{ID: fmt.Sprint(i), P: 0.1, OK: 1, Weight: 1}
		if i%10 == 0 {
			l.P = 0.9
		}
		if i%10 == 0 && wrong < 4 && learn.FoldOf(l.ID, heldFolds, 0) == 0 {
			l.OK = 0
			wrong++
		}
		task.Labels = append(task.Labels, l)
	}
	task.Config.Allowed = 0.013
	if moved, err := task.Refit(time.Unix(1, 0)); err != nil || moved || task.Warm {
		t.Errorf("resumed %t at %v with %d wrong labels in one part, error %v", moved, task.Chain[0].Tau, wrong, err)
	}
}

// TestStepKeepsHighThresholds: one above those that are moved to is not moved down
// by that alone.
func TestStepKeepsHighThresholds(t *testing.T) {
	t.Parallel()
	task := newTask(t, 0.5, DefaultConfig())
	for _, c := range []struct{ from, to, want float64 }{
		{0.999, 1, 0.999}, {0.999, 0.9, 0.949}, {0.99, 1, never}, {0.5, 0, 0.45}, {0.02, 0, lowest},
	} {
		if got := task.step(c.from, c.to); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("from %v to %v: have %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

// TestCalibrationIsRenewedForTheBetter: a warm task keeps its calibration until
// labels that a new one has not seen say that it is better.
func TestCalibrationIsRenewedForTheBetter(t *testing.T) {
	t.Parallel()
	cold, err := NewCold("task", "small", "large", DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	learnAnswers := func(from int, right func(p float64) float64) {
		for i := from; i < from+400; i++ {
			p := rng.Float64()
			a := Answer{ID: fmt.Sprint(i), Features: cascade.Features{cascade.Judge: p}, Source: cascade.LabelAgreement}
			if rng.Float64() < right(p) {
				a.OK = 1
			}
			cold.Learn(a)
		}
	}
	refit := func(hour int) *cascade.Calibration {
		if _, err := cold.Refit(time.Unix(int64(hour)*3600, 0)); err != nil {
			t.Fatal(err)
		}
		return cold.Chain[0].Calibration
	}
	learnAnswers(0, honest)
	first := refit(1)
	if !cold.Warm {
		t.Fatal("the cold start did not end")
	}
	if refit(2) != first {
		t.Error("the calibration was renewed by the labels that it was made from")
	}
	learnAnswers(400, func(p float64) float64 { return 1 - p })
	if refit(3) == first {
		t.Error("the calibration was kept though the task had changed")
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(*Task)
		want  string
	}{
		"nothing":           {func(s *Task) { *s = Task{} }, "chain"},
		"no base":           {func(s *Task) { s.Base = nil }, "chain"},
		"no chain":          {func(s *Task) { s.Chain = nil }, "chain"},
		"a shorter chain":   {func(s *Task) { s.Chain = s.Chain[:2] }, "chain"},
		"one model":         {func(s *Task) { s.Chain, s.Base = s.Chain[:1], s.Base[:1] }, "chain"},
		"a model's name":    {func(s *Task) { s.Base[0].Model, s.Chain[0].Model = "", "" }, "chain"},
		"another model":     {func(s *Task) { s.Chain[1].Model = "other" }, "chain"},
		"a threshold":       {func(s *Task) { s.Chain[1].Tau = 2 }, "chain"},
		"NaN":               {func(s *Task) { s.Chain[1].Tau = math.NaN() }, "chain"},
		"a calibration":     {func(s *Task) { s.Chain[0].Calibration = &cascade.Calibration{Bias: math.NaN()} }, "tier 0"},
		"a label's tier":    {func(s *Task) { s.Labels[0].Tier = 2 }, "labels"},
		"a negative tier":   {func(s *Task) { s.Labels[0].Tier = -1 }, "labels"},
		"a label's p":       {func(s *Task) { s.Labels[0].P = 2 }, "labels"},
		"a label's ok":      {func(s *Task) { s.Labels[0].OK = -1 }, "labels"},
		"a label's weight":  {func(s *Task) { s.Labels[0].Weight = 0 }, "labels"},
		"a sum":             {func(s *Task) { s.More.Sum = math.Inf(1) }, "more"},
		"the escalated":     {func(s *Task) { s.Escalated = 2 }, "escalated"},
		"the configuration": {func(s *Task) { s.Config.AlarmAt = 0 }, "alarm_at"},
	} {
		task := triple(t, 0.5)
		task.Learn(Answer{ID: "a", P: 0.5, OK: 1, Source: cascade.LabelAgreement})
		if err := task.Validate(); err != nil {
			t.Fatalf("a good state: %v", err)
		}
		tc.spoil(task)
		if err := task.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one that names %s", name, err, tc.want)
		}
	}
}
