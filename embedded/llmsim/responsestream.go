package llmsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
)

// responseEvent is one event of a streamed response.
type responseEvent struct {
	kind   string
	fields map[string]any
	tokens int
	end    bool // it ends the response
}

// streamResponse sends the events of a response from sequence number from on,
// at the pace of its tokens, or at once when that was paid before (v is nil); for
// a background response when that has ended.
func (s *Server) streamResponse(w http.ResponseWriter, r *http.Request, out *response, from int, v *visit) {
	shown := out.shown()
	if shown.Background {
		v = nil
		select {
		case <-out.ended:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	flush := http.NewResponseController(w)
	for number, event := range s.responseEvents(out, shown) {
		if v != nil && event.tokens > 0 && !v.generate(r, event.tokens) {
			return
		}
		if event.end {
			out.moves(out.last())
			event.fields["response"] = out.shown()
		}
		if number < from {
			continue
		}
		event.fields["type"], event.fields["sequence_number"] = event.kind, number
		data, err := json.Marshal(event.fields)
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event.kind, data); err != nil || flush.Flush() != nil {
			return
		}
	}
}

// responseEvents lists the events of a response: its beginning, each item with
// its deltas, its end.
func (s *Server) responseEvents(r *response, shown responseState) []responseEvent {
	begun := shown
	begun.Status, begun.Output, begun.Usage = statusInProgress, []map[string]any{}, nil
	out := []responseEvent{
		{kind: "response.created", fields: map[string]any{"response": begun}},
		{kind: "response.in_progress", fields: map[string]any{"response": begun}},
	}
	end := r.last()
	if status := r.shown().Status; status == statusCancelled {
		return append(out, responseEvent{kind: "response." + status, fields: map[string]any{}, end: true})
	}
	for i, item := range r.items() {
		out = append(out, s.itemEvents(r, i, item)...)
	}
	return append(out, responseEvent{kind: "response." + end, fields: map[string]any{}, end: true})
}

// itemEvents lists the events of output item i.
func (s *Server) itemEvents(r *response, i int, item map[string]any) []responseEvent {
	empty := maps.Clone(item)
	empty["status"] = statusInProgress
	for field, none := range map[string]any{"content": []any{}, "arguments": ""} {
		if empty[field] != nil {
			empty[field] = none
		}
	}
	out := []responseEvent{{kind: "response.output_item.added", fields: map[string]any{"output_index": i, "item": empty}}}
	name, field, text := "output_text", "text", r.choice.text
	isCall := len(r.choice.calls) > 0
	switch {
	case isCall:
		name, field, text = "function_call_arguments", "arguments", r.choice.calls[i].Function.Arguments
	case r.choice.refusal != "":
		name, field, text = "refusal", "refusal", r.choice.refusal
	}
	place := func(more map[string]any) map[string]any {
		more["item_id"], more["output_index"] = r.itemID(i), i
		if !isCall {
			more["content_index"] = 0
		}
		return more
	}
	if !isCall {
		part := outputText(choice{})
		if r.choice.refusal != "" {
			part = map[string]any{"type": "refusal", "refusal": ""}
		}
		out = append(out, responseEvent{kind: "response.content_part.added", fields: place(map[string]any{"part": part})})
	}
	s.eachPiece(text, func(piece string, tokens, _ int) {
		out = append(out, responseEvent{kind: "response." + name + ".delta", fields: place(map[string]any{"delta": piece}), tokens: tokens})
	})
	out = append(out, responseEvent{kind: "response." + name + ".done", fields: place(map[string]any{field: text})})
	if !isCall {
		out = append(out, responseEvent{kind: "response.content_part.done", fields: place(map[string]any{"part": outputText(r.choice)})})
	}
	return append(out, responseEvent{kind: "response.output_item.done", fields: map[string]any{"output_index": i, "item": item}})
}
