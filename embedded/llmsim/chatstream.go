package llmsim

// step is what one chunk of a stream adds to one choice.
type step struct {
	choice   int
	delta    delta
	logprobs *choiceLogprobs
	finish   *string
	tokens   int // of the step
}

// deltaCall is the beginning of a tool call, with an id, or a piece of its
// arguments.
type deltaCall struct {
	Index    int           `json:"index"`
	ID       string        `json:"id,omitempty"`
	Type     string        `json:"type,omitempty"`
	Function deltaFunction `json:"function"`
}

type deltaFunction struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// steps returns the chunks of a completion: the roles, then of each choice in
// turn a piece, then its finish reason.
func (s *Server) steps(c completion) []step {
	var out []step
	rest := make([][]step, len(c.choices))
	for i, one := range c.choices {
		d := delta{Role: roleAssistant}
		if len(one.calls) == 0 && one.refusal == "" {
			empty := ""
			d.Content = &empty
		}
		out = append(out, step{choice: i, delta: d})
		rest[i] = append(s.pieces(i, one), step{choice: i, finish: &one.finishReason})
	}
	for left := true; left; {
		left = false
		for i := range rest {
			if len(rest[i]) > 0 {
				out, rest[i], left = append(out, rest[i][0]), rest[i][1:], true
			}
		}
	}
	return out
}

// pieces cuts a choice into the words of its text or refusal, or into its tool
// calls and pieces of their arguments.
func (s *Server) pieces(index int, c choice) []step {
	var out []step
	sent := 0
	s.eachPiece(c.text+c.refusal, func(piece string, tokens, total int) {
		d := delta{Content: &piece}
		if c.refusal != "" {
			d = delta{Refusal: &piece}
		}
		next := step{choice: index, delta: d, tokens: tokens}
		if c.logprobs != nil {
			end := min(total, len(c.logprobs))
			next.logprobs = c.withLogprobs(c.logprobs[min(sent, end):end])
			sent = max(sent, end)
		}
		out = append(out, next)
	})
	for i, call := range c.calls {
		start := deltaCall{Index: i, ID: call.ID, Type: call.Type, Function: deltaFunction{Name: call.Function.Name}}
		out = append(out, step{choice: index, delta: delta{ToolCalls: []deltaCall{start}}, tokens: s.cfg.CountTokens(call.Function.Name)})
		s.eachPiece(call.Function.Arguments, func(piece string, tokens, _ int) {
			more := deltaCall{Index: i, Function: deltaFunction{Arguments: piece}}
			out = append(out, step{choice: index, delta: delta{ToolCalls: []deltaCall{more}}, tokens: tokens})
		})
	}
	return out
}

// eachPiece calls fn with the chunks of text, each one's tokens and those up
// to its end.
func (s *Server) eachPiece(text string, fn func(piece string, tokens, total int)) {
	for start, sent := 0, 0; start < len(text); {
		end := s.nextChunk(text, start)
		total := max(s.cfg.CountTokens(text[:end]), sent)
		fn(text[start:end], total-sent, total)
		start, sent = end, total
	}
}
