package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/online"
	"github.com/weir-dev/weir/pkg/cascade/search"
	"github.com/weir-dev/weir/test/internal/figures"
)

// orders is how many random orders a replay of live traffic is averaged over.
const orders = 8

// replay is the block on what needs no gold labels: tables from agreement with the
// reference, and live traffic from a cold start. Gold labels only measure.
func (b bench) replay() (figures.Figures, string, error) {
	found := figures.Figures{}
	var text strings.Builder
	outcomes, err := readQA(b.data, pools()["table2"]...)
	if err != nil {
		return nil, "", err
	}
	if err := b.agreement(&text, found); err != nil {
		return nil, "", err
	}
	fmt.Fprintf(&text, "live traffic replayed: %s before %s, 150 questions to both, a refit every 25; the last third, mean of %d orders\n", pools()["table2"][0], large, orders)
	err = printTable(&text, func(w io.Writer) {
		fmt.Fprintln(w, "task\taudit %\tsaved %\tdQ pt\taudits cost %\tmoves\treverts")
		for _, task := range []string{"mmlu", "medmcqa"} {
			for _, audit := range []float64{0, 0.05, 0.10} {
				if err == nil {
					err = traffic(w, found, task, only(outcomes, task), audit)
				}
			}
		}
	})
	return found, text.String(), err
}

func only(outcomes []cascade.Outcome, task string) []cascade.Outcome {
	var found []cascade.Outcome
	for _, o := range outcomes {
		if o.Task == task {
			found = append(found, o)
		}
	}
	return found
}

// agreement makes tables for agreement labels and measures them by gold ones. Only
// tasks with short answers take part: others need more than equal texts.
func (b bench) agreement(w io.Writer, found figures.Figures) error {
	read := func(data string) ([]cascade.Outcome, error) {
		all, err := readQA(data, pools()["table2"]...)
		var short []cascade.Outcome
		for _, o := range all {
			if o.Task != "truthfulqa" {
				short = append(short, o)
			}
		}
		return short, err
	}
	o := search.DefaultOptions()
	o.Reference, o.Labels = large, cascade.LabelAgreement
	var goals []search.Goal
	for _, disagreement := range []float64{0.01, 0.02, 0.03, 0.05} {
		goals = append(goals, search.Goal{Strategy: search.PerTask, Loss: disagreement})
	}
	outcomes, runs, err := b.runs(w, read, o, goals, 1)
	if err != nil {
		return err
	}
	gold := map[string]cascade.Outcome{}
	for _, o := range outcomes {
		gold[o.ID] = o
	}
	fmt.Fprintf(w, "labels by agreement with %s, measured by gold labels, %d questions; %s\n", large, len(outcomes), b.how())
	return printTable(w, func(w io.Writer) {
		fmt.Fprintln(w, header)
		for g, goal := range goals {
			r := byGold(runs[g], gold)
			printReport(w, fmt.Sprintf("%g %% may disagree", points*goal.Loss), r)
			at := fmt.Sprintf("agreement.%g", points*goal.Loss)
			found[at+".saving"], found[at+".dq"] = r.Saving.Mean, points*r.QualityChange.Mean
		}
	})
}

// byGold replaces labels by agreement by the gold ones.
func byGold(runs []search.Run, gold map[string]cascade.Outcome) search.Report {
	for i, run := range runs {
		runs[i].OK, runs[i].RefOK, runs[i].P = *gold[run.ID].Models[run.Model].OK, *gold[run.ID].Models[large].OK, -1
	}
	reports := search.Reports(runs, intervals)
	return reports[len(reports)-1]
}

// traffic replays a task from a cold start.
func traffic(w io.Writer, found figures.Figures, task string, outcomes []cascade.Outcome, audit float64) error {
	c := online.DefaultConfig()
	c.AuditRate = audit
	var mean online.Replayed
	moves, reverts := 0.0, 0.0
	for order := range orders {
		r, err := online.Replay(outcomes, pools()["table2"][0], large, c, rand.New(rand.NewPCG(uint64(order), 1)))
		if err != nil {
			return err
		}
		mean.Saving += r.Saving / orders
		mean.QualityChange += r.QualityChange / orders
		mean.AuditCost += r.AuditCost / orders
		moves += float64(r.Moves) / orders
		reverts += float64(r.Reverts) / orders
	}
	fmt.Fprintf(w, "%s\t%g\t%.1f\t%+.2f\t%.1f\t%.1f\t%.1f\n", task, 100*audit, 100*mean.Saving, points*mean.QualityChange, 100*mean.AuditCost, moves, reverts)
	at := fmt.Sprintf("online.%s.%g", task, 100*audit)
	found[at+".saving"], found[at+".dq"] = mean.Saving, points*mean.QualityChange
	return nil
}
