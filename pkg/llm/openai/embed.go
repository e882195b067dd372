package openai

import (
	"context"
	"errors"
	"fmt"
	"math"

	goopenai "github.com/sashabaranov/go-openai"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// Embed implements llm.Embedder. Vectors travel as base64, which is several
// times faster to read than JSON numbers. An answer that does not hold one
// finite vector of equal length per input is an error of ClassUnavailable.
func (c *Client) Embed(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
	const doing = "embedding"
	if req.Model == "" {
		return llm.EmbedResponse{}, event.Invalid("model", "name a model of the provider", "%s: no model", doing)
	}
	if len(req.Inputs) == 0 {
		return llm.EmbedResponse{}, event.Invalid("inputs", "send at least one text", "%s: no inputs", doing)
	}
	if ctx.Err() != nil {
		return llm.EmbedResponse{}, contextError(ctx, doing)
	}
	callCtx, dog := watch(ctx, c.cfg.Timeouts, false)
	defer dog.stop()
	cl := &call{patch: map[string]any{"model": req.Model, "input": req.Inputs}, idempotencyKey: req.IdempotencyKey, watch: dog}
	res, err := c.api.CreateEmbeddings(withCall(callCtx, cl), goopenai.EmbeddingRequest{
		Model:          alias,
		EncodingFormat: goopenai.EmbeddingEncodingFormatBase64,
		Dimensions:     req.Dimensions,
	})
	if err != nil {
		return llm.EmbedResponse{}, c.wrap(ctx, callCtx, cl, doing, err)
	}
	vectors, err := ordered(res.Data, len(req.Inputs), req.Dimensions)
	if err != nil {
		return llm.EmbedResponse{}, c.badEmbeddings(ctx, callCtx, cl, doing, err)
	}
	return llm.EmbedResponse{Vectors: vectors, Model: string(res.Model), Usage: llm.Usage{PromptTokens: res.Usage.PromptTokens}}, nil
}

// badEmbeddings reports an answer with status 200 that is no set of vectors;
// it may hold an error in its place.
func (c *Client) badEmbeddings(ctx, callCtx context.Context, cl *call, doing string, err error) error {
	if f := parseFailure(0, cl.head); f.given {
		f.status = f.statusOf(502)
		f.redact(c.cfg.APIKey)
		f.header = cl.header
		cl.failure = f
		return c.wrap(ctx, callCtx, cl, doing, f)
	}
	return event.Errorf(event.ClassUnavailable, "%s: %w", doing, err)
}

// ordered puts the vectors into the inputs' order and checks that there is one
// for each, all of the same length, dims if not 0, and finite.
func ordered(data []goopenai.Embedding, inputs, dims int) ([][]float32, error) {
	if len(data) != inputs {
		return nil, fmt.Errorf("the provider sent %d vectors for %d inputs", len(data), inputs)
	}
	vectors := make([][]float32, inputs)
	for _, d := range data {
		switch {
		case d.Index < 0 || d.Index >= inputs || vectors[d.Index] != nil:
			return nil, fmt.Errorf("the provider sent index %d twice or out of range", d.Index)
		case len(d.Embedding) == 0:
			return nil, errors.New("the provider sent an empty vector")
		case dims != 0 && len(d.Embedding) != dims:
			return nil, fmt.Errorf("the provider sent %d dimensions, want %d", len(d.Embedding), dims)
		case len(d.Embedding) != len(data[0].Embedding):
			return nil, fmt.Errorf("the provider sent vectors of %d and %d dimensions", len(data[0].Embedding), len(d.Embedding))
		}
		for _, v := range d.Embedding {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return nil, errors.New("the provider sent a vector with a component that is no number")
			}
		}
		vectors[d.Index] = d.Embedding
	}
	return vectors, nil
}
