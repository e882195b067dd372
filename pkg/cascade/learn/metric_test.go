package learn

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/weir-dev/weir/pkg/dataset"
)

func near(a, b, within float64) bool { return math.Abs(a-b) <= within }

func TestAUROC(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		score, ok []float64
		want      float64
	}{
		{[]float64{1, 2, 3, 4}, []float64{0, 0, 1, 1}, 1},
		{[]float64{4, 3, 2, 1}, []float64{0, 0, 1, 1}, 0},
		{[]float64{1, 1, 1, 1}, []float64{0, 0, 1, 1}, 0.5},
		{[]float64{1, 2, 2, 3}, []float64{0, 1, 0, 1}, 0.875},
		{[]float64{1, 2}, []float64{1, 1}, 0.5},
		{nil, nil, 0.5},
	} {
		if got := AUROC(c.score, c.ok, nil); !near(got, c.want, 1e-12) {
			t.Errorf("AUROC(%v, %v): have %v, want %v", c.score, c.ok, got, c.want)
		}
	}
}

func TestECE(t *testing.T) {
	t.Parallel()
	// Two bins: 0.05 with nobody right, 1.0 with half right.
	got := ECE([]float64{0.05, 0.05, 1, 1}, []float64{0, 0, 1, 0}, nil)
	if want := 0.5*0.05 + 0.5*0.5; !near(got, want, 1e-12) {
		t.Errorf("have %v, want %v", got, want)
	}
	if got := ECE([]float64{0.51, 0.59}, []float64{0, 1}, nil); !near(got, 0.05, 1e-12) {
		t.Errorf("one bin: have %v, want 0.05", got)
	}
}

func TestLogLoss(t *testing.T) {
	t.Parallel()
	if got := LogLoss([]float64{0.5, 0.25}, []float64{1, 0}, nil); !near(got, (math.Log(2)-math.Log(0.75))/2, 1e-12) {
		t.Errorf("have %v", got)
	}
	if got := LogLoss([]float64{0, 1}, []float64{1, 0}, nil); math.IsInf(got, 0) {
		t.Error("a sure mistake has no finite loss")
	}
}

// TestMetricsWeigh: a row of weight 3 is the same as three rows.
func TestMetricsWeigh(t *testing.T) {
	t.Parallel()
	p, ok, weight := []float64{0.2, 0.6, 0.7}, []float64{1, 0, 1}, []float64{3, 1, 2}
	var manyP, manyOK []float64
	for i := range p {
		for range int(weight[i]) {
			manyP, manyOK = append(manyP, p[i]), append(manyOK, ok[i])
		}
	}
	for name, metric := range map[string]func(p, ok, weight []float64) float64{"AUROC": AUROC, "ECE": ECE, "LogLoss": LogLoss} {
		if got, want := metric(p, ok, weight), metric(manyP, manyOK, nil); !near(got, want, 1e-12) {
			t.Errorf("%s: have %v with weights, %v with as many rows", name, got, want)
		}
	}
}

func TestRouting(t *testing.T) {
	t.Parallel()
	// The strong model gains on the last two of four questions and loses on the
	// second.
	weak, strong := []float64{1, 1, 0, 0}, []float64{1, 0, 1, 1}
	for _, c := range []struct {
		name                 string
		score                []float64
		apgr, half, fourFive float64
	}{
		{"best", []float64{1, 0, 3, 2}, (0.5 + 1 + 2 + 2) / 4, 0.25, 0.25},
		{"worst", []float64{2, 3, 0, 1}, (-1 - 1 + 0 + 0.5) / 4, 1, 1},
		{"all alike", []float64{0, 0, 0, 0}, 0.5, 0.5, 1},
		{"two kinds", []float64{0, 0, 1, 1}, (1 + 2 + 1.5 + 0.5) / 4, 0.25, 0.25},
	} {
		r := NewRouting(c.score, weak, strong)
		if r.Weak != 0.5 || r.Strong != 0.75 {
			t.Fatalf("%s: weak %v, strong %v", c.name, r.Weak, r.Strong)
		}
		if got := r.APGR(); !near(got, c.apgr, 1e-12) {
			t.Errorf("%s: APGR %v, want %v", c.name, got, c.apgr)
		}
		if r.CPT(0.5) != c.half || r.CPT(0.8) != c.fourFive {
			t.Errorf("%s: CPT50 %v, CPT80 %v, want %v, %v", c.name, r.CPT(0.5), r.CPT(0.8), c.half, c.fourFive)
		}
	}
	if r := NewRouting([]float64{1, 2}, []float64{1, 0}, []float64{0, 1}); r.APGR() != 0 || r.CPT(0.5) != 1 {
		t.Errorf("without a gap: APGR %v, CPT %v", r.APGR(), r.CPT(0.5))
	}
	if r := NewRouting(nil, nil, nil); r.APGR() != 0 || r.CPT(0.5) != 1 {
		t.Errorf("without questions: APGR %v, CPT %v", r.APGR(), r.CPT(0.5))
	}
}

// The figures of RouteLLM's paper, section 3 and table 1, on half of its questions:
// weak 68.1, strong 80.6, random .50 and, measured on all, 1.285 for the oracle.
func TestRoutingReproducesRouteLLM(t *testing.T) {
	t.Parallel()
	_, weak, strong := readMMLU(t)
	random, n := 0.0, 10
	for seed := range n {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		scores := make([]float64, len(weak))
		for i := range scores {
			scores[i] = r.Float64()
		}
		random += NewRouting(scores, weak, strong).APGR() / float64(n)
	}
	gain := make([]float64, len(weak))
	for i := range gain {
		gain[i] = strong[i] - weak[i]
	}
	oracle := NewRouting(gain, weak, strong)
	t.Logf("weak %.4f, strong %.4f, random %.3f, oracle %.3f", oracle.Weak, oracle.Strong, random, oracle.APGR())
	if !near(oracle.Weak, 0.681, 0.01) || !near(oracle.Strong, 0.806, 0.01) || !near(random, 0.5, 0.01) || !near(oracle.APGR(), 1.285, 0.03) {
		t.Error("the published figures are not reproduced")
	}
}

// readMMLU reads RouteLLM's outcomes on MMLU as rows that are labelled with the
// gain of the strong model.
func readMMLU(t testing.TB) (rows []Row, weak, strong []float64) {
	t.Helper()
	type line struct {
		ID, Tag, Q   string
		Weak, Strong float64
	}
	lines, err := dataset.Rows[line](filepath.Join(dataset.Path(t, "cascade"), "routellm_mmlu.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		r := Row{ID: l.ID, OK: l.Strong - l.Weak}
		r.Evidence.Task, r.Evidence.Question = l.Tag, l.Q
		rows = append(rows, r)
		weak, strong = append(weak, l.Weak), append(strong, l.Strong)
	}
	return rows, weak, strong
}
