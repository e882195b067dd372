package llmtest

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// fakeDimensions is the length of the default vectors.
const fakeDimensions = 16

var (
	_ llm.Chat     = (*Fake)(nil)
	_ llm.Embedder = (*Fake)(nil)
)

// Fake is a language model without latency. Its zero value echoes the last
// message and embeds texts into vectors of 16 dimensions that depend on the
// text alone. It is safe for concurrent use; set its fields before the first.
type Fake struct {
	// ChatFunc and EmbedFunc replace the default behaviour; the calls are
	// recorded all the same.
	ChatFunc  func(ctx context.Context, req llm.ChatRequest) (llm.ChatResponse, error)
	EmbedFunc func(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error)
	// Models are the models that exist; none means any.
	Models []string

	mu     sync.Mutex
	chats  []llm.ChatRequest
	embeds []llm.EmbedRequest
}

// Chats returns the chat requests so far, in order of arrival.
func (f *Fake) Chats() []llm.ChatRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.chats)
}

// Embeds returns the embedding requests so far, in order of arrival.
func (f *Fake) Embeds() []llm.EmbedRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.embeds)
}

// Chat implements llm.Chat.
func (f *Fake) Chat(ctx context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
	f.mu.Lock()
	f.chats = append(f.chats, req)
	f.mu.Unlock()
	if f.ChatFunc != nil {
		return f.ChatFunc(ctx, req)
	}
	if err := f.check(ctx, req.Model, "messages", len(req.Messages)); err != nil {
		return llm.ChatResponse{}, err
	}
	pieces := strings.SplitAfter("Echo: "+req.Messages[len(req.Messages)-1].Content, " ")
	finish := "stop"
	if req.MaxTokens > 0 && len(pieces) > req.MaxTokens {
		pieces, finish = pieces[:req.MaxTokens], "length"
	}
	for _, p := range pieces {
		if req.OnDelta == nil || p == "" {
			continue
		}
		if err := req.OnDelta(p); err != nil {
			return llm.ChatResponse{}, err
		}
	}
	prompt := 0
	for _, m := range req.Messages {
		prompt += 1 + len(strings.Fields(m.Content))
	}
	return llm.ChatResponse{
		Text: strings.Join(pieces, ""), FinishReason: finish, Model: req.Model,
		Usage: llm.Usage{PromptTokens: prompt, CompletionTokens: len(pieces)},
	}, nil
}

// Embed implements llm.Embedder.
func (f *Fake) Embed(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
	req.Inputs = slices.Clone(req.Inputs)
	f.mu.Lock()
	f.embeds = append(f.embeds, req)
	f.mu.Unlock()
	if f.EmbedFunc != nil {
		return f.EmbedFunc(ctx, req)
	}
	if err := f.check(ctx, req.Model, "inputs", len(req.Inputs)); err != nil {
		return llm.EmbedResponse{}, err
	}
	dims := fakeDimensions
	if req.Dimensions > 0 {
		dims = req.Dimensions
	}
	out := llm.EmbedResponse{Model: req.Model}
	for _, text := range req.Inputs {
		out.Vectors = append(out.Vectors, Vector(text, dims))
		out.Usage.PromptTokens += 1 + len(strings.Fields(text))
	}
	return out, nil
}

// check refuses what every adapter refuses.
func (f *Fake) check(ctx context.Context, model, field string, n int) error {
	switch {
	case ctx.Err() != nil:
		return event.AsError(fmt.Errorf("fake call: %w", ctx.Err()))
	case model == "" || len(f.Models) > 0 && !slices.Contains(f.Models, model):
		return event.Invalid("model", "use a model that exists", "no model %q", model)
	case n == 0:
		return event.Invalid(field, "send at least one", "no %s", field)
	}
	return nil
}

// Vector is the fake's vector of a text: of unit length, equal for equal
// texts, without any meaning otherwise.
func Vector(text string, dims int) []float32 {
	v := make([]float32, dims)
	sum := 0.0
	for i := range v {
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%d %s", i, text)
		x := float64(h.Sum64()>>11)/(1<<52) - 1
		v[i] = float32(x)
		sum += x * x
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(sum))
	}
	return v
}
