package main

import (
	"maps"
	"path/filepath"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/learn"
	"github.com/weir-dev/weir/pkg/dataset"
)

// pair is one question and what the weak and the strong model made of it.
type pair struct {
	id, task, question string
	weak, strong       float64
	features           cascade.Features // of the weak model's answer
}

// pairs are the questions of one set.
type pairs []pair

// rows are labelled with the gain of asking the strong model: what a router has to
// predict. Whether the weak one is wrong says less (often both are).
func (p pairs) rows() []learn.Row {
	rows := make([]learn.Row, len(p))
	for i, x := range p {
		rows[i] = learn.Row{
			ID: x.id, OK: x.strong - x.weak,
			Evidence: cascade.Evidence{Task: x.task, Question: x.question, Features: x.features},
		}
	}
	return rows
}

// qualities are what each model got, by question.
func (p pairs) qualities() (weak, strong []float64) {
	for _, x := range p {
		weak, strong = append(weak, x.weak), append(strong, x.strong)
	}
	return weak, strong
}

// length is the baseline that needs no training: longer questions are harder.
func (p pairs) length() []float64 {
	scores := make([]float64, len(p))
	for i, x := range p {
		scores[i] = float64(len(x.question))
	}
	return scores
}

func readMMLU(folder string) (pairs, error) {
	type line struct {
		ID, Tag, Q   string
		Weak, Strong float64
	}
	lines, err := dataset.Rows[line](filepath.Join(folder, "routellm_mmlu.jsonl"))
	var p pairs
	for _, l := range lines {
		p = append(p, pair{id: l.ID, task: l.Tag, question: l.Q, weak: l.Weak, strong: l.Strong})
	}
	return p, err
}

// readMTBench takes the mean of the judge's scores of both turns as the quality.
func readMTBench(folder string) (pairs, error) {
	type line struct {
		ID, Tag, Q   string
		Weak, Strong []float64
	}
	lines, err := dataset.Rows[line](filepath.Join(folder, "routellm_mtbench.jsonl"))
	var p pairs
	for _, l := range lines {
		p = append(p, pair{id: l.ID, task: l.Tag, question: l.Q, weak: mean(l.Weak), strong: mean(l.Strong)})
	}
	return p, err
}

// mathLine is a line of routellm_gsm8k.jsonl. The right answer and the strong
// model's are not read: no router knows them.
type mathLine struct {
	ID, Q        string
	Weak, Strong float64
	WeakResponse string `json:"weak_response"`
	Other        struct {
		SmallTuned  string `json:"gpt3_6b_ft"`
		SmallRanked string `json:"gpt3_6b_ver"`
		LargeTuned  string `json:"gpt3_175b_ft"`
		LargeRanked string `json:"gpt3_175b_ver"`
	}
}

// mathSet says what is known of the weak answers.
type mathSet struct {
	answer bool // the answer's own cues
	others int  // samples of other models that it is compared with: 0, 2 or 4
}

func readMath(folder string, set mathSet) (pairs, error) {
	lines, err := dataset.Rows[mathLine](filepath.Join(folder, "routellm_gsm8k.jsonl"))
	var p pairs
	for _, l := range lines {
		x := pair{id: l.ID, task: "gsm8k", question: l.Q, weak: l.Weak, strong: l.Strong}
		if set.answer {
			x.features = cascade.AnswerFeatures(l.WeakResponse)
			maps.Copy(x.features, cascade.NumberFeatures(l.Q, l.WeakResponse))
		}
		if set.others > 0 {
			maps.Copy(x.features, agreement(l, set.others))
		}
		p = append(p, x)
	}
	return p, err
}

// agreement compares the weak answer with the first n other samples, and those
// among each other.
func agreement(l mathLine, n int) cascade.Features {
	others := []string{l.Other.SmallTuned, l.Other.SmallRanked, l.Other.LargeTuned, l.Other.LargeRanked}[:n]
	names := []string{"agree_6b", "agree_6b_ranked", "agree_175b", "agree_175b_ranked"}
	final, _ := cascade.FinalAnswer(l.WeakResponse)
	f := cascade.Features{}
	same, against := 0.0, 0.0
	for i, other := range others {
		f[names[i]] = 0
		if cascade.SameAnswer(final, other) {
			f[names[i]] = 1
			same++
			continue
		}
		for _, second := range others[:i] {
			if cascade.SameAnswer(second, other) {
				against++
			}
		}
	}
	f[cascade.Agree], f["agree_against"] = same/float64(n), against
	return f
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v / float64(len(values))
	}
	return sum
}
