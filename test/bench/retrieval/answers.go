package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/rerank"
)

// citations is how many sentences an answer cites.
const citations = 3

// cited is the part of the questions of which a cited sentence has an answer.
func cited(verdicts []verdict) float64 {
	right := 0
	for _, v := range verdicts {
		if v.cited {
			right++
		}
	}
	return float64(right) / float64(len(verdicts))
}

// answered reports whether the sentence has one of the answers in it.
func answered(a asked, s rerank.Sentence) bool {
	text := strings.ToLower(a.hits[s.Candidate].Chunk.Text[s.Start:s.End])
	return slices.ContainsFunc(a.question.Answers, func(answer string) bool {
		return strings.Contains(text, strings.ToLower(answer))
	})
}

// coverages are those of the verdicts: with scores, and of texts alone.
func coverages(verdicts []verdict) (all, texts []float64) {
	for _, v := range verdicts {
		all, texts = append(all, v.coverage), append(texts, v.texts)
	}
	return all, texts
}

// foreign measures how well the coverage tells the set's own questions from
// those of another, whose answers it does not have.
func (b *bench) foreign(ctx context.Context, own dataset.Set, verdicts []verdict) error {
	other, err := dataset.Read(b.data, "selqa")
	if err != nil {
		return err
	}
	other.Name = own.Name // is asked there
	strange, err := ask(ctx, b.store, b.encoder, other)
	if err != nil {
		return fmt.Errorf("foreign questions: %w", err)
	}
	mine, mineByTexts := coverages(verdicts)
	theirs, theirsByTexts := coverages(judge(b.ranker, strange))
	b.found["foreign.auc"] = auc(mine, theirs)
	b.found["foreign.own"] = atLeast(mine, rerank.Abstain)
	b.found["foreign.passed"] = atLeast(theirs, rerank.Abstain)
	b.found["foreign.texts.auc"] = auc(mineByTexts, theirsByTexts)
	b.found["foreign.texts.own"] = atLeast(mineByTexts, rerank.Abstain)
	b.found["foreign.texts.passed"] = atLeast(theirsByTexts, rerank.Abstain)
	return nil
}

// unanswerable measures the same for questions that were made to look as if the
// set had their answer. Words can't tell; it is a figure, not a goal.
func (b *bench) unanswerable(ctx context.Context) error {
	_, found, err := b.ask(ctx, "squad2-noanswer")
	if err != nil {
		return err
	}
	var with, without []float64
	all, _ := coverages(judge(b.ranker, found))
	for i, coverage := range all {
		if answerable := found[i].question.Answerable; answerable != nil && *answerable {
			with = append(with, coverage)
		} else {
			without = append(without, coverage)
		}
	}
	b.found["squad2-noanswer.auc"] = auc(with, without)
	return nil
}

// auc is the chance that one of high is above one of low, equal ones counting
// half.
func auc(high, low []float64) float64 {
	sorted := slices.Sorted(slices.Values(low))
	sum := 0.0
	for _, h := range high {
		below, _ := slices.BinarySearch(sorted, h)
		equal := 0
		for below+equal < len(sorted) && sorted[below+equal] == h {
			equal++
		}
		sum += float64(below) + float64(equal)/2
	}
	return sum / float64(len(high)) / float64(len(low))
}

// atLeast is the part of the values that are not below the limit.
func atLeast(values []float64, limit float64) float64 {
	n := 0
	for _, v := range values {
		if v >= limit {
			n++
		}
	}
	return float64(n) / float64(len(values))
}
