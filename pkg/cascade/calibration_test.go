package cascade

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

// stump is a tree with one split.
func stump(missingLeft bool) Tree {
	return Tree{{Split: 2, Left: 1, Right: 2, MissingLeft: missingLeft}, {Value: -1}, {Value: 1}}
}

func TestScore(t *testing.T) {
	t.Parallel()
	of := func(value float64) Features { return Features{"x": value} }
	question := "How many?"
	text := TextModel{Weights: make([]byte, 4), Scale: 0.5}
	for i := range text.Weights {
		text.Weights[i] = 0xFE // -2
	}
	hashes := float64(len(HashText(question)))
	for _, c := range []struct {
		name string
		c    Calibration
		e    Evidence
		want float64
	}{
		{"bias", Calibration{Bias: 2}, Evidence{}, 2},
		{"task", Calibration{Tasks: map[string]float64{"a": 3}}, Evidence{Task: "a"}, 3},
		{"another task", Calibration{Tasks: map[string]float64{"a": 3}}, Evidence{Task: "b"}, 0},
		{"plain", Calibration{Linear: []Term{{Feature: "x", Weight: 2, Center: 1}}}, Evidence{Features: of(4)}, 6},
		{"missing", Calibration{Linear: []Term{{Feature: "x", Weight: 2, Center: 1}}}, Evidence{}, 0},
		{"not a number", Calibration{Linear: []Term{{Feature: "x", Weight: 2, Center: 1}}}, Evidence{Features: of(math.Inf(1))}, 0},
		{"log", Calibration{Linear: []Term{{Feature: "x", Form: FormLog, Weight: 1}}}, Evidence{Features: of(0.5)}, math.Log(0.5)},
		{"log of 0", Calibration{Linear: []Term{{Feature: "x", Form: FormLog, Weight: 1}}}, Evidence{Features: of(0)}, math.Log(1e-6)},
		{"log of the rest", Calibration{Linear: []Term{{Feature: "x", Form: FormLogRest, Weight: 1}}}, Evidence{Features: of(0.75)}, -math.Log(0.25)},
		{"exp", Calibration{Linear: []Term{{Feature: "x", Form: FormExp, Weight: 1}}}, Evidence{Features: of(-1)}, math.Exp(-1)},
		{"log prob", Calibration{Linear: []Term{{Feature: "x", Form: FormExpLog, Weight: 1}}}, Evidence{Features: of(-99)}, math.Log(1e-6)},
		{"rest of exp", Calibration{Linear: []Term{{Feature: "x", Form: FormExpLogRest, Weight: 1}}}, Evidence{Features: of(-1)}, -math.Log(1 - math.Exp(-1))},
		{"is missing", Calibration{Linear: []Term{{Feature: "x", Form: FormMissing, Weight: 1}}}, Evidence{}, 1},
		{"is there", Calibration{Linear: []Term{{Feature: "x", Form: FormMissing, Weight: 1}}}, Evidence{Features: of(0)}, 0},
		{"left", Calibration{Trees: &Forest{Features: []string{"x"}, Trees: []Tree{stump(false)}}}, Evidence{Features: of(1.9)}, -1},
		{"right", Calibration{Trees: &Forest{Features: []string{"x"}, Trees: []Tree{stump(false)}}}, Evidence{Features: of(2)}, 1},
		{"missing left", Calibration{Trees: &Forest{Features: []string{"x"}, Trees: []Tree{stump(true)}}}, Evidence{}, -1},
		{"missing right", Calibration{Trees: &Forest{Features: []string{"x"}, Trees: []Tree{stump(false)}}}, Evidence{}, 1},
		{"cue", Calibration{Linear: []Term{{Feature: "q_words", Weight: 1}}}, Evidence{Question: question}, math.Log(3)},
		{"given cue", Calibration{Linear: []Term{{Feature: "q_words", Weight: 1}}}, Evidence{Question: question, Features: Features{"q_words": 7}}, 7},
		{"unknown cue", Calibration{Linear: []Term{{Feature: "q_none", Weight: 1}}}, Evidence{Question: question}, 0},
		{"text", Calibration{Text: &text}, Evidence{Question: question}, 0.5 * -2 * math.Sqrt(hashes)},
		{"no text", Calibration{Text: &text}, Evidence{}, 0},
	} {
		if got := c.c.Score(c.e); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: have %v, want %v", c.name, got, c.want)
		}
		if err := c.c.Validate(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestP(t *testing.T) {
	t.Parallel()
	knots := []Knot{{0.2, 0.1}, {0.6, 0.5}, {0.8, 0.5}}
	for _, c := range []struct {
		name        string
		c           Calibration
		score, want float64
	}{
		{"logistic", Calibration{}, math.Log(3), 0.75},
		{"far", Calibration{}, -1e9, 0},
		{"identity", Calibration{Identity: true}, 0.3, 0.3},
		{"cut", Calibration{Identity: true}, -0.3, 0},
		{"below the knots", Calibration{Identity: true, Isotonic: knots}, 0.1, 0.1},
		{"between", Calibration{Identity: true, Isotonic: knots}, 0.4, 0.3},
		{"on a knot", Calibration{Identity: true, Isotonic: knots}, 0.6, 0.5},
		{"above", Calibration{Identity: true, Isotonic: knots}, 1, 0.5},
	} {
		c.c.Bias = c.score
		if got := c.c.P(Evidence{}); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: have %v, want %v", c.name, got, c.want)
		}
	}
}

func TestValidateCalibration(t *testing.T) {
	t.Parallel()
	forest := func(nodes ...Node) *Forest { return &Forest{Features: []string{"x"}, Trees: []Tree{nodes}} }
	for _, c := range []struct {
		field string
		c     Calibration
	}{
		{"n", Calibration{N: -1}},
		{"ece", Calibration{ECE: 2}},
		{"bias", Calibration{Bias: math.NaN()}},
		{"linear", Calibration{Linear: []Term{{Weight: 1}}}},
		{"linear", Calibration{Linear: []Term{{Feature: "x", Weight: math.Inf(1)}}}},
		{"linear", Calibration{Linear: []Term{{Feature: "x", Form: "square"}}}},
		{"linear", Calibration{Linear: make([]Term, maxTerms+1)}},
		{"tasks", Calibration{Tasks: map[string]float64{"a": math.NaN()}}},
		{"text.weights", Calibration{Text: &TextModel{}}},
		{"text.weights", Calibration{Text: &TextModel{Weights: make([]byte, 3)}}},
		{"text.scale", Calibration{Text: &TextModel{Weights: make([]byte, 4), Scale: math.NaN()}}},
		{"trees", Calibration{Trees: forest()}},
		{"trees", Calibration{Trees: forest(make([]Node, maxNodes+1)...)}},
		{"trees", Calibration{Trees: &Forest{Trees: make([]Tree, maxTrees+1)}}},
		{"trees", Calibration{Trees: forest(Node{Left: 1, Right: 2})}},
		{"trees", Calibration{Trees: forest(Node{Left: 1, Right: 2}, Node{Left: 1, Right: 1}, Node{})}}, // a cycle
		{"trees", Calibration{Trees: forest(Node{Left: 1}, Node{})}},                                    // one child
		{"trees", Calibration{Trees: forest(Node{Left: 1, Right: 2, Feature: 1}, Node{}, Node{})}},
		{"trees", Calibration{Trees: forest(Node{Left: 1, Right: 2, Split: math.NaN()}, Node{}, Node{})}},
		{"trees", Calibration{Trees: forest(Node{Value: math.Inf(-1)})}},
		{"isotonic", Calibration{Isotonic: []Knot{{0.5, 0.5}, {0.5, 0.6}}}},
		{"isotonic", Calibration{Isotonic: []Knot{{0.5, 0.5}, {0.6, 0.4}}}},
		{"isotonic", Calibration{Isotonic: []Knot{{0.5, 2}}}},
		{"isotonic", Calibration{Isotonic: make([]Knot, maxKnots+1)}},
	} {
		err := c.c.Validate()
		var e *event.Error
		if !errors.As(err, &e) || e.Field != c.field || e.Hint == "" {
			t.Errorf("%s: have %v", c.field, err)
		}
	}
}

// A calibration that is read from a file and passes gives a probability for any
// evidence, and the same after writing it.
func FuzzCalibration(f *testing.F) {
	f.Add(`{"n":1,"bias":0.5,"linear":[{"feature":"x","form":"log","weight":2}],"isotonic":[{"x":0,"y":0},{"x":1,"y":1}]}`, "q", 0.5)
	f.Add(`{"trees":{"features":["x","q_words"],"trees":[[{"f":1,"s":2,"l":1,"r":2},{"v":-1},{"v":1}]]},"text":{"weights":"AQID/w==","scale":0.1}}`, "what is it", -1.0)
	f.Add(`{"identity":true,"tasks":{"t":1e12}}`, "", 1e300)
	f.Fuzz(func(t *testing.T, data, question string, x float64) {
		var c Calibration
		if json.Unmarshal([]byte(data), &c) != nil || c.Validate() != nil {
			return
		}
		e := Evidence{Task: "t", Question: question, Features: Features{"x": x}}
		p := c.P(e)
		if !between(p, 0, 1) {
			t.Fatalf("P is %v", p)
		}
		written, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var again Calibration
		if err := json.Unmarshal(written, &again); err != nil || again.P(e) != p {
			t.Errorf("written and read: %v, P %v, want %v", err, again.P(e), p)
		}
	})
}

// benchmarkCalibration is as large as what is fitted on many labels.
func benchmarkCalibration() *Calibration {
	c := &Calibration{Trees: &Forest{Features: append(QuestionFeatureNames(), "x", "y")}}
	for i := range 10 {
		c.Linear = append(c.Linear, Term{Feature: QuestionFeatureNames()[4*i], Weight: 1})
	}
	for i := range 150 {
		f := i % len(c.Trees.Features)
		c.Trees.Trees = append(c.Trees.Trees, Tree{
			{Feature: f, Split: 1, Left: 1, Right: 2}, {Feature: f, Split: 0.5, Left: 3, Right: 4}, {Feature: f, Split: 2, Left: 5, Right: 6}, {}, {Value: 1}, {}, {Value: 2},
		})
	}
	for i := range 100 {
		c.Isotonic = append(c.Isotonic, Knot{float64(i) / 100, float64(i) / 100})
	}
	return c
}

const benchmarkQuestion = "Kylar went to the store to buy glasses for his new apartment. One glass costs $5, but every second glass costs only 60% of the price. Kylar wants to buy 16 glasses. How much does he need to pay for them?"

func BenchmarkP(b *testing.B) {
	features := AnswerFeatures("8 * 5 = 40\n#### 40")
	features["x"], features["y"] = 1, 2
	b.Run("platt", func(b *testing.B) {
		c := Calibration{Linear: []Term{{Feature: "x", Form: FormExp, Weight: 1}, {Feature: "x", Form: FormExpLog, Weight: 1}, {Feature: "x", Form: FormExpLogRest, Weight: 1}}}
		for b.Loop() {
			c.P(Evidence{Features: features})
		}
	})
	b.Run("trees", func(b *testing.B) {
		c := benchmarkCalibration()
		for b.Loop() {
			c.P(Evidence{Question: benchmarkQuestion, Features: features})
		}
	})
	b.Run("trees and text", func(b *testing.B) {
		c := benchmarkCalibration()
		c.Text = &TextModel{Weights: []byte(strings.Repeat("\x01", 1<<16)), Scale: 1}
		for b.Loop() {
			c.P(Evidence{Question: benchmarkQuestion, Features: features})
		}
	})
}
