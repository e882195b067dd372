package openai

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"

	goopenai "github.com/sashabaranov/go-openai"

	"github.com/weir-dev/weir/pkg/llm"
)

// Embed implements llm.Embedder. Vectors travel as base64, which is several
// times faster to read than JSON numbers, unless the dialect has none; numbers
// are taken all the same. An answer that does not hold one finite vector of equal
// length per input is an error of ClassUnavailable.
func (c *Client) Embed(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
	cl := &call{doing: "embedding", patch: map[string]any{"model": req.Model, "input": req.Inputs}, idempotencyKey: req.IdempotencyKey}
	callCtx, end := c.begin(ctx, cl, req.Meta)
	defer end()
	if err := cl.check(ctx, req.Model, "inputs", len(req.Inputs)); err != nil {
		return llm.EmbedResponse{}, err
	}
	format := goopenai.EmbeddingEncodingFormatFloat
	if cl.base64 = isOn(c.cfg.Dialect.Base64); cl.base64 {
		format = goopenai.EmbeddingEncodingFormatBase64
	}
	res, err := c.api.CreateEmbeddings(callCtx, goopenai.EmbeddingRequest{Model: alias, EncodingFormat: format, Dimensions: req.Dimensions})
	if err != nil {
		return llm.EmbedResponse{}, c.wrap(ctx, cl, err)
	}
	vectors, err := ordered(res.Data, len(req.Inputs), req.Dimensions)
	if err != nil {
		return llm.EmbedResponse{}, c.wrap(ctx, cl, err)
	}
	return llm.EmbedResponse{Vectors: vectors, Model: string(res.Model), Usage: llm.Usage{PromptTokens: res.Usage.PromptTokens}}, nil
}

// numbersAhead finds a vector of numbers in the first peekBytes of an answer.
var numbersAhead = regexp.MustCompile(`"embedding"\s*:\s*\[`)

// peekBytes holds whatever an answer has before its first vector.
const peekBytes = 4 << 10

// numbersToBase64 turns the vectors of a server that ignores encoding_format
// into the base64 that go-openai expects; base64 passes through as it is.
func numbersToBase64(body io.ReadCloser) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(body, peekBytes)
	head, _ := buffered.Peek(peekBytes) // an error comes again with the read
	if !numbersAhead.Match(head) {
		return struct {
			io.Reader
			io.Closer
		}{buffered, body}, nil
	}
	defer body.Close() //nolint:errcheck // read only
	var answer struct {
		Model string `json:"model"`
		Data  []struct {
			Index     int    `json:"index"`
			Embedding vector `json:"embedding"`
		} `json:"data"`
		Usage json.RawMessage `json:"usage,omitempty"`
	}
	raw, err := io.ReadAll(buffered)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, err
	}
	raw, err = json.Marshal(answer)
	return io.NopCloser(bytes.NewReader(raw)), err
}

// vector is read as numbers and written as base64 of little-endian float32.
type vector []float32

// MarshalJSON implements json.Marshaler.
func (v vector) MarshalJSON() ([]byte, error) {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return json.Marshal(raw)
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
