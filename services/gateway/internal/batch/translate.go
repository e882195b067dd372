package batch

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/openai"
)

// The endpoints that lines may be for.
const (
	chatEndpoint  = "/v1/chat/completions"
	embedEndpoint = "/v1/embeddings"
)

// translate turns the body of a line into a job. Errors are the line's.
func (r *run) translate(body json.RawMessage) (event.Kind, json.RawMessage, error) {
	cat := r.s.cfg.Catalog.Current()
	switch r.job.Endpoint {
	case chatEndpoint:
		c, err := openai.ParseChat(body)
		if err != nil {
			return "", nil, err
		}
		if c.Stream {
			return "", nil, event.Invalid("stream", "leave it out: the answer goes into the output file", "a line of a batch can't be streamed")
		}
		if err := c.Resolve(cat, r.job.Tenant); err != nil {
			return "", nil, err
		}
		job := c.At(r.s.p.Now())
		return encode(event.KindGenerate, &job, &job.Envelope, r)
	case embedEndpoint:
		e, err := openai.ParseEmbeddings(body)
		if err != nil {
			return "", nil, err
		}
		if err := e.Resolve(cat, r.job.Tenant); err != nil {
			return "", nil, err
		}
		job := e.At(r.s.p.Now())
		return encode(event.KindEmbed, &job, &job.Envelope, r)
	}
	return r.native(body)
}

// encode gives a job what all lines of the batch have, and encodes it.
func encode(kind event.Kind, job any, env *event.Envelope, r *run) (event.Kind, json.RawMessage, error) {
	if err := r.adopt(env); err != nil {
		return "", nil, err
	}
	data, err := json.Marshal(job)
	if err != nil {
		return "", nil, fmt.Errorf("encoding the job of a line: %w", err)
	}
	return kind, data, nil
}

// adopt makes a job one of the batch.
func (r *run) adopt(env *event.Envelope) error {
	if env.ID != "" {
		return event.Invalid("id", "leave it out: the lines of a batch are named after it", "has one")
	}
	if !env.NotBefore.IsZero() {
		return event.Invalid("not_before", "leave it out, or set it for the batch", "a line of a batch can't be scheduled")
	}
	env.Lane, env.Deadline = event.LaneBatch, earlier(env.Deadline, r.job.Deadline)
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// native is a line for /v1/jobs: a job as it is.
func (r *run) native(body json.RawMessage) (event.Kind, json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return "", nil, event.Invalid("body", "send one JSON object", "no JSON: %v", err)
	}
	var head struct {
		Kind      event.Kind `json:"kind"`
		ID        string     `json:"id"`
		Deadline  time.Time  `json:"deadline"`
		NotBefore time.Time  `json:"not_before"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return "", nil, event.Invalid("body", "see docs/jobs.md for the fields", "%v", err)
	}
	if head.Kind == event.KindBatch {
		return "", nil, event.Invalid("kind", "submit batches by themselves", "a line of a batch can't be one")
	}
	env := event.Envelope{ID: head.ID, Deadline: head.Deadline, NotBefore: head.NotBefore}
	if err := r.adopt(&env); err != nil {
		return "", nil, err
	}
	if !env.Deadline.IsZero() {
		data, err := json.Marshal(env.Deadline)
		if err != nil {
			return "", nil, fmt.Errorf("encoding the deadline of a line: %w", err)
		}
		fields["deadline"] = data
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return "", nil, fmt.Errorf("encoding the job of a line: %w", err)
	}
	return "", data, nil
}

// body is the answer of a line's request.
func (r *run) body(request json.RawMessage, result event.Result) any {
	var head struct {
		Model          string `json:"model"`
		EncodingFormat string `json:"encoding_format"`
	}
	json.Unmarshal(request, &head) //nolint:errcheck // the line was translated, or its job is somebody else's
	switch {
	case r.job.Endpoint == chatEndpoint && result.Answer != nil:
		return openai.Chat{Model: head.Model}.Response(result)
	case r.job.Endpoint == embedEndpoint && result.Embedded != nil:
		return openai.Embeddings{Model: head.Model, Format: head.EncodingFormat}.Response(result)
	}
	return result
}
