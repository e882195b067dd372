package llmsim

import (
	"encoding/json"
	"net/http"
	"time"
)

// timesTokens lets a duration per token be multiplied by a count.
func timesTokens(n int) time.Duration { return time.Duration(n) }

// chunk is one event of a stream.
type chunk struct {
	ID      string        `json:"id"`
	Object  string        `json:"object"`
	Created int64         `json:"created"`
	Model   string        `json:"model"`
	Choices []chunkChoice `json:"choices"`
	// Usage is left out unless the request asked for it; then it is null in
	// all chunks but the last.
	Usage json.RawMessage `json:"usage,omitempty"`
}

type chunkChoice struct {
	Index        int             `json:"index"`
	Delta        delta           `json:"delta"`
	Logprobs     *choiceLogprobs `json:"logprobs,omitempty"`
	FinishReason *string         `json:"finish_reason"`
}

type delta struct {
	Role      string      `json:"role,omitempty"`
	Content   *string     `json:"content,omitempty"`
	Refusal   *string     `json:"refusal,omitempty"`
	ToolCalls []deltaCall `json:"tool_calls,omitempty"`
}

// stream sends c as server-sent events: the roles, the words, the finish
// reasons, the usage if asked for, and [DONE].
func (s *Server) stream(w http.ResponseWriter, r *http.Request, q *chatRequest, c completion, v *visit) {
	out := &eventWriter{w: w, flush: http.NewResponseController(w), completion: c,
		withUsage: q.StreamOptions != nil && q.StreamOptions.IncludeUsage}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	for _, next := range s.steps(c) {
		if out.err != nil || !v.generate(r, next.tokens) {
			return
		}
		out.send(next)
	}
	out.finish()
}

// nextChunk returns where the chunk of text that begins at start ends: after
// a word, or after as many as keep the stream within MaxChunks.
func (s *Server) nextChunk(text string, start int) int {
	for end := start + len(text)/s.cfg.MaxChunks + 1; end < len(text); end++ {
		if text[end] == ' ' && text[end-1] != ' ' {
			return end
		}
	}
	return len(text)
}

// eventWriter writes chunks until the first error.
type eventWriter struct {
	w          http.ResponseWriter
	flush      *http.ResponseController
	completion completion
	withUsage  bool
	err        error
}

func (o *eventWriter) chunk() chunk {
	c := chunk{ID: o.completion.id, Object: "chat.completion.chunk", Created: o.completion.created, Model: o.completion.model, Choices: []chunkChoice{}}
	if o.withUsage {
		c.Usage = json.RawMessage("null")
	}
	return c
}

// send writes a chunk with one choice.
func (o *eventWriter) send(next step) {
	c := o.chunk()
	c.Choices = append(c.Choices, chunkChoice{Index: next.choice, Delta: next.delta, Logprobs: next.logprobs, FinishReason: next.finish})
	o.event(c)
}

// finish writes the usage chunk if asked for and the end mark.
func (o *eventWriter) finish() {
	if o.withUsage {
		c := o.chunk()
		c.Usage, o.err = json.Marshal(o.completion.usage)
		o.event(c)
	}
	o.write([]byte("[DONE]"))
}

func (o *eventWriter) event(c chunk) {
	if o.err != nil {
		return
	}
	var data []byte
	if data, o.err = json.Marshal(c); o.err == nil {
		o.write(data)
	}
}

func (o *eventWriter) write(data []byte) {
	if o.err != nil {
		return
	}
	event := make([]byte, 0, len(data)+8)
	event = append(append(append(event, "data: "...), data...), "\n\n"...)
	if _, o.err = o.w.Write(event); o.err == nil {
		o.err = o.flush.Flush()
	}
}
