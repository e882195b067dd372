package llmsim

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"slices"
)

// Limits of the embeddings API.
const (
	maxInputs      = 2048
	maxTotalTokens = 300_000
)

// embeddingRequest is a request for embeddings of texts.
type embeddingRequest struct {
	Model          string     `json:"model"`
	Input          embedInput `json:"input"`
	EncodingFormat string     `json:"encoding_format"`
	Dimensions     *int       `json:"dimensions"`
}

// embedding is one vector of an answer.
type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // []float32 or base64 of little-endian float32
}

// embeddings serves POST /v1/embeddings.
func (s *Server) embeddings(w http.ResponseWriter, r *http.Request) {
	var q embeddingRequest
	if err := s.decode(w, r, &q); err != nil {
		writeError(w, err)
		return
	}
	load := s.workloadOf("embeddings", q.Model, q.Input.list)
	tokens, err := s.checkEmbeddings(&q)
	if err != nil {
		s.refuse(w, r, load, err)
		return
	}
	load.prompt = tokens
	v, ok := s.enter(w, r, load)
	if !ok {
		return
	}
	defer v.done(usage{PromptTokens: tokens, TotalTokens: tokens})
	dims := s.cfg.Dimensions
	if q.Dimensions != nil {
		dims = *q.Dimensions
	}
	data := make([]embedding, len(q.Input.list))
	for i, text := range q.Input.list {
		vec := s.embed(text, dims)
		data[i] = embedding{Object: "embedding", Index: i, Embedding: vec}
		if q.EncodingFormat == "base64" {
			data[i].Embedding = base64Vector(vec)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"object": "list", "data": data, "model": q.Model,
		"usage": map[string]int{"prompt_tokens": tokens, "total_tokens": tokens},
	})
}

// checkEmbeddings reports what the API would refuse, and counts the tokens.
func (s *Server) checkEmbeddings(q *embeddingRequest) (tokens int, err error) {
	switch {
	case q.Model == "":
		return 0, invalid("model", "", "you must provide a model parameter")
	case !slices.Contains(s.cfg.EmbeddingModels, q.Model):
		return 0, modelNotFound(q.Model)
	case len(q.Input.list) == 0:
		return 0, invalid("input", "empty_array", "Invalid 'input': expected at least one text.")
	case len(q.Input.list) > maxInputs:
		return 0, invalid("input", "array_above_max_length", "Invalid 'input': array too long. Expected an array with maximum length %d, but got an array with length %d instead.", maxInputs, len(q.Input.list))
	case !slices.Contains([]string{"", "float", "base64"}, q.EncodingFormat):
		return 0, invalid("encoding_format", "invalid_value", "Invalid 'encoding_format': '%s' is neither 'float' nor 'base64'.", q.EncodingFormat)
	case q.Dimensions != nil && (*q.Dimensions < 1 || *q.Dimensions > s.cfg.Dimensions):
		return 0, invalid("dimensions", "invalid_value", "Invalid 'dimensions': expected a value between 1 and %d, but got %d instead.", s.cfg.Dimensions, *q.Dimensions)
	}
	if err := q.Input.decode(s.cfg.Answers.DecodeTokens); err != nil {
		return 0, err
	}
	for i, text := range q.Input.list {
		n := q.Input.count(i, s.cfg.CountTokens)
		if text == "" {
			return 0, invalid("input", "invalid_value", "Invalid 'input[%d]': input cannot be an empty string.", i)
		}
		if n > s.cfg.InputTokens {
			return 0, invalid("input", "context_length_exceeded", "This model's maximum context length is %d tokens, however input[%d] has %d tokens. Please reduce your input.", s.cfg.InputTokens, i, n)
		}
		tokens += n
	}
	if tokens > maxTotalTokens {
		return 0, invalid("input", "max_tokens_per_request", "Invalid 'input': requested %d tokens, the maximum is %d tokens per request.", tokens, maxTotalTokens)
	}
	return tokens, nil
}

// base64Vector encodes a vector as little-endian float32.
func base64Vector(vec []float32) json.RawMessage {
	raw := make([]byte, 4*len(vec))
	for i, v := range vec {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
	}
	out := make([]byte, base64.StdEncoding.EncodedLen(len(raw))+2)
	out[0], out[len(out)-1] = '"', '"'
	base64.StdEncoding.Encode(out[1:], raw)
	return out
}
