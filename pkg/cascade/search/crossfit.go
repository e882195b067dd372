package search

import (
	"fmt"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/learn"
)

// Goal is a strategy with an allowed loss.
type Goal struct {
	Strategy Strategy
	Loss     float64
}

// outerSeed keeps the folds that are measured apart from those that are fitted.
const outerSeed = 0x5EED

// CrossFit measures goals honestly: the outcomes are cut into folds, and each is
// replayed with tables that were made from the others. repeats cuts them anew and
// averages each question's runs. It returns the runs of each goal.
func CrossFit(outcomes []cascade.Outcome, o Options, goals []Goal, repeats int) ([][]Run, error) {
	runs := make([]map[string]Run, len(goals))
	for g := range goals {
		runs[g] = map[string]Run{}
	}
	for cut := range repeats * folds {
		repeat, fold := cut/folds, cut%folds
		var fit, measure []cascade.Outcome
		for _, out := range outcomes {
			if learn.FoldOf(out.ID, folds, outerSeed+o.Seed+uint64(repeat)) == fold { //nolint:gosec // small
				measure = append(measure, out)
			} else {
				fit = append(fit, out)
			}
		}
		if len(measure) == 0 || len(fit) == 0 {
			continue
		}
		study, err := Prepare(fit, o)
		if err != nil {
			return nil, fmt.Errorf("fitting without fold %d: %w", fold, err)
		}
		if err := study.measure(goals, measure, runs); err != nil {
			return nil, err
		}
	}
	return averaged(outcomes, runs), nil
}

// measure replays a fold for each goal and adds the runs up by question.
func (s *Study) measure(goals []Goal, outcomes []cascade.Outcome, runs []map[string]Run) error {
	for g, goal := range goals {
		table, err := s.Table(goal.Strategy, goal.Loss)
		if err != nil {
			return err
		}
		found, _ := Replay(table, outcomes)
		for _, run := range found {
			before, again := runs[g][run.ID]
			if again {
				run.OK += before.OK
				run.Cost += before.Cost
				run.Escalated += before.Escalated
				run.LatencyMS = before.LatencyMS
				run.P, run.FirstOK, run.Model = before.P, before.FirstOK, before.Model
			}
			run.times = before.times + 1
			runs[g][run.ID] = run
		}
	}
	return nil
}

// averaged lists each goal's runs in the order of the outcomes.
func averaged(outcomes []cascade.Outcome, runs []map[string]Run) [][]Run {
	all := make([][]Run, len(runs))
	for g := range runs {
		for _, out := range outcomes {
			run, there := runs[g][out.ID]
			if !there {
				continue
			}
			n := float64(run.times)
			run.OK, run.Cost, run.Escalated = run.OK/n, run.Cost/n, run.Escalated/n
			all[g] = append(all[g], run)
		}
	}
	return all
}
