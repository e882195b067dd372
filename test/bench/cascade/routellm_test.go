package main

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/dataset"
)

// A few lines of each set, fitted on others: every figure is there and finite, and
// nothing of a set to be measured is needed to fit.
func TestRouteLLM(t *testing.T) {
	t.Parallel()
	measured, fitted := t.TempDir(), t.TempDir()
	names := []string{"routellm_mmlu.jsonl", "routellm_gsm8k.jsonl", "routellm_mtbench.jsonl", "selfconsistency_date.jsonl"}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dataset.Path(t, "cascade"), name))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(data), "\n")
		step := max(1, len(lines)/150)
		var halves [2]strings.Builder
		for i := 0; i < len(lines); i += step {
			halves[i/step%2].WriteString(lines[i])
		}
		for i, folder := range []string{measured, fitted} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(halves[i].String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, fit := range []string{"", fitted} {
		found, text, err := routeLLM(measured, fit)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{
			"mmlu.pre.apgr", "mmlu.pre_tag.apgr", "mmlu.random.apgr", "gsm8k.pre.apgr", "gsm8k.post.apgr",
			"gsm8k.agree.apgr", "mtbench.pre.apgr", "mtbench.tag.apgr", "transfer.mmlu_gsm8k.cues.apgr", "selfconsistency.mixed5.apgr",
		} {
			if value, ok := found[name]; !ok || math.IsNaN(value) || math.IsInf(value, 0) {
				t.Errorf("%s is %v", name, value)
			}
		}
		if !strings.Contains(text, "RouteLLM, best published router") {
			t.Errorf("the text has no published figures:\n%s", text)
		}
	}
	if _, _, err := routeLLM(t.TempDir(), ""); err == nil {
		t.Error("no error without data")
	}
}

func TestMajority(t *testing.T) {
	t.Parallel()
	answer, share := majority([]string{"05/01/2021", "The answer is 05/02/2021.", "05/02/2021", "unknown"})
	if !strings.Contains(answer, "05/02/2021") || share != 0.5 {
		t.Errorf("have %q, %v", answer, share)
	}
}

func TestDraw(t *testing.T) {
	t.Parallel()
	l := sampled{CoT: []string{"c", "c", "c", "c", "c"}, PoT: []string{"p", "p", "p", "p", "p"}}
	random := rand.New(rand.NewPCG(1, 1))
	for k, want := range map[int]int{3: 1, 4: 2, 5: 2} {
		if n := strings.Count(strings.Join(l.draw(k, true, random), ""), "p"); n != want {
			t.Errorf("%d of %d samples are by program, want %d", n, k, want)
		}
		if n := strings.Count(strings.Join(l.draw(k, false, random), ""), "c"); n != k {
			t.Errorf("%d of %d samples are chains of thought", n, k)
		}
	}
}

func TestCategoryMeans(t *testing.T) {
	t.Parallel()
	p := pairs{{id: "1", task: "a", strong: 9}, {id: "2", task: "a", strong: 3}, {id: "3", task: "b", strong: 6}}
	// Of question 1: its category's other one, and twice the mean of the others.
	if got, want := categoryMeans(p, nil)[0], (3+2*4.5)/3; math.Abs(got-want) > 1e-12 {
		t.Errorf("have %v, want %v: a question's own outcome must not count", got, want)
	}
}

func TestAgreement(t *testing.T) {
	t.Parallel()
	l := mathLine{WeakResponse: "2 + 2 = 4\n#### 4"}
	l.Other.SmallTuned, l.Other.SmallRanked, l.Other.LargeTuned, l.Other.LargeRanked = "4.0", "5", "7", "5"
	f := agreement(l, 4)
	if f["agree"] != 0.25 || f["agree_6b"] != 1 || f["agree_against"] != 1 {
		t.Errorf("have %v", f)
	}
	if f := agreement(l, 2); f["agree"] != 0.5 || f["agree_against"] != 0 {
		t.Errorf("with two: %v", f)
	}
}
