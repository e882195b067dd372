package cascade

import (
	"math"
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
)

// Calibration is a fitted model of how good an answer, or a question for a model,
// is: what package learn makes and the policy table carries. It is plain data; its
// score is a sum of parts, each of which may be missing.
type Calibration struct {
	// N is how many labels it was fitted on; ECE (10 bins) and AUROC were measured
	// by cross-fitting on them, 0 if they were not.
	N     int     `json:"n"`
	ECE   float64 `json:"ece"`
	AUROC float64 `json:"auroc"`
	// Identity: the score itself is the prediction (of a gain, say), not its
	// logistic function.
	Identity bool    `json:"identity,omitempty"`
	Bias     float64 `json:"bias"`
	// Linear are weighted features, Trees boosted trees over features.
	Linear []Term  `json:"linear,omitempty"`
	Trees  *Forest `json:"trees,omitempty"`
	// Text is a linear model of the question's hashed words.
	Text *TextModel `json:"text,omitempty"`
	// Tasks is added by task; a task that is not in it adds nothing.
	Tasks map[string]float64 `json:"tasks,omitempty"`
	// Isotonic, if there are knots, maps the probability to the observed one
	// (Zadrozny and Elkan, KDD 2002), linear between knots.
	Isotonic []Knot `json:"isotonic,omitempty"`
}

// Term is one weighted feature: Weight * (form of the value - Center). A feature
// that is missing adds nothing, except in FormMissing.
type Term struct {
	Feature string  `json:"feature"`
	Form    Form    `json:"form,omitempty"`
	Weight  float64 `json:"weight"`
	Center  float64 `json:"center,omitempty"`
}

// Form is a function of one feature. Platt scaling on (p, log p, -log(1-p)) is a
// sum of three forms of a confidence: a plain one, FormLog and FormLogRest of a
// probability; FormExp, FormExpLog and FormExpLogRest of a log probability.
type Form string

// The forms. Probabilities are kept 1e-6 off 0 and 1.
const (
	FormPlain      Form = ""         // x
	FormLog        Form = "log"      // log(x) of a probability
	FormLogRest    Form = "-log1m"   // -log(1-x) of a probability
	FormExp        Form = "exp"      // exp(x) of a log probability
	FormExpLog     Form = "logex"    // x itself, a log probability, not below log(1e-6)
	FormExpLogRest Form = "-log1mex" // -log(1-exp(x)) of a log probability
	FormMissing    Form = "missing"  // 1 if the feature is missing, else 0
)

// Forest is a sum of regression trees over the same features.
type Forest struct {
	Features []string `json:"features"`
	Trees    []Tree   `json:"trees"`
}

// Tree is its nodes; the first is the root.
type Tree []Node

// Node is a split, or a leaf if Left and Right are 0. Values of Feature (an index
// into the forest's) below Split go left, others right; missing ones go left if
// MissingLeft.
type Node struct {
	Feature     int     `json:"f,omitempty"`
	Split       float64 `json:"s,omitempty"`
	Left        int     `json:"l,omitempty"`
	Right       int     `json:"r,omitempty"`
	MissingLeft bool    `json:"m,omitempty"`
	Value       float64 `json:"v,omitempty"` // of a leaf
}

// TextModel weighs the hashes of HashText, modulo the number of weights.
type TextModel struct {
	// Weights are signed bytes, to be multiplied by Scale. Their number is a power
	// of two.
	Weights []byte  `json:"weights"`
	Scale   float64 `json:"scale"`
}

// Knot is a point of a rising function.
type Knot struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Limits of a calibration that is read from a file.
const (
	maxTerms       = 2048
	maxTrees       = 2000
	maxNodes       = 127
	MaxTextWeights = 1 << 18
	maxKnots       = 10000
)

// P is the probability that the answer is acceptable, from 0 to 1. A calibration
// that predicts something else (Identity) gives its score, cut to that range.
func (c *Calibration) P(e Evidence) float64 { return c.FromScore(c.Score(e)) }

// FromScore is the probability that belongs to a score.
func (c *Calibration) FromScore(score float64) float64 {
	p := score
	if !c.Identity {
		p = 1 / (1 + math.Exp(-score))
	}
	if len(c.Isotonic) > 0 {
		p = interpolate(c.Isotonic, p)
	}
	return math.Min(math.Max(p, 0), 1)
}

// Score is the sum of the parts: the log odds, or with Identity the prediction.
func (c *Calibration) Score(e Evidence) float64 {
	l := lookup{e: e}
	sum := c.Bias + c.Tasks[e.Task]
	for i := range c.Linear {
		sum += c.Linear[i].value(&l)
	}
	if c.Trees != nil {
		sum += c.Trees.sum(&l)
	}
	if c.Text != nil {
		sum += c.Text.Score(HashText(e.Question))
	}
	return sum
}

// lookup finds the values of features; those of the question are worked out when
// one is first asked for.
type lookup struct {
	e    Evidence
	cues *cues
}

// value returns a feature, or NaN if it is missing or no finite number.
func (l *lookup) value(name string) float64 {
	if v, ok := l.e.Features[name]; ok {
		if math.IsInf(v, 0) {
			return math.NaN()
		}
		return v
	}
	if !strings.HasPrefix(name, "q_") || l.e.Question == "" {
		return math.NaN()
	}
	if l.cues == nil {
		c := readQuestion(l.e.Question)
		l.cues = &c
	}
	names := cueNames()
	i, ok := slices.BinarySearch(names[:], name)
	if !ok {
		return math.NaN()
	}
	return l.cues[i]
}

func (t *Term) value(l *lookup) float64 {
	x := t.Form.Of(l.value(t.Feature))
	if math.IsNaN(x) {
		return 0
	}
	return t.Weight * (x - t.Center)
}

// Of is the form of a value. That of a missing value (NaN) is NaN, except for
// FormMissing.
func (f Form) Of(x float64) float64 {
	const edge = 1e-6
	if f == FormMissing {
		if math.IsNaN(x) {
			return 1
		}
		return 0
	}
	switch f {
	case FormLog, FormLogRest:
		x = math.Min(math.Max(x, edge), 1-edge)
	case FormExp, FormExpLog, FormExpLogRest:
		x = math.Min(math.Max(math.Exp(x), edge), 1-edge)
	}
	switch f {
	case FormLog, FormExpLog:
		return math.Log(x)
	case FormLogRest, FormExpLogRest:
		return -math.Log1p(-x)
	}
	return x
}

// sum adds the trees up.
func (f *Forest) sum(l *lookup) float64 {
	var buffer [64]float64
	values := buffer[:0]
	for _, name := range f.Features {
		values = append(values, l.value(name))
	}
	return f.Score(values)
}

// Score is the sum of the trees for values in the order of Features; NaN is
// missing.
func (f *Forest) Score(values []float64) float64 {
	sum := 0.0
	for _, t := range f.Trees {
		sum += t.leaf(values)
	}
	return sum
}

func (t Tree) leaf(values []float64) float64 {
	n := &t[0]
	for n.Left != 0 || n.Right != 0 {
		v := values[n.Feature]
		left := v < n.Split
		if math.IsNaN(v) {
			left = n.MissingLeft
		}
		if left {
			n = &t[n.Left]
		} else {
			n = &t[n.Right]
		}
	}
	return n.Value
}

// Score is the weight of a text by its hashes: their sum over the root of their
// number, so that a long text is no surer than a short one.
func (t *TextModel) Score(hashes []uint32) float64 {
	if len(hashes) == 0 {
		return 0
	}
	mask, sum := uint32(len(t.Weights)-1), 0
	for _, h := range hashes {
		sum += int(int8(t.Weights[h&mask]))
	}
	return t.Scale * float64(sum) / math.Sqrt(float64(len(hashes)))
}

// interpolate is the value at x of the line through the knots, level outside.
func interpolate(knots []Knot, x float64) float64 {
	low, high := 0, len(knots) // the first knot at or right of x
	for low < high {
		middle := (low + high) / 2
		if knots[middle].X < x {
			low = middle + 1
		} else {
			high = middle
		}
	}
	switch low {
	case 0:
		return knots[0].Y
	case len(knots):
		return knots[len(knots)-1].Y
	}
	a, b := knots[low-1], knots[low]
	return a.Y + (b.Y-a.Y)*(x-a.X)/(b.X-a.X)
}

// Validate checks a calibration that comes from a file; its error names the field.
func (c *Calibration) Validate() error {
	switch {
	case c.N < 0:
		return event.Invalid("n", remake, "is %d", c.N)
	case !between(c.ECE, 0, 1) || !between(c.AUROC, 0, 1):
		return event.Invalid("ece", remake, "ece is %v, auroc %v, want 0 to 1", c.ECE, c.AUROC)
	case !usable(c.Bias):
		return event.Invalid("bias", remake, "is %v, want a finite number", c.Bias)
	case len(c.Linear) > maxTerms:
		return event.Invalid("linear", remake, "has %d terms, at most %d are allowed", len(c.Linear), maxTerms)
	}
	for i, t := range c.Linear {
		if t.Feature == "" || !usable(t.Weight) || !usable(t.Center) || !t.Form.known() {
			return event.Invalid("linear", remake, "term %d (%q, form %q) has weight %v, center %v", i, cut(t.Feature), cut(string(t.Form)), t.Weight, t.Center)
		}
	}
	for _, task := range sortedKeys(c.Tasks) {
		if !usable(c.Tasks[task]) {
			return event.Invalid("tasks", remake, "%q is %v, want a finite number", cut(task), c.Tasks[task])
		}
	}
	if err := c.Text.validate(); err != nil {
		return err
	}
	if err := c.Trees.validate(); err != nil {
		return err
	}
	return validKnots(c.Isotonic)
}

const remake = "make the table with `weir calibrate`"

// usable reports a number that sums of such numbers cannot overflow.
func usable(x float64) bool { return between(x, -1e12, 1e12) }

func (f Form) known() bool {
	switch f {
	case FormPlain, FormLog, FormLogRest, FormExp, FormExpLog, FormExpLogRest, FormMissing:
		return true
	}
	return false
}

func (t *TextModel) validate() error {
	if t == nil {
		return nil
	}
	n := len(t.Weights)
	if n == 0 || n > MaxTextWeights || n&(n-1) != 0 {
		return event.Invalid("text.weights", remake, "has %d bytes, want a power of two up to %d", n, MaxTextWeights)
	}
	if !usable(t.Scale) {
		return event.Invalid("text.scale", remake, "is %v, want a finite number", t.Scale)
	}
	return nil
}

func (f *Forest) validate() error {
	if f == nil {
		return nil
	}
	if len(f.Trees) > maxTrees || len(f.Features) > maxTerms {
		return event.Invalid("trees", remake, "has %d trees over %d features, at most %d and %d are allowed", len(f.Trees), len(f.Features), maxTrees, maxTerms)
	}
	for i, t := range f.Trees {
		if len(t) == 0 || len(t) > maxNodes {
			return event.Invalid("trees", remake, "tree %d has %d nodes, want 1 to %d", i, len(t), maxNodes)
		}
		for j, n := range t {
			if !n.valid(j, len(t), len(f.Features)) {
				return event.Invalid("trees", remake, "node %d of tree %d is %+v", j, i, n)
			}
		}
	}
	return nil
}

// valid checks node i of n. Children come after their parent, so a tree has no
// cycle.
func (n *Node) valid(i, nodes, features int) bool {
	if n.Left == 0 && n.Right == 0 {
		return usable(n.Value)
	}
	return n.Left > i && n.Right > i && n.Left < nodes && n.Right < nodes &&
		n.Feature >= 0 && n.Feature < features && usable(n.Split)
}

func validKnots(knots []Knot) error {
	if len(knots) > maxKnots {
		return event.Invalid("isotonic", remake, "has %d knots, at most %d are allowed", len(knots), maxKnots)
	}
	for i, k := range knots {
		if !between(k.X, 0, 1) || !between(k.Y, 0, 1) || i > 0 && (k.X <= knots[i-1].X || k.Y < knots[i-1].Y) {
			return event.Invalid("isotonic", remake, "knot %d (%v, %v) is out of order or not from 0 to 1", i, k.X, k.Y)
		}
	}
	return nil
}
