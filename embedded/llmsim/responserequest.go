package llmsim

import "encoding/json"

// responseRequest is the part of a request to the responses API that is
// honoured.
type responseRequest struct {
	Model              string            `json:"model"`
	Input              responseInput     `json:"input"`
	Instructions       *string           `json:"instructions"`
	Background         bool              `json:"background"`
	Stream             bool              `json:"stream"`
	Store              *bool             `json:"store"`
	PreviousResponseID *string           `json:"previous_response_id"`
	MaxOutputTokens    *int              `json:"max_output_tokens"`
	Temperature        *float64          `json:"temperature"`
	Metadata           map[string]string `json:"metadata"`
	ParallelToolCalls  *bool             `json:"parallel_tool_calls"`
	ToolChoice         toolChoice        `json:"tool_choice"`
	Tools              []responseTool    `json:"tools"`
	Text               struct {
		Format json.RawMessage `json:"format"`
	} `json:"text"`
}

// responseTool is a function, not nested as in chat completions.
type responseTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      bool            `json:"strict"`
}

// responseInput is a text or items, as messages.
type responseInput struct {
	messages []message
}

// UnmarshalJSON implements json.Unmarshaler.
func (in *responseInput) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		in.messages = []message{{Role: roleUser, Content: content{text}}}
		return nil
	}
	var items []struct {
		Type      string  `json:"type"`
		Role      string  `json:"role"`
		Content   content `json:"content"`
		CallID    string  `json:"call_id"`
		Name      string  `json:"name"`
		Arguments string  `json:"arguments"`
		Output    content `json:"output"`
	}
	if err := json.Unmarshal(data, &items); err != nil {
		return invalid("input", "invalid_type", "Invalid type for 'input': expected a string or an array of items: %v.", err)
	}
	for i, item := range items {
		switch item.Type {
		case "", "message":
			in.messages = append(in.messages, message{Role: item.Role, Content: item.Content})
		case "function_call":
			call := toolCall{ID: item.CallID, Type: typeFunction, Function: functionCall{Name: item.Name, Arguments: item.Arguments}}
			in.addCall(call)
		case "function_call_output":
			in.messages = append(in.messages, message{Role: roleTool, ToolCallID: item.CallID, Content: item.Output})
		default:
			return invalid("input", "invalid_value", "Invalid value: '%s' for input[%d].type. Supported values are: 'message', 'function_call', and 'function_call_output'.", item.Type, i)
		}
	}
	return nil
}

// addCall adds a call to the message of the calls before it.
func (in *responseInput) addCall(call toolCall) {
	if n := len(in.messages); n > 0 && len(in.messages[n-1].ToolCalls) > 0 {
		in.messages[n-1].ToolCalls = append(in.messages[n-1].ToolCalls, call)
		return
	}
	in.messages = append(in.messages, message{Role: roleAssistant, ToolCalls: []toolCall{call}})
}

// chat is the same request as a chat completion; before is the conversation of
// the previous response.
func (q *responseRequest) chat(before []message) (*chatRequest, error) {
	out := &chatRequest{Model: q.Model, Temperature: q.Temperature, MaxCompletionTokens: q.MaxOutputTokens, Metadata: q.Metadata,
		ParallelToolCalls: q.ParallelToolCalls, ToolChoice: q.ToolChoice}
	if q.Instructions != nil {
		out.Messages = append(out.Messages, message{Role: "system", Content: content{*q.Instructions}})
	}
	out.Messages = append(append(out.Messages, before...), q.Input.messages...)
	for _, t := range q.Tools {
		one := tool{Type: t.Type}
		one.Function.Name, one.Function.Description, one.Function.Parameters, one.Function.Strict = t.Name, t.Description, t.Parameters, t.Strict
		out.Tools = append(out.Tools, one)
	}
	if len(q.Text.Format) == 0 {
		return out, nil
	}
	out.ResponseFormat = &responseFormat{}
	if err := json.Unmarshal(q.Text.Format, out.ResponseFormat); err != nil {
		return nil, invalid("text.format", "invalid_type", "Invalid 'text.format': %v.", err)
	}
	if err := json.Unmarshal(q.Text.Format, &out.ResponseFormat.JSONSchema); err != nil {
		return nil, invalid("text.format", "invalid_type", "Invalid 'text.format': %v.", err)
	}
	return out, nil
}
