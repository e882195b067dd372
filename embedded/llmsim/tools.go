package llmsim

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

const (
	maxTools     = 128 // the API's
	typeFunction = "function"
	// inheritWords is the most words of a clause without a tool of its own that
	// the tool before it also gets: "the weather in Rome and Oslo".
	inheritWords = 4
	// nameFactor is how much more a word of a tool's name counts than one of
	// its description.
	nameFactor = 2
)

var (
	functionName  = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	clausePattern = regexp.MustCompile(`(?i)[,;]?\s+and\s+|;\s+`)
)

// tool is a function the model may call.
type tool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
		Strict      bool            `json:"strict"`
	} `json:"function"`
	params *schema // Parameters, set by checkTools
}

// toolCall is a call the model wants.
type toolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function functionCall `json:"function"`
}

type functionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// toolChoice is "none", "auto", "required" or one function.
type toolChoice struct {
	mode string
	name string
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *toolChoice) UnmarshalJSON(data []byte) error {
	if string(data) == kindNull {
		return nil
	}
	var one struct {
		Type     string
		Name     string // the responses API has the name here
		Function struct{ Name string }
	}
	if json.Unmarshal(data, &c.mode) == nil {
		if !slices.Contains([]string{"none", "auto", "required"}, c.mode) {
			return invalid("tool_choice", "invalid_value", "Invalid value: '%s'. Supported values are: 'none', 'auto', and 'required'.", c.mode)
		}
		return nil
	}
	if err := json.Unmarshal(data, &one); err != nil || one.Type != typeFunction || one.Name+one.Function.Name == "" {
		return invalid("tool_choice", "invalid_value", "Invalid 'tool_choice': expected 'none', 'auto', 'required' or a function with a name.")
	}
	c.mode, c.name = typeFunction, one.Name+one.Function.Name
	return nil
}

// checkTools refuses wrong tools and parses their parameters.
func (q *chatRequest) checkTools() error {
	if len(q.Tools) > maxTools {
		return invalid("tools", "array_above_max_length", "Invalid 'tools': array too long. Expected an array with maximum length %d, but got an array with length %d instead.", maxTools, len(q.Tools))
	}
	for i := range q.Tools {
		t := &q.Tools[i]
		if t.Type != typeFunction || !functionName.MatchString(t.Function.Name) {
			return invalid("tools", "invalid_value", "Invalid 'tools[%d]': expected type 'function' and a function name of 1 to 64 letters, digits, '_' or '-', but got type '%s' and name '%s'.", i, t.Type, t.Function.Name)
		}
		t.params = &schema{}
		if len(t.Function.Parameters) == 0 || string(t.Function.Parameters) == kindNull {
			t.params.Type = typeList{kindObject}
			continue
		}
		params, err := parseSchema(t.Function.Parameters, t.Function.Strict)
		if err != nil {
			return invalid(fmt.Sprintf("tools[%d].function.parameters", i), "invalid_function_parameters", "Invalid schema for function '%s': %v.", t.Function.Name, err)
		}
		t.params = params
	}
	return q.checkToolChoice()
}

func (q *chatRequest) checkToolChoice() error {
	c := q.ToolChoice
	switch {
	case c.mode != "" && len(q.Tools) == 0:
		return invalid("tool_choice", "", "'tool_choice' is only allowed when 'tools' are specified.")
	case c.name != "" && !slices.ContainsFunc(q.Tools, func(t tool) bool { return t.Function.Name == c.name }):
		return invalid("tool_choice", "invalid_value", "Tool choice '%s' not found in 'tools' parameter.", c.name)
	}
	return nil
}

// checkToolMessages refuses answers to calls nobody made and calls nobody
// answered.
func (q *chatRequest) checkToolMessages() error {
	open := map[string]bool{}
	for i, m := range q.Messages {
		switch {
		case m.Role == roleTool && !open[m.ToolCallID]:
			return invalid("messages", "", "Invalid parameter: messages[%d] with role 'tool' must be a response to a preceding message with 'tool_calls'.", i)
		case m.Role == roleTool:
			delete(open, m.ToolCallID)
			continue
		case len(open) > 0:
			return invalid("messages", "", "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'; messages[%d] comes before %d of them.", i, len(open))
		}
		for _, c := range m.ToolCalls {
			open[c.ID] = true
		}
	}
	if len(open) > 0 {
		return invalid("messages", "", "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'; %d are missing.", len(open))
	}
	return nil
}

// toolCalls returns the calls for the last user message: one for each part
// between "and" that names a tool; none when the tool messages are in, unless
// calls are required.
func (s *Server) toolCalls(q *chatRequest, rnd *rand.Rand) ([]toolCall, error) {
	must := q.ToolChoice.mode == "required" || q.ToolChoice.name != ""
	if len(q.Tools) == 0 || q.ToolChoice.mode == "none" || !must && q.Messages[len(q.Messages)-1].Role == roleTool {
		return nil, nil
	}
	_, question := parsePrompt(q.Messages)
	parts := []string{question}
	if q.ParallelToolCalls == nil || *q.ParallelToolCalls {
		parts = clausePattern.Split(question, -1)
	}
	var calls []toolCall
	var last *tool
	for _, part := range parts {
		t := q.pick(part)
		if t == nil && last != nil && len(strings.Fields(part)) <= inheritWords {
			t = last
		}
		if t == nil {
			continue
		}
		last = t
		call, err := newCall(t, part, rnd)
		if err != nil {
			return nil, invalid("tools", "invalid_function_parameters", "Invalid schema for function '%s': %v.", t.Function.Name, err)
		}
		if !slices.ContainsFunc(calls, func(c toolCall) bool { return c.Function == call.Function }) {
			calls = append(calls, call)
		}
	}
	if len(calls) == 0 && must {
		call, err := newCall(&q.Tools[0], question, rnd)
		if err != nil {
			return nil, invalid("tools", "invalid_function_parameters", "Invalid schema for function '%s': %v.", q.Tools[0].Function.Name, err)
		}
		calls = append(calls, call)
	}
	return calls, nil
}

// pick returns the tool that shares the most words with text, or nil; a forced
// one takes all texts.
func (q *chatRequest) pick(text string) *tool {
	var best *tool
	most := 0.0
	terms := questionTerms(text)
	for i := range q.Tools {
		t := &q.Tools[i]
		if q.ToolChoice.name != "" {
			if t.Function.Name == q.ToolChoice.name {
				return t
			}
			continue
		}
		name, about := wordSet{}, wordSet{}
		name.addText(strings.Join(fieldWords(t.Function.Name), " "))
		about.addText(t.Function.Description)
		score := 0.0
		for _, term := range terms {
			found := []match{{term.stem, 1}}
			score += term.weight * max(nameFactor*name.has(found), about.has(found))
		}
		if score > most {
			best, most = t, score
		}
	}
	return best
}

// newCall makes a call of t with arguments from text.
func newCall(t *tool, text string, rnd *rand.Rand) (toolCall, error) {
	from := newFacts(text)
	from.loose = true
	f := filler{root: t.params, from: from, rnd: rnd}
	arguments, err := f.value(t.params, "", 0)
	if err != nil {
		return toolCall{}, err
	}
	id := make([]byte, 12)
	for i := range id {
		id[i] = byte(rnd.Uint32())
	}
	return toolCall{ID: "call_" + hex.EncodeToString(id), Type: typeFunction,
		Function: functionCall{Name: t.Function.Name, Arguments: string(arguments)}}, nil
}

// toolAnswer answers from the tool messages at the end of a conversation.
func toolAnswer(messages []message) (string, bool) {
	called := map[string]string{}
	for _, m := range messages {
		for _, c := range m.ToolCalls {
			called[c.ID] = c.Function.Name
		}
	}
	var parts []string
	for i := len(messages) - 1; i >= 0 && messages[i].Role == roleTool; i-- {
		parts = append(parts, fmt.Sprintf("%s returned: %s", called[messages[i].ToolCallID], messages[i].Content.text))
	}
	slices.Reverse(parts)
	return strings.Join(parts, "\n"), len(parts) > 0
}
