package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/weir-dev/weir/pkg/rerank"
	"github.com/weir-dev/weir/pkg/sparse"
)

// bench is one run.
type bench struct {
	data    string
	store   store
	encoder *sparse.Encoder
	ranker  *rerank.Ranker
	found   figures
}

// measure measures the sets, and what belongs to one of them.
func (b *bench) measure(ctx context.Context, names []string) error {
	for _, name := range names {
		set, err := readSet(b.data, name)
		if err != nil {
			return err
		}
		if err := fill(ctx, b.store, b.encoder, set); err != nil {
			return err
		}
		found, err := ask(ctx, b.store, b.encoder, set)
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
func (b *bench) ranks(set set, found []asked, verdicts []verdict) {
	var fused, bm25, grams, reordered quality
	for i, a := range found {
		gold := set.gold[a.question.ID]
		fused.add(a.hits, gold)
		bm25.add(a.bm25, gold)
		grams.add(a.grams, gold)
		reordered.add(verdicts[i].order, gold)
	}
	n := float64(len(found))
	for name, value := range map[string]float64{"r1": fused.r1, "r5": fused.r5, "r10": fused.r10, "ndcg10": fused.ndcg,
		"bm25.r1": bm25.r1, "grams.r1": grams.r1, "rerank.r1": reordered.r1, "rerank.ndcg10": reordered.ndcg} {
		b.found[set.name+"."+name] = value / n
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
