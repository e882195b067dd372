package cascade

import (
	"math"
	"strings"
	"testing"
)

func ok(v float64) *float64 { return &v }

func TestReadOutcomes(t *testing.T) {
	t.Parallel()
	text := `{"id":"a","task":"t","question":"Why?","models":{"small":{"ok":1,"cost_nano_usd":5,"features":{"logprob_mean":-0.1}},"large":{"ok":1,"cost_nano_usd":50}}}

{"id":"b","models":{"small":{"answer":"x","cost_nano_usd":5,"paid":{"judge":{"value":0.9,"cost_nano_usd":3}}}}}
`
	all, err := ReadOutcomes(strings.NewReader(text))
	if err != nil || len(all) != 2 {
		t.Fatalf("%d outcomes, error %v; want 2", len(all), err)
	}
	if all[0].TaskName() != "t" || all[1].TaskName() != DefaultTask {
		t.Errorf("tasks %q and %q", all[0].TaskName(), all[1].TaskName())
	}
	e, cost := all[1].Evidence("small", []string{Judge})
	if e.Features[Judge] != 0.9 || cost != 3 {
		t.Errorf("evidence %v at %d, want the judge's 0.9 at 3", e, cost)
	}
	if e, cost := all[1].Evidence("small", nil); len(e.Features) > 0 || cost != 0 {
		t.Errorf("evidence %v at %d without paid signals, want none", e, cost)
	}
}

// TestReadOutcomesRefuses: the error names the line and the field.
func TestReadOutcomesRefuses(t *testing.T) {
	t.Parallel()
	good := `{"id":"a","models":{"m":{"ok":1,"cost_nano_usd":1}}}` + "\n"
	for name, tc := range map[string]struct{ text, want string }{
		"no JSON":         {good + "x", "line 2"},
		"cut":             {good + `{"id":"b","models":`, "line 2"},
		"two on a line":   {strings.TrimSpace(good) + good, "more after"},
		"unknown field":   {`{"id":"a","modells":{}}`, "modells"},
		"no id":           {`{"models":{"m":{"cost_nano_usd":1}}}`, "id"},
		"no models":       {`{"id":"a"}`, "models"},
		"id twice":        {good + "\n" + good, "line 3"},
		"ok above 1":      {`{"id":"a","models":{"m":{"ok":2,"cost_nano_usd":1}}}`, "models.m.ok"},
		"ok a word":       {`{"id":"a","models":{"m":{"ok":"yes","cost_nano_usd":1}}}`, "ok"},
		"negative cost":   {`{"id":"a","models":{"m":{"ok":1,"cost_nano_usd":-1}}}`, "cost_nano_usd"},
		"unknown source":  {`{"id":"a","models":{"m":{"ok":1,"source":"guess","cost_nano_usd":1}}}`, "source"},
		"negative weight": {`{"id":"a","models":{"m":{"ok":1,"weight":-1,"cost_nano_usd":1}}}`, "weight"},
		"nameless model":  {`{"id":"a","models":{"":{"ok":1,"cost_nano_usd":1}}}`, "models"},
		"nameless signal": {`{"id":"a","models":{"m":{"cost_nano_usd":1,"paid":{"":{"value":1,"cost_nano_usd":1}}}}}`, "paid"},
		"invalid UTF-8":   {"{\"id\":\"a\xff\"}", "UTF-8"},
		"too long":        {good + `{"id":"` + strings.Repeat("x", MaxOutcomeBytes) + `"}`, "line 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ReadOutcomes(strings.NewReader(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	o := Outcome{ID: "a", Models: map[string]ModelOutcome{"m": {Features: Features{"f": math.NaN()}}}}
	if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "models.m.features") {
		t.Errorf("error %v for a NaN, want one that names the field", err)
	}
}

func TestLabel(t *testing.T) {
	t.Parallel()
	o := Outcome{ID: "a", Models: map[string]ModelOutcome{
		"same":     {OK: ok(0), Answer: "x"},
		"other":    {OK: ok(1), Answer: "y"},
		"ref":      {OK: ok(0), Answer: "x"},
		"silent":   {OK: ok(1)},
		"told":     {OK: ok(0), Source: LabelFeedback, Answer: "x"},
		"compared": {OK: ok(1), Source: LabelAudit, Answer: "z"},
	}}
	for _, tc := range []struct {
		model string
		by    Label
		ok    float64
		known bool
	}{
		{"same", LabelGold, 0, true},
		{"same", LabelAgreement, 1, true},
		{"other", LabelAgreement, 0, true},
		{"ref", LabelAgreement, 1, true},
		{"ref", LabelGold, 0, true},
		{"silent", LabelAgreement, 0, false},
		{"told", LabelAgreement, 0, true}, // feedback overrides the same answer
		{"told", LabelGold, 0, true},
		{"compared", LabelAgreement, 1, true},
		{"compared", LabelGold, 0, false}, // an audit is no gold
		{"absent", LabelGold, 0, false},
	} {
		if got, known := o.Label(tc.model, "ref", tc.by); got != tc.ok || known != tc.known {
			t.Errorf("%s by %s: %v, known %t; want %v, %t", tc.model, tc.by, got, known, tc.ok, tc.known)
		}
	}
}

// TestAgreeEvidence: the agreement of a second model costs its answer.
func TestAgreeEvidence(t *testing.T) {
	t.Parallel()
	o := Outcome{ID: "a", Models: map[string]ModelOutcome{
		"m": {Answer: "x", Features: Features{"chars": 2}}, "same": {Answer: "x", CostNanoUSD: 7}, "other": {Answer: "y", CostNanoUSD: 8}, "silent": {CostNanoUSD: 9},
	}}
	for second, want := range map[string]struct {
		value float64
		there bool
		cost  int64
	}{"same": {1, true, 7}, "other": {0, true, 8}, "silent": {}, "absent": {}} {
		e, cost := o.Evidence("m", []string{AgreeWith(second)})
		value, there := e.Features[Agree]
		if value != want.value || there != want.there || cost != want.cost || e.Features["chars"] != 2 {
			t.Errorf("%s: %v at %d, want agree %+v", second, e.Features, cost, want)
		}
	}
	if len(o.Models["m"].Features) != 1 {
		t.Error("the recorded features were changed")
	}
}

func FuzzReadOutcomes(f *testing.F) {
	f.Add(`{"id":"a","models":{"m":{"ok":1,"cost_nano_usd":1,"paid":{"judge":{"value":1,"cost_nano_usd":1}}}}}`)
	f.Add("{}\n\n[]")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ReadOutcomes(strings.NewReader(text))
		for i := range all {
			if verr := all[i].Validate(); err == nil && verr != nil {
				t.Fatalf("read an outcome that is not valid: %v", verr)
			}
		}
	})
}
