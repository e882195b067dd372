package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/search"
)

// calibrateCmd makes a policy table; it needs no running Weir.
type calibrateCmd struct {
	Outcomes       string   `arg:"" help:"Recorded outcomes, a JSON object a line; - reads them from stdin."`
	MaxQualityLoss float64  `default:"0.01" help:"Allowed loss of mean quality against the reference over all tasks: 0.01 is one point in a hundred."`
	MarginSE       float64  `name:"margin-se" default:"1" help:"Standard errors to keep from it; 0 aims at the loss itself."`
	MaxTaskLoss    float64  `help:"Allowed loss in each single task (default: no limit)."`
	Labels         string   `enum:"gold,agreement" default:"gold" help:"What counts as right: gold labels and feedback, or the same answer as the reference's."`
	Reference      string   `placeholder:"MODEL" help:"Model to compare with (default: the one that the outcomes name, else the best)."`
	Models         []string `placeholder:"MODEL" help:"Models to choose from (default: all)."`
	MinLabels      int      `default:"100" help:"Labels that a task needs for a chain."`
	Output         string   `short:"o" placeholder:"FILE" help:"File for the policy table."`
}

// Run chooses the policies, measures them on outcomes that were held out, prints
// what it found and writes the table.
func (c *calibrateCmd) Run(e *env) error {
	outcomes, err := readOutcomes(c.Outcomes)
	if err != nil {
		return err
	}
	o := search.DefaultOptions()
	o.MaxQualityLoss, o.MarginSE, o.MaxTaskLoss = c.MaxQualityLoss, c.MarginSE, c.MaxTaskLoss
	o.Labels, o.Reference, o.Models, o.MinLabels = cascade.Label(c.Labels), c.Reference, c.Models, c.MinLabels
	table, reports, err := search.Calibrate(outcomes, o)
	if err != nil {
		return coded(exitUsage, "%s: %w", c.Outcomes, err)
	}
	if c.Output != "" {
		if err := writeTable(c.Output, table); err != nil {
			return err
		}
	}
	if e.JSON {
		return e.printReports(table, reports)
	}
	if err := e.showReports(table, reports); err != nil {
		return err
	}
	if c.Output == "" {
		fmt.Fprintln(e.out, "no file was written: name one with -o table.json")
		return nil
	}
	fmt.Fprintf(e.out, "table %s written to %s\n", table.Version, c.Output)
	return nil
}

// readOutcomes reads a file of outcomes, or stdin.
func readOutcomes(file string) ([]cascade.Outcome, error) {
	var source io.Reader = os.Stdin
	if file != "-" {
		data, err := readFile(file)
		if err != nil {
			return nil, err
		}
		source = bytes.NewReader(data)
	}
	outcomes, err := cascade.ReadOutcomes(source)
	if err != nil {
		return nil, coded(exitUsage, "%s, %w", file, err)
	}
	return outcomes, nil
}

func writeTable(file string, table *cascade.Table) error {
	var b bytes.Buffer
	if err := table.Write(&b); err != nil {
		return err
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing the policy table: %w", err)
	}
	return nil
}

// taskLine is what --json prints of a task.
type taskLine struct {
	Task          string           `json:"task"`
	Policy        string           `json:"policy,omitempty"`
	Declined      bool             `json:"declined"`
	Reason        string           `json:"reason,omitempty"`
	Labels        int              `json:"labels"`
	Measured      int              `json:"measured"`
	Reference     string           `json:"reference"`
	Saving        cascade.Estimate `json:"saving"`
	QualityChange cascade.Estimate `json:"quality_change"`
	Escalated     float64          `json:"escalated"`
	CostPer1K     int64            `json:"cost_per_1k_nano_usd"`
	AUROC         float64          `json:"auroc"`
	ECE           float64          `json:"ece"`
	Version       string           `json:"table"`
}

// printReports prints a line per task, and one over all tasks.
func (e *env) printReports(t *cascade.Table, reports []search.Report) error {
	var lines []taskLine
	for _, r := range reports {
		line := taskLine{Task: r.Task, Measured: r.N, Reference: t.Reference, Saving: r.Saving, QualityChange: r.QualityChange,
			Escalated: r.Escalated, CostPer1K: int64(r.CostPer1K), AUROC: r.AUROC, ECE: r.ECE, Version: t.Version}
		if p := t.Policy(r.Task); r.Task != search.All && p != nil {
			line.Policy, line.Declined, line.Reason, line.Labels = p.String(), p.Declined, p.Reason, p.Labels
		}
		lines = append(lines, line)
	}
	return printLines(e, lines)
}

// showReports prints the same as a table, and why tasks have no chain.
func (e *env) showReports(t *cascade.Table, reports []search.Report) error {
	err := e.table("the policies", func(w io.Writer) {
		fmt.Fprintln(w, "TASK\tLABELS\tPOLICY\tSAVED %\t95 %\tQUALITY PT\t95 %\tESCALATED %\tUSD/1K")
		for _, r := range reports {
			labels, policy := r.N, "compared with "+t.Reference
			if p := t.Policy(r.Task); r.Task != search.All && p != nil {
				labels, policy = p.Labels, p.String()
			}
			fmt.Fprintf(w, "%s\t%d\t%s\t%.1f\t%.1f to %.1f\t%+.2f\t%+.2f to %+.2f\t%.0f\t%.4g\n", r.Task, labels, policy,
				100*r.Saving.Mean, 100*r.Saving.Low, 100*r.Saving.High,
				100*r.QualityChange.Mean, 100*r.QualityChange.Low, 100*r.QualityChange.High, 100*r.Escalated, r.CostPer1K/1e9)
		}
	})
	if err != nil {
		return err
	}
	for _, r := range reports {
		if p := t.Policy(r.Task); r.Task != search.All && p != nil && p.Declined {
			fmt.Fprintf(e.out, "%s: no cascade: %s\n", r.Task, p.Reason)
		}
	}
	return nil
}
