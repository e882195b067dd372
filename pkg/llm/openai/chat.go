package openai

import (
	"context"
	"errors"
	"io"
	"maps"
	"strings"

	goopenai "github.com/sashabaranov/go-openai"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// streamOptions is the field with what a stream should hold beside the text.
const streamOptions = "stream_options"

// maxTextBytes bounds a completion.
const maxTextBytes = 16 << 20

// Chat implements llm.Chat. It always asks for a stream, so that a silent
// provider is noticed early. Usage is zero when the provider reports none.
//
// A completion without any text or tool call is an error, as is a refusal; one cut off by
// the token limit is a response with FinishReason "length".
func (c *Client) Chat(ctx context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
	cl := &call{doing: "chat completion", stream: true, logprobs: req.Logprobs, patch: c.chatPatch(req), idempotencyKey: req.IdempotencyKey}
	callCtx, end := c.begin(ctx, cl, req.Meta)
	defer end()
	if err := cl.check(ctx, req.Model, "messages", len(req.Messages)); err != nil {
		return llm.ChatResponse{}, err
	}
	if req.Format != nil {
		if err := req.Format.Check(); err != nil {
			return llm.ChatResponse{}, err
		}
		if req.Format.Mode == llm.FormatTool && req.HasTools() {
			return llm.ChatResponse{}, event.Invalid("format.mode", "use another mode for a request that has tools", "is %q", req.Format.Mode)
		}
	}
	stream, err := c.api.CreateChatCompletionStream(callCtx, goopenai.ChatCompletionRequest{Model: alias})
	if err != nil {
		return llm.ChatResponse{}, c.wrap(ctx, cl, err)
	}
	defer stream.Close() //nolint:errcheck // read only
	a := answer{onDelta: req.OnDelta, tool: req.Format != nil && req.Format.Mode == llm.FormatTool, calls: callsFor(req, c.doer.now)}
	if err := a.read(stream); err != nil {
		var aborted *abortError
		if errors.As(err, &aborted) {
			return llm.ChatResponse{}, aborted.err
		}
		return llm.ChatResponse{}, c.wrap(ctx, cl, err)
	}
	return a.response(cl)
}

// chatPatch is the request's body over what go-openai would send.
func (c *Client) chatPatch(req llm.ChatRequest) map[string]any {
	patch := maps.Clone(c.cfg.ExtraBody)
	if patch == nil {
		patch = map[string]any{}
	}
	delete(patch, "stream")
	toolPatch(patch, &req.Tooling)
	if isOn(c.cfg.Dialect.StreamUsage) {
		options := map[string]any{}
		if extra, ok := patch[streamOptions].(map[string]any); ok {
			maps.Copy(options, extra)
		}
		options["include_usage"] = true
		patch[streamOptions] = options
	}
	patch["model"] = req.Model
	patch["messages"] = wireMessages(req.Messages)
	if req.MaxTokens > 0 {
		delete(patch, MaxTokens)
		delete(patch, MaxCompletionTokens)
		patch[c.cfg.MaxTokensField] = req.MaxTokens
	}
	if req.Temperature != nil {
		patch["temperature"] = *req.Temperature
	}
	if req.Seed != nil {
		patch["seed"] = *req.Seed
	}
	if req.Logprobs {
		patch["logprobs"], patch["top_logprobs"] = true, topLogprobs
	}
	if req.Format != nil {
		maps.Copy(patch, formatPatch(req.Format))
	}
	return patch
}

// abortError carries the error of OnDelta through.
type abortError struct{ err error }

// Error implements error.
func (e *abortError) Error() string { return e.err.Error() }

// answer gathers the pieces of a completion.
type answer struct {
	onDelta func(text string) error
	text    strings.Builder
	refusal strings.Builder
	finish  string
	model   string
	// tool says that the answer is the arguments of a tool call. What the model
	// writes beside it is its answer only when it makes no call.
	tool   bool
	called bool
	beside strings.Builder
	// calls gathers the calls of the request's tools; nil when it has none.
	calls *toolCalls
}

// read consumes the stream to its end mark.
func (a *answer) read(stream *goopenai.ChatCompletionStream) error {
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) { // after [DONE]: the doer reports any other end as an error
			if a.tool && !a.called {
				return a.addText(a.beside.String())
			}
			return nil
		}
		if err != nil {
			return err
		}
		if err := a.add(chunk); err != nil {
			return err
		}
	}
}

// add takes one chunk.
func (a *answer) add(chunk goopenai.ChatCompletionStreamResponse) error {
	if chunk.Model != "" {
		a.model = chunk.Model
	}
	for _, choice := range chunk.Choices {
		if choice.Index != 0 {
			continue
		}
		if choice.FinishReason != "" {
			a.finish = string(choice.FinishReason)
		}
		a.refusal.WriteString(choice.Delta.Refusal)
		if err := a.addDelta(choice.Delta); err != nil {
			return err
		}
	}
	return nil
}

// addDelta takes what a chunk adds to the answer.
func (a *answer) addDelta(delta goopenai.ChatCompletionStreamChoiceDelta) error {
	if !a.tool {
		if err := a.calls.add(delta.ToolCalls); err != nil {
			return err
		}
		return a.addText(delta.Content)
	}
	if a.beside.WriteString(delta.Content); a.beside.Len() > maxTextBytes {
		return errBadStream
	}
	for _, call := range delta.ToolCalls {
		a.called = true
		if err := a.addText(call.Function.Arguments); err != nil {
			return err
		}
	}
	return nil
}

func (a *answer) addText(piece string) error {
	if piece == "" {
		return nil
	}
	a.text.WriteString(piece)
	if a.text.Len() > maxTextBytes {
		return errBadStream
	}
	if a.onDelta == nil {
		return nil
	}
	if err := a.onDelta(piece); err != nil {
		return &abortError{err}
	}
	return nil
}

// response judges the whole completion.
func (a *answer) response(cl *call) (llm.ChatResponse, error) {
	doing := cl.doing
	calls, err := a.calls.whole()
	empty := strings.TrimSpace(a.text.String()) == "" && len(calls) == 0
	switch {
	case a.refusal.Len() > 0:
		return llm.ChatResponse{}, event.Errorf(event.ClassContent, "%s: the model refused: %s", doing, cutText(a.refusal.String(), maxMessage))
	case a.finish == "content_filter":
		return llm.ChatResponse{}, event.Errorf(event.ClassContent, "%s: stopped by the provider's content filter", doing)
	case a.finish == "":
		return llm.ChatResponse{}, event.Errorf(event.ClassTruncated, "%s: the stream has no finish_reason", doing)
	case a.finish == "error":
		return llm.ChatResponse{}, event.Errorf(event.ClassUnavailable, "%s: the provider stopped with an error", doing)
	case empty && a.finish == "length":
		return llm.ChatResponse{}, event.Invalid("max_tokens", "raise max_tokens: the model used it up before writing any text", "%s: empty completion", doing)
	case err != nil:
		return llm.ChatResponse{}, event.Errorf(event.ClassUnavailable, "%s: %w", doing, err)
	case empty:
		return llm.ChatResponse{}, event.Errorf(event.ClassUnavailable, "%s: empty completion (finish_reason %s)", doing, a.finish)
	}
	if a.called && a.finish == "tool_calls" {
		a.finish = "stop" // the call is the whole answer
	}
	if len(calls) > 0 && a.finish != "length" {
		a.finish = "tool_calls" // some say stop
	}
	return llm.ChatResponse{Text: a.text.String(), ToolCalls: calls, FinishReason: a.finish, Model: a.model, ServiceTier: cl.tier,
		Usage: cl.usage, Logprobs: llm.SumUp(cl.tokens)}, nil
}
