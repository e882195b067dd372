package openai

import (
	"cmp"

	"github.com/weir-dev/weir/pkg/event"
)

// CompletionID is the id of a completion, which tells the job.
func CompletionID(job string) string { return "chatcmpl-" + job }

// ChatCompletion is the answer to a chat completion request.
type ChatCompletion struct {
	ID                string   `json:"id"`
	Object            string   `json:"object"` // chat.completion
	Created           int64    `json:"created"`
	Model             string   `json:"model"` // the one that answered
	Choices           []Choice `json:"choices"`
	Usage             Usage    `json:"usage"`
	SystemFingerprint *string  `json:"system_fingerprint"`
	Weir              *Extra   `json:"weir"`
}

// Choice is the one answer of a completion.
type Choice struct {
	Index        int       `json:"index"`
	Message      ReplyTurn `json:"message"`
	Logprobs     *struct{} `json:"logprobs"`
	FinishReason string    `json:"finish_reason"`
}

// ReplyTurn is the assistant's turn.
type ReplyTurn struct {
	Role      string           `json:"role"`
	Content   *string          `json:"content"`
	Refusal   *string          `json:"refusal"`
	ToolCalls []event.ToolCall `json:"tool_calls,omitempty"`
}

// Usage are the tokens of all calls that the job took.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// Extra is what Weir says beside OpenAI's fields.
type Extra struct {
	Job string `json:"job"`
	// FinishReason is the job's own: OpenAI knows fewer.
	FinishReason string            `json:"finish_reason,omitempty"`
	Citations    []event.Source    `json:"citations,omitempty"`
	Unsupported  []string          `json:"unsupported,omitempty"`
	Receipt      event.Receipt     `json:"receipt"`
	Metadata     map[string]string `json:"metadata,omitempty"`
}

// Response is the completion that a job's result makes; the result has an answer.
func (c Chat) Response(r event.Result) ChatCompletion {
	a := answerOf(r)
	message := ReplyTurn{Role: "assistant", ToolCalls: a.ToolCalls}
	if a.Text != "" || len(a.ToolCalls) == 0 {
		message.Content = &a.Text
	}
	return ChatCompletion{
		ID: CompletionID(r.ID), Object: "chat.completion", Created: r.FinishedAt.Unix(), Model: c.answering(a),
		Choices: []Choice{{Message: message, FinishReason: finishReason(a)}},
		Usage:   usageOf(r), Weir: extraOf(r),
	}
}

// answering is the model that gave an answer; no model gives some.
func (c Chat) answering(a event.Answer) string { return cmp.Or(a.Model, c.Model) }

// answerOf is the answer of a result, which tests for it are spared.
func answerOf(r event.Result) event.Answer {
	if r.Answer == nil {
		return event.Answer{}
	}
	return *r.Answer
}

func usageOf(r event.Result) Usage {
	return Usage{PromptTokens: r.Receipt.PromptTokens, CompletionTokens: r.Receipt.CompletionTokens,
		TotalTokens: r.Receipt.PromptTokens + r.Receipt.CompletionTokens}
}

func extraOf(r event.Result) *Extra {
	a := answerOf(r)
	return &Extra{Job: r.ID, FinishReason: a.FinishReason, Citations: a.Citations, Unsupported: a.Unsupported, Receipt: r.Receipt, Metadata: r.Metadata}
}

// finishReason is the reason in OpenAI's words.
func finishReason(a event.Answer) string {
	if len(a.ToolCalls) > 0 {
		return "tool_calls"
	}
	switch a.FinishReason {
	case "length", "content_filter":
		return a.FinishReason
	}
	return "stop"
}
