package openai

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	goopenai "github.com/sashabaranov/go-openai"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// maxToolCalls bounds the calls of one completion; models make a handful.
const maxToolCalls = 512

// toolPatch puts the tools and the parameters into the request's body.
func toolPatch(patch map[string]any, t *event.Tooling) {
	for _, name := range event.ParamNames() {
		if value, ok := t.Params[name]; ok {
			patch[name] = value
		}
	}
	if t.HasTools() {
		patch["tools"] = t.Tools
	}
	if t.ToolChoice != nil {
		patch["tool_choice"] = t.ToolChoice
	}
}

// wireMessage is a message as providers take it.
type wireMessage struct {
	llm.Message
	// Content is null where a turn is nothing but calls: some refuse an empty text.
	Content *string `json:"content"`
}

func wireMessages(messages []llm.Message) []wireMessage {
	out := make([]wireMessage, len(messages))
	for i := range messages {
		out[i].Message = messages[i]
		if m := &messages[i]; m.Content != "" || len(m.ToolCalls) == 0 {
			out[i].Content = &m.Content
		}
	}
	return out
}

// toolCalls gathers the calls of a completion from its deltas. nil ignores them.
type toolCalls struct {
	now   func() time.Time
	calls []*partialCall
	size  int
}

// partialCall is a call as far as it has come.
type partialCall struct {
	id, name  string
	arguments strings.Builder
	index     int // in the stream, -1 if it has none
}

// callsFor gathers the calls of a request's tools.
func callsFor(req llm.ChatRequest, now func() time.Time) *toolCalls {
	if !req.HasTools() {
		return nil
	}
	return &toolCalls{now: now}
}

// add takes what a chunk adds to calls: pieces of some, or whole ones.
func (t *toolCalls) add(deltas []goopenai.ToolCall) error {
	if t == nil {
		return nil
	}
	for i := range deltas {
		d := &deltas[i]
		if t.size += len(d.Function.Arguments) + len(d.Function.Name) + len(d.ID); t.size > maxTextBytes {
			return errBadStream
		}
		call := t.find(d)
		if call == nil {
			if len(t.calls) == maxToolCalls {
				return errBadStream
			}
			call = &partialCall{index: indexOf(d)}
			t.calls = append(t.calls, call)
		}
		call.id, call.name = cmp.Or(call.id, d.ID), cmp.Or(call.name, d.Function.Name) // some repeat them
		call.arguments.WriteString(d.Function.Arguments)
	}
	return nil
}

// find is the call that a delta goes on with: the last one of its index, or the last
// one of all when it has none; nil when it begins another.
func (t *toolCalls) find(d *goopenai.ToolCall) *partialCall {
	for _, call := range slices.Backward(t.calls) {
		if d.Index != nil && call.index != *d.Index {
			continue
		}
		if call.endsBefore(d) {
			return nil
		}
		return call
	}
	return nil
}

// endsBefore says that a delta begins another call although nothing but its place
// tells: there are providers that number all calls 0, or none.
func (c *partialCall) endsBefore(d *goopenai.ToolCall) bool {
	if d.ID != "" && c.id != "" {
		return d.ID != c.id
	}
	return d.Index == nil && d.Function.Name != "" && json.Valid([]byte(c.arguments.String()))
}

func indexOf(d *goopenai.ToolCall) int {
	if d.Index == nil {
		return -1
	}
	return *d.Index
}

var errNamelessCall = errors.New("the provider sent a tool call without a name")

// whole are the calls of a completion at its end. One without an id, by which its
// answer could refer to it, gets one.
func (t *toolCalls) whole() ([]event.ToolCall, error) {
	if t == nil || len(t.calls) == 0 {
		return nil, nil
	}
	out := make([]event.ToolCall, len(t.calls))
	for i, c := range t.calls {
		if c.name == "" {
			return nil, errNamelessCall
		}
		if c.id == "" {
			c.id = "call_" + event.NewID(t.now())
		}
		out[i] = event.ToolCall{ID: c.id, Type: string(goopenai.ToolTypeFunction), Function: event.FunctionCall{Name: c.name, Arguments: c.arguments.String()}}
	}
	return out, nil
}
