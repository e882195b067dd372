// Package learn fits calibrations: it turns labelled evidence into the models of
// package cascade, and measures how good they are. It is pure and has no chance in
// it but that of the seed.
package learn

import (
	"math"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/event"
)

// Row is one labelled answer.
type Row struct {
	ID       string // rows with the same ID are always in the same fold
	Evidence cascade.Evidence
	// OK is how good the answer was: 0 to 1, or any number with Options.Squared.
	OK     float64
	Weight float64 // of the row; 0 is 1
}

// Options say what to fit. The zero value lets cross-validation choose.
type Options struct {
	// Features are those to use; nil is all that the rows have.
	Features []string
	// Question adds the cues of the question's text to them. The rows need not
	// have them: see cascade.QuestionFeatures.
	Question bool
	// Squared fits the mean of OK by squared error (for a gain, say) instead of a
	// probability by log loss.
	Squared bool
	// The parts to use. Without any, the linear part of the features is used; then
	// the question's cues, and then all parts, if that lowers the cross-validated
	// loss by more than a standard error. Below 300 labels they are not tried.
	Linear   bool // of the features: Platt scaling where they are confidences
	Trees    bool // of the features; worth it from some 2,000 labels on
	Text     bool // of the question; likewise
	TaskMean bool
	Seed     uint64
}

const (
	// minParts is the least number of labels for which other parts than the linear
	// one are tried.
	minParts = 300
	// isotonicLabels is the number of labels from which there is an isotonic map:
	// below, Platt scaling alone is as good.
	isotonicLabels = 2000
	// innerFolds are those that weigh the parts.
	innerFolds = 4
	maxRows    = 1 << 20
)

// Fit fits a calibration. Without labels of both kinds it is their mean, shrunk
// towards one half by one label.
func Fit(rows []Row, opt Options) (*cascade.Calibration, error) {
	d, err := newData(rows, opt)
	if err != nil {
		return nil, err
	}
	all := d.all()
	p := d.plan(all)
	c := d.fit(all, p).calibration(d, p)
	d.finish(c, p)
	return c, nil
}

// OutOfFold returns for each row the probability (with Squared, the score) that a
// calibration gives which was fitted on the other folds of k. Without parts in the
// options they are chosen once, on all rows.
func OutOfFold(rows []Row, opt Options, k int) ([]float64, error) {
	if k < 2 {
		return nil, event.Invalid("folds", "use 5", "is %d, want at least 2", k)
	}
	d, err := newData(rows, opt)
	if err != nil {
		return nil, err
	}
	var chosen *plan
	if d.auto() {
		p := d.plan(d.all())
		chosen = &p
	}
	out := make([]float64, len(rows))
	for fold := range k {
		train, test := d.split(d.all(), fold, k, opt.Seed)
		p := chosen
		if p == nil {
			planned := d.plan(train)
			p = &planned
		}
		d.predict(d.fit(train, *p), *p, test, out)
	}
	if !opt.Squared {
		d.mapOutOfFold(out, k)
	}
	return out, nil
}

// mapOutOfFold puts out-of-fold scores through the logistic function, and through
// isotonic maps that were fitted on the other folds.
func (d *data) mapOutOfFold(out []float64, k int) {
	for i := range out {
		out[i] = sigmoid(out[i])
	}
	if !d.isotonic() {
		return
	}
	mapped := make([]float64, len(out))
	for fold := range k {
		train, test := d.split(d.all(), fold, k, d.opt.Seed)
		c := cascade.Calibration{Identity: true, Isotonic: Isotonic(pick(out, train), pick(d.y, train), pick(d.w, train))}
		for _, i := range test {
			mapped[i] = c.FromScore(out[i])
		}
	}
	copy(out, mapped)
}

// finish measures a calibration by cross-fitting with the plan it was made by, and
// gives it its isotonic map.
func (d *data) finish(c *cascade.Calibration, p plan) {
	c.N = len(d.y)
	if d.opt.Squared || len(d.y) < 2*innerFolds {
		return
	}
	out := make([]float64, len(d.y))
	for fold := range innerFolds {
		train, test := d.split(d.all(), fold, innerFolds, d.opt.Seed)
		d.predict(d.fit(train, p), p, test, out)
	}
	if d.isotonic() {
		raw := make([]float64, len(out))
		for i := range out {
			raw[i] = sigmoid(out[i])
		}
		c.Isotonic = Isotonic(raw, d.y, d.w)
	}
	d.mapOutOfFold(out, innerFolds)
	c.AUROC, c.ECE = AUROC(out, d.y, d.w), ECE(out, d.y, d.w)
}

func (d *data) isotonic() bool {
	return !d.opt.Squared && len(d.y) >= isotonicLabels
}

func pick(values []float64, rows []int) []float64 {
	out := make([]float64, len(rows))
	for i, row := range rows {
		out[i] = values[row]
	}
	return out
}

// check looks at the rows.
func check(rows []Row, opt Options) error {
	if len(rows) == 0 || len(rows) > maxRows {
		return event.Invalid("rows", "collect labelled outcomes first", "has %d rows, want 1 to %d", len(rows), maxRows)
	}
	for i, r := range rows {
		if math.IsNaN(r.OK) || math.IsInf(r.OK, 0) || !opt.Squared && (r.OK < 0 || r.OK > 1) {
			return event.Invalid("rows.ok", "0 is wrong, 1 is right", "of row %d (%q) is %v, want 0 to 1", i, r.ID, r.OK)
		}
		if !(r.Weight >= 0 && r.Weight <= 1e6) {
			return event.Invalid("rows.weight", "use 1/rate of sampled rows", "of row %d (%q) is %v, want 0 to 1e6", i, r.ID, r.Weight)
		}
	}
	return nil
}
