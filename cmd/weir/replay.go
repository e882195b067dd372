package main

import (
	"bytes"
	"fmt"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/search"
)

// replayCmd runs a policy table over recorded outcomes; it needs no running Weir.
type replayCmd struct {
	Table    string `arg:"" help:"Policy table, as weir calibrate writes it."`
	Outcomes string `arg:"" help:"Recorded outcomes, a JSON object a line; - reads them from stdin."`
	Labels   string `enum:"table,gold,agreement" default:"table" help:"What counts as right (default: as the table was made)."`
}

// replaySeed decides the samples that intervals are made of.
const replaySeed = 1

// Run prints what the table would have saved and changed.
func (c *replayCmd) Run(e *env) error {
	data, err := readFile(c.Table)
	if err != nil {
		return err
	}
	table, err := cascade.ReadTable(bytes.NewReader(data))
	if err != nil {
		return coded(exitUsage, "%s: %w", c.Table, err)
	}
	outcomes, err := readOutcomes(c.Outcomes)
	if err != nil {
		return err
	}
	if c.Labels != "table" {
		table.Objective.Labels = cascade.Label(c.Labels)
	}
	runs, skipped := search.Replay(table, outcomes)
	if len(runs) == 0 {
		return coded(exitUsage, "%s: none of the %d outcomes has %s labels of %s and of the models of its task's chain; try --labels %s", c.Outcomes, len(outcomes), table.Objective.Labels, table.Reference, otherLabels(table.Objective.Labels))
	}
	if skipped > 0 {
		fmt.Fprintf(e.err, "%d of %d outcomes were left out: an answer or a label is missing\n", skipped, len(outcomes))
	}
	reports := search.Reports(runs, replaySeed)
	if e.JSON {
		return e.printReports(table, reports)
	}
	return e.showReports(table, reports)
}

// otherLabels are those to try where there are none of a kind.
func otherLabels(l cascade.Label) cascade.Label {
	if l == cascade.LabelAgreement {
		return cascade.LabelGold
	}
	return cascade.LabelAgreement
}
