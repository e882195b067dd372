// Package llm is the port to language models: chat completions and embeddings,
// in the pipeline's words. The adapter for OpenAI-compatible endpoints is
// llm/openai; llmtest holds the suite every adapter must pass.
//
// Errors are *event.Error: the class says whether to retry, RetryAfter when.
package llm

import (
	"context"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// Message is one turn of a conversation.
type Message = event.Message

// ChatRequest asks one model for one completion.
type ChatRequest struct {
	// Model is the provider's own model name.
	Model    string
	Messages []Message
	// MaxTokens bounds the completion; 0 leaves it to the provider.
	MaxTokens int
	// Temperature is sent as it is, 0 included; nil leaves it to the provider.
	Temperature *float64
	// Seed asks for the same answer to the same request; nil sends none.
	Seed *int64
	// Format asks for JSON; nil is free text. An adapter sends what its Mode says
	// and leaves the messages alone: see [Instruct].
	Format *Format
	// Tooling is sent as it is. Fields of this request go before params of the same
	// meaning.
	event.Tooling
	// Logprobs asks for ChatResponse.Logprobs.
	Logprobs bool
	// IdempotencyKey identifies the call for providers and proxies that honour
	// one; "" sends none.
	IdempotencyKey string
	// Meta, when set, is filled in on every path, errors included.
	Meta *Meta
	// OnDelta, when set, is called with each piece of text as it arrives, from
	// the calling goroutine; its error aborts the call and is returned. Calls of
	// tools are no text: they come with the response.
	OnDelta func(text string) error
}

// Usage counts tokens as the provider reported them.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	CachedTokens     int `json:"cached_tokens,omitempty"` // part of PromptTokens
	CacheWriteTokens int `json:"cache_write_tokens,omitempty"`
	ReasoningTokens  int `json:"reasoning_tokens,omitempty"` // part of CompletionTokens
}

// ChatResponse is a whole completion. An adapter returns one only when the
// provider marked its end: a stream that broke off is an error of
// ClassTruncated, never a short answer.
type ChatResponse struct {
	// Text is empty only when there are ToolCalls.
	Text string
	// ToolCalls are what the model wants called, each with an id and a name; nil
	// unless the request has tools. FinishReason is tool_calls then, or length when
	// the last one may be cut off.
	ToolCalls    []event.ToolCall
	FinishReason string // stop, length, content_filter, tool_calls
	Model        string // the model that answered, as the provider names it
	ServiceTier  string // as the provider reports it; prices may depend on it
	Usage        Usage
	// Logprobs is nil unless they were asked for and came.
	Logprobs *Logprobs
}

// EmbedRequest asks for the embeddings of a batch of texts.
type EmbedRequest struct {
	Model  string
	Inputs []string
	// Dimensions shortens the vectors where the model supports it; 0 leaves
	// the model's own.
	Dimensions int
	// IdempotencyKey and Meta as in ChatRequest.
	IdempotencyKey string
	Meta           *Meta
}

// EmbedResponse holds one vector per input, in the inputs' order.
type EmbedResponse struct {
	Vectors [][]float32
	Model   string
	Usage   Usage
}

// Chat completes conversations.
type Chat interface {
	Chat(ctx context.Context, req ChatRequest) (ChatResponse, error)
}

// Embedder turns texts into vectors.
type Embedder interface {
	Embed(ctx context.Context, req EmbedRequest) (EmbedResponse, error)
}

// Endpoint is a model at its provider.
type Endpoint interface {
	Chat
	Embedder
	// Close lets go of idle connections.
	Close()
}

// RerankRequest asks how well each document answers a query.
type RerankRequest struct {
	Model          string
	Query          string
	Documents      []string
	TopN           int // 0 scores all
	IdempotencyKey string
	Meta           *Meta
}

// RerankResponse holds the scores, best first.
type RerankResponse struct {
	Results []Ranked
	Model   string
	Usage   Usage
}

// Ranked is one document's score.
type Ranked struct {
	Index int     // in RerankRequest.Documents
	Score float64 // higher is better; the scale is the model's
}

// Reranker orders documents by relevance to a query.
type Reranker interface {
	Rerank(ctx context.Context, req RerankRequest) (RerankResponse, error)
}

// Meta is what is known of a call beside its answer, whatever became of it.
type Meta struct {
	// Sent says that the request may have reached the provider. Together with an
	// error and no Status, or with Status 200, it may have been billed.
	Sent bool
	// Status is the HTTP status, 0 when none came.
	Status int
	// RequestID is the provider's.
	RequestID string
	// Limits are the rate limits as the response's headers show them.
	Limits []RateLimit
	// TTFT is the time to the first piece of the answer, 0 when none came.
	TTFT time.Duration
}

// RateLimit is one limit as a provider shows it. Fields that it doesn't show
// are -1: absent is not zero.
type RateLimit struct {
	Dimension string // rpm, tpm, itpm, otpm, rpd, tpd
	Limit     int64
	Remaining int64
	Reset     time.Duration // until full again
}

// MaybeBilled reports whether a failed call may have been paid for: the request
// went out, and no answer says that it was refused.
func (m *Meta) MaybeBilled(err error) bool {
	return err != nil && m.Sent && (m.Status == 0 || m.Status == 200)
}
