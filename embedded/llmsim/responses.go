package llmsim

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Statuses of responses beside those of batches.
const (
	statusQueued     = "queued"
	statusIncomplete = "incomplete"
)

// response is a stored response.
type response struct {
	mu       sync.Mutex
	state    responseState
	choice   choice
	used     usage
	messages []message // the conversation with the answer
	streamed bool
	ended    chan struct{} // closed with the last status
}

// responseState is a response as the API shows it.
type responseState struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	CreatedAt          int64             `json:"created_at"`
	Status             string            `json:"status"`
	Background         bool              `json:"background"`
	Error              *apiError         `json:"error"`
	IncompleteDetails  map[string]string `json:"incomplete_details"`
	Instructions       *string           `json:"instructions"`
	MaxOutputTokens    *int              `json:"max_output_tokens"`
	Model              string            `json:"model"`
	Output             []map[string]any  `json:"output"`
	ParallelToolCalls  bool              `json:"parallel_tool_calls"`
	PreviousResponseID *string           `json:"previous_response_id"`
	Store              bool              `json:"store"`
	Temperature        *float64          `json:"temperature"`
	Usage              *responseUsage    `json:"usage"`
	Metadata           map[string]string `json:"metadata"`
}

type responseUsage struct {
	InputTokens   int            `json:"input_tokens"`
	InputDetails  map[string]int `json:"input_tokens_details"`
	OutputTokens  int            `json:"output_tokens"`
	OutputDetails map[string]int `json:"output_tokens_details"`
	TotalTokens   int            `json:"total_tokens"`
}

func (r *response) shown() responseState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// moves sets the status of a response that has not ended.
func (r *response) moves(status string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Status != statusQueued && r.state.Status != statusInProgress {
		return false
	}
	r.state.Status = status
	switch status {
	case statusQueued, statusInProgress:
		return true
	case statusIncomplete:
		r.state.IncompleteDetails = map[string]string{"reason": "max_output_tokens"}
	}
	if status != statusCancelled {
		r.state.Output = r.items()
		r.state.Usage = &responseUsage{InputTokens: r.used.PromptTokens, InputDetails: map[string]int{"cached_tokens": 0},
			OutputTokens: r.used.CompletionTokens, OutputDetails: map[string]int{"reasoning_tokens": 0}, TotalTokens: r.used.TotalTokens}
	}
	close(r.ended)
	return true
}

// last is the status a response ends with.
func (r *response) last() string {
	if r.choice.finishReason == finishLength {
		return statusIncomplete
	}
	return statusCompleted
}

// postResponse serves POST /v1/responses.
func (s *Server) postResponse(w http.ResponseWriter, r *http.Request) {
	var q responseRequest
	if err := s.decode(w, r, &q); err != nil {
		writeError(w, err)
		return
	}
	load := workload{endpoint: "responses", model: q.Model, stream: q.Stream}
	out, err := s.respond(&q, r.Header, &load)
	if err == nil && q.Background && q.Store != nil && !*q.Store {
		err = invalid("background", "invalid_value", "A background response must be stored: leave out 'store' or set it to true.")
	}
	if err != nil {
		s.refuse(w, r, load, err)
		return
	}
	v, ok := s.enter(w, r, load)
	if !ok {
		return
	}
	defer v.done(out.used)
	if out.state.Store {
		if err := s.responses.put(out.state.ID, out, true); err != nil {
			writeError(w, err)
			return
		}
	}
	switch {
	case q.Background:
		s.startInBackground(w, r, out, v)
	case q.Stream:
		s.streamResponse(w, r, out, 0, v)
		out.moves(statusCancelled) // unless it has ended: the client left
	case v.generate(r, out.used.CompletionTokens):
		out.moves(out.last())
		writeJSON(w, http.StatusOK, out.shown())
	default:
		out.moves(statusCancelled)
	}
}

// startInBackground hands a response to the workers and shows it, at once or
// as a stream when it is ready. Its tokens count as produced now.
func (s *Server) startInBackground(w http.ResponseWriter, r *http.Request, out *response, v *visit) {
	id := out.state.ID
	if err := s.enqueue(func(ctx context.Context) { s.finishInBackground(ctx, out) }); err != nil {
		s.responses.remove(id)
		writeError(w, err)
		return
	}
	entryOf(r.Context()).CompletionTokens = out.used.CompletionTokens
	if out.streamed {
		s.streamResponse(w, r, out, 0, v)
		return
	}
	writeJSON(w, http.StatusOK, out.shown())
}

// respond computes a response, which nobody sees yet, and its load.
func (s *Server) respond(q *responseRequest, header http.Header, load *workload) (*response, error) {
	var before []message
	if q.PreviousResponseID != nil {
		previous, err := s.responses.get("response", *q.PreviousResponseID)
		if err != nil {
			return nil, err
		}
		before = previous.messages
	}
	chat, err := q.chat(before)
	if err != nil {
		return nil, err
	}
	if err := chat.order(header); err != nil {
		return nil, err
	}
	prompt := s.promptTokens(chat)
	stream := load.stream
	*load = chat.workload(prompt)
	load.endpoint, load.stream = "responses", stream
	if err := s.check(chat, prompt); err != nil {
		return nil, err
	}
	c, err := s.complete(chat, prompt)
	if err != nil {
		return nil, err
	}
	one := c.choices[0]
	status := statusInProgress
	if q.Background {
		status = statusQueued
	}
	answer := message{Role: roleAssistant, Content: content{one.text + one.refusal}, ToolCalls: one.calls}
	return &response{choice: one, streamed: q.Stream, used: c.usage, messages: append(slices.Clone(chat.Messages), answer), ended: make(chan struct{}),
		state: responseState{ID: s.responses.id(), Object: "response", CreatedAt: c.created, Status: status, Background: q.Background,
			Instructions: q.Instructions, MaxOutputTokens: q.MaxOutputTokens, Model: q.Model, Output: []map[string]any{},
			ParallelToolCalls: q.ParallelToolCalls == nil || *q.ParallelToolCalls, PreviousResponseID: q.PreviousResponseID,
			Store: q.Store == nil || *q.Store, Temperature: q.Temperature, Metadata: q.Metadata}}, nil
}

// finishInBackground ends a queued response after its latency, unless it is
// cancelled before.
func (s *Server) finishInBackground(ctx context.Context, r *response) {
	if !r.moves(statusInProgress) || !s.untilCancelled(ctx, r) {
		return
	}
	if r.moves(r.last()) {
		s.notify(ctx, "response."+r.last(), r.state.ID)
	}
}

// untilCancelled waits as long as the tokens take; false when the response was
// cancelled or the server stops.
func (s *Server) untilCancelled(ctx context.Context, r *response) bool {
	timer := time.NewTimer(s.cfg.PerToken * timesTokens(r.used.CompletionTokens))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.ended:
	case <-ctx.Done():
	}
	return false
}

// getResponse serves GET /v1/responses/{id}; with stream=true its events after
// starting_after.
func (s *Server) getResponse(w http.ResponseWriter, r *http.Request) {
	out, err := s.responses.get("response", r.PathValue("id"))
	after := -1
	if text := r.URL.Query().Get("starting_after"); err == nil && text != "" {
		if after, err = strconv.Atoi(text); err != nil || after < 0 {
			err = invalid("starting_after", "invalid_value", "Invalid 'starting_after': expected a sequence number, but got %q.", text)
		}
	}
	if err != nil {
		writeError(w, err)
		return
	}
	if r.URL.Query().Get("stream") == "true" {
		s.streamResponse(w, r, out, after+1, nil)
		return
	}
	writeJSON(w, http.StatusOK, out.shown())
}

// cancelResponse serves POST /v1/responses/{id}/cancel.
func (s *Server) cancelResponse(w http.ResponseWriter, r *http.Request) {
	out, err := s.responses.get("response", r.PathValue("id"))
	if err == nil && !out.shown().Background {
		err = invalid("id", "", "Cannot cancel a synchronous response.")
	}
	if err != nil {
		writeError(w, err)
		return
	}
	if out.moves(statusCancelled) {
		s.notifyLater("response.cancelled", out.shown().ID)
	}
	writeJSON(w, http.StatusOK, out.shown())
}

// notifyLater has a worker send an event; when too many jobs wait it is lost,
// as the events of a provider may be.
func (s *Server) notifyLater(kind, id string) {
	_ = s.enqueue(func(ctx context.Context) { s.notify(ctx, kind, id) })
}

// deleteResponse serves DELETE /v1/responses/{id}.
func (s *Server) deleteResponse(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, err := s.responses.get("response", id); err != nil {
		writeError(w, err)
		return
	}
	s.responses.remove(id)
	writeJSON(w, http.StatusOK, map[string]any{"id": id, "object": "response", "deleted": true})
}

// outputText is the text of a response's message.
func outputText(c choice) map[string]any {
	if c.refusal != "" {
		return map[string]any{"type": "refusal", "refusal": c.refusal}
	}
	return map[string]any{"type": "output_text", "text": c.text, "annotations": []any{}}
}

// items are the output items of a response: its tool calls or its message.
func (r *response) items() []map[string]any {
	status := statusCompleted
	if r.choice.finishReason == finishLength {
		status = statusIncomplete
	}
	if len(r.choice.calls) == 0 {
		return []map[string]any{{"type": "message", "id": r.itemID(0), "status": status, "role": roleAssistant, "content": []any{outputText(r.choice)}}}
	}
	var out []map[string]any
	for i, call := range r.choice.calls {
		out = append(out, map[string]any{"type": "function_call", "id": r.itemID(i), "call_id": call.ID, "status": status,
			"name": call.Function.Name, "arguments": call.Function.Arguments})
	}
	return out
}

func (r *response) itemID(i int) string { return fmt.Sprintf("item_%s_%d", r.state.ID, i) }
