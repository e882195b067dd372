package learn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/event"
)

// draw makes rows whose answers are right with the probability that truth gives
// for x, evenly from -2 to 2; with noise as a second feature.
func draw(n int, seed uint64, truth func(x float64) float64) []Row {
	r := rand.New(rand.NewPCG(seed, 1))
	rows := make([]Row, n)
	for i := range rows {
		x := 4*r.Float64() - 2
		rows[i] = Row{ID: fmt.Sprint(seed, "-", i), Evidence: cascade.Evidence{Features: cascade.Features{"x": x, "noise": r.NormFloat64()}}}
		if r.Float64() < truth(x) {
			rows[i].OK = 1
		}
	}
	return rows
}

func line(x float64) float64 { return sigmoid(0.5 + 1.5*x) }
func band(x float64) float64 {
	if math.Abs(x) < 1 {
		return 0.9
	}
	return 0.2
}

// distance is the mean of |P - truth| over new rows.
func distance(c *cascade.Calibration, truth func(x float64) float64) float64 {
	sum, n := 0.0, 0.0
	for _, r := range draw(500, 99, truth) {
		sum, n = sum+math.Abs(c.P(r.Evidence)-truth(r.Evidence.Features["x"])), n+1
	}
	return sum / n
}

func TestFit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		rows   []Row
		opt    Options
		truth  func(x float64) float64
		within float64
		trees  bool
	}{
		{"a line", draw(1500, 1, line), Options{Linear: true}, line, 0.03, false},
		{"a line, chosen", draw(1500, 1, line), Options{}, line, 0.03, false},
		{"a line, few labels", draw(100, 1, line), Options{}, line, 0.1, false},
		{"a band in trees", draw(1500, 1, band), Options{Trees: true}, band, 0.08, true},
		{"a band, chosen", draw(1500, 1, band), Options{}, band, 0.08, true},
		{"squared", draw(1500, 1, band), Options{Trees: true, Squared: true}, band, 0.08, true},
		{"isotonic", draw(3000, 1, line), Options{Linear: true}, line, 0.04, false},
	} {
		fit, err := Fit(c.rows, c.opt)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err := fit.Validate(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if d := distance(fit, c.truth); d > c.within {
			t.Errorf("%s: P is off by %.3f in the mean, want at most %v", c.name, d, c.within)
		}
		if (fit.Trees != nil) != c.trees {
			t.Errorf("%s: has trees: %v, want %v", c.name, fit.Trees != nil, c.trees)
		}
		if (fit.Isotonic != nil) != (len(c.rows) >= isotonicLabels) {
			t.Errorf("%s: %d knots from %d labels", c.name, len(fit.Isotonic), len(c.rows))
		}
		if fit.N != len(c.rows) || !c.opt.Squared && (fit.ECE > 0.12 || fit.AUROC < 0.7) {
			t.Errorf("%s: N %d, ECE %.3f, AUROC %.3f", c.name, fit.N, fit.ECE, fit.AUROC)
		}
	}
}

func TestFitWithoutMuchToLearn(t *testing.T) {
	t.Parallel()
	right := []Row{{ID: "a", OK: 1}, {ID: "b", OK: 1}, {ID: "c", OK: 1}}
	constant := draw(400, 1, func(float64) float64 { return 0.3 })
	for i := range constant {
		constant[i].Evidence.Features = cascade.Features{"x": 1}
	}
	for _, c := range []struct {
		name   string
		rows   []Row
		opt    Options
		want   float64
		within float64
	}{
		{"one row", right[:1], Options{}, 0.75, 1e-9},
		{"all right", right, Options{}, 3.5 / 4, 1e-9},
		{"all right, all parts", right, Options{Linear: true, Trees: true, Text: true, TaskMean: true}, 3.5 / 4, 0.1},
		{"a feature that never differs", constant, Options{}, 0.3, 0.06},
		{"weights", []Row{{ID: "a", OK: 1, Weight: 30}, {ID: "b", Weight: 10}}, Options{}, 30.5 / 41, 1e-9},
	} {
		fit, err := Fit(c.rows, c.opt)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := fit.P(c.rows[0].Evidence); !near(got, c.want, c.within) {
			t.Errorf("%s: P %v, want %v", c.name, got, c.want)
		}
	}
}

// Trees, text and task means each learn what only they can.
func TestParts(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 1))
	var rows []Row
	for i := range 1200 {
		task, word := []string{"easy", "hard"}[i%2], []string{"capital", "integral"}[r.IntN(2)]
		p := 0.5
		if task == "easy" {
			p += 0.25
		}
		if word == "capital" {
			p += 0.2
		}
		row := Row{ID: fmt.Sprint(i), Evidence: cascade.Evidence{Task: task, Question: fmt.Sprintf("What is the %s of %d?", word, r.IntN(1000))}}
		if r.Float64() < p {
			row.OK = 1
		}
		rows = append(rows, row)
	}
	for _, c := range []struct {
		name  string
		opt   Options
		apart func(c *cascade.Calibration) float64
	}{
		{"task", Options{TaskMean: true}, func(c *cascade.Calibration) float64 {
			return c.P(cascade.Evidence{Task: "easy"}) - c.P(cascade.Evidence{Task: "hard"})
		}},
		{"text", Options{Text: true}, func(c *cascade.Calibration) float64 {
			return c.P(cascade.Evidence{Question: "What is the capital of 5?"}) - c.P(cascade.Evidence{Question: "What is the integral of 5?"})
		}},
		{"trees over cues", Options{Trees: true, Question: true}, func(c *cascade.Calibration) float64 {
			return c.P(cascade.Evidence{Question: "What is the capital of 5?"}) - c.P(cascade.Evidence{Question: "What is the integral of 5?"})
		}},
		{"chosen", Options{}, func(c *cascade.Calibration) float64 {
			return c.P(cascade.Evidence{Task: "easy", Question: "What is the capital of 5?"}) - c.P(cascade.Evidence{Task: "hard", Question: "What is the integral of 5?"}) - 0.2
		}},
	} {
		fit, err := Fit(rows, c.opt)
		if err != nil {
			t.Fatal(err)
		}
		if d := c.apart(fit); d < 0.1 || d > 0.4 {
			t.Errorf("%s: the two kinds are %.3f apart", c.name, d)
		}
	}
}

// What the calibration gives is what was fitted, but for the rounding of the text's
// weights.
func TestCalibrationIsWhatWasFitted(t *testing.T) {
	t.Parallel()
	rows := draw(600, 6, band)
	for i := range rows {
		rows[i].Evidence.Question = fmt.Sprintf("Is %d more than %s?", i, []string{"two", "three", "four"}[i%3])
		rows[i].Evidence.Task = fmt.Sprint(i % 5)
		if i%7 == 0 {
			delete(rows[i].Evidence.Features, "noise")
		}
	}
	opt := Options{Linear: true, Trees: true, Text: true, TaskMean: true, Question: true}
	d, err := newData(rows, opt)
	if err != nil {
		t.Fatal(err)
	}
	p := plan{task: true, columns: len(d.linear.terms), base: 0.9, trees: 0.7, text: 0.4, bias: 0.1}
	f := d.fit(d.all(), p)
	want := make([]float64, len(rows))
	d.predict(f, p, d.all(), want)
	c := f.calibration(d, p)
	for i, r := range rows {
		if got := c.Score(r.Evidence); !near(got, want[i], 0.005) {
			t.Fatalf("row %d: the calibration gives %v, the fit %v", i, got, want[i])
		}
	}
}

func TestMissingFeatures(t *testing.T) {
	t.Parallel()
	rows := draw(2000, 3, line)
	for i := range rows {
		if i%2 == 0 { // and then the answer is wrong
			rows[i].OK, rows[i].Evidence.Features = 0, cascade.Features{"noise": 0}
		}
	}
	for _, opt := range []Options{{Linear: true}, {Trees: true}} {
		fit, err := Fit(rows, opt)
		if err != nil {
			t.Fatal(err)
		}
		if p := fit.P(cascade.Evidence{Features: cascade.Features{"noise": 0}}); p > 0.1 {
			t.Errorf("%+v: P %.3f without the feature, want about 0", opt, p)
		}
		if p := fit.P(cascade.Evidence{Features: cascade.Features{"noise": 0, "x": 1.5}}); p < 0.8 {
			t.Errorf("%+v: P %.3f with it, want about 0.94", opt, p)
		}
	}
}

// Platt scaling finds the odds of a log probability that is too sure of itself.
func TestPlatt(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 1))
	truth := func(p float64) float64 { return sigmoid(0.5 * logit(p)) }
	var rows []Row
	for i := range isotonicLabels - 1 {
		p := 0.02 + 0.96*r.Float64()
		row := Row{ID: fmt.Sprint(i), Evidence: cascade.Evidence{Features: cascade.Features{"logprob_mean": math.Log(p)}}}
		if r.Float64() < truth(p) {
			row.OK = 1
		}
		rows = append(rows, row)
	}
	fit, err := Fit(rows, Options{Linear: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []float64{0.1, 0.3, 0.5, 0.7, 0.9} {
		got := fit.P(cascade.Evidence{Features: cascade.Features{"logprob_mean": math.Log(p)}})
		if !near(got, truth(p), 0.06) {
			t.Errorf("P(%v) is %.3f, want %.3f", p, got, truth(p))
		}
	}
	if fit.ECE > 0.03 {
		t.Errorf("ECE %.3f", fit.ECE)
	}
}

func TestOutOfFold(t *testing.T) {
	t.Parallel()
	// Labels that nothing tells: who sees its own label does better than chance.
	rows := draw(600, 7, func(float64) float64 { return 0.5 })
	for i := range rows {
		rows[i].Evidence.Question = fmt.Sprint("word", i)
		rows[i].Evidence.Task = fmt.Sprint("task", i%200)
	}
	ok := make([]float64, len(rows))
	for i, r := range rows {
		ok[i] = r.OK
	}
	out, err := OutOfFold(rows, Options{Linear: true, Trees: true, Text: true, TaskMean: true}, 5)
	if err != nil {
		t.Fatal(err)
	}
	if a := AUROC(out, ok, nil); !near(a, 0.5, 0.08) {
		t.Errorf("AUROC %.3f of what can't be known", a)
	}
	rows = draw(2500, 8, line)
	for i, r := range rows[:len(ok)] {
		ok[i] = r.OK
	}
	if out, err = OutOfFold(rows, Options{}, 5); err != nil {
		t.Fatal(err)
	}
	if a := AUROC(out[:len(ok)], ok, nil); a < 0.8 {
		t.Errorf("AUROC %.3f of what can", a)
	}
	for i, p := range out {
		if !(p >= 0 && p <= 1) || !near(p, line(rows[i].Evidence.Features["x"]), 0.15) {
			t.Errorf("row %d has P %v, want %v", i, p, line(rows[i].Evidence.Features["x"]))
			break
		}
	}
}

func TestFitIsDeterministic(t *testing.T) {
	t.Parallel()
	rows := draw(500, 1, band)
	write := func(seed uint64) []byte {
		fit, err := Fit(rows, Options{Trees: true, Linear: true, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(fit)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if !bytes.Equal(write(1), write(1)) {
		t.Error("the same seed gives another model")
	}
	if bytes.Equal(write(1), write(2)) {
		t.Error("another seed gives the same model")
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field string
		rows  []Row
		opt   Options
		folds int
	}{
		{"rows", nil, Options{}, 5},
		{"rows.ok", []Row{{OK: 2}}, Options{}, 5},
		{"rows.ok", []Row{{OK: math.NaN()}}, Options{Squared: true}, 5},
		{"rows.weight", []Row{{Weight: -1}}, Options{}, 5},
		{"rows.weight", []Row{{Weight: math.NaN()}}, Options{}, 5},
		{"folds", []Row{{OK: 1}}, Options{}, 1},
	} {
		var e *event.Error
		if _, err := OutOfFold(c.rows, c.opt, c.folds); !errors.As(err, &e) || e.Field != c.field {
			t.Errorf("%s: have %v", c.field, err)
		}
	}
	if _, err := Fit([]Row{{OK: -3}}, Options{Squared: true}); err != nil {
		t.Errorf("a loss below 0 is no error with Squared: %v", err)
	}
}

func TestIsotonic(t *testing.T) {
	t.Parallel()
	one := []float64{1, 1, 1, 1}
	knots := Isotonic([]float64{0.4, 0.1, 0.2, 0.3}, []float64{1, 0, 1, 0}, one)
	if want := []cascade.Knot{{X: 0.1, Y: 0}, {X: 0.25, Y: 0.5}, {X: 0.4, Y: 1}}; !slices.EqualFunc(knots, want, func(a, b cascade.Knot) bool {
		return near(a.X, b.X, 1e-12) && near(a.Y, b.Y, 1e-12)
	}) {
		t.Errorf("have %v, want %v", knots, want)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		n := 1 + r.IntN(40)
		p, ok, w := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range p {
			p[i], ok[i], w[i] = float64(r.IntN(10))/9, float64(r.IntN(2)), 0.1+r.Float64()
		}
		if err := (&cascade.Calibration{Isotonic: Isotonic(p, ok, w)}).Validate(); err != nil {
			t.Fatalf("%v, %v: %v", p, ok, err)
		}
	}
}

func TestFoldOf(t *testing.T) {
	t.Parallel()
	var n [5]int
	for i := range 5000 {
		n[FoldOf(fmt.Sprint(i), 5, 1)]++
	}
	for fold, got := range n {
		if got < 880 || got > 1120 {
			t.Errorf("fold %d has %d of 5000", fold, got)
		}
	}
}

// On RouteLLM's data, out of fold, cues and the subject choose better than the best
// router that its authors publish (.603).
func TestRoutingOfMMLU(t *testing.T) {
	t.Parallel()
	rows, weak, strong := readMMLU(t)
	opt := Options{Squared: true, Question: true, Linear: true, TaskMean: true, Seed: 1}
	out, err := OutOfFold(rows, opt, 5)
	if err != nil {
		t.Fatal(err)
	}
	apgr := NewRouting(out, weak, strong).APGR()
	t.Logf("cues and subject: APGR %.3f", apgr)
	if apgr < 0.66 {
		t.Errorf("APGR %.3f, want at least 0.66", apgr)
	}
}

func BenchmarkFit(b *testing.B) {
	platt := draw(2800, 1, line)
	b.Run("platt/2800", func(b *testing.B) {
		for b.Loop() {
			if _, err := Fit(platt, Options{Linear: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("chosen/2800", func(b *testing.B) {
		for b.Loop() {
			if _, err := Fit(platt, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("trees and text/7041", func(b *testing.B) {
		rows, _, _ := readMMLU(b)
		for b.Loop() {
			if _, err := Fit(rows, Options{Squared: true, Question: true, Trees: true, Text: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
