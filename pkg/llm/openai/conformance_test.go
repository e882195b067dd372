package openai

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
)

// wire serves a fake model over HTTP as an OpenAI-compatible endpoint does.
type wire struct{ fake *llmtest.Fake }

func (s wire) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Model      string        `json:"model"`
		Messages   []llm.Message `json:"messages"`
		MaxTokens  int           `json:"max_tokens"`
		Input      []string      `json:"input"`
		Dimensions int           `json:"dimensions"`
		Query      string        `json:"query"`
		Documents  []string      `json:"documents"`
		TopN       int           `json:"top_n"`
		Logprobs   bool          `json:"logprobs"`
		Seed       *int64        `json:"seed"`
		Response   *struct{}     `json:"response_format"`
		event.Tooling
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	switch {
	case err != nil:
	case r.URL.Path == "/v1/chat/completions":
		req := llm.ChatRequest{Model: in.Model, Messages: in.Messages, MaxTokens: in.MaxTokens, Logprobs: in.Logprobs, Seed: in.Seed}
		formTool := strings.Contains(string(in.Tools), "Takes the answer.")
		if in.Response != nil || formTool {
			req.Format = &llm.Format{Name: "f", Schema: json.RawMessage("{}")}
		}
		if !formTool {
			req.Tooling = in.Tooling
		}
		err = s.chat(w, r, req, formTool)
	case r.URL.Path == "/v1/embeddings":
		err = s.embed(w, r, llm.EmbedRequest{Model: in.Model, Inputs: in.Input, Dimensions: in.Dimensions})
	case r.URL.Path == "/v1/rerank":
		err = s.rerank(w, r, llm.RerankRequest{Model: in.Model, Query: in.Query, Documents: in.Documents, TopN: in.TopN})
	default:
		http.NotFound(w, r)
	}
	if err != nil {
		replies(http.StatusNotFound, "application/json", errorBody("model_not_found", "invalid_request_error", event.AsError(err).Message))(w, r)
	}
}

func (s wire) chat(w http.ResponseWriter, r *http.Request, req llm.ChatRequest, tool bool) error {
	chunk := `data: {"model":%q,"choices":[{"index":0,"delta":{"content":%q},"logprobs":%s,"finish_reason":%s}]}` + "\n\n"
	if tool {
		chunk = `data: {"model":%q,"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":%q}}]},"logprobs":%s,"finish_reason":%s}]}` + "\n\n"
	}
	sure := "null"
	if req.Logprobs {
		sure = `{"content":[{"token":"a","logprob":-0.1,"top_logprobs":[{"token":"a","logprob":-0.1},{"token":"b","logprob":-2.5}]}]}`
	}
	req.OnDelta = func(text string) error {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, chunk, req.Model, text, sure, "null")
		return http.NewResponseController(w).Flush()
	}
	res, err := s.fake.Chat(r.Context(), req)
	if len(res.ToolCalls) > 0 {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	for i, call := range res.ToolCalls { // in three pieces
		half := len(call.Function.Arguments) / 2
		piece := `data: {"model":%q,"choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,"function":{"arguments":%q}}]}}]}` + "\n\n"
		_, _ = fmt.Fprintf(w, strings.Replace(piece, `"function":{`, `"id":%q,"type":"function","function":{"name":%q,`, 1), res.Model, i, call.ID, call.Function.Name, "")
		_, _ = fmt.Fprintf(w, piece+piece, res.Model, i, call.Function.Arguments[:half], res.Model, i, call.Function.Arguments[half:])
	}
	if err == nil {
		if tool && res.FinishReason == "stop" {
			res.FinishReason = "tool_calls"
		}
		_, _ = fmt.Fprintf(w, chunk, res.Model, "", "null", `"`+res.FinishReason+`"`)
		_, _ = fmt.Fprintf(w, `data: {"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`+"\n\n"+doneFrame, res.Usage.PromptTokens, res.Usage.CompletionTokens)
	}
	return err
}

func (s wire) embed(w http.ResponseWriter, r *http.Request, req llm.EmbedRequest) error {
	res, err := s.fake.Embed(r.Context(), req)
	if err != nil {
		return err
	}
	var items []string
	for i, v := range res.Vectors {
		items = append(items, item(i, v...))
	}
	replies(http.StatusOK, "application/json", vectors(items...))(w, r)
	return nil
}

func (s wire) rerank(w http.ResponseWriter, r *http.Request, req llm.RerankRequest) error {
	res, err := s.fake.Rerank(r.Context(), req)
	if err != nil {
		return err
	}
	out := rerankAnswer{Model: res.Model}
	for _, ranked := range res.Results {
		out.Results = append(out.Results, rerankItem{Index: &ranked.Index, Score: &ranked.Score})
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(out)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	llmtest.Run(t, func(t *testing.T) llmtest.Subject {
		srv := httptest.NewServer(wire{&llmtest.Fake{Models: []string{"chat", "embed", "rerank"}}})
		t.Cleanup(srv.Close)
		dialect := catalog.Dialect{Rerank: rerankJina, LimitHeaders: plainDialect().LimitHeaders}
		c := clientFor(t, Config{BaseURL: srv.URL + "/v1", Dialect: dialect})
		return llmtest.Subject{
			Chat: c, Embedder: c, Reranker: c, ChatModel: "chat", EmbedModel: "embed", RerankModel: "rerank",
			UnknownModel: "nobody", ShorterDimensions: 4, ReportsUsage: true,
		}
	})
}
