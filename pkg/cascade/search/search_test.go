package search

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/cascade"
)

// world makes outcomes of a small and a large model: each question has a
// difficulty from 0 to 1, and the small model's confidence tells as much of it as
// informative says.
type world struct {
	task        string
	n           int
	small       float64 // price, of the large one's 1,000
	smallOK     func(difficulty float64) float64
	largeOK     float64
	informative float64
	judge       bool // the confidence is a paid signal
}

func (w world) outcomes(seed uint64) []cascade.Outcome {
	rng := rand.New(rand.NewPCG(seed, 1))
	all := make([]cascade.Outcome, w.n)
	for i := range all {
		difficulty := rng.Float64()
		seen := w.informative*difficulty + (1-w.informative)*rng.Float64()
		right, larger := 0.0, 0.0
		if rng.Float64() < w.smallOK(difficulty) {
			right = 1
		}
		if rng.Float64() < w.largeOK {
			larger = 1
		}
		small := cascade.ModelOutcome{OK: &right, CostNanoUSD: int64(w.small), LatencyMS: 100, Answer: fmt.Sprint(right)}
		p := math.Min(math.Max(1-seen, 0.01), 0.99)
		if w.judge {
			small.Paid = map[string]cascade.PaidSignal{cascade.Judge: {Value: p, CostNanoUSD: int64(w.small)}}
			small.Features = cascade.Features{"chars": 3}
		} else {
			small.Features = cascade.Features{"logprob_mean": math.Log(p)}
		}
		all[i] = cascade.Outcome{ID: fmt.Sprintf("%s-%d", w.task, i), Task: w.task, Reference: "large", Models: map[string]cascade.ModelOutcome{
			"small": small, "large": {OK: &larger, CostNanoUSD: 1000, LatencyMS: 300, Answer: fmt.Sprint(larger)},
		}}
	}
	return all
}

// easy is a task in which the small model knows what it does not know: right up to
// a difficulty of 0.6, never above.
func easy() world {
	return world{task: "easy", n: 800, small: 50, largeOK: 0.95, informative: 0.9, smallOK: func(d float64) float64 {
		if d < 0.6 {
			return 0.95
		}
		return 0.05
	}}
}

// blind is a task in which the confidence says nothing.
func blind() world {
	return world{task: "blind", n: 800, small: 300, largeOK: 0.9, smallOK: func(float64) float64 { return 0.5 }}
}

func TestSearchFindsTheCascade(t *testing.T) {
	t.Parallel()
	table, reports, err := Calibrate(easy().outcomes(1), DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	p := table.Tasks["easy"]
	if len(p.Chain) != 2 || p.Chain[0].Model != "small" || p.Chain[1].Model != "large" || p.Declined {
		t.Fatalf("policy %+v, want small before large", p)
	}
	// 60 % of the questions can be accepted, for 5 % of the price of each.
	r := reports[len(reports)-1]
	if r.Saving.Mean < 0.30 || r.Saving.Mean > 0.65 || r.QualityChange.Mean < -0.02 || r.Escalated < 0.3 || r.Escalated > 0.6 {
		t.Errorf("report %+v, want a good third of the cost saved within a point", r)
	}
	if r.Saving.Low >= r.Saving.Mean || r.Saving.High <= r.Saving.Mean || r.AUROC < 0.9 {
		t.Errorf("report %+v, want an interval around the mean and a good signal", r)
	}
	if p.Saving != r.Saving || p.Labels != 800 || table.Reference != "large" {
		t.Errorf("policy %+v, want the report's figures", p)
	}
	// Run on fresh questions it does what was promised.
	runs, skipped := Replay(table, easy().outcomes(2))
	fresh := Reports(runs, 1)[0]
	if skipped > 0 || math.Abs(fresh.Saving.Mean-r.Saving.Mean) > 0.08 || fresh.QualityChange.Mean < -0.035 {
		t.Errorf("fresh questions: %+v, want what was measured: %+v", fresh, r)
	}
}

func TestSearchDeclines(t *testing.T) {
	t.Parallel()
	few := easy()
	few.n = 99
	for name, tc := range map[string]struct {
		world world
		want  string
	}{
		"blind confidence": {blind(), "no chain"},
		"too few labels":   {few, "too few"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table, err := Search(tc.world.outcomes(1), DefaultOptions())
			if err != nil {
				t.Fatal(err)
			}
			p := table.Tasks[tc.world.task]
			if len(p.Chain) != 1 || p.Chain[0].Model != "large" || !p.Declined || !strings.Contains(p.Reason, tc.want) {
				t.Errorf("policy %+v, want the reference alone, because %q", p, tc.want)
			}
		})
	}
}

// TestPaidSignal: a signal is bought where it pays and not where it costs more
// than it saves.
func TestPaidSignal(t *testing.T) {
	t.Parallel()
	w := easy()
	w.judge = true
	table, err := Search(w.outcomes(1), DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	if p := table.Tasks["easy"]; len(p.Chain) != 2 || len(p.Chain[0].Paid) != 1 || p.Chain[0].Paid[0] != cascade.Judge {
		t.Errorf("policy %+v, want the judge", p)
	}
	dear := w.outcomes(1)
	for i := range dear {
		m := dear[i].Models["small"]
		m.Paid[cascade.Judge] = cascade.PaidSignal{Value: m.Paid[cascade.Judge].Value, CostNanoUSD: 900}
	}
	if table, err = Search(dear, DefaultOptions()); err != nil {
		t.Fatal(err)
	}
	if p := table.Tasks["easy"]; len(p.Chain) != 1 {
		t.Errorf("policy %+v with a judge that costs 90 %% of the large model, want none", p)
	}
}

// TestLossIsPooled: what one task gives up another may use; MaxTaskLoss forbids it.
func TestLossIsPooled(t *testing.T) {
	t.Parallel()
	good := world{task: "good", n: 800, small: 50, largeOK: 0.8, informative: 1, smallOK: func(float64) float64 { return 0.9 }}
	bad := world{task: "bad", n: 800, small: 50, largeOK: 0.95, informative: 0.2, smallOK: func(float64) float64 { return 0.88 }}
	outcomes := append(good.outcomes(1), bad.outcomes(2)...)
	o := DefaultOptions()
	table, err := Search(outcomes, o)
	if err != nil {
		t.Fatal(err)
	}
	if p := table.Tasks["bad"]; p.Chain[0].Model != "small" {
		t.Errorf("policy %+v, want the small model: the other task gains more", p)
	}
	o.MaxTaskLoss = 0.02
	if table, err = Search(outcomes, o); err != nil {
		t.Fatal(err)
	}
	if p := table.Tasks["bad"]; len(p.Chain) == 1 && p.Chain[0].Model == "small" {
		t.Errorf("policy %+v, want the task's own floor kept", p)
	}
}

func TestAgreementLabels(t *testing.T) {
	t.Parallel()
	outcomes := easy().outcomes(1)
	for i := range outcomes { // no gold labels at all
		for name, m := range outcomes[i].Models {
			m.OK = nil
			outcomes[i].Models[name] = m
		}
	}
	o := DefaultOptions()
	if _, err := Search(outcomes, o); err == nil || !strings.Contains(err.Error(), "agreement") {
		t.Errorf("error %v without gold labels, want a hint at agreement", err)
	}
	o.Labels, o.MaxQualityLoss = cascade.LabelAgreement, 0.05
	table, err := Search(outcomes, o)
	if err != nil {
		t.Fatal(err)
	}
	if p := table.Tasks["easy"]; len(p.Chain) != 2 || table.Objective.Labels != cascade.LabelAgreement {
		t.Errorf("policy %+v, want a chain", p)
	}
}

func TestSearchRefuses(t *testing.T) {
	t.Parallel()
	outcomes := easy().outcomes(1)
	for name, tc := range map[string]struct {
		outcomes []cascade.Outcome
		spoil    func(*Options)
		want     string
	}{
		"none":              {nil, func(*Options) {}, "outcomes"},
		"unknown reference": {outcomes, func(o *Options) { o.Reference = "huge" }, `"huge"`},
		"negative loss":     {outcomes, func(o *Options) { o.MaxQualityLoss = -1 }, "max_quality_loss"},
		"NaN margin":        {outcomes, func(o *Options) { o.MarginSE = math.NaN() }, "margin_se"},
		"few labels":        {outcomes, func(o *Options) { o.MinLabels = -1 }, "min_labels"},
		"price step":        {outcomes, func(o *Options) { o.PriceStep = 0 }, "price_step"},
		"labels":            {outcomes, func(o *Options) { o.Labels = "guess" }, "labels"},
		"tiers":             {outcomes, func(o *Options) { o.MaxTiers = 4 }, "max_tiers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := DefaultOptions()
			tc.spoil(&o)
			if _, err := Search(tc.outcomes, o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %s", err, tc.want)
			}
		})
	}
}

// TestDeterministic: equal outcomes give equal bytes.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	var first []byte
	for range 3 {
		table, _, err := Calibrate(append(easy().outcomes(1), blind().outcomes(1)...), DefaultOptions())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := table.Write(&b); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b.Bytes()
		}
		if !bytes.Equal(first, b.Bytes()) {
			t.Fatal("the table differs from run to run")
		}
	}
}

// TestFewOutcomes: a task of which nothing is left without one of the folds is
// answered by the reference.
func TestFewOutcomes(t *testing.T) {
	t.Parallel()
	rare := easy()
	rare.task = "rare"
	for _, n := range []int{1, 2} {
		rare.n = n
		for name, outcomes := range map[string][]cascade.Outcome{
			"beside another task": append(blind().outcomes(1)[:400], rare.outcomes(2)...), "alone": rare.outcomes(2),
		} {
			table, _, err := Calibrate(outcomes, DefaultOptions())
			if err != nil {
				t.Errorf("%d %s: %v", n, name, err)
				continue
			}
			if p := table.Tasks["rare"]; len(p.Chain) != 1 || p.Chain[0].Model != "large" {
				t.Errorf("%d %s: policy %+v, want the reference", n, name, p)
			}
		}
	}
}

// TestFreeModels: between models without a price there is nothing to skip, and no
// threshold that is not a number.
func TestFreeModels(t *testing.T) {
	t.Parallel()
	outcomes := easy().outcomes(1)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range outcomes {
		outcomes[i].Question = fmt.Sprintf("question %d", i)
		m := outcomes[i].Models["small"]
		m.CostNanoUSD = 0
		outcomes[i].Models["small"] = m
		m.Features = cascade.Features{"logprob_mean": -rng.Float64()}
		outcomes[i].Models["free"] = m
	}
	study, err := Prepare(outcomes, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	task := study.tasks[0]
	skip, err := task.skip([]cascade.Tier{{Model: "free", Tau: 0.5}, {Model: "small", Tau: 0.5}, {Model: "large"}}, DefaultOptions())
	if skip != nil || err != nil {
		t.Errorf("skip %+v, error %v; want none", skip, err)
	}
}

// TestWeights: an audited answer stands for those that were not sampled.
func TestWeights(t *testing.T) {
	t.Parallel()
	runs := []Run{{ID: "a", Weight: 9, OK: 1, RefOK: 1, Cost: 1, RefCost: 10}, {ID: "b", Weight: 1, OK: 0, RefOK: 1, Cost: 10, RefCost: 10}}
	r := Reports(runs, 1)[0]
	if math.Abs(r.QualityChange.Mean+0.1) > 1e-12 || math.Abs(r.Saving.Mean-0.81) > 1e-12 {
		t.Errorf("report %+v, want a change of -0.1 and a saving of 0.81", r)
	}
	runs = []Run{{ID: "a", Weight: 9, LatencyMS: 10, P: 0.3, FirstOK: 1}, {ID: "b", Weight: 1, LatencyMS: 90, P: 0.3}, {ID: "c", Weight: 9, LatencyMS: 80, P: 0.6}}
	if r = Reports(runs, 1)[0]; r.P50MS != 80 || r.P95MS != 90 || math.Abs(r.AUROC-0.05) > 1e-12 {
		t.Errorf("report %+v, want medians and a ranking by weight", r)
	}
}

// TestReferenceIsWeighed: the best model is that of all questions, not of the
// sampled ones.
func TestReferenceIsWeighed(t *testing.T) {
	t.Parallel()
	right, wrong := 1.0, 0.0
	var outcomes []cascade.Outcome
	for i := range 3 {
		weight, a, b := 1.0, &right, &wrong
		if i == 0 {
			weight, a, b = 10, &wrong, &right
		}
		outcomes = append(outcomes, cascade.Outcome{ID: fmt.Sprint(i), Models: map[string]cascade.ModelOutcome{"a": {OK: a, Weight: weight}, "b": {OK: b, Weight: weight}}})
	}
	if got, err := referenceOf(outcomes, DefaultOptions()); err != nil || got != "b" {
		t.Errorf("have %q (%v), want b", got, err)
	}
}

func TestReplaySkipsWhatIsMissing(t *testing.T) {
	t.Parallel()
	outcomes := easy().outcomes(1)[:10]
	delete(outcomes[0].Models, "large")
	m := outcomes[1].Models["small"]
	m.OK = nil
	outcomes[1].Models["small"] = m
	table := &cascade.Table{Reference: "large", Objective: cascade.Objective{Labels: cascade.LabelGold},
		Tasks: map[string]*cascade.TaskPolicy{"easy": {Chain: []cascade.Tier{{Model: "small"}}}}}
	if runs, skipped := Replay(table, outcomes); len(runs) != 8 || skipped != 2 {
		t.Errorf("%d runs, %d skipped; want 8 and 2", len(runs), skipped)
	}
	table.Tasks = nil // everything goes to the reference
	if runs, skipped := Replay(table, outcomes); len(runs) != 9 || skipped != 1 || runs[0].Cost != runs[0].RefCost {
		t.Errorf("%d runs, %d skipped; want 9 and 1", len(runs), skipped)
	}
}
