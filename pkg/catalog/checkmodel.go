package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	maxDimensions = 65536 // Qdrant's bound
	maxTotal      = Duration(24 * time.Hour)
	maxCounting   = 1_000_000_000 // tokens of one call
	maxPrefix     = 2000          // bytes; the instructions of the usual models have 200 at most
)

func (k *checker) model(m *Model, path string) {
	if _, ok := k.c.Provider(m.Provider); !ok {
		k.fail(path+".provider", "use one of "+strings.Join(k.providerIDs(), ", "), "no provider %q", m.Provider)
	}
	if m.Upstream == "" {
		k.fail(path+".upstream", "write the provider's name for the model", "missing")
	}
	k.oneOf(path+".mode", string(m.Mode), string(ModeChat), string(ModeEmbedding), string(ModeRerank))
	k.counts(m, path)
	k.oneOf(path+".tokens.encoding", m.Tokens.Encoding, "o200k_base", "cl100k_base", "chars4")
	if !finite(m.Tokens.Ratio, 10) || m.Tokens.Ratio < 0.1 {
		k.fail(path+".tokens.ratio", "write the model's tokens per counted token, 0.1 to 10", "ratio is %v", m.Tokens.Ratio)
	}
	k.prices(m, path)
	k.oneOf(path+".supports.json_schema", m.Supports.JSONSchema, "", "yes", "strict")
	k.oneOf(path+".supports.max_tokens_field", m.Supports.MaxTokensField, "", "max_tokens", "max_completion_tokens")
	k.timeouts(m.Timeouts, path+".timeouts")
	k.embedding(m, path)
	k.day(path+".deprecated", m.Deprecated)
}

func (k *checker) providerIDs() []string {
	ids := make([]string, len(k.c.Providers))
	for i, p := range k.c.Providers {
		ids[i] = p.ID
	}
	return ids
}

// counts checks that what is counted is not negative.
func (k *checker) counts(m *Model, path string) {
	l := m.Limits
	if l.Group != "" {
		k.name(path+".limits.group", l.Group, map[string]string{})
	}
	for field, n := range l.Numbers() {
		k.notNegative(path+".limits."+field, n)
	}
	for _, f := range []struct {
		name string
		n    int
	}{
		{"context.input", m.Context.Input}, {"context.output", m.Context.Output}, {"max_tokens", m.MaxTokens},
		{"tokens.per_message", m.Tokens.PerMessage}, {"tokens.per_name", m.Tokens.PerName}, {"tokens.reply", m.Tokens.Reply},
	} {
		if f.n < 0 || f.n > maxCounting {
			k.fail(path+"."+f.name, fmt.Sprintf("write 0 to %d", maxCounting), "%d is out of range", f.n)
		}
	}
	if m.Context.Output > 0 && m.MaxTokens > m.Context.Output {
		k.fail(path+".max_tokens", "write at most context.output", "%d is more than the model's output limit %d", m.MaxTokens, m.Context.Output)
	}
}

func (k *checker) prices(m *Model, path string) {
	days := map[string]bool{}
	for i := range m.Prices {
		p, at := &m.Prices[i], fmt.Sprintf("%s.price[%d]", path, i)
		k.day(at+".from", p.From)
		if days[p.From] {
			k.fail(at, "give each price its own from", "two prices from the same day %q", p.From)
		}
		days[p.From] = true
		k.price(p, m.Mode, at)
	}
	if m.Mode == ModeRerank && len(m.Prices) == 0 {
		return
	}
	if _, ok := m.PriceAt(k.now); !ok {
		k.fail(path+".price", "write nano-USD per token, price: [{input: 150, output: 600}]; a free model has price: [{input: 0}]",
			"no price for %s", k.now.UTC().Format(time.DateOnly))
	}
}

func (k *checker) price(p *Price, mode Mode, path string) {
	if !k.has(path+".input") && mode != ModeRerank {
		k.fail(path+".input", "write nano-USD per token; 0 is free", "missing")
	}
	if mode == ModeChat && p.Input > 0 && !k.has(path+".output") {
		k.fail(path+".output", "write nano-USD per token; 0 is free", "missing, though input has a price")
	}
	k.amounts(path, map[string]int64{
		"input": p.Input, "output": p.Output, "request": p.Request,
		"cached": or(p.Cached, 0), "cache_write": or(p.CacheWrite, 0),
	})
	for i, a := range p.Above {
		at := fmt.Sprintf("%s.above[%d]", path, i)
		if a.InputTokens < 1 || i > 0 && a.InputTokens <= p.Above[i-1].InputTokens {
			k.fail(at+".input_tokens", "write thresholds of 1 or more, the smallest first", "threshold %d", a.InputTokens)
		}
		for _, field := range []string{".input", ".output"} {
			if !k.has(at+field) && (field == ".input" || p.Output > 0) {
				k.fail(at+field, "write nano-USD per token", "missing")
			}
		}
		k.amounts(at, map[string]int64{
			"input": a.Input, "output": a.Output, "cached": or(a.Cached, 0), "cache_write": or(a.CacheWrite, 0),
		})
	}
	for tier, factor := range p.Tiers {
		if !finite(factor, maxFactor) {
			k.fail(path+".tiers."+tier, fmt.Sprintf("write a factor of 0 to %d", maxFactor), "factor %v", factor)
		}
	}
}

// amounts checks prices in nano-USD.
func (k *checker) amounts(path string, amounts map[string]int64) {
	for field, n := range amounts {
		if n < 0 || n > maxPrice {
			k.fail(path+"."+field, fmt.Sprintf("write nano-USD (0.15 USD per million tokens is 150), 0 to %d", maxPrice), "price %d is out of range", n)
		}
	}
}

func (k *checker) timeouts(t Timeouts, path string) {
	for _, f := range []struct {
		name string
		d    Duration
	}{{"ttft", t.TTFT}, {"idle", t.Idle}, {"total", t.Total}} {
		if f.d < 0 || f.d > maxTotal {
			k.fail(path+"."+f.name, "write a time up to "+maxTotal.String(), "%s is out of range", f.d)
		}
	}
	if t.TTFT > t.Total {
		k.fail(path+".ttft", "write at most total", "%s is more than total, %s", t.TTFT, t.Total)
	}
}

func (k *checker) embedding(m *Model, path string) {
	switch {
	case m.Mode == ModeEmbedding && (m.Dimensions < 1 || m.Dimensions > maxDimensions):
		k.fail(path+".dimensions", "write the length of the model's vectors", "%d, want 1 to %d", m.Dimensions, maxDimensions)
	case m.Mode != ModeEmbedding && (m.Dimensions != 0 || m.Shorten):
		k.fail(path+".dimensions", "leave dimensions and shorten to embedding models", "a %s model has no vectors", m.Mode)
	}
	if m.Mode != ModeEmbedding && m.StandIn {
		k.fail(path+".stand_in", "leave it to embedding models", "a %s model has no vectors", m.Mode)
	}
	if m.Mode != ModeEmbedding && m.Mode != ModeRerank && m.Batch != (Batch{}) {
		k.fail(path+".batch", "leave it to embedding and rerank models", "a %s model takes one prompt a request", m.Mode)
	}
	k.batch(m.Batch, path+".batch")
	for _, f := range []struct{ name, prefix string }{{"query_prefix", m.QueryPrefix}, {"passage_prefix", m.PassagePrefix}} {
		switch {
		case f.prefix != "" && m.Mode != ModeEmbedding:
			k.fail(path+"."+f.name, "leave it to embedding models", "a %s model has no vectors", m.Mode)
		case len(f.prefix) > maxPrefix:
			k.fail(path+"."+f.name, fmt.Sprintf("write at most %d bytes", maxPrefix), "%d bytes", len(f.prefix))
		}
	}
}

// groups checks that the models of one limit group say the same, and gives the
// numbers to those that say none.
func (k *checker) groups() {
	type key struct{ provider, group string }
	first := map[key]int{}
	for i, m := range k.c.Models {
		j, ok := first[key{m.Provider, m.Group()}]
		if m.Limits == (Limits{Group: m.Limits.Group}) {
			continue
		}
		if !ok {
			first[key{m.Provider, m.Group()}] = i
			continue
		}
		mine, theirs := m.Limits.Numbers(), k.c.Models[j].Limits.Numbers()
		for field, n := range mine {
			if n != theirs[field] {
				k.fail(fmt.Sprintf("models[%d].limits.%s", i, field), "write the same numbers, or only the group",
					"%s has %s %d, but %s of the same limit group %q has %d", m.ID, field, n, k.c.Models[j].ID, m.Group(), theirs[field])
			}
		}
	}
	for i := range k.c.Models {
		m := &k.c.Models[i]
		if j, ok := first[key{m.Provider, m.Group()}]; ok {
			group := m.Limits.Group
			m.Limits = k.c.Models[j].Limits
			m.Limits.Group = group
		}
	}
}

// fallbacks checks that fallbacks exist, do the same and end.
func (k *checker) fallbacks() {
	for i, m := range k.c.Models {
		for j, name := range m.Fallback {
			path := fmt.Sprintf("models[%d].fallback[%d]", i, j)
			f, ok := k.c.Model(name)
			switch {
			case !ok:
				k.fail(path, "use the id or alias of a model in this file", "no model %q", name)
			case f.Mode != m.Mode:
				k.fail(path, "fall back to a model of the same mode", "the mode of %s is %s, of %s %s", name, f.Mode, m.ID, m.Mode)
			case f.Dimensions != m.Dimensions:
				k.fail(path, "fall back to the same embedding model at another provider", "%s has %d dimensions, %s %d", name, f.Dimensions, m.ID, m.Dimensions)
			case f.QueryPrefix != m.QueryPrefix || f.PassagePrefix != m.PassagePrefix || f.StandIn != m.StandIn:
				k.fail(path, "fall back to the same embedding model at another provider", "%s and %s differ in their prefixes or stand_in", name, m.ID)
			}
		}
	}
	k.cycles()
}

// cycles reports each cycle of fallbacks once, at the model it is met from first.
func (k *checker) cycles() {
	done := map[string]bool{}
	var trail []string
	var visit func(id string)
	visit = func(id string) {
		if at := slices.Index(trail, id); at >= 0 {
			k.cycle(append(slices.Clone(trail[at:]), id))
			return
		}
		if done[id] {
			return
		}
		trail = append(trail, id)
		m, _ := k.c.Model(id)
		for _, name := range m.Fallback {
			if f, ok := k.c.Model(name); ok {
				visit(f.ID)
			}
		}
		trail = trail[:len(trail)-1]
		done[id] = true
	}
	for _, m := range k.c.Models {
		visit(m.ID)
	}
}

func (k *checker) cycle(ids []string) {
	i := slices.IndexFunc(k.c.Models, func(m Model) bool { return m.ID == ids[0] })
	k.fail(fmt.Sprintf("models[%d].fallback", i), "take one of them out", "fallbacks go in a circle: %s", strings.Join(ids, " -> "))
}
