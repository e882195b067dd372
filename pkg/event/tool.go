package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Tooling is what a generate job passes on to the model as it is.
type Tooling struct {
	// Tools and ToolChoice are in the provider's (OpenAI's) form.
	Tools      json.RawMessage `json:"tools,omitempty"`
	ToolChoice json.RawMessage `json:"tool_choice,omitempty"`
	// Params are parameters of the model that Weir does not look at; see ParamNames.
	Params map[string]json.RawMessage `json:"params,omitempty"`
}

// ParamNames lists what Tooling.Params may hold.
func ParamNames() []string {
	return []string{"frequency_penalty", "logit_bias", "parallel_tool_calls", "presence_penalty", "reasoning_effort",
		"seed", "stop", "top_p", "verbosity"}
}

// HasTools reports whether the model may call tools.
func (t *Tooling) HasTools() bool { return len(t.Tools) > 0 }

// MaxTools bounds the tools of a job, as OpenAI does.
const MaxTools = 128

// validate checks what is passed on as far as Weir has to know it; what the tools
// are is the provider's affair. JSON null and a list without tools count as nothing.
func (t *Tooling) validate() error {
	t.Tools, t.ToolChoice = present(t.Tools), present(t.ToolChoice)
	if t.Tools != nil {
		var tools []map[string]json.RawMessage
		if err := json.Unmarshal(t.Tools, &tools); err != nil {
			return Invalid("tools", "send a list of objects as the provider takes them", "got %.40s", t.Tools)
		}
		if len(tools) > MaxTools {
			return Invalid("tools", fmt.Sprintf("send at most %d", MaxTools), "has %d", len(tools))
		}
		if len(tools) == 0 {
			t.Tools = nil
		}
	}
	if t.ToolChoice != nil && t.Tools == nil {
		return Invalid("tool_choice", "leave it out, or send tools as well", "there are no tools")
	}
	for name, value := range t.Params {
		if !slices.Contains(ParamNames(), name) {
			return Invalid("params", "use "+strings.Join(ParamNames(), ", "), "unknown parameter %q", name)
		}
		if present(value) == nil {
			delete(t.Params, name)
		}
	}
	return nil
}

// present is a JSON value, nil for null.
func present(value json.RawMessage) json.RawMessage {
	if string(bytes.TrimSpace(value)) == "null" {
		return nil
	}
	return value
}

// ToolCall is a call that a model wants made.
type ToolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"` // function
	Function FunctionCall `json:"function"`
}

// FunctionCall names a function and its arguments.
type FunctionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"` // as the model wrote them; JSON, if it did well
}

// Asked is what a job asked for, in numbers and names that tell similar jobs.
type Asked struct {
	Model      string `json:"model,omitempty"` // named by the job, or
	Task       string `json:"task,omitempty"`  // by whose policy it was chosen
	Collection string `json:"collection,omitempty"`
	TopK       int    `json:"top_k,omitempty"`
	// PromptTokens are those of the job's own messages, without sources.
	PromptTokens int  `json:"prompt_tokens"`
	MaxTokens    int  `json:"max_tokens,omitempty"`
	Schema       bool `json:"schema,omitempty"`
	Tools        bool `json:"tools,omitempty"`
}
