package llm

import (
	"math"
	"slices"
)

// Logprobs sums up the log probabilities (natural logarithms) of an answer's
// tokens. There is no sum: it grows with the length of the answer and says more
// about that than about the answer.
type Logprobs struct {
	N    int     `json:"n"` // tokens counted, at least 1
	Mean float64 `json:"mean"`
	Min  float64 `json:"min"`
	// Q10 is the 10 % quantile, interpolated.
	Q10 float64 `json:"q10"`
	// Margin is how far the first token is above its best alternative: negative
	// when another one was likelier, nil when no alternative was given.
	Margin *float64 `json:"margin,omitempty"`
}

// MinLogprob is the least log probability that is told apart. APIs write -9999
// (OpenAI) or -100 for "next to none"; as they are, one such token would be all
// that a mean shows. exp(-30) is 1e-13.
const MinLogprob = -30

// Q10 of a sorted list lies at this part of it.
const lowQuantile = 0.1

// TokenLogprob is the log probability of one token and of its alternatives,
// itself left out.
type TokenLogprob struct {
	Logprob float64
	Others  []float64
}

// SumUp returns nil for no tokens. Values are brought into [MinLogprob, 0].
func SumUp(tokens []TokenLogprob) *Logprobs {
	if len(tokens) == 0 {
		return nil
	}
	values := make([]float64, len(tokens))
	sum := 0.0
	for i, t := range tokens {
		values[i] = clampLogprob(t.Logprob)
		sum += values[i]
	}
	out := &Logprobs{N: len(tokens)}
	if first := tokens[0]; len(first.Others) > 0 {
		margin := clampLogprob(first.Logprob) - clampLogprob(slices.Max(first.Others))
		out.Margin = &margin
	}
	slices.Sort(values)
	out.Min = values[0]
	out.Mean = max(sum/float64(len(tokens)), out.Min) // rounding
	at := lowQuantile * float64(len(values)-1)
	low := int(at)
	high := min(low+1, len(values)-1)
	out.Q10 = values[low] + (at-float64(low))*(values[high]-values[low])
	return out
}

// clampLogprob also takes what is no number for next to none.
func clampLogprob(v float64) float64 {
	if math.IsNaN(v) {
		return MinLogprob
	}
	return min(max(v, MinLogprob), 0)
}
