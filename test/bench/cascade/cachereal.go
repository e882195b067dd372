package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/dataset"
)

// realSets are sets of real questions, all meant to be different. Of
// squad2-noanswer half have no answer: people wrote them to look like one that has.
func realSets() []string { return []string{"squad2-noanswer", "selqa"} }

// realCache is what came of looking real questions up among each other.
type realCache struct {
	cacheTally
	near     int      // look-ups with a neighbour over the threshold
	equal    int      // look-ups of a text that is stored as it is
	examples []string // of hits
	sets     []string
	missing  []string // sets that are not in the folder: they were not measured
}

// real cuts each real set in two, stores one half and looks the other one up, both
// ways: those with an answer and those without, else every other question. A hit
// is false when the two questions have no answer in common. Equal texts are
// counted apart: squad2-noanswer has some twice, asked of two passages, which is
// what the check of sources is for.
func (r *cacheRig) real(ctx context.Context) (*realCache, error) {
	out := &realCache{}
	for _, name := range realSets() {
		set, err := dataset.Read(dataset.Folder(), name)
		if errors.Is(err, fs.ErrNotExist) {
			out.missing = append(out.missing, name)
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := r.realSet(ctx, set, out); err != nil {
			return nil, fmt.Errorf("looking up %s: %w", name, err)
		}
		out.sets = append(out.sets, name)
	}
	return out, nil
}

func (r *cacheRig) realSet(ctx context.Context, set dataset.Set, out *realCache) error {
	var halves [2][]dataset.Question
	for i, q := range set.Questions {
		half := i % 2
		if q.Answerable != nil && *q.Answerable {
			half = 1
		} else if q.Answerable != nil {
			half = 0
		}
		halves[half] = append(halves[half], q)
	}
	for way := range halves {
		if err := r.realHalf(ctx, fmt.Sprint(set.Name, " ", way), halves[way], halves[1-way], out); err != nil {
			return err
		}
	}
	return nil
}

// realHalf stores some questions and looks others up.
func (r *cacheRig) realHalf(ctx context.Context, domain string, stored, asked []dataset.Question, out *realCache) error {
	answers := map[string]dataset.Question{} // by key
	pair := func(q dataset.Question) cachePair {
		return cachePair{domain: domain, a: q.Text, b: q.Text, meaning: q.ID, other: q.ID}
	}
	var put, look []cachePair
	for _, q := range stored {
		p := pair(q)
		answers[p.key()] = q
		put = append(put, p)
	}
	for _, q := range asked {
		look = append(look, pair(q))
	}
	vectors, err := r.vectors(ctx, slices.Concat(put, look))
	if err != nil {
		return err
	}
	if err := eachPair(put, func(p *cachePair) error { return r.remember(ctx, p, vectors[p.a]) }); err != nil {
		return err
	}
	err = eachPair(look, func(p *cachePair) (err error) {
		_, p.verdict, err = r.semantic.Find(ctx, p.question(p.b, vectors[p.b]))
		return err
	})
	for i := range look {
		out.judge(&look[i], asked[i], answers)
	}
	return err
}

// judge counts a look-up, and whether the nearest one was near enough to be a trap.
func (c *realCache) judge(p *cachePair, q dataset.Question, answers map[string]dataset.Question) {
	hit := p.verdict.Hit && float64(p.verdict.Score) >= cache.DefaultThreshold
	if hit && foldText(p.verdict.Question) == foldText(p.b) {
		c.equal++
		return
	}
	wrong := hit && !shareAnswer(answers[p.verdict.Key], q)
	c.add(hit, wrong)
	if p.verdict.Score >= cache.DefaultThreshold {
		c.near++
	}
	if hit {
		c.examples = append(c.examples, fmt.Sprintf("%q, by %q (wrong: %t)", p.b, p.verdict.Question, wrong))
	}
}

// foldText leaves case and blanks out.
func foldText(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// shareAnswer reports whether two questions have an answer in common.
func shareAnswer(a, b dataset.Question) bool {
	return slices.ContainsFunc(a.Answers, func(x string) bool {
		return slices.ContainsFunc(b.Answers, func(y string) bool { return foldText(x) == foldText(y) })
	})
}

func (c *realCache) text() string {
	var b strings.Builder
	for _, name := range c.missing {
		fmt.Fprintf(&b, "\nNOT MEASURED: real questions of %s are not in %s.\n", name, dataset.Folder())
	}
	if len(c.sets) == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "\nReal questions (%s), one half looked up in the other, at %.2f: %d look-ups, %d with a neighbour as near, %d hits, %d of them false; %d more of equal texts.\n",
		strings.Join(c.sets, ", "), cache.DefaultThreshold, c.n, c.near, c.hits, c.wrong, c.equal)
	fmt.Fprint(&b, "They were not written as paraphrases, so a hit is rare: the set has the question twice.\n")
	for _, e := range c.examples {
		fmt.Fprintln(&b, "  "+e)
	}
	return b.String()
}
