package guard

import (
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/budget"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/tokens"
)

// estimate is what a call is expected to take.
type estimate struct {
	kind    tokens.Kind
	counted int // prompt tokens by our count
	cost    budget.Cost
	nanoUSD int64 // rather too much
}

// estimateChat estimates a completion.
func (g *Guard) estimateChat(m *model, tenant string, req *llm.ChatRequest) (estimate, error) {
	over := tokens.Overhead{PerMessage: m.Tokens.PerMessage, PerName: m.Tokens.PerName, Reply: m.Tokens.Reply}
	size, err := g.measure(m, over, req.Messages)
	if err != nil {
		return estimate{}, err
	}
	if limit := m.Context.Input; limit > 0 && size.Tokens > limit {
		return estimate{}, tooLarge(m, size.Tokens)
	}
	return g.estimate(m, size, req.Messages, answer{most: req.MaxTokens, usual: g.calibration.Output(tenant, m.ID, req.MaxTokens)})
}

// Count is the prompt tokens of a request by our own count in the encoding of a model
// of the catalog, schema and tools included; 0 for an unknown one.
func (g *Guard) Count(name string, req llm.ChatRequest) int {
	m, ok := g.cfg.Catalog.Current().Model(name)
	if !ok {
		return 0
	}
	over := tokens.Overhead{PerMessage: m.Tokens.PerMessage, PerName: m.Tokens.PerName, Reply: m.Tokens.Reply}
	size, err := g.measure(&model{Model: m}, over, withAll(req).Messages)
	if err != nil {
		return 0
	}
	return size.Tokens
}

// CountText is the tokens of a text by our own count in the encoding of a model of the
// catalog; 0 for an unknown one.
func (g *Guard) CountText(name, text string) int {
	m, ok := g.cfg.Catalog.Current().Model(name)
	if !ok {
		return 0
	}
	size, err := g.measure(&model{Model: m}, tokens.Overhead{}, contents(text))
	if err != nil {
		return 0
	}
	return size.Tokens
}

// estimateEmbed estimates a batch of texts.
func (g *Guard) estimateEmbed(m *model, inputs []string) (estimate, error) {
	messages := contents(inputs...)
	size, err := g.measure(m, tokens.Overhead{}, messages)
	if err != nil {
		return estimate{}, err
	}
	return g.estimate(m, size, messages, answer{})
}

// contents are messages that are nothing but text.
func contents(texts ...string) []event.Message {
	messages := make([]event.Message, len(texts))
	for i, text := range texts {
		messages[i].Content = text
	}
	return messages
}

// answer is how many tokens one may have, and is expected to have.
type answer struct{ most, usual int }

// estimate is that of a call with a prompt of a size.
func (g *Guard) estimate(m *model, size tokens.Size, messages []event.Message, a answer) (estimate, error) {
	e := estimate{kind: tokens.ChatKind(messages), counted: size.Tokens}
	size.Tokens = g.calibration.Input(m.ID, e.kind, size.Tokens, m.Tokens.Ratio)
	booked, err := tokens.Estimate(string(m.provider.Dialect.Estimator), size, a.most)
	if err != nil {
		return estimate{}, err
	}
	e.cost = cost(booked, size.Tokens, a.usual)
	e.nanoUSD = g.price(m, llm.Usage{PromptTokens: size.Tokens, CompletionTokens: a.most}, "")
	return e, nil
}

func tooLarge(m *model, counted int) error {
	e := event.Errorf(event.ClassTooLarge, "the prompt has %d tokens, model %s takes %d", counted, m.ID, m.Context.Input)
	e.Field, e.Hint = "messages", "shorten the input or use a model with a larger context"
	return e
}

// chars4 is the encoding that counts a quarter of the characters, for models
// whose tokens are not known.
const chars4 = "chars4"

// measure counts a prompt in the model's encoding.
func (g *Guard) measure(m *model, over tokens.Overhead, messages []event.Message) (tokens.Size, error) {
	if m.Tokens.Encoding == chars4 {
		size := tokens.Size{Tokens: over.Reply}
		for _, msg := range messages {
			size.Bytes += len(msg.Content)
			size.Chars += utf8.RuneCountInString(msg.Content)
			size.Tokens += over.PerMessage
		}
		size.Tokens += size.Chars/4 + 1
		return size, nil
	}
	c, err := g.counter(m.Tokens.Encoding)
	if err != nil {
		return tokens.Size{}, err
	}
	return c.Measure(over, messages), nil
}

func cost(booked, input, output int) budget.Cost {
	return budget.Cost{
		budget.Requests: 1, budget.DayRequests: 1, budget.Tokens: int64(booked), budget.DayTokens: int64(booked),
		budget.Input: int64(input), budget.Output: int64(output),
	}
}

// used is what an answered call really took. Cached input is free of the input
// limit (Anthropic).
func used(u llm.Usage) budget.Cost {
	return budget.Cost{
		budget.Requests: 1, budget.DayRequests: 1,
		budget.Tokens: int64(u.PromptTokens + u.CompletionTokens), budget.DayTokens: int64(u.PromptTokens + u.CompletionTokens),
		budget.Input: int64(u.PromptTokens - u.CachedTokens), budget.Output: int64(u.CompletionTokens),
	}
}

// price is the cost of a call in nano-USD at the prices of now.
func (g *Guard) price(m *model, u llm.Usage, tier string) int64 {
	p, ok := m.PriceAt(g.cfg.Now())
	if !ok {
		return 0
	}
	return p.Cost(catalog.Usage{Input: u.PromptTokens, Cached: u.CachedTokens, CacheWrite: u.CacheWriteTokens,
		Output: u.CompletionTokens}, tier)
}
