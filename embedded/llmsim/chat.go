package llmsim

import (
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"net/http"
	"sort"
	"strings"
)

// echoWords bounds an answer that has nothing but the question.
const echoWords = 40

// completion is the whole answer to a chat request before it is sent.
type completion struct {
	id           string
	created      int64
	model        string
	text         string
	finishReason string
	usage        usage
}

type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// chat serves POST /v1/chat/completions.
func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	var q chatRequest
	if err := s.decode(w, r, &q); err != nil {
		writeError(w, err)
		return
	}
	entry := entryOf(r.Context())
	entry.Model, entry.Stream = q.Model, q.Stream
	prompt := s.promptTokens(&q)
	if err := s.check(&q, prompt); err != nil {
		writeError(w, err)
		return
	}
	entry.PromptTokens = prompt
	c := s.complete(&q, prompt)
	if q.Stream {
		s.stream(w, r, &q, c)
		return
	}
	if wait(r.Context(), s.cfg.TTFT+s.cfg.PerToken*timesTokens(c.usage.CompletionTokens)) != nil {
		return // the client is gone
	}
	entry.CompletionTokens = c.usage.CompletionTokens
	writeJSON(w, http.StatusOK, c.whole())
}

// complete computes the answer: from the context blocks if there are any, else
// an echo of the question; cut at stop sequences and at the token limit.
func (s *Server) complete(q *chatRequest, prompt int) completion {
	blocks, question := parsePrompt(q.Messages)
	text := echo(question)
	if len(blocks) > 0 {
		text = answerFromBlocks(blocks, question)
	}
	text = cutAtStop(text, q.Stop.list)
	finish := "stop"
	room := s.cfg.ContextTokens - prompt
	if limit := q.limit(); limit >= 0 {
		room = min(room, limit)
	}
	if cut := s.cutAtTokens(text, room); len(cut) < len(text) {
		text, finish = cut, "length"
	}
	n := s.cfg.CountTokens(text)
	return completion{
		id:           "chatcmpl-" + requestHash(q),
		created:      s.cfg.Now().Unix(),
		model:        q.Model,
		text:         text,
		finishReason: finish,
		usage:        usage{PromptTokens: prompt, CompletionTokens: n, TotalTokens: prompt + n},
	}
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
	}
	return hex.EncodeToString(h.Sum(nil))[:24]
}

// whole is the answer to a request that is not streamed.
func (c completion) whole() any {
	type reply struct {
		Role    string  `json:"role"`
		Content string  `json:"content"`
		Refusal *string `json:"refusal"`
	}
	type choice struct {
		Index        int             `json:"index"`
		Message      reply           `json:"message"`
		Logprobs     json.RawMessage `json:"logprobs"`
		FinishReason string          `json:"finish_reason"`
	}
	return struct {
		ID      string   `json:"id"`
		Object  string   `json:"object"`
		Created int64    `json:"created"`
		Model   string   `json:"model"`
		Choices []choice `json:"choices"`
		Usage   usage    `json:"usage"`
	}{c.id, "chat.completion", c.created, c.model,
		[]choice{{Message: reply{Role: "assistant", Content: c.text}, FinishReason: c.finishReason}}, c.usage}
}
