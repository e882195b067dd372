package learn

import (
	"fmt"
	"math"
	"testing"

	"github.com/weir-dev/weir/pkg/cascade"
)

// What later parts build on must not know a row's own label.
func TestTaskMeansWithoutTheRow(t *testing.T) {
	t.Parallel()
	rows := []Row{{ID: "1", OK: 1}, {ID: "2"}, {ID: "3"}, {ID: "4", OK: 1}}
	for i := range rows {
		rows[i].Evidence.Task = []string{"a", "a", "a", "b"}[i]
	}
	d, err := newData(rows, Options{TaskMean: true, Squared: true})
	if err != nil {
		t.Fatal(err)
	}
	tasks, without := d.fitTasks(d.all(), 0.5)
	if want := (1+taskPrior*0.5)/(3+taskPrior) - 0.5; !near(tasks["a"], want, 1e-12) {
		t.Errorf("task a: have %v, want %v", tasks["a"], want)
	}
	if want := (taskPrior*0.5)/(2+taskPrior) - 0.5; !near(without(0), want, 1e-12) {
		t.Errorf("without row 0: have %v, want %v", without(0), want)
	}
	if without(3) != 0 {
		t.Errorf("without the task's only row: have %v, want 0", without(3))
	}
}

// At the optimum the slope of the loss is that of the ridge.
func TestTextOptimum(t *testing.T) {
	t.Parallel()
	var rows []Row
	for i := range 200 {
		r := Row{ID: fmt.Sprint(i), OK: float64(i / 3 % 2)}
		r.Evidence.Question = fmt.Sprintf("%s and %s", []string{"red", "green", "blue"}[i%3], []string{"one", "two", "three", "four", "five"}[i%5])
		rows = append(rows, r)
	}
	for _, squared := range []bool{false, true} {
		d, err := newData(rows, Options{Text: true, Squared: squared})
		if err != nil {
			t.Fatal(err)
		}
		s := d.sample(d.all(), func(int) float64 { return 0.1 })
		beta := fitText(d.texts, s, textRidge)
		g := make([]float64, len(rows))
		for i := range rows {
			g[i], _ = s.slope(i, d.texts.score(beta, i))
		}
		slope := make([]float64, len(beta))
		d.texts.transpose(d.all(), g, slope)
		off, largest := 0.0, 0.0
		for j := range beta {
			off = math.Max(off, math.Abs(slope[j]-textRidge*beta[j]))
			largest = math.Max(largest, math.Abs(textRidge*beta[j]))
		}
		if largest == 0 || off > 0.02*largest {
			t.Errorf("squared %v: the slope is off by %v of %v", squared, off, largest)
		}
	}
}

// A part that is worse than nothing on other rows has no share.
func TestShares(t *testing.T) {
	t.Parallel()
	rows := draw(500, 12, line)
	for i := range rows {
		rows[i].Evidence.Question = fmt.Sprintf("%d", i)
	}
	d, err := newData(rows, Options{Linear: true, Trees: true, Text: true})
	if err != nil {
		t.Fatal(err)
	}
	p := d.plan(d.all())
	if p.base < 0.5 || p.base > 1.5 || p.trees < 0 || p.text < 0 || p.trees > 0.5 {
		t.Errorf("have %+v, want nearly all for the linear part", p)
	}
	bad := [3][]float64{make([]float64, len(rows)), nil, make([]float64, len(rows))}
	for i := range rows {
		x := rows[i].Evidence.Features["x"]
		bad[0][i], bad[2][i] = x, -x*x*x
	}
	if shares := d.nonNegative(d.all(), bad); shares == nil || shares[0] < 1 || shares[1] != 0 || shares[2] != 0 {
		t.Errorf("have shares %v, want none below 0", shares)
	}
}

func TestSolve(t *testing.T) {
	t.Parallel()
	x := solve([][]float64{{4}, {2, 3}}, []float64{10, 8})
	if len(x) != 2 || !near(x[0], 1.75, 1e-12) || !near(x[1], 1.5, 1e-12) {
		t.Errorf("have %v", x)
	}
	if solve([][]float64{{1}, {1, 1}}, []float64{1, 1}) != nil {
		t.Error("a singular matrix has a solution")
	}
}

func TestBins(t *testing.T) {
	t.Parallel()
	raw := [][]float64{{1}, {2}, {2}, {math.NaN()}, {5}}
	b := newBinned([]string{"x"}, raw, 10)
	for i, want := range []uint8{1, 2, 2, 0, 3} {
		if got := b.bins[0][i]; got != want {
			t.Errorf("row %d is in bin %d, want %d", i, got, want)
		}
	}
	var many [][]float64
	for i := range 1000 {
		many = append(many, []float64{float64(i)})
	}
	if n := len(newBinned([]string{"x"}, many, 48).cuts[0]); n < 40 || n > 47 {
		t.Errorf("1000 values are cut %d times, want at most 47", n)
	}
	// The bins of a forest's splits are those of its values.
	f := &cascade.Forest{Features: []string{"x"}, Trees: []cascade.Tree{{{Split: b.cuts[0][1], Left: 1, Right: 2}, {Value: -1}, {Value: 1}}}}
	for i, row := range raw {
		if got, want := b.score(f, i), f.Score(row); got != want {
			t.Errorf("row %d scores %v by bin, %v by value", i, got, want)
		}
	}
}
