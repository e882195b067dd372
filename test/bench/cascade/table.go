package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/search"
	"github.com/weir-dev/weir/test/internal/figures"
)

// The pools of models of the five tasks; the first is the cheapest.
func pools() map[string][]string {
	return map[string][]string{
		"table2": {"gpt-4o-mini", "gpt-4o"},
		"table6": {"llama3.1-8b", "gpt-4o-mini", "llama3.1-70b", "qwen2.5-72b-instruct", "llama3.1-405b", "gpt-4o"},
	}
}

const (
	large     = "gpt-4o"
	flash     = "gemini-1.5-flash-002"
	pro       = "gemini-1.5-pro-002"
	points    = 100 // per unit of quality
	repeats   = 3   // cuts into folds that a cross-fit is averaged over
	intervals = 7   // the seed of bootstraps
)

// losses are the allowed losses that are measured.
func losses() []float64 { return []float64{0, 0.005, 0.01, 0.02} }

// table is the block on policy tables.
func (b bench) table() (figures.Figures, string, error) {
	found := figures.Figures{}
	var text strings.Builder
	for _, pool := range []string{"table2", "table6"} {
		if err := b.pool(&text, found, pool); err != nil {
			return nil, "", err
		}
	}
	for _, part := range []func(io.Writer, figures.Figures) error{b.pro, b.declines} {
		if err := part(&text, found); err != nil {
			return nil, "", err
		}
	}
	return found, text.String(), nil
}

// pool measures one pool on the five tasks.
func (b bench) pool(w io.Writer, found figures.Figures, name string) error {
	models := pools()[name]
	read := func(data string) ([]cascade.Outcome, error) { return readQA(data, models...) }
	o := search.DefaultOptions()
	o.Reference = large
	goals := []search.Goal{{Strategy: search.AlwaysLeast}, {Strategy: search.AlwaysRef}}
	for _, loss := range losses() {
		goals = append(goals, search.Goal{Strategy: search.SinglePer, Loss: loss},
			search.Goal{Strategy: search.OneForAll, Loss: loss}, search.Goal{Strategy: search.PerTask, Loss: loss})
	}
	outcomes, runs, err := b.runs(w, read, o, goals, repeats)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "five tasks, %d models, reference %s, %d questions; %s\n", len(models), large, len(outcomes), b.how())
	small := search.Reports(runs[0], intervals)
	err = printTable(w, func(w io.Writer) {
		fmt.Fprintln(w, header)
		for g, goal := range goals {
			reports := search.Reports(runs[g], intervals)
			printReport(w, goalName(goal), reports[len(reports)-1])
			keep(found, name, goal, reports[len(reports)-1])
		}
		printMix(w, small[len(small)-1])
		printReport(w, "oracle", oracle(outcomes))
	})
	if err != nil {
		return err
	}
	if err := b.perTask(w, name, goals, runs); err != nil {
		return err
	}
	return b.policies(w, read, o, kept(name).Loss)
}

// policies shows what a table that is made from all of the data chooses.
func (b bench) policies(w io.Writer, read func(string) ([]cascade.Outcome, error), o search.Options, loss float64) error {
	outcomes, err := read(cmp.Or(b.fit, b.data))
	if err != nil {
		return err
	}
	o.MaxQualityLoss = loss
	table, err := search.Search(outcomes, o)
	if err != nil {
		return err
	}
	for _, task := range slices.Sorted(maps.Keys(table.Tasks)) {
		fmt.Fprintf(w, "  %s: %s\n", task, table.Tasks[task])
	}
	_, err = fmt.Fprintln(w)
	return err
}

// perTask shows the tasks of the table whose figure is kept.
func (b bench) perTask(w io.Writer, name string, goals []search.Goal, runs [][]search.Run) error {
	for g, goal := range goals {
		if goal != kept(name) {
			continue
		}
		fmt.Fprintf(w, "by task, %s\n", goalName(goal))
		return printTable(w, func(w io.Writer) {
			fmt.Fprintln(w, header)
			for _, r := range search.Reports(runs[g], intervals) {
				printReport(w, r.Task, r)
			}
		})
	}
	return nil
}

// kept is the goal whose figures have a pool's plain name.
func kept(pool string) search.Goal {
	if pool == "table2" {
		return search.Goal{Strategy: search.PerTask, Loss: 0.01}
	}
	return search.Goal{Strategy: search.PerTask}
}

func keep(found figures.Figures, name string, goal search.Goal, r search.Report) {
	if goal == kept(name) {
		found[name+".saving"] = r.Saving.Mean
		found[name+".dq"] = points * r.QualityChange.Mean
		found[name+".dq_low"] = points * r.QualityChange.Low
		found[name+".escalated"] = r.Escalated
	}
	at := fmt.Sprintf("%s.%s.%g", name, goal.Strategy, points*goal.Loss)
	found[at+".saving"], found[at+".dq"] = r.Saving.Mean, points*r.QualityChange.Mean
}

// runs replays goals on the data: by cross-fitting, or with tables that were made
// from other data.
func (b bench) runs(w io.Writer, read func(string) ([]cascade.Outcome, error), o search.Options, goals []search.Goal, repeats int) ([]cascade.Outcome, [][]search.Run, error) {
	outcomes, err := read(b.data)
	if err != nil {
		return nil, nil, err
	}
	if b.fit == "" {
		runs, err := search.CrossFit(outcomes, o, goals, repeats)
		if err == nil {
			leftOut(w, goals, runs, len(outcomes))
		}
		return outcomes, runs, err
	}
	fit, err := read(b.fit)
	if err != nil {
		return nil, nil, err
	}
	study, err := search.Prepare(fit, o)
	if err != nil {
		return nil, nil, err
	}
	runs := make([][]search.Run, len(goals))
	for g, goal := range goals {
		table, err := study.Table(goal.Strategy, goal.Loss)
		if err != nil {
			return nil, nil, err
		}
		runs[g], _ = search.Replay(table, outcomes)
	}
	leftOut(w, goals, runs, len(outcomes))
	return outcomes, runs, nil
}

// leftOut says how many outcomes a goal was not measured on.
func leftOut(w io.Writer, goals []search.Goal, runs [][]search.Run, all int) {
	for g, goal := range goals {
		if n := all - len(runs[g]); n > 0 {
			fmt.Fprintf(w, "%s: %d of %d outcomes are left out, for an answer or a label is missing\n", goalName(goal), n, all)
		}
	}
}

func (b bench) how() string {
	if b.fit == "" {
		return "cross-fitted"
	}
	return "fitted on " + b.fit
}

// pro is MMLU-Pro without log probabilities, where the text of the question and of
// the answer is all that is known. It aims at the allowed loss itself, without a
// margin: at equal quality a gain is as far off as a loss.
func (b bench) pro(w io.Writer, found figures.Figures) error {
	read := func(data string) ([]cascade.Outcome, error) { return readPro(data, flash, pro) }
	o := search.DefaultOptions()
	o.Reference, o.MarginSE = pro, 0
	var goals []search.Goal
	for _, loss := range losses() {
		goals = append(goals, search.Goal{Strategy: search.PerTask, Loss: loss})
	}
	outcomes, runs, err := b.runs(w, read, o, goals, 1)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "MMLU-Pro, %s and %s, no log probabilities, %d questions; %s\n", flash, pro, len(outcomes), b.how())
	return printTable(w, func(w io.Writer) {
		fmt.Fprintln(w, header)
		for g, goal := range goals {
			reports := search.Reports(runs[g], intervals)
			r := reports[len(reports)-1]
			printReport(w, goalName(goal), r)
			if g == 0 {
				found["mmlupro.saving"], found["mmlupro.dq"] = r.Saving.Mean, points*r.QualityChange.Mean
			}
		}
	})
}

// declines checks that no chain is made where it would lose money.
func (b bench) declines(w io.Writer, found figures.Figures) error {
	data := cmp.Or(b.fit, b.data)
	weak, err := readPro(data, "llama-3.1-8b", "llama-3.1-70b")
	if err != nil {
		return err
	}
	qa, err := readQA(data, pools()["table2"]...)
	if err != nil {
		return err
	}
	var truthful []cascade.Outcome
	for _, o := range qa {
		if o.Task == "truthfulqa" {
			truthful = append(truthful, o)
		}
	}
	for _, c := range []struct {
		figure    string
		outcomes  []cascade.Outcome
		reference string
	}{{"declines.8b_70b", weak, "llama-3.1-70b"}, {"declines.truthfulqa", truthful, large}} {
		o := search.DefaultOptions()
		o.Reference = c.reference
		table, err := search.Search(c.outcomes, o)
		if err != nil {
			return err
		}
		for task, p := range table.Tasks {
			found[c.figure] = 0
			if p.Declined {
				found[c.figure] = 1
			}
			fmt.Fprintf(w, "%s at 1 pt: declined %t, %s\n", task, p.Declined, p.Reason)
		}
	}
	return nil
}

// oracle takes the cheapest answer that is as good as the best of all.
func oracle(outcomes []cascade.Outcome) search.Report {
	var runs []search.Run
	for _, o := range outcomes {
		ref := o.Models[large]
		run := search.Run{ID: o.ID, Task: o.Task, Weight: 1, P: -1, RefOK: *ref.OK, RefCost: float64(ref.CostNanoUSD), Cost: math.Inf(1)}
		for _, m := range o.Models {
			if cost := float64(m.CostNanoUSD); *m.OK > run.OK || *m.OK == run.OK && cost < run.Cost {
				run.OK, run.Cost = *m.OK, cost
			}
		}
		runs = append(runs, run)
	}
	reports := search.Reports(runs, intervals)
	return reports[len(reports)-1]
}

const header = "\tsaved %\t95 %\tdQ pt\t95 %\tescalated %\t$/1k\tAUROC\tECE\tp50 ms\tp95 ms"

func goalName(g search.Goal) string {
	switch g.Strategy {
	case search.AlwaysLeast, search.AlwaysRef:
		return "always " + string(g.Strategy)
	case search.SinglePer:
		return fmt.Sprintf("best single per task, %g pt", points*g.Loss)
	case search.OneForAll:
		return fmt.Sprintf("one threshold, %g pt", points*g.Loss)
	}
	return fmt.Sprintf("policy table, %g pt", points*g.Loss)
}

func printReport(w io.Writer, name string, r search.Report) {
	fmt.Fprintf(w, "%s\t%.1f\t%.1f to %.1f\t%+.2f\t%+.2f to %+.2f\t%.0f\t%.3f\t%.3f\t%.3f\t%.0f\t%.0f\n", name,
		100*r.Saving.Mean, 100*r.Saving.Low, 100*r.Saving.High,
		points*r.QualityChange.Mean, points*r.QualityChange.Low, points*r.QualityChange.High,
		100*r.Escalated, r.CostPer1K/1e9, r.AUROC, r.ECE, r.P50MS, r.P95MS)
}

// printMix is a random choice between always small and always large: on the line
// between the two.
func printMix(w io.Writer, small search.Report) {
	for _, loss := range losses() {
		share := min(1, loss/max(-small.QualityChange.Mean, 1e-9))
		fmt.Fprintf(w, "random mix, %g pt\t%.1f\t\t%+.2f\n", points*loss, 100*share*small.Saving.Mean, points*share*small.QualityChange.Mean)
	}
}

func printTable(to io.Writer, fill func(w io.Writer)) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fill(w)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("printing a table: %w", err)
	}
	_, err := fmt.Fprintln(to)
	return err
}
