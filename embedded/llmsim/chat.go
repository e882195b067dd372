package llmsim

import (
	"encoding/hex"
	"hash/fnv"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Why an answer ends.
const (
	finishStop      = "stop"
	finishLength    = "length"
	finishToolCalls = "tool_calls"
)

// echoWords bounds an answer that has nothing but the question.
const echoWords = 40

// completion is the whole answer to a chat request before it is sent.
type completion struct {
	id      string
	created int64
	model   string
	choices []choice
	usage   usage
}

// choice is one of the answers.
type choice struct {
	text         string
	refusal      string
	calls        []toolCall
	finishReason string
	tokens       int
	logprobs     []tokenLogprob // nil unless asked for
}

type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
	// Details is there when the server has a prompt cache.
	Details *promptDetails `json:"prompt_tokens_details,omitempty"`
}

// chat serves POST /v1/chat/completions.
func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	var q chatRequest
	if err := s.decode(w, r, &q); err != nil {
		writeError(w, err)
		return
	}
	prompt := s.promptTokens(&q)
	load := q.workload(prompt)
	err := q.order(r.Header)
	if err == nil {
		err = s.check(&q, prompt)
	}
	if err != nil {
		s.refuse(w, r, load, err)
		return
	}
	v, ok := s.enter(w, r, load)
	if !ok {
		return
	}
	c, err := s.complete(&q, prompt)
	if err != nil {
		v.leave()
		writeError(w, err)
		return
	}
	c.usage.Details = s.cachedTokens(v.call, &q, prompt)
	defer v.done(c.usage)
	made := c.usage.CompletionTokens
	c = v.call.spoilt(c)
	if q.Stream {
		s.stream(w, r, &q, c, v)
		return
	}
	if v.generate(r, made) {
		writeJSON(w, http.StatusOK, c.whole())
	}
}

// workload is what the request wants; like the API it counts the limit of the
// answer once for each choice.
func (q *chatRequest) workload(prompt int) workload {
	load := workload{endpoint: "chat", model: q.Model, prompt: prompt, stream: q.Stream, maxTokens: max(q.limit(), 0) * q.choices()}
	for _, m := range q.Messages {
		load.chars += utf8.RuneCountInString(m.Content.text)
	}
	return load
}

// complete computes the answers: see draft; cut at stop sequences and at the
// token limit. They depend on the server's seed, the model, the conversation,
// the request's seed and the number of the choice.
func (s *Server) complete(q *chatRequest, prompt int) (completion, error) {
	hash := requestHash(q)
	c := completion{id: "chatcmpl-" + hash, created: s.cfg.Now().Unix(), model: q.Model, usage: usage{PromptTokens: prompt}}
	room := s.cfg.ContextTokens - prompt
	if limit := q.limit(); limit >= 0 {
		room = min(room, limit)
	}
	for n := range q.choices() {
		rnd := s.known.random(hash, q.seedText(), strconv.Itoa(n))
		d, err := s.draft(q, n, rnd)
		if err != nil {
			return completion{}, err
		}
		one := s.cut(q, d, room)
		if q.Logprobs && len(one.calls) == 0 {
			top := 0
			if q.TopLogprobs != nil {
				top = *q.TopLogprobs
			}
			one.logprobs = logprobs(one.text+one.refusal, one.tokens, top, s.known.errors().meanLogprob(d.right, rnd), rnd)
		}
		c.choices = append(c.choices, one)
		c.usage.CompletionTokens += one.tokens
	}
	c.usage.TotalTokens = prompt + c.usage.CompletionTokens
	return c, nil
}

// cut ends a draft at a stop sequence or after room tokens.
func (s *Server) cut(q *chatRequest, d draft, room int) choice {
	c := choice{refusal: d.refusal, finishReason: finishStop}
	if len(d.calls) > 0 {
		return s.cutCalls(d.calls, room)
	}
	text := &c.text
	if d.refusal != "" {
		text = &c.refusal
	} else {
		c.text = cutAtStop(d.text, q.Stop.list)
	}
	if cut := s.cutAtTokens(*text, room); len(cut) < len(*text) {
		*text, c.finishReason = cut, finishLength
	}
	c.tokens = s.cfg.CountTokens(*text)
	return c
}

// cutCalls ends tool calls after room tokens, if need be inside of arguments.
func (s *Server) cutCalls(calls []toolCall, room int) choice {
	c := choice{finishReason: finishToolCalls}
	for _, call := range calls {
		if room -= s.cfg.CountTokens(call.Function.Name); room < 0 {
			c.finishReason = finishLength
			break
		}
		arguments := s.cutAtTokens(call.Function.Arguments, room)
		c.tokens += s.cfg.CountTokens(call.Function.Name) + s.cfg.CountTokens(arguments)
		room -= s.cfg.CountTokens(arguments)
		if len(arguments) < len(call.Function.Arguments) {
			c.finishReason = finishLength
		}
		call.Function.Arguments = arguments
		if c.calls = append(c.calls, call); c.finishReason == finishLength {
			break
		}
	}
	return c
}

// echo answers a prompt without context.
func echo(question string) string {
	words := strings.Fields(question)
	if len(words) == 0 {
		return "You sent an empty message."
	}
	text := strings.Join(words[:min(len(words), echoWords)], " ")
	if len(words) > echoWords {
		text += " …"
	}
	return "You said: " + text
}

// cutAtTokens returns the longest beginning of text, in whole words as long as
// one fits, that counts at most limit tokens.
func (s *Server) cutAtTokens(text string, limit int) string {
	if s.cfg.CountTokens(text) <= limit {
		return text
	}
	ends := pieceEnds(text)
	if s.cfg.CountTokens(text[:ends[0]]) > limit {
		ends = runeEnds(text[:ends[0]])
	}
	n := sort.Search(len(ends), func(i int) bool { return s.cfg.CountTokens(text[:ends[i]]) > limit })
	if n == 0 {
		return ""
	}
	return text[:ends[n-1]]
}

// pieceEnds returns where the words of text end; the space before a word
// belongs to it.
func pieceEnds(text string) []int {
	var ends []int
	for i := 1; i < len(text); i++ {
		if text[i] == ' ' && text[i-1] != ' ' {
			ends = append(ends, i)
		}
	}
	return append(ends, len(text))
}

func runeEnds(text string) []int {
	var ends []int
	for i := range text {
		if i > 0 {
			ends = append(ends, i)
		}
	}
	return append(ends, len(text))
}

// requestHash identifies the conversation and the model.
func requestHash(q *chatRequest) string {
	h := fnv.New128a()
	_, _ = h.Write([]byte(q.Model))
	for _, m := range q.Messages {
		_, _ = h.Write([]byte("\x00" + m.Role + "\x00" + m.Content.text))
		for _, c := range m.ToolCalls {
			_, _ = h.Write([]byte("\x00" + c.Function.Name + "\x00" + c.Function.Arguments))
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:24]
}

// reply is the message of a choice.
type reply struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"` // null beside tool calls and refusals
	Refusal   *string    `json:"refusal"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

// choiceLogprobs are the log probabilities of a choice or of one chunk of it.
type choiceLogprobs struct {
	Content []tokenLogprob `json:"content"`
	Refusal []tokenLogprob `json:"refusal"`
}

// withLogprobs returns the shape of list; nil for none.
func (c choice) withLogprobs(list []tokenLogprob) *choiceLogprobs {
	switch {
	case list == nil:
		return nil
	case c.refusal != "":
		return &choiceLogprobs{Refusal: list}
	}
	return &choiceLogprobs{Content: list}
}

// message is the choice as a message.
func (c choice) message() reply {
	m := reply{Role: roleAssistant, Refusal: nullable(c.refusal), ToolCalls: c.calls}
	if len(c.calls) == 0 && c.refusal == "" {
		m.Content = &c.text
	}
	return m
}

// whole is the answer to a request that is not streamed.
func (c completion) whole() any {
	type wireChoice struct {
		Index        int             `json:"index"`
		Message      reply           `json:"message"`
		Logprobs     *choiceLogprobs `json:"logprobs"`
		FinishReason string          `json:"finish_reason"`
	}
	choices := make([]wireChoice, len(c.choices))
	for i, one := range c.choices {
		choices[i] = wireChoice{Index: i, Message: one.message(), Logprobs: one.withLogprobs(one.logprobs), FinishReason: one.finishReason}
	}
	return struct {
		ID      string       `json:"id"`
		Object  string       `json:"object"`
		Created int64        `json:"created"`
		Model   string       `json:"model"`
		Choices []wireChoice `json:"choices"`
		Usage   usage        `json:"usage"`
	}{c.id, "chat.completion", c.created, c.model, choices, c.usage}
}
