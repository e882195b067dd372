package cascade

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

// smallTable is a table with a chain, a single model and a default.
func smallTable() *Table {
	c := &Calibration{N: 500, Bias: 0.5, Linear: []Term{{Feature: "logprob_mean", Form: FormExp, Weight: 3}}}
	return &Table{V: TableVersion, Version: "1", Reference: "large",
		Objective: Objective{MaxQualityLoss: 0.01, MarginSE: 1, Labels: LabelGold},
		Tasks: map[string]*TaskPolicy{
			"extract":   {Chain: []Tier{{Model: "small", Tau: 0.8, Calibration: c, Paid: []string{Judge, AgreeWith("tiny")}}, {Model: "large"}}, Labels: 500, Skip: &Skip{Calibration: c, Above: 0.9}},
			"chat":      {Chain: []Tier{{Model: "large"}}, Declined: true, Reason: "it would cost more"},
			DefaultTask: {Chain: []Tier{{Model: "large"}}},
		}}
}

func TestTableRoundTrip(t *testing.T) {
	t.Parallel()
	var first, second bytes.Buffer
	if err := smallTable().Write(&first); err != nil {
		t.Fatal(err)
	}
	read, err := ReadTable(bytes.NewReader(first.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := read.Write(&second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("a table that was read is written as\n%s\nwant\n%s", second.Bytes(), first.Bytes())
	}
	e := Evidence{Features: Features{"logprob_mean": -0.2}}
	if a, b := smallTable().Tasks["extract"].Chain[0].Calibration.P(e), read.Tasks["extract"].Chain[0].Calibration.P(e); a != b {
		t.Errorf("p %v before and %v after", a, b)
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	a, err := smallTable().Hash()
	if err != nil {
		t.Fatal(err)
	}
	named := smallTable()
	named.Version = "another name"
	if b, _ := named.Hash(); a != b {
		t.Errorf("hash %s, want %s: the name is no content", b, a)
	}
	named.Tasks["extract"].Chain[0].Tau = 0.81
	if b, _ := named.Hash(); a == b {
		t.Error("another threshold has the same hash")
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	table := smallTable()
	if p := table.Policy("extract"); p != table.Tasks["extract"] {
		t.Errorf("extract has %+v", p)
	}
	if p := table.Policy("unheard of"); p != table.Tasks[DefaultTask] {
		t.Errorf("an unknown task has %+v, want the default", p)
	}
	delete(table.Tasks, DefaultTask)
	if p := table.Policy("unheard of"); p != nil {
		t.Errorf("an unknown task has %+v, want none", p)
	}
	if p := (*Table)(nil).Policy("extract"); p != nil {
		t.Errorf("no table has %+v", p)
	}
}

// TestTableRefuses: the error names the field.
func TestTableRefuses(t *testing.T) {
	t.Parallel()
	tier := func(t *Table, i int) *Tier { return &t.Tasks["extract"].Chain[i] }
	for name, tc := range map[string]struct {
		spoil func(*Table)
		want  string
	}{
		"version":             {func(t *Table) { t.V = 2 }, "v:"},
		"no reference":        {func(t *Table) { t.Reference = "" }, "reference"},
		"loss":                {func(t *Table) { t.Objective.MaxQualityLoss = math.NaN() }, "objective.max_quality_loss"},
		"labels":              {func(t *Table) { t.Objective.Labels = "guess" }, "objective.labels"},
		"no policy":           {func(t *Table) { t.Tasks["x"] = nil }, "tasks"},
		"empty chain":         {func(t *Table) { t.Tasks["extract"].Chain = nil }, "tasks.extract.chain"},
		"model twice":         {func(t *Table) { tier(t, 1).Model = "small" }, "tasks.extract.chain[1].model"},
		"tau above 1":         {func(t *Table) { tier(t, 0).Tau = 1.5 }, "tasks.extract.chain[0].tau"},
		"tau NaN":             {func(t *Table) { tier(t, 0).Tau = math.NaN() }, "tasks.extract.chain[0].tau"},
		"first accepts all":   {func(t *Table) { tier(t, 0).Tau = 0 }, "tasks.extract.chain[0].tau"},
		"last has a tau":      {func(t *Table) { tier(t, 1).Tau = 0.5 }, "tasks.extract.chain[1].tau"},
		"no calibration":      {func(t *Table) { tier(t, 0).Calibration = nil }, "tasks.extract.chain[0].calibration"},
		"broken calibration":  {func(t *Table) { tier(t, 0).Calibration = &Calibration{Bias: math.Inf(1)} }, "tasks.extract.chain[0].calibration"},
		"agree with itself":   {func(t *Table) { tier(t, 0).Paid = []string{AgreeWith("small")} }, "tasks.extract.chain[0].paid"},
		"signal twice":        {func(t *Table) { tier(t, 0).Paid = []string{AgreeWith("a"), AgreeWith("b")} }, "tasks.extract.chain[0].paid"},
		"skip of one":         {func(t *Table) { t.Tasks["chat"].Skip = t.Tasks["extract"].Skip }, "tasks.chat.skip"},
		"skip above 1":        {func(t *Table) { t.Tasks["extract"].Skip.Above = 2 }, "tasks.extract.skip.above"},
		"skip not calibrated": {func(t *Table) { t.Tasks["extract"].Skip.Calibration = nil }, "tasks.extract.skip.calibration"},
		"estimate":            {func(t *Table) { t.Tasks["chat"].Saving.Low = math.Inf(-1) }, "tasks.chat.saving"},
		"escalated":           {func(t *Table) { t.Tasks["chat"].Escalated = 2 }, "tasks.chat.escalated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := smallTable()
			tc.spoil(table)
			if err := table.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one that names %q", err, tc.want)
			}
			if err := table.Write(&bytes.Buffer{}); err == nil {
				t.Error("it was written")
			}
		})
	}
}

func TestReadTableRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                        "v",
		"[]":                      "object",
		`{"v":7}`:                 "unknown version 7",
		`{"v":1,"taks":{}}`:       "taks",
		`{"v":1,"version":"x"} {`: "more after",
	} {
		if _, err := ReadTable(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func FuzzReadTable(f *testing.F) {
	var b bytes.Buffer
	if err := smallTable().Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := ReadTable(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, p := range table.Tasks {
			for _, tier := range p.Chain {
				if tier.Calibration == nil {
					continue
				}
				if v := tier.Calibration.P(Evidence{Question: "Why?", Features: Features{Judge: 0.5}}); !between(v, 0, 1) {
					t.Fatalf("p is %v", v)
				}
			}
		}
	})
}
