package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
)

// Chat is a chat completion request as a job.
type Chat struct {
	// Job is what was asked for; it has an id only if the request gives one.
	Job event.GenerateJob
	// Model is the name in the request; see Resolve.
	Model string
	// Timeout is the job's deadline, from when it is submitted; 0 is none. See At.
	Timeout time.Duration
	// Stream asks for chunks; IncludeUsage for one with the usage at their end.
	Stream, IncludeUsage bool
	// CancelOnDisconnect stops the job when the caller goes away.
	CancelOnDisconnect bool
}

// chatRequest is the body of a chat completion request.
type chatRequest struct {
	Model               string          `json:"model"`
	Messages            []message       `json:"messages"`
	Tools               json.RawMessage `json:"tools"`
	ToolChoice          json.RawMessage `json:"tool_choice"`
	ResponseFormat      *responseFormat `json:"response_format"`
	MaxTokens           *int            `json:"max_tokens"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	Temperature         *float64        `json:"temperature"`
	Stream              bool            `json:"stream"`
	StreamOptions       *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Metadata map[string]string `json:"metadata"`
	Weir     json.RawMessage   `json:"weir"`
}

// message is a turn of the conversation; its content is a string or parts.
type message struct {
	Role         string           `json:"role"`
	Content      json.RawMessage  `json:"content"`
	Name         string           `json:"name"`
	ToolCalls    []event.ToolCall `json:"tool_calls"`
	ToolCallID   string           `json:"tool_call_id"`
	FunctionCall json.RawMessage  `json:"function_call"`
}

type responseFormat struct {
	Type       string `json:"type"`
	JSONSchema struct {
		Schema json.RawMessage `json:"schema"`
	} `json:"json_schema"`
}

// chatOptions are what a chat request asks of Weir.
type chatOptions struct {
	options
	Task           string        `json:"task"`
	RAG            *event.RAG    `json:"rag"`
	NotBefore      time.Time     `json:"not_before"`
	MaxAttempts    int           `json:"max_attempts"`
	MaxCostNanoUSD int64         `json:"max_cost_nano_usd"`
	NoCache        bool          `json:"no_cache"`
	Checks         []event.Check `json:"checks"`
}

// ParseChat reads the body of a chat completion request. What the job itself must
// keep to is checked when it is submitted; what Weir can't do is refused here.
// Fields that it does not know are ignored.
func ParseChat(body []byte) (Chat, error) {
	var r chatRequest
	var fields map[string]json.RawMessage
	if err := decode(body, &r); err != nil {
		return Chat{}, err
	}
	if err := decode(body, &fields); err != nil {
		return Chat{}, err
	}
	if err := refuse(fields); err != nil {
		return Chat{}, err
	}
	c := Chat{Model: r.Model, Stream: r.Stream, IncludeUsage: r.StreamOptions != nil && r.StreamOptions.IncludeUsage}
	j := &c.Job
	j.V, j.Metadata, j.Temperature, j.Stream = event.Version, r.Metadata, r.Temperature, r.Stream
	var err error
	if j.Messages, err = messages(r.Messages); err != nil {
		return c, err
	}
	if j.Tooling, err = tooling(&r, fields); err != nil {
		return c, err
	}
	if j.MaxTokens, err = maxTokens(&r); err != nil {
		return c, err
	}
	if j.Schema, err = r.ResponseFormat.schema(); err != nil {
		return c, err
	}
	if err := c.weir(r.Weir); err != nil {
		return c, err
	}
	return c, c.model()
}

// refusal is a field that changes what comes back in a way that Weir can't do, and
// the values of it that change nothing.
type refusal struct {
	field, hint string
	fine        []string
}

func refusals() []refusal {
	return []refusal{
		{"n", "send the request n times; each is a job", []string{"1"}},
		{"logprobs", "leave it out", []string{"false"}},
		{"top_logprobs", "leave it out", []string{"0"}},
		{"audio", "leave it out: Weir answers in text", nil},
		{"modalities", `leave it out: Weir answers in text`, []string{`["text"]`}},
		{"functions", "use tools", nil},
		{"function_call", "use tool_choice", nil},
		{"web_search_options", "leave it out; weir.rag grounds answers in a collection", nil},
	}
}

func refuse(fields map[string]json.RawMessage) error {
	for _, r := range refusals() {
		value := fields[r.field]
		if null(value) {
			continue
		}
		var compact bytes.Buffer
		if json.Compact(&compact, value) == nil && slices.Contains(r.fine, compact.String()) {
			continue
		}
		return event.Invalid(r.field, r.hint, "not supported")
	}
	return nil
}

// messages translates the turns of a conversation.
func messages(in []message) ([]event.Message, error) {
	if len(in) == 0 {
		return nil, event.Invalid("messages", `add at least one, such as {"role":"user","content":"..."}`, "empty")
	}
	out := make([]event.Message, 0, len(in))
	for i, m := range in {
		field := fmt.Sprintf("messages[%d]", i)
		if !null(m.FunctionCall) {
			return nil, event.Invalid(field+".function_call", "use tool_calls", "not supported")
		}
		text, err := content(field+".content", m.Content)
		if err != nil {
			return nil, err
		}
		out = append(out, event.Message{Role: m.Role, Content: text, Name: m.Name, ToolCalls: m.ToolCalls, ToolCallID: m.ToolCallID})
	}
	return out, nil
}

// content reads a turn's content: a string, or text parts, which are joined by line
// breaks.
func content(field string, raw json.RawMessage) (string, error) {
	if null(raw) {
		return "", nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var parts []struct {
		Type    string `json:"type"`
		Text    string `json:"text"`
		Refusal string `json:"refusal"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", event.Invalid(field, `send a string, or parts such as {"type":"text","text":"..."}`, "neither a string nor a list of parts")
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		switch p.Type {
		case "text":
			texts[i] = p.Text
		case "refusal":
			texts[i] = p.Refusal
		default:
			return "", event.Invalid(fmt.Sprintf("%s[%d].type", field, i), "use text parts: Weir takes no images, audio or files in messages",
				"unsupported part type %q", p.Type)
		}
	}
	return strings.Join(texts, "\n"), nil
}

// tooling is what the model gets as it is.
func tooling(r *chatRequest, fields map[string]json.RawMessage) (event.Tooling, error) {
	var t event.Tooling
	if !null(r.Tools) {
		var list []json.RawMessage
		if json.Unmarshal(r.Tools, &list) != nil {
			return t, event.Invalid("tools", `send a list, such as [{"type":"function","function":{"name":"..."}}]`, "no list")
		}
		if len(list) > 0 {
			t.Tools = r.Tools
		}
	}
	if !null(r.ToolChoice) {
		t.ToolChoice = r.ToolChoice
	}
	for _, name := range event.ParamNames() {
		if value := fields[name]; !null(value) {
			if t.Params == nil {
				t.Params = map[string]json.RawMessage{}
			}
			t.Params[name] = value
		}
	}
	return t, nil
}

func maxTokens(r *chatRequest) (int, error) {
	for _, f := range []struct {
		field string
		n     *int
	}{{"max_completion_tokens", r.MaxCompletionTokens}, {"max_tokens", r.MaxTokens}} {
		if f.n == nil {
			continue
		}
		if *f.n < 1 {
			return 0, event.Invalid(f.field, "use 1 or more, or leave it out", "got %d", *f.n)
		}
		return *f.n, nil
	}
	return 0, nil
}

// schema is the JSON Schema of a response format; nil for text.
func (f *responseFormat) schema() (json.RawMessage, error) {
	if f == nil {
		return nil, nil
	}
	switch f.Type {
	case "text":
		return nil, nil
	case "json_object":
		return json.RawMessage(`{"type":"object"}`), nil
	case "json_schema":
		if null(f.JSONSchema.Schema) {
			return nil, event.Invalid("response_format.json_schema.schema", "give a JSON Schema", "missing")
		}
		return f.JSONSchema.Schema, nil
	}
	return nil, event.Invalid("response_format.type", "use text, json_object or json_schema", "got %q", f.Type)
}

// weir applies the options.
func (c *Chat) weir(raw json.RawMessage) error {
	var o chatOptions
	if err := decodeOptions(raw, &o, &o.options); err != nil {
		return err
	}
	j := &c.Job
	j.ID, j.Task, j.RAG, j.Lane, j.Checks = o.ID, o.Task, o.RAG, o.Lane, o.Checks
	j.Deadline, j.NotBefore, j.Webhook, j.NoCache = o.Deadline, o.NotBefore, o.Webhook, o.NoCache
	j.MaxAttempts, j.MaxCostNanoUSD = o.MaxAttempts, o.MaxCostNanoUSD
	c.Timeout, c.CancelOnDisconnect = o.timeout(), o.CancelOnDisconnect
	if len(o.Metadata) > 0 {
		metadata := maps.Clone(j.Metadata)
		if metadata == nil {
			metadata = map[string]string{}
		}
		maps.Copy(metadata, o.Metadata)
		j.Metadata = metadata
	}
	return nil
}

// model splits the name of the model into what the job says of it.
func (c *Chat) model() error {
	if c.Model == "" {
		return event.Invalid("model", "name a model of GET /v1/models, or "+AutoModel, "missing")
	}
	task, ok := strings.CutPrefix(c.Model, TaskPrefix)
	switch {
	case c.Model == AutoModel:
	case !ok:
		c.Job.Model = c.Model
	case c.Job.Task != "" && c.Job.Task != task:
		return event.Invalid("weir.task", "leave it out or use the model "+AutoModel, "got %q, and the model says %q", c.Job.Task, task)
	default:
		c.Job.Task = task
	}
	return nil
}

// Resolve puts the model's id for its name, and fails for one that the tenant can't
// use.
func (c *Chat) Resolve(cat *catalog.Catalog, tenant string) error {
	model, _, err := Resolve(cat, tenant, c.Model, catalog.ModeChat)
	c.Job.Model = model
	return err
}

// At returns the job as it is submitted at a time.
func (c *Chat) At(now time.Time) event.GenerateJob {
	job := c.Job
	if c.Timeout > 0 {
		job.Deadline = now.Add(c.Timeout).UTC()
	}
	return job
}
