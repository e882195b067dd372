// Package llm is the port to language models: chat completions and embeddings,
// in the pipeline's words. The adapter for OpenAI-compatible endpoints is
// llm/openai; llmtest holds the suite every adapter must pass.
//
// Errors are *event.Error: the class says whether to retry, RetryAfter when.
package llm

import (
	"context"

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
	// IdempotencyKey identifies the call for providers and proxies that honour
	// one; "" sends none.
	IdempotencyKey string
	// OnDelta, when set, is called with each piece of text as it arrives, from
	// the calling goroutine; its error aborts the call and is returned.
	OnDelta func(text string) error
}

// Usage counts tokens as the provider reported them.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	CachedTokens     int `json:"cached_tokens,omitempty"` // part of PromptTokens
}

// ChatResponse is a whole completion. An adapter returns one only when the
// provider marked its end: a stream that broke off is an error of
// ClassTruncated, never a short answer.
type ChatResponse struct {
	Text         string
	FinishReason string // stop, length, content_filter, tool_calls
	Model        string // the model that answered, as the provider names it
	Usage        Usage
}

// EmbedRequest asks for the embeddings of a batch of texts.
type EmbedRequest struct {
	Model  string
	Inputs []string
	// Dimensions shortens the vectors where the model supports it; 0 leaves
	// the model's own.
	Dimensions int
	// IdempotencyKey as in ChatRequest.
	IdempotencyKey string
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
