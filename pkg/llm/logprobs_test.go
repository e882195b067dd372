package llm_test

import (
	"math"
	"testing"

	"github.com/weir-dev/weir/pkg/llm"
)

func TestSumUp(t *testing.T) {
	t.Parallel()
	tokens := func(values ...float64) []llm.TokenLogprob {
		out := make([]llm.TokenLogprob, len(values))
		for i, v := range values {
			out[i].Logprob = v
		}
		return out
	}
	margin := func(t llm.TokenLogprob) []llm.TokenLogprob { return []llm.TokenLogprob{t} }
	number := func(v float64) *float64 { return &v }
	for name, tc := range map[string]struct {
		in   []llm.TokenLogprob
		want llm.Logprobs
	}{
		"one":              {tokens(-0.5), llm.Logprobs{N: 1, Mean: -0.5, Min: -0.5, Q10: -0.5}},
		"eleven":           {tokens(0, -10, -1, -2, -3, -4, -5, -6, -7, -8, -9), llm.Logprobs{N: 11, Mean: -5, Min: -10, Q10: -9}},
		"between two":      {tokens(-1, -3), llm.Logprobs{N: 2, Mean: -2, Min: -3, Q10: -2.8}},
		"next to none":     {tokens(-9999, 0), llm.Logprobs{N: 2, Mean: -15, Min: -30, Q10: -27}},
		"not a number":     {tokens(math.NaN(), math.Inf(-1)), llm.Logprobs{N: 2, Mean: -30, Min: -30, Q10: -30}},
		"above zero":       {tokens(1e-7, 0), llm.Logprobs{N: 2}},
		"margin":           {margin(llm.TokenLogprob{Logprob: -0.1, Others: []float64{-5, -2.6}}), llm.Logprobs{N: 1, Mean: -0.1, Min: -0.1, Q10: -0.1, Margin: number(2.5)}},
		"another likelier": {margin(llm.TokenLogprob{Logprob: -2, Others: []float64{-0.5}}), llm.Logprobs{N: 1, Mean: -2, Min: -2, Q10: -2, Margin: number(-1.5)}},
		"no other likely":  {margin(llm.TokenLogprob{Others: []float64{-9999}}), llm.Logprobs{N: 1, Margin: number(30)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := *llm.SumUp(tc.in)
			near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
			if got.N != tc.want.N || !near(got.Mean, tc.want.Mean) || !near(got.Min, tc.want.Min) || !near(got.Q10, tc.want.Q10) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if (got.Margin == nil) != (tc.want.Margin == nil) || got.Margin != nil && !near(*got.Margin, *tc.want.Margin) {
				t.Errorf("margin %v, want %v", got.Margin, tc.want.Margin)
			}
		})
	}
	if llm.SumUp(nil) != nil {
		t.Error("got a sum of nothing")
	}
}
