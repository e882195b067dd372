package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/rerank"
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/test/internal/figures"
)

// setNames are the sets that are measured, folders of WEIR_DATA/rag.
func setNames() []string {
	return []string{"squad", "selqa", "jsquad", "pubmedqa", "xquad-de", "xquad-ru", "xquad-ar", "xquad-tr",
		"xquad-hi", "xquad-el", "xquad-zh", "xquad-th", "nats-headings", "nats-qa"}
}

// bench is one run.
type bench struct {
	data    string
	store   store
	encoder *sparse.Encoder
	ranker  *rerank.Ranker
	found   figures.Figures
}

// measure measures the sets, and what belongs to one of them.
func (b *bench) measure(ctx context.Context, names []string) error {
	for _, name := range names {
		set, found, err := b.ask(ctx, name)
		if err != nil {
			return err
		}
		verdicts := judge(b.ranker, found)
		b.ranks(set, found, verdicts)
		switch name {
		case "squad":
			b.found["squad.cited3"] = cited(verdicts)
			err = b.foreign(ctx, set, verdicts)
		case "selqa":
			err = b.typos(ctx, set)
		}
		if err != nil {
			return err
		}
	}
	b.languages()
	return b.unanswerable(ctx)
}

// ask stores a set and asks its questions.
func (b *bench) ask(ctx context.Context, name string) (dataset.Set, []asked, error) {
	s, err := dataset.Read(b.data, name)
	if err != nil {
		return s, nil, err
	}
	if err := fill(ctx, b.store, b.encoder, s); err != nil {
		return s, nil, err
	}
	found, err := ask(ctx, b.store, b.encoder, s)
	return s, found, err
}

// languages adds the mean over languages for which bm25 has no stemmer or a
// foreign one, if all were measured.
func (b *bench) languages() {
	sum := 0.0
	names := []string{"xquad-de", "xquad-ru", "xquad-ar", "xquad-tr", "xquad-hi", "xquad-el"}
	for _, name := range names {
		r1, ok := b.found[name+".r1"]
		if !ok {
			return
		}
		sum += r1
	}
	b.found["languages.r1"] = sum / float64(len(names))
}

// ranks measures those of right passages in each list, fused and reranked.
func (b *bench) ranks(set dataset.Set, found []asked, verdicts []verdict) {
	var fused, bm25, grams, reordered quality
	for i, a := range found {
		gold := set.Gold[a.question.ID]
		fused.add(a.hits, gold)
		bm25.add(a.bm25, gold)
		grams.add(a.grams, gold)
		reordered.add(verdicts[i].order, gold)
	}
	n := float64(len(found))
	for name, value := range map[string]float64{"r1": fused.r1, "r5": fused.r5, "r10": fused.r10, "ndcg10": fused.ndcg,
		"bm25.r1": bm25.r1, "grams.r1": grams.r1, "rerank.r1": reordered.r1, "rerank.ndcg10": reordered.ndcg} {
		b.found[set.Name+"."+name] = value / n
	}
}

// print shows the figures of the sets as a table, then the others.
func (b *bench) print(names []string) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	columns := []string{"bm25.r1", "grams.r1", "r1", "r5", "r10", "ndcg10", "rerank.r1", "rerank.ndcg10"}
	fmt.Fprint(table, "set\t")
	for _, c := range columns {
		fmt.Fprintf(table, "%s\t", c)
	}
	for _, name := range names {
		fmt.Fprintf(table, "\n%s\t", name)
		for _, c := range columns {
			fmt.Fprintf(table, "%.3f\t", b.found[name+"."+c])
		}
	}
	fmt.Fprintln(table)
	table.Flush()
	fmt.Println()
	for _, name := range []string{"languages.r1", "squad.cited3", "foreign.auc", "foreign.own", "foreign.passed", "foreign.texts.auc",
		"foreign.texts.own", "foreign.texts.passed", "squad2-noanswer.auc", "typos.r1", "typos.kept"} {
		if value, ok := b.found[name]; ok {
			fmt.Printf("%-20s %.3f\n", name, value)
		}
	}
}
