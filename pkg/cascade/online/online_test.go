package online

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/learn"
	"github.com/weir-dev/weir/pkg/dataset"
)

// pair is a policy of two models whose first tier gives its logprob_mean's
// probability as it is.
func pair(tau float64) *cascade.TaskPolicy {
	c := &cascade.Calibration{Identity: true, Linear: []cascade.Term{{Feature: "p", Weight: 1}}}
	return &cascade.TaskPolicy{Chain: []cascade.Tier{{Model: "small", Tau: tau, Calibration: c}, {Model: "large"}}, Escalated: tau}
}

func newTask(t *testing.T, tau float64, c Config) *Task {
	t.Helper()
	task, err := New("task", "table-1", pair(tau), c)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// stream plays questions with p uniform in [0,1]; an accepted answer is right with
// the probability that right gives. It returns the share of all questions that
// were answered wrongly, and the alarms.
func stream(task *Task, from, n int, rng *rand.Rand, right func(p float64) float64) (wrong float64, alarms []*Alarm) {
	for i := from; i < from+n; i++ {
		p := rng.Float64()
		ok := 0.0
		if rng.Float64() < right(p) {
			ok = 1
		}
		now := time.Unix(int64(i)*60, 0)
		answer := Answer{ID: fmt.Sprint(i), At: now, P: p, OK: ok, Source: cascade.LabelAgreement, Accepted: task.Warm && p >= task.Chain[0].Tau}
		if alarm := task.Decided(answer.Accepted); alarm != nil {
			alarms = append(alarms, alarm)
		}
		if answer.Accepted {
			wrong += (1 - ok) / float64(n)
			answer.Source = cascade.LabelAudit
		}
		if u := rng.Float64(); task.Warm && (!answer.Accepted || task.Audit(u)) || !task.Warm && u < 0.1 {
			if alarm := task.Learn(answer); alarm != nil {
				alarms = append(alarms, alarm)
			}
		}
		task.Refit(now) //nolint:errcheck // there is nothing to calibrate with a table
	}
	return wrong, alarms
}

// honest is right as often as p says, or somewhat more.
func honest(p float64) float64 { return math.Min(1, 0.4+0.7*p) }

// TestThresholdFindsTheAllowed: from a threshold that is too strict it moves down,
// step by step, to where the allowed share disagrees.
func TestThresholdFindsTheAllowed(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.AuditRate = 0.1
	task := newTask(t, 0.95, c)
	rng := rand.New(rand.NewPCG(1, 1))
	last := task.Chain[0].Tau
	for at := 0; at < 12_000; at += 60 {
		stream(task, at, 60, rng, honest)
		if now := task.Chain[0].Tau; math.Abs(now-last) > 0.05+1e-9 {
			t.Fatalf("the threshold moved from %v to %v in an hour", last, now)
		}
		last = task.Chain[0].Tau
	}
	if task.Moves == 0 || last > 0.85 || last < 0.4 {
		t.Errorf("threshold %v after %d moves, want it near 0.6", last, task.Moves)
	}
	if wrong, _ := stream(task, 12_000, 2000, rng, honest); wrong > 0.05 {
		t.Errorf("%.3f of the answers are wrong, 0.03 are allowed", wrong)
	}
}

// TestAuditHolds: when accepted answers go bad and escalated ones do not, nothing
// but an audit can tell.
func TestAuditHolds(t *testing.T) {
	t.Parallel()
	spoiled := func(p float64) float64 {
		if p > 0.7 {
			return 0.6
		}
		return honest(p)
	}
	const runs = 4
	wrong := map[float64]float64{}
	reverts := map[float64]int{}
	for _, audit := range []float64{0, 0.05} {
		for seed := range uint64(runs) {
			c := DefaultConfig()
			c.AuditRate = audit
			task := newTask(t, 0.7, c)
			rng := rand.New(rand.NewPCG(seed, 2))
			stream(task, 0, 2000, rng, honest)
			stream(task, 2000, 2000, rng, spoiled)
			share, _ := stream(task, 4000, 2000, rng, spoiled)
			wrong[audit] += share / runs
			reverts[audit] += task.Reverts
		}
	}
	if wrong[0] < 0.1 || wrong[0.05] > 0.6*wrong[0] {
		t.Errorf("wrong answers: %.3f without an audit, %.3f with one; want the audit to hold them down", wrong[0], wrong[0.05])
	}
	if reverts[0] > 0 || reverts[0.05] < runs-1 {
		t.Errorf("reverts: %d without an audit, %d with one in %d runs", reverts[0], reverts[0.05], runs)
	}
}

func TestEscalationAlarm(t *testing.T) {
	t.Parallel()
	for want, accepted := range map[string]bool{AlarmMore: false, AlarmFewer: true} {
		task := newTask(t, 0.5, DefaultConfig())
		task.Chain[0].Tau = 0.6 // as if it had moved
		var alarm *Alarm
		n := 0
		for alarm == nil && n < 1000 {
			alarm = task.Decided(accepted)
			n++
		}
		if alarm == nil || alarm.What != want || task.Chain[0].Tau != 0.5 || task.Reverts != 1 {
			t.Errorf("alarm %+v after %d answers, threshold %v; want %q and the table's 0.5", alarm, n, task.Chain[0].Tau, want)
		}
	}
	task := newTask(t, 0.5, DefaultConfig())
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		if alarm := task.Decided(rng.Float64() < 0.5); alarm != nil {
			t.Fatalf("alarm %+v at the share that was expected", alarm)
		}
	}
}

func TestFeedbackOverridesAgreement(t *testing.T) {
	t.Parallel()
	task := newTask(t, 0.5, DefaultConfig())
	told := Answer{ID: "a", P: 0.9, OK: 1, Source: cascade.LabelAudit, Accepted: true}
	task.Learn(told)
	told.OK, told.Source = 0, cascade.LabelFeedback
	task.Learn(told)
	told.OK, told.Source = 1, cascade.LabelAgreement // a redelivery
	task.Learn(told)
	if len(task.Labels) != 1 || task.Labels[0].OK != 0 || task.Labels[0].Source != cascade.LabelFeedback || task.Labels[0].Weight != 20 {
		t.Errorf("labels %+v, want one, by feedback, with the weight of the audit", task.Labels)
	}
}

// TestPressure: scarce money lowers thresholds within what is allowed.
func TestPressure(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 1))
	var labels []Label
	for i := range 1000 {
		p := rng.Float64()
		ok := 0.0
		if rng.Float64() < honest(p) {
			ok = 1
		}
		labels = append(labels, Label{ID: fmt.Sprint(i), P: p, OK: ok, Weight: 1})
	}
	task := newTask(t, 0.5, DefaultConfig())
	calm := task.best(labels, 0)
	task.SetPressure(7)
	pressed := task.best(labels, 0)
	if pressed >= calm {
		t.Errorf("threshold %v under pressure, %v without; want it lower", pressed, calm)
	}
	if w := measure(labels, 0, pressed).wrong; w > task.Config.Allowed {
		t.Errorf("%v of the answers may be wrong under pressure, %v are allowed", w, task.Config.Allowed)
	}
}

func TestRefitWaits(t *testing.T) {
	t.Parallel()
	task := newTask(t, 0.9, DefaultConfig())
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 500 {
		task.Learn(Answer{ID: fmt.Sprint(i), P: rng.Float64(), OK: 1, Source: cascade.LabelAgreement})
	}
	start := time.Unix(1000, 0)
	for _, step := range []struct {
		at   time.Time
		want bool
	}{{start, true}, {start.Add(59 * time.Minute), false}, {start.Add(time.Hour), true}} {
		if moved, err := task.Refit(step.at); err != nil || moved != step.want {
			t.Errorf("at %v: moved %t, error %v; want %t", step.at, moved, err, step.want)
		}
	}
}

// TestStateIsBoundedAndStored: however much is learned, the state stays small, and
// it goes on the same after it was stored.
func TestStateIsBoundedAndStored(t *testing.T) {
	t.Parallel()
	cold, err := NewCold("task", "small", "large", DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	many := cascade.Features{}
	for i := range 500 {
		many[fmt.Sprintf("feature-%03d", i)] = float64(i)
	}
	for i := range 5000 {
		cold.Learn(Answer{ID: fmt.Sprint(i), P: 0.5, OK: float64(i % 2), Features: many, Source: cascade.LabelAgreement})
	}
	if len(cold.Labels) != 2000 || len(cold.Labels[0].Features) != maxLabelFeatures || cold.Labels[0].ID != "3000" {
		t.Errorf("%d labels with %d features from %s on", len(cold.Labels), len(cold.Labels[0].Features), cold.Labels[0].ID)
	}
	data, err := json.Marshal(cold)
	if err != nil {
		t.Fatal(err)
	}
	var again Task
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(&again)
	if err != nil || string(second) != string(data) {
		t.Errorf("the state changed on its way through JSON: %v", err)
	}
}

func TestColdStart(t *testing.T) {
	t.Parallel()
	cold, err := NewCold("task", "small", "large", DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if chain := cold.Policy(); len(chain) != 1 || chain[0].Model != "large" || cold.Audit(0) {
		t.Errorf("a cold task has chain %+v", chain)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 400 {
		p := rng.Float64()
		ok := 0.0
		if rng.Float64() < p*p+0.3*p || p > 0.6 {
			ok = 1
		}
		cold.Learn(Answer{ID: fmt.Sprint(i), Features: cascade.Features{cascade.Judge: p}, OK: ok, Source: cascade.LabelAgreement})
	}
	if moved, err := cold.Refit(time.Unix(1, 0)); err != nil || !moved || !cold.Warm {
		t.Fatalf("moved %t, warm %t, error %v; want the cold start to end", moved, cold.Warm, err)
	}
	p := &cascade.TaskPolicy{Chain: cold.Policy()}
	if err := p.Validate("policy"); err != nil || len(p.Chain) != 2 {
		t.Errorf("policy %+v: %v", p, err)
	}
}

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*Config){
		"allowed":     func(c *Config) { c.Allowed = math.NaN() },
		"audit_rate":  func(c *Config) { c.AuditRate = 2 },
		"max_labels":  func(c *Config) { c.MaxLabels = 10 },
		"refit_every": func(c *Config) { c.RefitEvery = -1 },
		"alarm_at":    func(c *Config) { c.AlarmAt = 0 },
	} {
		c := DefaultConfig()
		spoil(&c)
		if _, err := NewCold("t", "a", "b", c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that names %s", err, want)
		}
	}
	if _, err := NewCold("t", "a", "a", DefaultConfig()); err == nil {
		t.Error("one model alone was taken")
	}
}

// qa is a line of the recorded outcomes.
type qa struct {
	ID, Tag string
	M       map[string][]float64
}

// TestReplay plays recorded outcomes of real models from a cold start: with 5 % of
// audits a good third of the cost is saved, and the loss stays near a point.
func TestReplay(t *testing.T) {
	t.Parallel()
	rows, err := dataset.Rows[qa](dataset.Path(t, "cascade", "cascade_qa.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var outcomes []cascade.Outcome
	for _, row := range rows {
		if row.Tag != "mmlu" {
			continue
		}
		o := cascade.Outcome{ID: row.ID, Models: map[string]cascade.ModelOutcome{}}
		for _, name := range []string{"gpt-4o-mini", "gpt-4o"} {
			v := row.M[name]
			o.Models[name] = cascade.ModelOutcome{OK: &v[0], Features: cascade.Features{"logprob_mean": v[1]}, CostNanoUSD: int64(1000 * v[2]), Answer: fmt.Sprint(v[7])}
		}
		outcomes = append(outcomes, o)
	}
	var saving, change float64
	const orders = 6
	for seed := range uint64(orders) {
		r, err := Replay(outcomes, "gpt-4o-mini", "gpt-4o", DefaultConfig(), rand.New(rand.NewPCG(seed, 1)))
		if err != nil {
			t.Fatal(err)
		}
		saving += r.Saving / orders
		change += r.QualityChange / orders
	}
	if saving < 0.25 || change < -0.025 {
		t.Errorf("saved %.3f at a change of %+.4f, want a third at about a point", saving, change)
	}
}

// TestMoveNeedsHeldOutGain: what all labels together would allow is not done where
// a part that was held out says no.
func TestMoveNeedsHeldOutGain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		wrong func(i, fold int) bool // of the first labels, just below the threshold
		moves bool
	}{
		"one label":       {func(i, _ int) bool { return i == 50 }, true},
		"all in one part": {func(_, fold int) bool { return fold == 0 }, false},
	} {
		task := newTask(t, 0.8, DefaultConfig())
		wrong := 0
		for i := range 200 {
			l := Label{ID: fmt.Sprint(i), P: 0.9, OK: 1, Weight: 1}
			if i%5 == 0 {
				l.P = 0.76 + 0.0001*float64(i)
			}
			if l.P < 0.8 && wrong < 4 && tc.wrong(i, learn.FoldOf(l.ID, heldFolds, 0)) {
				l.OK = 0
				wrong++
			}
			task.Labels = append(task.Labels, l)
		}
		if moved, err := task.Refit(time.Unix(1, 0)); err != nil || moved != tc.moves || wrong == 0 {
			t.Errorf("%s: moved %t with %d wrong labels, error %v; want %t", name, moved, wrong, err, tc.moves)
		}
	}
}
