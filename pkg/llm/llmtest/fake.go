package llmtest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// fakeDimensions is the length of the default vectors.
const fakeDimensions = 16

var (
	_ llm.Chat     = (*Fake)(nil)
	_ llm.Embedder = (*Fake)(nil)
	_ llm.Reranker = (*Fake)(nil)
)

// Fake is a language model without latency. Its zero value echoes the last
// message, embeds texts into vectors of 16 dimensions that depend on the text
// alone, and scores documents by the part of the query's words that they hold. Asked
// for a format it answers {"answer": the echo}, whatever the schema; told to call a
// tool it does.
// It is safe for concurrent use; set its fields before the first.
type Fake struct {
	// ChatFunc, EmbedFunc and RerankFunc replace the default behaviour, Meta
	// included; the calls are recorded all the same.
	ChatFunc   func(ctx context.Context, req llm.ChatRequest) (llm.ChatResponse, error)
	EmbedFunc  func(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error)
	RerankFunc func(ctx context.Context, req llm.RerankRequest) (llm.RerankResponse, error)
	// Models are the models that exist; none means any.
	Models []string

	mu      sync.Mutex
	chats   []llm.ChatRequest
	embeds  []llm.EmbedRequest
	reranks []llm.RerankRequest
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

// Reranks returns the rerank requests so far, in order of arrival.
func (f *Fake) Reranks() []llm.RerankRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.reranks)
}

// Chat implements llm.Chat.
func (f *Fake) Chat(ctx context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
	f.mu.Lock()
	f.chats = append(f.chats, req)
	f.mu.Unlock()
	if f.ChatFunc != nil {
		return f.ChatFunc(ctx, req)
	}
	if err := f.check(ctx, call{req.Meta, req.Model, "messages", len(req.Messages)}); err != nil {
		return llm.ChatResponse{}, err
	}
	text, err := fakeAnswer(req)
	if err != nil {
		return llm.ChatResponse{}, err
	}
	if calls := fakeCalls(req); calls != nil {
		return llm.ChatResponse{ToolCalls: calls, FinishReason: "tool_calls", Model: req.Model, Usage: llm.Usage{PromptTokens: promptWords(req), CompletionTokens: 1}}, nil
	}
	pieces := strings.SplitAfter(text, " ")
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
	out := llm.ChatResponse{
		Text: strings.Join(pieces, ""), FinishReason: finish, Model: req.Model,
		Usage: llm.Usage{PromptTokens: promptWords(req), CompletionTokens: len(pieces)},
	}
	if req.Logprobs {
		out.Logprobs = llm.SumUp(fakeLogprobs(len(pieces)))
	}
	return out, nil
}

// promptWords is the fake's count of a prompt.
func promptWords(req llm.ChatRequest) int {
	n := 0
	for _, m := range req.Messages {
		n += 1 + len(strings.Fields(m.Content))
	}
	return n
}

// fakeAnswer echoes the last message, in a format as {"answer": ...}.
func fakeAnswer(req llm.ChatRequest) (string, error) {
	text := "Echo: " + req.Messages[len(req.Messages)-1].Content
	if req.Format == nil {
		return text, nil
	}
	if err := req.Format.Check(); err != nil {
		return "", err
	}
	if req.Format.Mode == llm.FormatTool && req.HasTools() {
		return "", event.Invalid("format.mode", "use another mode for a request that has tools", "is %q", req.Format.Mode)
	}
	out, err := json.Marshal(map[string]string{"answer": text})
	return string(out), err
}

// fakeLogprobs are those of n tokens: the fake is as sure of each as of the others.
func fakeLogprobs(n int) []llm.TokenLogprob {
	one := llm.TokenLogprob{Logprob: -0.1, Others: []float64{-2.5}}
	return slices.Repeat([]llm.TokenLogprob{one}, n)
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
	if err := f.check(ctx, call{req.Meta, req.Model, "inputs", len(req.Inputs)}); err != nil {
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

// Rerank implements llm.Reranker.
func (f *Fake) Rerank(ctx context.Context, req llm.RerankRequest) (llm.RerankResponse, error) {
	req.Documents = slices.Clone(req.Documents)
	f.mu.Lock()
	f.reranks = append(f.reranks, req)
	f.mu.Unlock()
	if f.RerankFunc != nil {
		return f.RerankFunc(ctx, req)
	}
	if err := f.check(ctx, call{req.Meta, req.Model, "documents", len(req.Documents)}); err != nil {
		return llm.RerankResponse{}, err
	}
	out := llm.RerankResponse{Model: req.Model}
	for i, text := range req.Documents {
		out.Results = append(out.Results, llm.Ranked{Index: i, Score: overlap(req.Query, text)})
		out.Usage.PromptTokens += 1 + len(strings.Fields(text))
	}
	slices.SortStableFunc(out.Results, func(a, b llm.Ranked) int { return cmp.Compare(b.Score, a.Score) })
	if req.TopN > 0 {
		out.Results = out.Results[:min(req.TopN, len(out.Results))]
	}
	return out, nil
}

// overlap is the part of the query's words that text holds.
func overlap(query, text string) float64 {
	words := strings.Fields(strings.ToLower(query))
	in := strings.Fields(strings.ToLower(text))
	found := 0
	for _, w := range words {
		if slices.Contains(in, w) {
			found++
		}
	}
	return float64(found) / float64(max(1, len(words)))
}

// call is what all requests have in common: n things in field for a model.
type call struct {
	meta  *llm.Meta
	model string
	field string
	n     int
}

// check refuses what every adapter refuses and fills in the call's Meta.
func (f *Fake) check(ctx context.Context, c call) error {
	meta := llm.Meta{}
	if c.meta != nil {
		defer func() { *c.meta = meta }()
	}
	switch {
	case c.model == "":
		return event.Invalid("model", "name a model", "no model")
	case c.n == 0:
		return event.Invalid(c.field, "send at least one", "no %s", c.field)
	case ctx.Err() != nil:
		return event.AsError(fmt.Errorf("fake call: %w", ctx.Err()))
	case len(f.Models) > 0 && !slices.Contains(f.Models, c.model):
		meta = llm.Meta{Sent: true, Status: 404}
		return event.Invalid("model", "use a model that exists", "no model %q", c.model)
	}
	meta = llm.Meta{Sent: true, Status: 200, TTFT: time.Millisecond}
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
