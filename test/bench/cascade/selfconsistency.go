package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/learn"
	"github.com/weir-dev/weir/pkg/dataset"
)

// sampled is a line of selfconsistency_date.jsonl: answers of the weak model by
// chain of thought and by program, and the strong model's.
type sampled struct {
	Gold     string
	CoT, PoT []string
	Large    string
}

// sampleDraws is how many draws of k samples the figures are means of.
const sampleDraws = 20

// selfConsistency measures the share of samples that agree on an answer as the
// score: the more agree, the less is it worth asking the strong model (Yue et al.,
// ICLR 2024).
func (b *routing) selfConsistency() error {
	lines, err := dataset.Rows[sampled](filepath.Join(b.data, "selfconsistency_date.jsonl"))
	if err != nil {
		return err
	}
	fmt.Fprintf(&b.text, "\nSelf-consistency: %d questions on dates, GPT-3.5 to GPT-4; score: share of k samples that disagree\n", len(lines))
	fmt.Fprintf(&b.text, "  %-44s %6s %6s %6s %6s %6s\n", "samples", "weak", "strong", "APGR", "CPT50", "CPT80")
	for _, mixed := range []bool{false, true} {
		for _, k := range []int{3, 5, 10} {
			b.vote(lines, k, mixed)
		}
	}
	return nil
}

// vote prints how k samples choose, by chain of thought only or half by program.
func (b *routing) vote(lines []sampled, k int, mixed bool) {
	name, figure := "chain of thought", "cot"
	if mixed {
		name, figure = "chain of thought and program", "mixed"
	}
	random := rand.New(rand.NewPCG(uint64(k), 3)) //nolint:gosec // reproducible
	var weakMean, strongMean, apgr, cpt50, cpt80 float64
	for range sampleDraws {
		var scores, weak, strong []float64
		for _, l := range lines {
			answer, share := majority(l.draw(k, mixed, random))
			scores = append(scores, 1-share)
			weak, strong = append(weak, same(answer, l.Gold)), append(strong, same(l.Large, l.Gold))
		}
		r := learn.NewRouting(scores, weak, strong)
		weakMean, strongMean = weakMean+r.Weak/sampleDraws, strongMean+r.Strong/sampleDraws
		apgr, cpt50, cpt80 = apgr+r.APGR()/sampleDraws, cpt50+r.CPT(0.5)/sampleDraws, cpt80+r.CPT(0.8)/sampleDraws
	}
	fmt.Fprintf(&b.text, "  %-44s %6.3f %6.3f %6.3f %6.1f %6.1f\n", fmt.Sprintf("%s, k = %d", name, k), weakMean, strongMean, apgr, 100*cpt50, 100*cpt80)
	b.found[fmt.Sprintf("selfconsistency.%s%d.apgr", figure, k)] = apgr
}

// draw takes k samples, every second one by program if they are mixed.
func (l sampled) draw(k int, mixed bool, random *rand.Rand) []string {
	cot, pot := random.Perm(len(l.CoT)), random.Perm(len(l.PoT))
	out := make([]string, k)
	for i := range out {
		switch {
		case !mixed:
			out[i] = l.CoT[cot[i]]
		case i%2 == 0:
			out[i] = l.CoT[cot[i/2]]
		default:
			out[i] = l.PoT[pot[i/2]]
		}
	}
	return out
}

// majority is the answer that most samples give, the first of equals, and their
// share.
func majority(samples []string) (answer string, share float64) {
	for _, a := range samples {
		n := 0.0
		for _, other := range samples {
			n += same(a, other)
		}
		if n /= float64(len(samples)); n > share {
			answer, share = a, n
		}
	}
	return answer, share
}

func same(a, b string) float64 {
	if cascade.SameAnswer(a, b) {
		return 1
	}
	return 0
}
