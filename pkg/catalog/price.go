package catalog

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"time"
)

// Usage is what one call used. Cached and CacheWrite are parts of Input, as in
// the usage that OpenAI reports.
type Usage struct {
	Input, Cached, CacheWrite, Output int
}

// PriceAt is the model's price at t: of those whose day has begun (UTC), the
// newest. It is false if there is none.
func (m Model) PriceAt(t time.Time) (Price, bool) {
	var best Price
	found := false
	today := t.UTC().Format(time.DateOnly)
	for _, p := range m.Prices {
		if p.From <= today && (!found || p.From > best.From) {
			best, found = p, true
		}
	}
	return best, found
}

// Cost is the price of one call in nano-USD: exact, then multiplied by the
// factor of the service tier (1 for one without a factor) and rounded half up.
// It is never negative and stops at the largest int64.
func (p Price) Cost(u Usage, tier string) int64 {
	input, cached, write, output := p.rates(u.Input)
	nCached := clamp(u.Cached, u.Input)
	nWrite := clamp(u.CacheWrite, u.Input-nCached)
	sum := big.NewInt(p.Request)
	for _, part := range []struct {
		tokens int
		rate   int64
	}{{max(u.Input, 0) - nCached - nWrite, input}, {nCached, cached}, {nWrite, write}, {max(u.Output, 0), output}} {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(int64(part.tokens)), big.NewInt(part.rate)))
	}
	if factor, ok := p.Tiers[tier]; ok {
		sum = timesHalfUp(sum, factor)
	}
	if !sum.IsInt64() {
		return math.MaxInt64
	}
	return sum.Int64()
}

// rates are the prices per token of a call with input tokens.
func (p Price) rates(tokens int) (input, cached, write, output int64) {
	input, output = p.Input, p.Output
	cachedOr, writeOr := p.Cached, p.CacheWrite
	threshold := -1
	for _, a := range p.Above {
		if tokens > a.InputTokens && a.InputTokens > threshold {
			threshold = a.InputTokens
			input, output, cachedOr, writeOr = a.Input, a.Output, a.Cached, a.CacheWrite
		}
	}
	return input, or(cachedOr, input), or(writeOr, input), output
}

func or(p *int64, other int64) int64 {
	if p != nil {
		return *p
	}
	return other
}

// clamp bounds n to 0..limit.
func clamp(n, limit int) int { return max(min(n, limit), 0) }

// timesHalfUp is n * factor, where factor is the decimal number as it is
// written (0.1 is a tenth), rounded half up.
func timesHalfUp(n *big.Int, factor float64) *big.Int {
	f, ok := new(big.Rat).SetString(strconv.FormatFloat(factor, 'f', -1, 64))
	if !ok {
		return n
	}
	f.Mul(f, new(big.Rat).SetInt(n))
	f.Add(f, big.NewRat(1, 2))
	return new(big.Int).Div(f.Num(), f.Denom()) // Euclidean: rounds down for a positive denominator
}

// usdPattern is a decimal amount with no more digits than nano-USD have.
var usdPattern = regexp.MustCompile(`^\d{1,9}(\.\d{1,9})?$`)

var errUSD = errors.New("not a decimal number of dollars")

// parseUSD reads dollars ("12.50") as nano-USD, exactly.
func parseUSD(s string) (int64, error) {
	if !usdPattern.MatchString(s) {
		return 0, fmt.Errorf("%q: %w", s, errUSD)
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return 0, fmt.Errorf("%q: %w", s, errUSD)
	}
	return new(big.Int).Div(r.Mul(r, big.NewRat(1_000_000_000, 1)).Num(), r.Denom()).Int64(), nil
}
