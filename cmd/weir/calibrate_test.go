package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-dev/weir/pkg/cascade"
)

// recordedOutcomes writes a file of 600 outcomes of a small model, which is right
// where it is sure, and a large one; and 30 of a task with too few.
func recordedOutcomes(t *testing.T, dir string) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	var b bytes.Buffer
	for i := range 630 {
		o := cascade.Outcome{ID: fmt.Sprint(i), Task: "sort", Question: "Which shelf?", Reference: "large"}
		if i >= 600 {
			o.Task = "rare"
		}
		p, small, large := rng.Float64(), 0.0, 0.0
		if p > 0.5 && rng.Float64() < 0.97 || rng.Float64() < 0.1 {
			small = 1
		}
		if rng.Float64() < 0.95 {
			large = 1
		}
		o.Models = map[string]cascade.ModelOutcome{
			"small": {OK: &small, CostNanoUSD: 10, LatencyMS: 50, Features: cascade.Features{"logprob_mean": math.Log(max(p, 0.01))}, Answer: fmt.Sprint(small)},
			"large": {OK: &large, CostNanoUSD: 200, LatencyMS: 90, Answer: fmt.Sprint(large)},
		}
		line, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	return write(t, dir, "outcomes.jsonl", b.String())
}

func TestCalibrateAndReplay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outcomes, table := recordedOutcomes(t, dir), filepath.Join(dir, "table.json")
	weir(t, "calibrate", outcomes, "--max-quality-loss", "0.02", "-o", table).
		wants(t, exitOK, "TASK", "LABELS", "POLICY", "SAVED %", "rare", "30", "large", "sort", "600", "small (0.", "> large", "(all)",
			"rare: no cascade: 30 outcomes", "table ", "written to "+table)
	first, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	weir(t, "calibrate", outcomes, "--max-quality-loss", "0.02", "-o", table).wants(t, exitOK)
	if second, err := os.ReadFile(table); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same outcomes gave another table (%v)", err)
	}
	weir(t, "replay", table, outcomes).wants(t, exitOK, "TASK", "sort", "small (0.", "(all)")
	for _, command := range [][]string{{"calibrate", outcomes, "--json"}, {"replay", table, outcomes, "--json"}} {
		got := lines[taskLine](t, weir(t, command...).wants(t, exitOK))
		if len(got) != 3 || got[0].Task != "rare" || !got[0].Declined || got[1].Saving.Mean < 0.2 || got[1].Saving.Low >= got[1].Saving.High || got[2].Measured != 630 {
			t.Errorf("%s: %+v, want rare, sort with a saving, and all", command[0], got)
		}
	}
	weir(t, "calibrate", outcomes).wants(t, exitOK, "no file was written")
	weir(t, "calibrate", outcomes, "--labels", "agreement", "--max-quality-loss", "0.05").wants(t, exitOK, "sort", "small (0.")
}

func TestCalibrateRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outcomes := recordedOutcomes(t, dir)
	cut := write(t, dir, "cut.jsonl", `{"id":"a","models":{"m":{"ok":1,"cost_nano_usd":1}}}`+"\n"+`{"id":"b","mod`)
	empty := write(t, dir, "empty.jsonl", "\n")
	table := write(t, dir, "table.json", `{"v":1,"version":"x","reference":"large","objective":{"max_quality_loss":0,"margin_se":1,"labels":"gold"},"tasks":{"t":{"chain":[]}}}`)
	other := write(t, dir, "other.json", `{"v":1,"version":"x","reference":"huge","objective":{"max_quality_loss":0,"margin_se":1,"labels":"gold"},"tasks":{}}`)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"calibrate", filepath.Join(dir, "none.jsonl")}, "no file"},
		{[]string{"calibrate", cut}, "line 2"},
		{[]string{"calibrate", empty}, "there are none"},
		{[]string{"calibrate", outcomes, "--reference", "huge"}, `"huge"`},
		{[]string{"calibrate", outcomes, "--max-quality-loss", "3"}, "max_quality_loss"},
		{[]string{"calibrate", outcomes, "--labels", "guess"}, "labels"},
		{[]string{"calibrate", outcomes, "--min-labels=-1"}, "min_labels"},
		{[]string{"replay", outcomes, outcomes}, `unknown field "id"`},
		{[]string{"replay", table, outcomes}, "tasks.t.chain"},
		{[]string{"replay", other, outcomes}, "huge"},
		{[]string{"replay", other, outcomes}, "try --labels agreement"},
		{[]string{"replay", other, outcomes, "--labels", "agreement"}, "try --labels gold"},
	} {
		weir(t, tc.args...).wants(t, exitUsage, tc.want)
	}
}
