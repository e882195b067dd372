package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// Chunk is a piece of a streamed completion.
type Chunk struct {
	ID                string        `json:"id"`
	Object            string        `json:"object"` // chat.completion.chunk
	Created           int64         `json:"created"`
	Model             string        `json:"model"`
	Choices           []ChunkChoice `json:"choices"`
	SystemFingerprint *string       `json:"system_fingerprint"`
	// Usage is null, or the usage in the last chunk, if that was asked for.
	Usage json.RawMessage `json:"usage,omitempty"`
	// Weir is in the chunk with the finish reason.
	Weir *Extra `json:"weir,omitempty"`
}

// ChunkChoice is what a chunk adds to the answer.
type ChunkChoice struct {
	Index        int        `json:"index"`
	Delta        ChunkDelta `json:"delta"`
	Logprobs     *struct{}  `json:"logprobs"`
	FinishReason *string    `json:"finish_reason"`
}

// ChunkDelta is the part of the assistant's turn that is new.
type ChunkDelta struct {
	Role      string          `json:"role,omitempty"`
	Content   *string         `json:"content,omitempty"`
	ToolCalls []ToolCallDelta `json:"tool_calls,omitempty"`
}

// ToolCallDelta is a whole call and its place.
type ToolCallDelta struct {
	Index int `json:"index"`
	event.ToolCall
}

// Chunks makes a streamed completion of what is told of a job's answer. OpenAI's
// streams can't take back what they have said. So when an answer starts over, its new
// text is held back until it is longer than what was said: the stream goes on if it
// begins with that, and ends with an error if it does not.
type Chunks struct {
	chat    Chat
	job     string
	created int64
	begun   bool   // the role was sent
	said    []byte // sent
	text    []byte // of an answer that started over, while holding
	holding bool
}

// Chunks returns the chunks of a job's stream.
func (c Chat) Chunks(job string, now time.Time) *Chunks {
	return &Chunks{chat: c, job: job, created: now.Unix()}
}

// Delta takes the next piece of the answer.
func (c *Chunks) Delta(text string) ([]Chunk, error) {
	if c.holding {
		c.text = append(c.text, text...)
		both := min(len(c.text), len(c.said))
		if !bytes.Equal(c.text[:both], c.said[:both]) {
			return nil, c.restarted()
		}
		if len(c.text) < len(c.said) {
			return nil, nil
		}
		text, c.holding = string(c.text[len(c.said):]), false
	}
	if text == "" {
		return nil, nil
	}
	c.said = append(c.said, text...)
	return append(c.begin(), c.chunk(ChunkDelta{Content: &text})), nil
}

// Restart says that the answer starts over.
func (c *Chunks) Restart() { c.holding, c.text = len(c.said) > 0, nil }

// Done takes the result of a job that did not fail; what was told before is its text.
func (c *Chunks) Done(r event.Result) ([]Chunk, error) {
	if c.holding && len(c.text) < len(c.said) {
		return nil, c.restarted()
	}
	a := answerOf(r)
	out := c.begin()
	if len(a.ToolCalls) > 0 {
		calls := make([]ToolCallDelta, len(a.ToolCalls))
		for i, call := range a.ToolCalls {
			calls[i] = ToolCallDelta{i, call}
		}
		out = append(out, c.chunk(ChunkDelta{ToolCalls: calls}))
	}
	last := c.chunk(ChunkDelta{})
	reason := finishReason(a)
	last.Choices[0].FinishReason, last.Weir, last.Model = &reason, extraOf(r), c.chat.answering(a)
	out = append(out, last)
	if !c.chat.IncludeUsage {
		return out, nil
	}
	usage, err := json.Marshal(usageOf(r))
	if err != nil {
		return nil, fmt.Errorf("encoding the usage: %w", err)
	}
	end := c.chunk(ChunkDelta{})
	end.Choices, end.Usage, end.Model = []ChunkChoice{}, usage, last.Model
	return append(out, end), nil
}

// begin is the first chunk, once.
func (c *Chunks) begin() []Chunk {
	if c.begun {
		return nil
	}
	c.begun = true
	empty := ""
	return []Chunk{c.chunk(ChunkDelta{Role: "assistant", Content: &empty})}
}

func (c *Chunks) chunk(d ChunkDelta) Chunk {
	out := Chunk{ID: CompletionID(c.job), Object: "chat.completion.chunk", Created: c.created, Model: c.chat.Model, Choices: []ChunkChoice{{Delta: d}}}
	if c.chat.IncludeUsage {
		out.Usage = json.RawMessage("null")
	}
	return out
}

func (c *Chunks) restarted() error {
	return &web.Error{Status: http.StatusConflict, Code: "restarted", Cause: &event.Error{Class: event.ClassTruncated,
		Message: "job " + c.job + ": the attempt whose answer was streamed broke off, and the next one answers otherwise",
		Hint:    "drop what was streamed and read the answer from GET /v1/jobs/" + c.job + ", or follow it with GET /v1/jobs/" + c.job + "/stream"}}
}
