package llmsim

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"unicode/utf8"
)

const (
	maxTopLogprobs = 20
	// unlikely is the API's log probability of a token with next to none.
	unlikely = -9999.0
	// leastMass is the probability below which a token is unlikely.
	leastMass = 1e-12
)

// tokenLogprob is one token of choices[].logprobs.content.
type tokenLogprob struct {
	altLogprob
	TopLogprobs []altLogprob `json:"top_logprobs"`
}

// altLogprob is a token with its log probability.
type altLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

// logprobs returns text as exactly n tokens whose mean log probability is mean,
// each with its top most likely alternatives.
func logprobs(text string, n, top int, mean float64, rnd *rand.Rand) []tokenLogprob {
	pieces := cutInto(text, n)
	shares := make([]float64, len(pieces))
	sum := 0.0
	for i := range shares {
		shares[i] = 0.1 + rnd.ExpFloat64()
		sum += shares[i]
	}
	out := make([]tokenLogprob, len(pieces))
	for i, piece := range pieces {
		lp := mean * shares[i] / sum * float64(len(pieces))
		out[i] = tokenLogprob{altLogprob: newLogprob(piece, lp), TopLogprobs: alternatives(piece, lp, top, i, pieces)}
	}
	return out
}

func newLogprob(token string, lp float64) altLogprob {
	if lp < math.Log(leastMass) {
		lp = unlikely
	}
	bytes := make([]int, len(token))
	for i := range len(token) {
		bytes[i] = int(token[i])
	}
	return altLogprob{Token: token, Logprob: lp, Bytes: bytes}
}

// alternatives returns the top tokens at place at, best first: token itself and
// others, each with half of the probability that is left.
func alternatives(token string, lp float64, top, at int, pieces []string) []altLogprob {
	out := []altLogprob{}
	if top == 0 {
		return out
	}
	out = append(out, newLogprob(token, lp))
	left := -math.Expm1(lp)
	for i := 1; len(out) < top; i++ {
		left /= 2
		other := fillers(i)
		if i < len(pieces) {
			other = pieces[(at+i)%len(pieces)]
		}
		if !slices.ContainsFunc(out, func(l altLogprob) bool { return l.Token == other }) {
			out = append(out, newLogprob(other, math.Log(left)))
		}
	}
	slices.SortStableFunc(out, func(a, b altLogprob) int { return cmp.Compare(b.Logprob, a.Logprob) })
	return out
}

// fillers returns the i-th of an endless list of tokens that a text of words
// hardly has.
func fillers(i int) string {
	if i <= 26 {
		return string(rune('A' + i - 1))
	}
	return string(rune(0x4E00 + i))
}

// cutInto cuts text into n pieces of about equal length, at the borders of
// characters unless there are fewer characters than pieces. The counter says
// how many tokens there are, not where, and tokens of the real vocabularies
// do cut characters.
func cutInto(text string, n int) []string {
	n = min(n, len(text))
	byRune := utf8.RuneCountInString(text) >= n
	out := make([]string, 0, n)
	start := 0
	for i := range n {
		end := start + (len(text)-start)/(n-i)
		if byRune {
			end = wholeRunes(text, start, end, n-i-1)
		}
		out = append(out, text[start:end])
		start = end
	}
	return out
}

// wholeRunes moves end to the end of a character such that the piece is not
// empty and at least rest characters stay behind it.
func wholeRunes(text string, start, end, rest int) int {
	for end < len(text) && (end == start || !utf8.RuneStart(text[end])) {
		end++
	}
	for utf8.RuneCountInString(text[end:]) < rest {
		_, size := utf8.DecodeLastRuneInString(text[start:end])
		end -= size
	}
	return end
}
