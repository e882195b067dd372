package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/weir-dev/weir/pkg/cascade/learn"
	"github.com/weir-dev/weir/test/internal/figures"
)

// routeLLM measures how well questions are chosen for the stronger of two models,
// on the data of RouteLLM (Ong et al., ICLR 2025) and by its metrics. data is the
// folder that is measured on; fit is the one that is fitted on, "" for cross-fitting
// on data. It returns the figures and the text to print.
func routeLLM(data, fit string) (figures.Figures, string, error) {
	b := routing{data: data, fit: fit, found: figures.Figures{}}
	for _, block := range []func() error{b.mmlu, b.math, b.mtBench, b.transfer, b.selfConsistency} {
		if err := block(); err != nil {
			return nil, "", fmt.Errorf("routing: %w", err)
		}
	}
	return b.found, b.text.String(), nil
}

const (
	// routingSeeds is how many ways to cut folds cross-fitted figures are means of.
	routingSeeds = 2
	routingFolds = 5
	// resamples is how many bootstrap samples the intervals are from.
	resamples = 300
)

// routing is the state of the block.
type routing struct {
	data, fit string
	found     figures.Figures
	text      strings.Builder
}

// result is how well a scorer chooses: means over seeds, and a 95 % interval of
// APGR over questions.
type result struct{ apgr, low, high, cpt50, cpt80 float64 }

// header prints what there is to gain; how says what was fitted on.
func (b *routing) header(name, how string, p pairs) {
	weak, strong := p.qualities()
	best := 0.0
	for i := range weak {
		best += max(weak[i], strong[i]) / float64(len(p))
	}
	fmt.Fprintf(&b.text, "\n%s: %d questions, weak %.4g, strong %.4g, union %.4g; %s\n", name, len(p), mean(weak), mean(strong), best, how)
	fmt.Fprintf(&b.text, "  %-44s %6s %15s %6s %6s\n", "scorer", "APGR", "95 %", "CPT50", "CPT80")
}

// how says what a set is fitted on.
func (b *routing) how() string {
	if b.fit != "" {
		return "fitted on other questions"
	}
	return fmt.Sprintf("cross-fitted, %d folds, mean of %d", routingFolds, routingSeeds)
}

// line prints a result and keeps its APGR as a figure, if that has a name.
func (b *routing) line(name, figure string, r result) {
	fmt.Fprintf(&b.text, "  %-44s %6.3f   [%.3f, %.3f] %6.1f %6.1f\n", name, r.apgr, r.low, r.high, 100*r.cpt50, 100*r.cpt80)
	if figure != "" {
		b.found[figure] = r.apgr
	}
}

// published prints what others report.
func (b *routing) published(name string, apgr, cpt50, cpt80 float64) {
	fmt.Fprintf(&b.text, "  %-44s %6.3f %15s %6.1f %6.1f\n", name, apgr, "", cpt50, cpt80)
}

// baselines prints a random choice (the mean of 10) and the question's length.
func (b *routing) baselines(p pairs, figure string) {
	random := make([][]float64, 10)
	for i := range random {
		r := rand.New(rand.NewPCG(uint64(i), 7)) //nolint:gosec // reproducible
		random[i] = make([]float64, len(p))
		for j := range p {
			random[i][j] = r.Float64()
		}
	}
	b.line("random", figure, rate(p, random))
	b.line("length of the question, no training", "", rate(p, [][]float64{p.length()}))
}

// scored fits a model of the gain and prints how well it chooses. fitted are other
// questions to fit on, nil for cross-fitting.
func (b *routing) scored(name, figure string, measured, fitted pairs, options learn.Options) error {
	options.Squared = true
	seeds := routingSeeds
	if fitted != nil {
		seeds = 1
	}
	scores, errs := make([][]float64, seeds), make([]error, seeds)
	var work sync.WaitGroup
	for i := range scores {
		o := options
		o.Seed = uint64(i + 1) //nolint:gosec // small
		work.Go(func() { scores[i], errs[i] = score(measured, fitted, o) })
	}
	work.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	b.line(name, figure, rate(measured, scores))
	return nil
}

func score(measured, fitted pairs, o learn.Options) ([]float64, error) {
	if fitted == nil {
		return learn.OutOfFold(measured.rows(), o, routingFolds)
	}
	model, err := learn.Fit(fitted.rows(), o)
	if err != nil {
		return nil, err
	}
	scores := make([]float64, len(measured))
	for i, row := range measured.rows() {
		scores[i] = model.Score(row.Evidence)
	}
	return scores, nil
}

// rate rates one or more ways to score the same questions.
func rate(p pairs, scores [][]float64) result {
	weak, strong := p.qualities()
	var r result
	n := float64(len(scores))
	for _, s := range scores {
		m := learn.NewRouting(s, weak, strong)
		r.apgr += m.APGR() / n
		r.cpt50 += m.CPT(0.5) / n
		r.cpt80 += m.CPT(0.8) / n
	}
	random := rand.New(rand.NewPCG(1, uint64(len(p)))) //nolint:gosec // reproducible
	samples := make([]float64, resamples)
	x, y, z := make([]float64, len(p)), make([]float64, len(p)), make([]float64, len(p))
	for i := range samples {
		s := scores[i%len(scores)]
		for j := range p {
			at := random.IntN(len(p))
			x[j], y[j], z[j] = s[at], weak[at], strong[at]
		}
		samples[i] = learn.NewRouting(x, y, z).APGR()
	}
	figures.Median(samples) // sorts
	r.low, r.high = figures.Quantile(samples, 0.025), figures.Quantile(samples, 0.975)
	return r
}

// both reads a set from the folder to measure on and, if there is one, from the
// folder to fit on.
func (b *routing) both(read func(folder string) (pairs, error)) (measured, fitted pairs, err error) {
	if measured, err = read(b.data); err != nil || b.fit == "" {
		return measured, nil, err
	}
	fitted, err = read(b.fit)
	return measured, fitted, err
}

// Which parts to fit is a matter of how many labels there are: trees and hashed
// words from some thousands on, the question's cues alone below.
func manyLabels() learn.Options { return learn.Options{Question: true, Trees: true, Text: true} }
func fewLabels() learn.Options  { return learn.Options{Question: true, Linear: true} }

func (b *routing) mmlu() error {
	measured, fitted, err := b.both(readMMLU)
	if err != nil {
		return err
	}
	b.header("MMLU, Mixtral-8x7B to GPT-4", b.how(), measured)
	b.published("RouteLLM, best published router", .603, 35.4, 71.55)
	b.baselines(measured, "mmlu.random.apgr")
	if err := b.scored("before the call: text", "mmlu.pre.apgr", measured, fitted, manyLabels()); err != nil {
		return err
	}
	tagged := manyLabels()
	tagged.TaskMean = true
	return b.scored("before the call: text and subject", "mmlu.pre_tag.apgr", measured, fitted, tagged)
}

func (b *routing) math() error {
	for i, known := range []struct {
		name, figure string
		set          mathSet
	}{
		{"before the call: text", "gsm8k.pre.apgr", mathSet{}},
		{"after: text, format, arithmetic, numbers", "gsm8k.post.apgr", mathSet{answer: true}},
		{"  and agreement with two samples (6B)", "gsm8k.agree.apgr", mathSet{answer: true, others: 2}},
		{"  and with four (6B, 175B)", "gsm8k.agree4.apgr", mathSet{answer: true, others: 4}},
	} {
		measured, fitted, err := b.both(func(folder string) (pairs, error) { return readMath(folder, known.set) })
		if err != nil {
			return err
		}
		if i == 0 {
			b.header("GSM8K, Mixtral-8x7B to GPT-4", b.how(), measured)
			b.published("RouteLLM, best published router", .622, 33.64, 63.26)
			b.baselines(measured, "gsm8k.random.apgr")
		}
		if err := b.scored(known.name, known.figure, measured, fitted, fewLabels()); err != nil {
			return err
		}
	}
	return nil
}

// mtBench is too small to fit on: by a model of the other two sets, and by the mean
// gain of the other questions of a category.
func (b *routing) mtBench() error {
	measured, fitted, err := b.both(readMTBench)
	if err != nil {
		return err
	}
	b.header("MT-Bench, Mixtral-8x7B to GPT-4", "a judge's scores from 1 to 10", measured)
	b.published("RouteLLM, best published router", .802, 13.40, 31.31)
	b.baselines(measured, "mtbench.random.apgr")
	from := b.fit
	if from == "" {
		from = b.data
	}
	other, err := readMMLU(from)
	if err != nil {
		return err
	}
	reckoning, err := readMath(from, mathSet{})
	if err != nil {
		return err
	}
	if err := b.scored("before the call: from MMLU and GSM8K", "mtbench.pre.apgr", measured, append(other, reckoning...), manyLabels()); err != nil {
		return err
	}
	b.line("before the call: mean of the category", "mtbench.tag.apgr", rate(measured, [][]float64{categoryMeans(measured, fitted)}))
	return nil
}

// categoryMeans are the mean gains of the other questions of the same category,
// shrunk by two questions of mean gain.
func categoryMeans(measured, fitted pairs) []float64 {
	if fitted == nil {
		fitted = measured
	}
	const prior = 2
	scores := make([]float64, len(measured))
	for i, x := range measured {
		var all, own, n, nOwn float64
		for _, y := range fitted {
			if y.id == x.id {
				continue
			}
			all, n = all+y.strong-y.weak, n+1
			if y.task == x.task {
				own, nOwn = own+y.strong-y.weak, nOwn+1
			}
		}
		scores[i] = (own + prior*all/n) / (nOwn + prior)
	}
	return scores
}

// transfer fits on one set and measures on the other: what a router that was never
// fitted on a task is worth.
func (b *routing) transfer() error {
	from := b.fit
	if from == "" {
		from = b.data
	}
	noAnswer := func(folder string) (pairs, error) { return readMath(folder, mathSet{}) }
	for _, way := range []struct {
		name, figure   string
		source, target func(folder string) (pairs, error)
	}{
		{"MMLU to GSM8K", "transfer.mmlu_gsm8k", readMMLU, noAnswer},
		{"GSM8K to MMLU", "transfer.gsm8k_mmlu", noAnswer, readMMLU},
	} {
		fitted, err := way.source(from)
		if err != nil {
			return err
		}
		measured, err := way.target(b.data)
		if err != nil {
			return err
		}
		b.header("Another domain, "+way.name, "fitted on the first", measured)
		b.line("length of the question, no training", "", rate(measured, [][]float64{measured.length()}))
		if err := b.scored("cues", way.figure+".cues.apgr", measured, fitted, fewLabels()); err != nil {
			return err
		}
		if err := b.scored("cues in trees, and text", way.figure+".text.apgr", measured, fitted, manyLabels()); err != nil {
			return err
		}
	}
	return nil
}
