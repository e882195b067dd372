package openai

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tokens"
)

// Embeddings is an embeddings request as a job.
type Embeddings struct {
	// Job is what was asked for; it has an id only if the request gives one.
	Job event.EmbedJob
	// Model is the name in the request; see Resolve.
	Model string
	// Dimensions is the length of the vectors that is expected; 0 is the model's.
	Dimensions int
	// Format is float or base64; "" is float.
	Format string
	// Timeout is the job's deadline, from when it is submitted; 0 is none. See At.
	Timeout time.Duration
	// CancelOnDisconnect stops the job when the caller goes away.
	CancelOnDisconnect bool
}

// embeddingsRequest is the body of an embeddings request.
type embeddingsRequest struct {
	Model          string          `json:"model"`
	Input          json.RawMessage `json:"input"`
	Dimensions     *int            `json:"dimensions"`
	EncodingFormat string          `json:"encoding_format"`
	Weir           json.RawMessage `json:"weir"`
}

// ParseEmbeddings reads the body of an embeddings request. Tokens, which some clients
// send instead of text, are read as those of cl100k_base, OpenAI's encoding for its
// embedding models.
func ParseEmbeddings(body []byte) (Embeddings, error) {
	var q embeddingsRequest
	if err := decode(body, &q); err != nil {
		return Embeddings{}, err
	}
	e := Embeddings{Model: q.Model, Format: q.EncodingFormat}
	e.Job.V = event.Version
	if q.Model == "" {
		return e, event.Invalid("model", "name an embedding model of GET /v1/models", "missing")
	}
	switch e.Format {
	case "", "float", "base64":
	default:
		return e, event.Invalid("encoding_format", "use float or base64", "got %q", q.EncodingFormat)
	}
	if q.Dimensions != nil {
		if e.Dimensions = *q.Dimensions; e.Dimensions < 1 {
			return e, event.Invalid("dimensions", "use that of the model, or leave it out", "got %d", e.Dimensions)
		}
	}
	var err error
	if e.Job.Inputs, err = inputs(q.Input); err != nil {
		return e, err
	}
	return e, e.weir(q.Weir)
}

// inputs reads the texts of a request: one or a list, as text or as tokens.
func inputs(raw json.RawMessage) ([]string, error) {
	const hint = `send a text, a list of texts, or tokens`
	var list []json.RawMessage
	switch {
	case null(raw):
		return nil, event.Invalid("input", hint, "missing")
	case json.Unmarshal(raw, &list) != nil: // one text
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return nil, event.Invalid("input", hint, "neither a text nor a list")
		}
		list = []json.RawMessage{raw}
	case len(list) > 0 && isNumber(list[0]): // one text in tokens
		list = []json.RawMessage{raw}
	}
	if n := len(list); n == 0 || n > event.MaxInputs {
		return nil, event.Invalid("input", fmt.Sprintf("send 1 to %d texts", event.MaxInputs), "has %d", n)
	}
	texts := make([]string, len(list))
	for i, one := range list {
		text, err := input(one)
		if err == nil && text == "" {
			err = event.Errorf(event.ClassInvalid, "it is empty")
		}
		if err != nil {
			return nil, event.Invalid(fmt.Sprintf("input[%d]", i), hint, "%s", event.AsError(err).Message)
		}
		texts[i] = text
	}
	return texts, nil
}

func isNumber(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] >= '0' && raw[0] <= '9' }

// input is one text.
func input(raw json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil && !null(raw) {
		return text, nil
	}
	var ids []uint32
	if json.Unmarshal(raw, &ids) != nil || null(raw) {
		return "", event.Errorf(event.ClassInvalid, "neither a text nor a list of tokens")
	}
	counter, err := tokens.New(tokens.Cl100kBase)
	if err != nil {
		return "", err
	}
	text, err = counter.Decode(ids)
	if err != nil {
		return "", event.Errorf(event.ClassInvalid, "%w", err)
	}
	if !utf8.ValidString(text) {
		return "", event.Errorf(event.ClassInvalid, "the tokens are no whole text of %s", tokens.Cl100kBase)
	}
	return text, nil
}

// weir applies the options.
func (e *Embeddings) weir(raw json.RawMessage) error {
	var o options
	if err := decodeOptions(raw, &o, &o); err != nil {
		return err
	}
	j := &e.Job
	j.ID, j.Lane, j.Deadline, j.Webhook, j.Metadata = o.ID, o.Lane, o.Deadline, o.Webhook, o.Metadata
	e.Timeout, e.CancelOnDisconnect = o.timeout(), o.CancelOnDisconnect
	return nil
}

// Resolve puts the model's id for its name, and fails for one that the tenant can't
// use, or whose vectors are of another length.
func (e *Embeddings) Resolve(c *catalog.Catalog, tenant string) error {
	id, task, err := Resolve(c, tenant, e.Model, catalog.ModeEmbedding)
	if err == nil && (task != "" || id == "") { // a policy is for chat models
		err = modelNotFound(e.Model)
	}
	if err != nil {
		return err
	}
	e.Job.Model = id
	if m, _ := c.Model(id); e.Dimensions != 0 && e.Dimensions != m.Dimensions {
		return event.Invalid("dimensions", "use that of the model, or leave it out", "got %d, the vectors of %s have %d", e.Dimensions, id, m.Dimensions)
	}
	return nil
}

// At returns the job as it is submitted at a time.
func (e *Embeddings) At(now time.Time) event.EmbedJob {
	job := e.Job
	if e.Timeout > 0 {
		job.Deadline = now.Add(e.Timeout).UTC()
	}
	return job
}

// EmbeddingList is the answer to an embeddings request.
type EmbeddingList struct {
	Object string         `json:"object"` // list
	Data   []Embedding    `json:"data"`
	Model  string         `json:"model"`
	Usage  EmbeddingUsage `json:"usage"`
	Weir   *Extra         `json:"weir"`
}

// Embedding is the vector of one text: a list of numbers, or base64 of little-endian
// float32.
type Embedding struct {
	Object    string `json:"object"` // embedding
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"`
}

// EmbeddingUsage are the tokens of the texts.
type EmbeddingUsage struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
}

// Response is the list that a job's result makes; the result has vectors.
func (e Embeddings) Response(r event.Result) EmbeddingList {
	list := EmbeddingList{Object: "list", Model: e.Model, Data: []Embedding{}, Weir: &Extra{Job: r.ID, Receipt: r.Receipt, Metadata: r.Metadata}}
	if r.Embedded == nil {
		return list
	}
	list.Model, list.Usage = r.Embedded.Model, EmbeddingUsage{PromptTokens: r.Embedded.Tokens, TotalTokens: r.Embedded.Tokens}
	list.Data = make([]Embedding, len(r.Embedded.Vectors))
	for i, vector := range r.Embedded.Vectors {
		list.Data[i] = Embedding{Object: "embedding", Index: i, Embedding: e.vector(vector)}
	}
	return list
}

func (e Embeddings) vector(data []byte) any {
	if e.Format == "base64" {
		return base64.StdEncoding.EncodeToString(data)
	}
	numbers := make([]float32, len(data)/4)
	for i := range numbers {
		numbers[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return numbers
}
