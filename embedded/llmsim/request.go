package llmsim

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

const (
	roleUser      = "user"
	roleAssistant = "assistant"
	roleTool      = "tool"
)

// Limits of the API.
const (
	maxStops       = 4
	messageTokens  = 3 // overhead of one message
	replyTokens    = 3 // overhead of the reply
	maxTemperature = 2
	maxChoices     = 128
)

// chatRequest is the part of a chat completion request that is honoured.
type chatRequest struct {
	Model         string    `json:"model"`
	Messages      []message `json:"messages"`
	Stream        bool      `json:"stream"`
	StreamOptions *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens           *int              `json:"max_tokens"`
	MaxCompletionTokens *int              `json:"max_completion_tokens"`
	Temperature         *float64          `json:"temperature"`
	Stop                stringOrList      `json:"stop"`
	N                   *int              `json:"n"`
	Seed                *int64            `json:"seed"`
	Logprobs            bool              `json:"logprobs"`
	TopLogprobs         *int              `json:"top_logprobs"`
	Tools               []tool            `json:"tools"`
	ToolChoice          toolChoice        `json:"tool_choice"`
	ParallelToolCalls   *bool             `json:"parallel_tool_calls"`
	ResponseFormat      *responseFormat   `json:"response_format"`
	Metadata            map[string]string `json:"metadata"`

	directive directive // set by order
}

type message struct {
	Role       string     `json:"role"`
	Content    content    `json:"content"`
	ToolCalls  []toolCall `json:"tool_calls"`
	ToolCallID string     `json:"tool_call_id"`
}

// order reads the directive of the header, else of metadata.sim.
func (q *chatRequest) order(header http.Header) (err error) {
	q.directive, err = parseDirective(cmp.Or(header.Get(directiveHeader), q.Metadata["sim"]))
	return err
}

// content is a message's text: a string, null, or a list of text parts.
type content struct {
	text string
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *content) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &c.text); err == nil {
		return nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(data, &parts); err != nil {
		return invalid("messages", "invalid_type", "Invalid type for 'messages.content': expected a string or an array of parts.")
	}
	for _, p := range parts {
		if !slices.Contains([]string{"text", "input_text", "output_text"}, p.Type) {
			return invalid("messages", "invalid_value", "Invalid content part type '%s': only 'text' is supported.", p.Type)
		}
		c.text += p.Text
	}
	return nil
}

// stringOrList is a string, null, or a list of strings.
type stringOrList struct {
	list  []string
	isSet bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *stringOrList) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	s.isSet = true
	var one string
	if err := json.Unmarshal(data, &one); err == nil {
		s.list = []string{one}
		return nil
	}
	if err := json.Unmarshal(data, &s.list); err != nil {
		return invalid("", "invalid_type", "Invalid type: expected a string or an array of strings.")
	}
	return nil
}

// check reports what the API would refuse; counted is the prompt's tokens.
func (s *Server) check(q *chatRequest, counted int) error {
	if q.Model == "" {
		return invalid("model", "", "you must provide a model parameter")
	}
	if !slices.Contains(s.cfg.ChatModels, q.Model) {
		return modelNotFound(q.Model)
	}
	if len(q.Messages) == 0 {
		return invalid("messages", "empty_array", "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	}
	for i, m := range q.Messages {
		if !slices.Contains([]string{"system", "developer", roleUser, roleAssistant, roleTool}, m.Role) {
			return invalid("messages", "invalid_value", "Invalid value: '%s' for messages[%d].role.", m.Role, i)
		}
	}
	if err := q.checkOptions(); err != nil {
		return err
	}
	limit := q.limit()
	if counted+max(limit, 0) > s.cfg.ContextTokens {
		return invalid("messages", "context_length_exceeded",
			"This model's maximum context length is %d tokens. However, you requested %d tokens (%d in the messages, %d in the completion). Please reduce the length of the messages or completion.",
			s.cfg.ContextTokens, counted+max(limit, 0), counted, max(limit, 0))
	}
	return nil
}

// checkOptions refuses values out of range and what is not simulated.
func (q *chatRequest) checkOptions() error {
	switch {
	case q.MaxTokens != nil && *q.MaxTokens < 1:
		return invalid("max_tokens", "integer_below_min_value", "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got %d instead.", *q.MaxTokens)
	case q.MaxCompletionTokens != nil && *q.MaxCompletionTokens < 1:
		return invalid("max_completion_tokens", "integer_below_min_value", "Invalid 'max_completion_tokens': integer below minimum value. Expected a value >= 1, but got %d instead.", *q.MaxCompletionTokens)
	case q.Temperature != nil && (*q.Temperature < 0 || *q.Temperature > maxTemperature):
		return invalid("temperature", "decimal_out_of_range", "Invalid 'temperature': expected a value between 0 and 2, but got %v instead.", *q.Temperature)
	case len(q.Stop.list) > maxStops || slices.Contains(q.Stop.list, ""):
		return invalid("stop", "invalid_value", "Invalid 'stop': expected at most %d sequences, none of them empty.", maxStops)
	case q.StreamOptions != nil && !q.Stream:
		return invalid("stream_options", "", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	case q.N != nil && (*q.N < 1 || *q.N > maxChoices):
		return invalid("n", "integer_out_of_range", "Invalid 'n': expected a value between 1 and %d, but got %d instead.", maxChoices, *q.N)
	case q.TopLogprobs != nil && !q.Logprobs:
		return invalid("top_logprobs", "", "'top_logprobs' is only allowed when 'logprobs' is true.")
	case q.TopLogprobs != nil && (*q.TopLogprobs < 0 || *q.TopLogprobs > maxTopLogprobs):
		return invalid("top_logprobs", "integer_out_of_range", "Invalid 'top_logprobs': expected a value between 0 and %d, but got %d instead.", maxTopLogprobs, *q.TopLogprobs)
	}
	if err := q.checkTools(); err != nil {
		return err
	}
	if err := q.checkToolMessages(); err != nil {
		return err
	}
	return q.checkFormat()
}

// choices is how many answers are asked for.
func (q *chatRequest) choices() int {
	if q.N == nil {
		return 1
	}
	return *q.N
}

// limit is the most completion tokens; -1 without one.
func (q *chatRequest) limit() int {
	switch {
	case q.MaxCompletionTokens != nil:
		return *q.MaxCompletionTokens
	case q.MaxTokens != nil:
		return *q.MaxTokens
	}
	return -1
}

// promptTokens counts the prompt as OpenAI does, a fixed overhead per message
// and for the reply; and, as nobody knows how they are shown to the models, the
// texts of tools and schemas as they are.
func (s *Server) promptTokens(q *chatRequest) int {
	n := replyTokens
	for _, m := range q.Messages {
		n += messageTokens + s.cfg.CountTokens(m.Content.text)
		for _, c := range m.ToolCalls {
			n += s.cfg.CountTokens(c.Function.Name) + s.cfg.CountTokens(c.Function.Arguments)
		}
	}
	for _, t := range q.Tools {
		n += s.cfg.CountTokens(t.Function.Name) + s.cfg.CountTokens(t.Function.Description) + s.cfg.CountTokens(string(t.Function.Parameters))
	}
	if q.ResponseFormat != nil {
		n += s.cfg.CountTokens(string(q.ResponseFormat.JSONSchema.Schema))
	}
	return n
}

// cutAtStop cuts text before the first of the stop sequences.
func cutAtStop(text string, stops []string) string {
	for _, stop := range stops {
		if i := strings.Index(text, stop); i >= 0 {
			text = text[:i]
		}
	}
	return text
}
