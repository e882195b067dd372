package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/dataset"
)

// recorded is a line of cascade_qa.jsonl or mmlupro.jsonl. What the values of a
// model are is said in the README of the data.
type recorded struct {
	ID, Tag, Q string
	M          map[string][]any
}

// What the log probability of a task's answer costs: nothing where it is that of
// the one token of the answer, else a second call.
var freeConfidence = []string{"mmlu", "medmcqa"} //nolint:gochecknoglobals // a constant

// readQA reads the outcomes of the models named, all if none are.
func readQA(data string, models ...string) ([]cascade.Outcome, error) {
	rows, err := dataset.Rows[recorded](filepath.Join(data, "cascade_qa.jsonl"))
	if err != nil {
		return nil, err
	}
	outcomes := make([]cascade.Outcome, 0, len(rows))
	for _, row := range rows {
		o := cascade.Outcome{ID: row.ID, Task: row.Tag, Question: row.Q, Models: map[string]cascade.ModelOutcome{}}
		for name, values := range row.M {
			if len(models) > 0 && !slices.Contains(models, name) {
				continue
			}
			v, err := numbers(values, 10)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", row.ID, name, err)
			}
			o.Models[name] = qaOutcome(row.Tag, v)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

// qaOutcome reads [ok, logp, cost_answer, cost_total, latency, tokens in and out,
// answer_group, answer_chars, hedge]; costs are in millionths of a dollar.
func qaOutcome(task string, v []float64) cascade.ModelOutcome {
	ok := v[0]
	m := cascade.ModelOutcome{OK: &ok, CostNanoUSD: int64(math.Round(1000 * v[2])), LatencyMS: v[4],
		Answer: strconv.Itoa(int(v[7])), Features: cascade.Features{}}
	if slices.Contains(freeConfidence, task) {
		m.Features["logprob_mean"] = max(v[1], -20)
		return m
	}
	m.Features["chars"], m.Features["hedges"] = math.Log1p(v[8]), v[9]
	m.Paid = map[string]cascade.PaidSignal{cascade.Judge: {Value: math.Exp(v[1]), CostNanoUSD: int64(math.Round(1000 * (v[3] - v[2])))}}
	return m
}

// price is dollars per million tokens.
type price struct{ in, out float64 }

// proPrices are those of section 3.5 of the figures that this is compared with.
var proPrices = map[string]price{ //nolint:gochecknoglobals // a constant
	"llama-3.1-8b": {0.20, 0.20}, "llama-3.1-70b": {0.90, 0.90},
	"gemini-1.5-flash-002": {0.075, 0.30}, "gemini-1.5-pro-002": {1.25, 5.00},
}

// readPro reads the outcomes of two models on MMLU-Pro. There are no log
// probabilities: what is known of an answer is cues of its text.
func readPro(data string, models ...string) ([]cascade.Outcome, error) {
	rows, err := dataset.Rows[recorded](filepath.Join(data, "mmlupro.jsonl"))
	if err != nil {
		return nil, err
	}
	outcomes := make([]cascade.Outcome, 0, len(rows))
	for _, row := range rows {
		o := cascade.Outcome{ID: row.ID, Task: "mmlupro", Question: row.Q, Models: map[string]cascade.ModelOutcome{}}
		for _, name := range models {
			values, there := row.M[name]
			if !there || len(values) < 3 {
				return nil, fmt.Errorf("%s has no outcome of %s", row.ID, name)
			}
			answer, _ := values[1].(string)
			v, err := numbers(slices.Concat(values[:1], values[2:]), 2)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", row.ID, name, err)
			}
			o.Models[name] = proOutcome(row, proPrices[name], answer, v)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

// proOutcome reads [ok, answer_chars, (has "answer is", lines, hedge, "however",
// "none of", no answer found)]. A token is four characters.
func proOutcome(row recorded, p price, answer string, v []float64) cascade.ModelOutcome {
	ok := v[0]
	dollars := (float64(len(row.Q))/4*p.in + v[1]/4*p.out) / 1e6
	m := cascade.ModelOutcome{OK: &ok, CostNanoUSD: int64(math.Round(1e9 * dollars)), Answer: answer,
		Features: cascade.Features{"chars": math.Log1p(v[1]), "tag_" + row.Tag: 1}}
	names := []string{"answer_is", "lines", "hedges", "however", "none_of", "no_answer"}
	for i, value := range v[2:] {
		m.Features[names[i]] = value
	}
	return m
}

// numbers checks that there are n numbers at least.
func numbers(values []any, n int) ([]float64, error) {
	if len(values) < n {
		return nil, fmt.Errorf("%d values, want %d", len(values), n)
	}
	found := make([]float64, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case float64:
			found[i] = v
		default:
			return nil, fmt.Errorf("value %d is %v, want a number", i, v)
		}
	}
	return found, nil
}
